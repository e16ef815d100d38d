"""`load_teacher`: a file, a folder or a name as a `Teacher`; the content tells the format."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from rsae.errors import CorruptFileError, TeacherError
from rsae.files import exists
from rsae.pretrained import (
    dictionary_learning,
    gemma_scope,
    hub,
    llama_scope,
    openai,
    released,
    saelens,
    sparsify,
)
from rsae.pretrained.base import Teacher
from rsae.pretrained.checks import named
from rsae.pretrained.files import Weights, read_weights
from rsae.settings import check_kind


class _Adapter(NamedTuple):
    claims: Callable[[Weights], bool]
    read: Callable[[Weights], Teacher]


_ADAPTERS = {
    saelens.FORMAT: _Adapter(saelens.claims, saelens.read),
    gemma_scope.FORMAT: _Adapter(gemma_scope.claims, gemma_scope.read),
    llama_scope.FORMAT: _Adapter(llama_scope.claims, llama_scope.read),
    released.GOODFIRE: _Adapter(released.claims_goodfire, released.read_goodfire),
    released.QWEN_SCOPE: _Adapter(released.claims_qwen_scope, released.read_qwen_scope),
    dictionary_learning.FORMAT: _Adapter(dictionary_learning.claims, dictionary_learning.read),
    openai.FORMAT: _Adapter(openai.claims, openai.read),
    sparsify.FORMAT: _Adapter(sparsify.claims, sparsify.read),
}

FORMATS = tuple(_ADAPTERS)

_SUFFIXES = {".safetensors", ".npz", ".pt", ".pth"}
_DEPTH = 4  # Gemma Scope: layer_20/width_16k/average_l0_71/params.npz
_MOST_ENTRIES = 20_000


def load_teacher(path_or_release: str | Path, format: str | None = None) -> Teacher:
    """Read a trained sparse autoencoder.

    Args:
        path_or_release: One of
            a weights file; a folder with one, or with one somewhere below it;
            `demo:relu`, `demo:jumprelu`, `demo:topk`, the packaged ones;
            `RELEASE/SAE_ID` of SAELens' list of pretrained SAEs, or `OWNER/REPOSITORY/FOLDER` of
            the Hugging Face hub, downloaded to its cache.
        format: One of `FORMATS`; None finds it by the file's content.

    Returns:
        The teacher, in float32 on the CPU.

    Raises:
        TeacherError: nothing is there, there are several, it is a kind that cannot be upgraded
            (the message says why), or its tensors do not fit together.
        CorruptFileError: a file is damaged, or holds a pickle of more than plain data.
        ConfigError: it is neither a path nor a name.

    Example:
        >>> from rsae.pretrained import load_teacher
        >>> load_teacher("demo:topk").family
        'topk'
    """
    check_kind(path_or_release, (str, Path), "the SAE", "give a path or a name")
    adapters = _ADAPTERS
    if format is not None:
        if format not in _ADAPTERS:
            raise TeacherError(f"unknown format {format!r}; use one of {', '.join(FORMATS)}")
        adapters = {format: _ADAPTERS[format]}
    name = str(path_or_release)
    if not name.startswith("demo:") and exists(name):
        return _load(Path(name), adapters)
    source = _demo_folder(name) if name.startswith("demo:") else hub.fetch(name)
    teacher = source if isinstance(source, Teacher) else _load(source, adapters)
    return replace(teacher, source=name)  # rather than where this machine keeps it


def _load(path: Path, adapters: Mapping[str, _Adapter]) -> Teacher:
    if path.is_dir():
        weights = _only_one(_snapshot(path), adapters)
    else:
        weights = _read(path)
    adapter = _adapter_for(weights, adapters)
    if adapter is None:
        raise TeacherError(
            f"{path} is no sparse autoencoder as {' or '.join(adapters)} has it "
            f"(it holds {named(weights.content)}); give another file"
        )
    _refuse_crosscoder(weights)
    return adapter.read(weights)


def _refuse_crosscoder(weights: Weights) -> None:
    """A crosscoder has an encoder for each of several sites, in one tensor of three dimensions."""
    for name in ("W_enc", "W_dec", "w_enc", "encoder.weight", "decoder.weight"):
        value = weights.content.get(name)
        if isinstance(value, Tensor) and value.ndim == 3:
            raise TeacherError(
                f"{weights.path}: {name} has three dimensions, so this is a crosscoder, which "
                "reads several sites or models; use an SAE of one site"
            )


def _read(path: Path) -> Weights:
    weights = read_weights(path)
    if weights is None:
        raise TeacherError(f"{path} is no weights file; give the folder or the file of an SAE")
    return weights


def _adapter_for(weights: Weights, adapters: Mapping[str, _Adapter]) -> _Adapter | None:
    return next((adapter for adapter in adapters.values() if adapter.claims(weights)), None)


def _only_one(folder: Path, adapters: Mapping[str, _Adapter]) -> Weights:
    """The one SAE in a folder, or else the one below it (Gemma Scope nests three folders)."""
    levels = _levels(folder)
    here = next(levels)
    below = (path for level in levels for path in level if path.suffix in _SUFFIXES)
    for paths in (here, below):
        recognised, damaged = _recognised(paths, adapters)
        if len(recognised) > 1:
            names = ", ".join(str(weights.path.relative_to(folder)) for weights in recognised[:6])
            more = ", …" if len(recognised) > 6 else ""
            raise TeacherError(f"{folder} holds several SAEs; give one of them: {names}{more}")
        if recognised:
            return recognised[0]
        if damaged:
            raise damaged[0]
    raise TeacherError(f"{folder} holds no sparse autoencoder; give the folder or the file of one")


def _snapshot(folder: Path) -> Path:
    """What a folder `models--OWNER--NAME` of the Hugging Face cache holds: its main snapshot.

    Raises:
        TeacherError: it holds several, none of which is called main.
    """
    snapshots = folder / "snapshots"
    if not (folder.name.startswith("models--") and snapshots.is_dir()):
        return folder
    commits = sorted(path for path in snapshots.iterdir() if path.is_dir())
    main = folder / "refs" / "main"
    commit = main.read_bytes()[:100].decode("ascii", "replace").strip() if main.is_file() else ""
    chosen = [path for path in commits if path.name == commit] or commits
    if len(chosen) != 1:
        names = ", ".join(path.name for path in chosen[:6]) or "none"
        raise TeacherError(f"{snapshots} holds several snapshots or none ({names}); give one")
    return chosen[0]


def _levels(folder: Path) -> Iterator[list[Path]]:
    """Regular files in a folder, then in each of the three levels below it, in order.

    Raises:
        TeacherError: it cannot be read, or is far larger than a folder of SAEs.
    """
    folders, seen = [folder], 0
    try:
        for _ in range(_DEPTH):
            entries = [path for one in folders for path in sorted(one.iterdir())]
            yield [path for path in entries if path.is_file()]
            folders = [path for path in entries if path.is_dir() and not path.is_symlink()]
            seen += len(entries)
            if seen > _MOST_ENTRIES:
                raise TeacherError(f"{folder} holds too much to search; give the folder of the SAE")
    except OSError as error:
        raise TeacherError(f"{folder} cannot be searched ({error}); check the path") from error


def _recognised(
    paths: Iterable[Path], adapters: Mapping[str, _Adapter], enough: int = 7
) -> tuple[list[Weights], list[CorruptFileError]]:
    """The first files that are SAEs, and what is wrong with those that cannot be read."""
    recognised: list[Weights] = []
    damaged: list[CorruptFileError] = []
    for path in paths:
        try:
            weights = read_weights(path)
        except CorruptFileError as error:
            damaged.append(error)
            continue
        if weights is not None and _adapter_for(weights, adapters):
            recognised.append(weights)
        if len(recognised) == enough:
            break
    return recognised, damaged


def _demo_folder(name: str) -> Path:
    folder = Path(__file__).parent.parent / "demo" / "teachers" / name.removeprefix("demo:")
    if name.removeprefix("demo:") not in ("relu", "jumprelu", "topk"):
        raise TeacherError(
            f"no packaged teacher is called {name}; use demo:relu, demo:jumprelu or demo:topk"
        )
    return folder
