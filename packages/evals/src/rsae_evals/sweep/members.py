"""The SAEs of a sweep: what a list, a folder, a pattern or a release stands for."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rsae.files import exists
from rsae_evals.errors import EvaluationError

__all__ = ["Member", "members_of"]

_SUFFIXES = {".safetensors", ".npz", ".pt", ".pth"}
_DEPTH = 4  # as `load_teacher`: layer_20/width_16k/average_l0_71/params.npz
_LONGEST_LIST = 2**20  # bytes of a list of names
_LONGEST_NAME = 120  # characters of a folder's name
_TAKEN = ("activations", "logs", "index.html", "sweep.json")  # beside the members' folders
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Member:
    """One SAE of a sweep.

    Attributes:
        name: Its folder below the sweep's.
        source: What `rsae.load_teacher` takes.
    """

    name: str
    source: str


def members_of(specs: Iterable[str]) -> tuple[Member, ...]:
    """The SAEs that are meant, each once, in the order given.

    Args:
        specs: Each a text file (.txt) with one SAE a line and comments after "#"; a folder of SAEs
            at any of four levels; a pattern of paths ("runs/*/sae"); a release of SAELens with a
            pattern of its SAEs ("gemma-scope-2b-pt-res-canonical/layer_1?/*"); or what
            `rsae.load_teacher` takes.

    Raises:
        EvaluationError: One of them stands for no SAE.
    """
    sources = list(dict.fromkeys(source for spec in specs for source in _sources(spec)))
    if not sources:
        raise EvaluationError("this sweep names no SAE; see rsae sweep --help")
    return tuple(
        Member(name, source) for name, source in zip(_names(sources), sources, strict=True)
    )


def _sources(spec: str) -> Iterator[str]:
    path = Path(os.path.expanduser(spec))
    if spec.endswith(".txt") and exists(path):
        yield from _listed(path)
    elif exists(path):
        yield from _in_folder(path)
    elif _WILD.search(spec):
        yield from _matching(spec)
    else:
        yield spec


def _listed(file: Path) -> Iterator[str]:
    try:
        if not file.is_file() or file.stat().st_size > _LONGEST_LIST:
            raise EvaluationError(f"{file} is no list of SAEs, or too long; check the path")
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{file} cannot be read ({error}); check the path") from error
    for line in lines:
        if spec := line.partition("#")[0].strip():
            if spec == str(file) or spec.endswith(".txt"):
                raise EvaluationError(f"{file} names another list, {spec}; name SAEs")
            yield from _sources(spec)


def _in_folder(path: Path) -> Iterator[str]:
    """The folder itself if weights are in it, else every nearest folder below that has some."""
    found = [str(path)] if path.is_file() else [str(folder) for folder in _with_weights(path)]
    if not found:
        raise EvaluationError(f"{path} holds no weights file on {_DEPTH} levels; check the path")
    yield from found


def _with_weights(folder: Path, depth: int = _DEPTH) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise EvaluationError(f"{folder} cannot be searched ({error}); check the path") from error
    if any(entry.suffix in _SUFFIXES and entry.is_file() for entry in entries):
        yield folder
    elif depth > 1:
        for entry in entries:
            if entry.is_dir() and not entry.is_symlink():
                yield from _with_weights(entry, depth - 1)


def _matching(pattern: str) -> Iterator[str]:
    """The paths that match, or the SAEs of a release."""
    paths = sorted(glob.glob(os.path.expanduser(pattern), recursive=True))
    if paths:
        for path in paths:
            yield from _in_folder(Path(path))
        return
    release, _, wanted = pattern.partition("/")
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    known = get_pretrained_saes_directory().get(release)
    if known is None:
        raise EvaluationError(
            f"{pattern} matches no path, and SAELens lists no release {release!r}; check it"
        )
    found = [name for name in known.saes_map if fnmatch.fnmatchcase(name, wanted)]
    if not found:
        some = ", ".join(list(known.saes_map)[:3])
        raise EvaluationError(f"{pattern} matches no SAE of {release}, which has {some}, …")
    yield from (f"{release}/{name}" for name in found)


def _names(sources: list[str]) -> list[str]:
    """A folder's name for each: the end of its path that tells it from the others."""
    parts = [re.split(r"[/\\:]+", source.strip("/")) for source in sources]
    depth = 1
    while depth < 8 and len({tuple(part[-depth:]) for part in parts}) < len(parts):
        depth += 1
    names: list[str] = []
    for part in parts:
        name = re.sub(r"[^\w.=-]+", "_", "-".join(part[-depth:]))[-_LONGEST_NAME:].lstrip(".-")
        plain, number = name or "sae", 2
        while (name := name or plain) in {*names, *_TAKEN}:
            name, number = f"{plain}-{number}", number + 1
        names.append(name)
    return names
