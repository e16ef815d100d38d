"""`load_teacher`: from a file, a folder or a name to a `Teacher`; the format is told by content."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from rsae.errors import CorruptFileError, TeacherError
from rsae.pretrained import dictionary_learning, gemma_scope, hub, openai, saelens, sparsify
from rsae.pretrained.base import Teacher
from rsae.pretrained.files import Weights, read_weights


class _Adapter(NamedTuple):
    claims: Callable[[Weights], bool]
    read: Callable[[Weights], Teacher]


_ADAPTERS = {
    saelens.FORMAT: _Adapter(saelens.claims, saelens.read),
    gemma_scope.FORMAT: _Adapter(gemma_scope.claims, gemma_scope.read),
    dictionary_learning.FORMAT: _Adapter(dictionary_learning.claims, dictionary_learning.read),
    openai.FORMAT: _Adapter(openai.claims, openai.read),
    sparsify.FORMAT: _Adapter(sparsify.claims, sparsify.read),
}

FORMATS = tuple(_ADAPTERS)

_SUFFIXES = {".safetensors", ".npz", ".pt", ".pth"}


def load_teacher(path_or_release: str | Path, format: str | None = None) -> Teacher:
    """Read a trained sparse autoencoder.

    Args:
        path_or_release: one of
            a weights file; a folder with one, or with one somewhere below it;
            `demo:relu`, `demo:jumprelu`, `demo:topk`, the packaged ones;
            `RELEASE/SAE_ID` of SAELens' list of pretrained SAEs, or `OWNER/REPOSITORY/FOLDER` of
            the Hugging Face hub, downloaded to its cache.
        format: one of `FORMATS`; None finds it by the file's content.

    Returns:
        The teacher, in float32 on the CPU.

    Raises:
        TeacherError: nothing is there, there are several, it is a kind that cannot be upgraded
            (the message says why), or its tensors do not fit together.
        CorruptFileError: a file is damaged, or holds a pickle of more than plain data.

    Example:
        >>> from rsae.pretrained import load_teacher
        >>> load_teacher("demo:topk").family
        'topk'
    """
    adapters = _ADAPTERS
    if format is not None:
        if format not in _ADAPTERS:
            raise TeacherError(f"unknown format {format!r}; use one of {', '.join(FORMATS)}")
        adapters = {format: _ADAPTERS[format]}
    name = str(path_or_release)
    if name.startswith("demo:"):
        return _load(_demo_folder(name), adapters)
    if Path(name).exists():
        return _load(Path(name), adapters)
    found = hub.fetch(name)
    return found if isinstance(found, Teacher) else _load(found, adapters)


def _load(path: Path, adapters: Mapping[str, _Adapter]) -> Teacher:
    if path.is_dir():
        weights = _only_one(path, adapters)
    else:
        weights = _read(path)
    adapter = _adapter_for(weights, adapters)
    if adapter is None:
        have = ", ".join(sorted(str(name) for name in weights.content)[:8]) or "nothing"
        raise TeacherError(
            f"{path} is no sparse autoencoder as {' or '.join(adapters)} has it "
            f"(it holds {have}); give another file"
        )
    return adapter.read(weights)


def _read(path: Path) -> Weights:
    weights = read_weights(path)
    if weights is None:
        raise TeacherError(f"{path} is no weights file; give the folder or the file of an SAE")
    return weights


def _adapter_for(weights: Weights, adapters: Mapping[str, _Adapter]) -> _Adapter | None:
    return next((adapter for adapter in adapters.values() if adapter.claims(weights)), None)


def _only_one(folder: Path, adapters: Mapping[str, _Adapter]) -> Weights:
    """The one SAE in a folder, or else the one below it (Gemma Scope nests three folders)."""
    here = sorted(path for path in folder.iterdir() if path.is_file())
    below = (path for stars in ("*/*", "*/*/*", "*/*/*/*") for path in sorted(folder.glob(stars)))
    for paths in (here, (path for path in below if path.suffix in _SUFFIXES)):
        found, damaged = _recognised(paths, adapters)
        if len(found) > 1:
            names = ", ".join(str(weights.path.relative_to(folder)) for weights in found[:6])
            more = ", …" if len(found) > 6 else ""
            raise TeacherError(f"{folder} holds several SAEs; give one of them: {names}{more}")
        if found:
            return found[0]
        if damaged:
            raise damaged[0]
    raise TeacherError(f"{folder} holds no sparse autoencoder; give the folder or the file of one")


def _recognised(
    paths: Iterable[Path], adapters: Mapping[str, _Adapter], enough: int = 7
) -> tuple[list[Weights], list[CorruptFileError]]:
    """The first files that are SAEs, and what is wrong with those that cannot be read."""
    found: list[Weights] = []
    damaged: list[CorruptFileError] = []
    for path in paths:
        try:
            weights = read_weights(path)
        except CorruptFileError as error:
            damaged.append(error)
            continue
        if weights is not None and _adapter_for(weights, adapters):
            found.append(weights)
        if len(found) == enough:
            break
    return found, damaged


def _demo_folder(name: str) -> Path:
    folder = Path(__file__).parent.parent / "demo" / "teachers" / name.removeprefix("demo:")
    if not folder.is_dir():
        raise TeacherError(
            f"no packaged teacher is called {name}; use demo:relu, demo:jumprelu or demo:topk"
        )
    return folder
