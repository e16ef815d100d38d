"""Files: written whole or not at all, read with suspicion, one run per folder.

Nothing here unpickles. Every failure of the disk is an :class:`~rsae.errors.OutputError`, every
failure of a file's content a :class:`~rsae.errors.CorruptFileError`, in one line. What a file
declares is bounded before anything is read: its kind, its size, the size of its header.

torch is imported by the functions that read and write tensors, since what handles no tensor, such
as `rsae report`, should not wait seconds for it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path, PurePath
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from filelock import FileLock, Timeout

from rsae.errors import CorruptFileError, LockedError, OutputError, TextError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "TABLES",
    "TEXTS",
    "RunLock",
    "existing_file",
    "exists",
    "files_below",
    "load_safetensors",
    "load_safetensors_and_metadata",
    "make_folder",
    "public_name",
    "read_json",
    "save_safetensors",
    "sha256",
    "write_atomic",
    "write_json",
    "write_text",
    "writing",
]

TABLES = (".jsonl.gz", ".parquet", ".arrow")
"""How the names of tables with a column of texts end."""
TEXTS = (".txt", ".md", ".jsonl", *TABLES)
"""How the names of all files end that are read as text in a folder."""

_PARTIAL = ".partial"
_PARTIAL_NAME = re.compile(r"\..+\.(\d+)\.partial")
_CHECKSUM = "rsae_sha256"
_LARGEST_JSON = 32 * 2**20  # bytes: a hundred times the largest that is written here
_DEEPEST_JSON = 100  # levels: what this project writes has less than ten
_LARGEST_HEADER = 16 * 2**20  # bytes of a safetensors header: names of a hundred thousand tensors

_MOST_OTHERS = 100_000  # entries that are not looked for: no folder of data, but a whole disk

_CAUSES = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder, then run again",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another folder",
    errno.EFBIG: "the file would exceed the size limit of this system; raise it (ulimit -f)",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.EACCES: "permission denied; choose a folder that you may write to",
    errno.EPERM: "permission denied; choose a folder that you may write to",
    errno.ENOTDIR: "a part of this path is a file, not a folder; choose another path",
    errno.EEXIST: "a file of that name is in the way; choose another folder",
    errno.EISDIR: "a folder of that name is in the way; choose another name",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` from writing ``path`` into one line with its cause and next step."""
    try:
        yield
    except OSError as error:
        known = _CAUSES.get(error.errno or 0)
        cause = known or f"{error.strerror or error}; choose another folder"
        raise OutputError(f"cannot write {path}: {cause}") from error


def make_folder(path: Path | str) -> Path:
    """Create a folder and its parents unless it is there, and return it.

    Raises:
        OutputError: it cannot be created.
    """
    folder = Path(path)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_atomic(path: Path | str, write: Callable[[Path], None]) -> Path:
    """Write a file so that a reader sees the old one or the whole new one, never a part.

    ``write`` is given a temporary path in the same folder; its file is flushed to the disk and
    then renamed to ``path`` (atomic by POSIX ``rename``). If ``write`` raises, ``path`` is as it
    was and the temporary file is gone. What a killed process left of the same file goes too.

    Args:
        path: The final name.
        write: Called once with the path to write to.

    Raises:
        OutputError: the disk is full, the folder read-only, and the like.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_atomic(folder / "a.txt", lambda p: p.write_text("whole") and None).read_text()
        'whole'
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}{_PARTIAL}")
    with writing(target):
        for path in target.parent.glob(f".{escape(target.name)}.*{_PARTIAL}"):
            if not _is_written(path):
                path.unlink(missing_ok=True)
        try:
            write(partial)
            _flush_to_disk(partial)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        _flush_to_disk(target.parent)
    return target


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path | str, content: Any) -> Path:
    """Write ``content`` as indented JSON, atomically; NaN and infinity are refused."""
    return write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_text(path: Path | str, text: str) -> Path:
    """Write UTF-8 text, atomically."""

    def write(partial: Path) -> None:
        partial.write_text(text, encoding="utf-8")

    return write_atomic(path, write)


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        CorruptFileError: it is missing or is no JSON.
    """
    source = existing_file(path)
    if source.stat().st_size > _LARGEST_JSON:
        raise CorruptFileError(
            f"{source} has more than {_LARGEST_JSON // 2**20} MiB, which no settings have; "
            "restore it or make it again"
        )
    try:
        content = json.loads(source.read_text(encoding="utf-8"))
        _check_depth(content)
        return content
    except (OSError, ValueError, RecursionError) as error:  # ValueError: UTF-8, JSON, huge integers
        raise CorruptFileError(
            f"{source} is no valid JSON ({error}); restore it or make it again"
        ) from error


