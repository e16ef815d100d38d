"""Reading a teacher's files with suspicion: nothing is unpickled, every failure is one line.

Sizes that a file declares are compared with its own size before anything is allocated.
"""

import math
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from rsae.errors import CorruptFileError, quoted
from rsae.files import existing_file, exists, load_safetensors, read_json

# The arrays that Gemma Scope's `.npz` files have.
_NPZ_NAMES = ("w_enc", "w_dec", "W_enc", "W_dec", "b_enc", "b_dec", "threshold")

Container = Literal["safetensors", "npz", "torch"]

_BY_SUFFIX: dict[str, Container] = {
    ".safetensors": "safetensors",
    ".npz": "npz",
    ".pt": "torch",
    ".pth": "torch",
    ".bin": "torch",
}


# Of torch.compile, DataParallel and FSDP: a wrapped module's name is a part of its tensors' names.
_WRAPPERS = {"_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}

# Trained weights hardly compress; numpy deflates to a thousandth at most. What would unpack to
# more than this is no SAE but a bomb.
_INFLATION = 20
_SMALL = 64 * 2**20  # bytes: so much may come of anything

_LARGEST_PICKLE = 64 * 2**20  # bytes of names and shapes beside the numbers of a torch archive


@dataclass(frozen=True)
class Weights:
    """What one weights file holds.

    Attributes:
        path: the file.
        container: how it is packed.
        content: its entries by name; mostly tensors, but OpenAI's files hold strings too.
    """

    path: Path
    container: Container
    content: Mapping[str, Any]

    @cached_property
    def beside(self) -> dict[str, dict[str, Any]]:
        """The JSON objects in the same folder, by file name (`cfg.json`, `config.json`)."""
        names = ("cfg.json", "config.json")
        folder = self.path.parent
        return {name: read_object(folder / name) for name in names if exists(folder / name)}


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CorruptFileError: it is missing, no JSON, or no object.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise CorruptFileError(f"{path} holds no JSON object; restore it or make it again")
    return value


def read_weights(path: Path) -> Weights | None:
    """Read a weights file of any container; None if it is none.

    Raises:
        CorruptFileError: it is damaged, no regular file, or holds more than plain data.
    """
    existing_file(path)
    try:
        kind = _container(path)
    except Exception as error:  # damaged bytes make zipfile fail in any way there is
        raise CorruptFileError(
            f"{path} cannot be read ({_first_line(error)}); use a sound file"
        ) from error
    if kind is None:
        return None
    readers: dict[Container, Callable[[Path], Mapping[str, Any]]]
    readers = {"safetensors": load_safetensors, "npz": _read_npz, "torch": _read_torch}
    return Weights(path, kind, without_wrappers(readers[kind](path), path))


def without_wrappers(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Entries by their own names, without what torch.compile and data parallelism add to them.

    Raises:
        CorruptFileError: two entries have the same name then.

    Example:
        >>> list(without_wrappers({"module._orig_mod.encoder.weight": 0}, Path("ae.pt")))
        ['encoder.weight']
    """
    entries: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(name, str):
            parts = name.split(".")
            name = ".".join(part for part in parts if part not in _WRAPPERS) or name
        if name in entries:
            raise CorruptFileError(
                f"{path} holds {quoted(name)} twice, with and without the prefix of a wrapper; "
                "use a sound file"
            )
        entries[name] = value
    return entries


def _container(path: Path) -> Container | None:
    """How a file is packed, by its first bytes, or else by its suffix; None: no weights file."""
    with path.open("rb") as file:
        head = file.read(9)
    if head.startswith(b"PK\x03\x04") and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return "npz" if all(n.endswith(".npy") for n in archive.namelist()) else "torch"
    if head[8:] == b"{":
        return "safetensors"
    if head.startswith(b"\x80"):
        return _BY_SUFFIX.get(path.suffix, "torch")
    return _BY_SUFFIX.get(path.suffix)


def _read_torch(path: Path) -> Mapping[str, Any]:
    """A dict that `torch.save` wrote, by torch's unpickler for plain data only."""
    try:
        zipped = _check_archive(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # damaged bytes make the unpickler fail in any way there is
        raise CorruptFileError(
            f"{path} is damaged or holds more than tensors, so it was not unpickled "
            f"({_first_line(error)}); use a sound file"
        ) from error
    if not isinstance(content, Mapping):
        raise CorruptFileError(f"{path} holds no named tensors; use a sound file")
    return content


def _check_archive(path: Path) -> bool:
    """Whether it is a zip archive; if so, its sizes and checksums are checked.

    torch writes checksums but does not compare them (0: not written). It does not compress, so
    that tensors are mapped and what nobody wants of a checkpoint is never read.
    """
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED:
                raise zipfile.BadZipFile(f"{entry.filename} is compressed, which torch never does")
            if entry.filename.endswith(".pkl") and entry.file_size > _LARGEST_PICKLE:
                raise zipfile.BadZipFile(f"{entry.filename} has {entry.file_size:,} bytes")
        if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
            raise zipfile.BadZipFile("its entries would be larger than the file")
        damaged = archive.testzip()
        if damaged is not None and archive.getinfo(damaged).CRC:
            raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
    return True


def _read_npz(path: Path) -> dict[str, Tensor | None]:
    """The float arrays of an `.npz` by name; object arrays, which are pickles, are refused.

    Entries that hold no real numbers, or that no SAE has, are named but not read.
    """
    try:
        _check_inflation(path)
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] if _is_wanted(name) else None for name in archive.files}
    except Exception as error:  # damaged bytes make zip, zlib and numpy fail in any way there is
        raise CorruptFileError(
            f"{path} is damaged or holds more than numbers ({_first_line(error)}); use a sound file"
        ) from error
    return {name: None if a is None else _to_tensor(a) for name, a in arrays.items()}


def _is_wanted(name: str) -> bool:
    return name.rpartition(".")[2] in _NPZ_NAMES


def _check_inflation(path: Path) -> None:
    """Refuse wanted arrays that would unpack to much more than the file, or whose header lies."""
    bound = _INFLATION * path.stat().st_size + _SMALL
    with zipfile.ZipFile(path) as archive:
        wanted = [e for e in archive.infolist() if _is_wanted(e.filename.removesuffix(".npy"))]
        if sum(entry.file_size for entry in wanted) > bound:
            raise zipfile.BadZipFile("its arrays would unpack to far more than the file")
        for entry in wanted:
            with archive.open(entry) as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0
                if version != (1, 0):
                    read = np.lib.format.read_array_header_2_0
                shape, _, dtype = read(file)
            if math.prod(shape) * dtype.itemsize > entry.file_size and not dtype.hasobject:
                raise zipfile.BadZipFile(f"{entry.filename} declares more than it holds")


def _is_bf16(array: np.ndarray[Any, Any]) -> bool:
    """numpy has no bfloat16: what ml_dtypes saved as one comes back as two opaque bytes."""
    return array.dtype.kind == "V" and array.dtype.itemsize == 2


def _to_tensor(array: np.ndarray[Any, Any]) -> Tensor | None:
    if array.dtype.kind != "f" and not _is_bf16(array):
        return None
    if _is_bf16(array):
        return torch.from_numpy(np.ascontiguousarray(array).view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:120]