def _check_depth(content: Any) -> None:
    """Refuse lists and objects so deep inside one another that what walks them would not end."""
    level, depth = [content] if isinstance(content, dict | list) else [], 0
    while level:
        depth += 1
        if depth > _DEEPEST_JSON:
            raise ValueError(f"it is nested more than {_DEEPEST_JSON} levels deep")
        inner = [one.values() if isinstance(one, dict) else one for one in level]
        level = [one for values in inner for one in values if isinstance(one, dict | list)]


def save_safetensors(
    path: Path | str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> Path:
    """Write named tensors as one safetensors file, atomically, with a checksum in its header.

    The file is serialised in memory first: the library's own writer maps the file, and a full
    disk would then be a signal instead of an error.
    """
    import safetensors.torch

    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    said = dict(metadata or {})
    content = safetensors.torch.save(kept, {**said, _CHECKSUM: _checksum(kept, said)})

    def write(partial: Path) -> None:
        partial.write_bytes(content)

    return write_atomic(path, write)


def load_safetensors(path: Path | str) -> dict[str, Tensor]:
    """Read all tensors of a safetensors file; the header is checked and nothing is unpickled.

    The format has no checksum; files of `save_safetensors` have one in their header, and it is
    compared.

    Raises:
        CorruptFileError: the file is missing, truncated, changed, or no safetensors file.
    """
    return load_safetensors_and_metadata(path)[0]


def load_safetensors_and_metadata(path: Path | str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """As `load_safetensors`, and the strings of the header beside the tensors."""
    import safetensors.torch
    from safetensors import SafetensorError, safe_open

    source = existing_file(path)
    try:
        _check_header(source)
        tensors = safetensors.torch.load_file(source)
        with safe_open(source, framework="pt") as file:
            said = dict(file.metadata() or {})
        checksum = said.pop(_CHECKSUM, None)
        if checksum is not None and checksum != _checksum(tensors, said):
            raise ValueError("its checksum is wrong")
        return tensors, said
    except (SafetensorError, AttributeError, KeyError, OSError, RuntimeError, ValueError) as error:
        raise CorruptFileError(
            f"{source} is damaged or no safetensors file ({error}); restore it or make it again"
        ) from error


def _check_header(source: Path) -> None:
    with source.open("rb") as file:
        declared = int.from_bytes(file.read(8), "little")
    if declared > _LARGEST_HEADER:
        raise ValueError(f"its header would have {declared:,} bytes")


def _checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    lines = [f"{name} {tensors[name].dtype} {sha256(tensors[name])}" for name in sorted(tensors)]
    lines += [f"{name} {metadata[name]}" for name in sorted(metadata)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def exists(path: Path | str) -> bool:
    """Whether something is there; False for what can be no path, such as too long a name."""
    try:
        return Path(path).exists()
    except OSError:
        return False


def files_below(folder: Path, endings: tuple[str, ...] = TEXTS) -> list[Path]:
    """The files in a folder and below it whose names end so, in order.

    Links to folders are not followed.

    Raises:
        TextError: There are more than 100,000 other files and folders, as on a whole disk.
    """
    found, others = [], 0
    for place, folders, names in os.walk(folder):
        matching = [name for name in names if name.endswith(endings)]
        found += [path for name in matching if (path := Path(place, name)).is_file()]
        others += len(folders) + len(names) - len(matching)
        if others > _MOST_OTHERS:
            raise TextError(
                f"{folder} holds more than {_MOST_OTHERS:,} files and folders that are no text; "
                "give a folder of texts"
            )
    return sorted(found)


def public_name(source: str) -> str:
    """What may be told of where something came from, in a file that is shared.

    A name on a hub is told as it is, of a path on this machine its last part alone; of a weights
    file the folder's.

    Example:
        >>> public_name("/runs/relu/sae_weights.safetensors"), public_name("owner/name")
        ('relu', 'owner/name')
    """
    path = PurePath(source)
    if not (path.is_absolute() or source.startswith(("~", ".")) or exists(source)):
        return source
    name = path.parent.name if path.suffix in (".safetensors", ".npz", ".pt") else path.name
    return name or path.name


def existing_file(path: Path | str) -> Path:
    """The path of a regular file that may be read: no folder, pipe or device.

    Raises:
        CorruptFileError: it is something else, or nothing.
    """
    source = Path(path)
    try:
        mode = source.stat().st_mode
    except (OSError, ValueError) as error:
        raise CorruptFileError(f"{source} is no file; check the path") from error
    if not stat.S_ISREG(mode):
        kind = "a folder, not a file" if stat.S_ISDIR(mode) else "a pipe or device, not a file"
        raise CorruptFileError(f"{source} is {kind}; check the path")
    if not os.access(source, os.R_OK):
        raise CorruptFileError(f"{source} may not be read; change its permissions")
    return source


def sha256(source: Path | str | Tensor) -> str:
    """SHA-256 of a file's bytes, or of a tensor's values in row-major order, as hexadecimal.

    Example:
        >>> import torch
        >>> sha256(torch.zeros(3))[:8]
        '15ec7bf0'
    """
    digest = hashlib.sha256()
    if not isinstance(source, (str, Path)):
        import torch

        values = source.detach().cpu().contiguous().flatten()
        digest.update(values.view(torch.uint8).numpy().data)
        return digest.hexdigest()
    with existing_file(source).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class RunLock:
    """Hold a folder for one run: ``with RunLock(folder): …``.

    The folder is created if need be, and goes again if nothing was put into it. The system drops
    the lock when the process ends, however it ends. Partial files that a killed run left behind, in
    the folder or below it, are removed on entry; files of other programs never are.

    Args:
        folder: The folder.
        wait: Wait for another run to end.

    Raises:
        LockedError: another run holds the folder, and `wait` was not asked for.
        OutputError: the folder cannot be created or written.
    """

    def __init__(self, folder: Path | str, *, wait: bool = False) -> None:
        self.folder = Path(folder)
        self._made: list[Path] = []
        self._lock = FileLock(self.folder / ".lock", timeout=-1 if wait else 0)

    def __enter__(self) -> Self:
        parents = (self.folder, *self.folder.parents)
        self._made = [folder for folder in parents if not exists(folder)]
        make_folder(self.folder)
        with writing(self.folder):
            try:
                self._lock.acquire()
            except Timeout as error:
                raise LockedError(
                    f"another run is working in {self.folder}; wait for it or choose another folder"
                ) from error
            for leftover in _leftovers(self.folder):
                leftover.unlink(missing_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()
        with suppress(OSError):  # another run may have come, or the folder gone
            if self._made and [path.name for path in self.folder.iterdir()] == [".lock"]:
                (self.folder / ".lock").unlink()
                for folder in self._made:
                    folder.rmdir()


def _leftovers(folder: Path) -> Iterator[Path]:
    """Partial files of `write_atomic` in a folder and below it whose process is gone."""
    for path in folder.rglob(f".*{_PARTIAL}"):
        ours = bool(_PARTIAL_NAME.fullmatch(path.name)) and path.is_file()
        here = path.parent == folder  # nobody else works here: the lock is held
        if ours and (here or not _is_written(path)):
            yield path


def _is_written(path: Path) -> bool:
    """Whether it is no partial file of `write_atomic`, or one that a process may still write."""
    name = _PARTIAL_NAME.fullmatch(path.name)
    return name is None or not path.is_file() or _is_running(int(name[1]))


def _is_running(process: int) -> bool:
    if process == os.getpid():
        return False
    if sys.platform == "win32":
        import psutil  # os.kill would end the process there

        return bool(psutil.pid_exists(process))
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
