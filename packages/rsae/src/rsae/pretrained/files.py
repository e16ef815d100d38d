"""Reading a teacher's files with suspicion: nothing is unpickled, every failure is one line."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from rsae.errors import CorruptFileError
from rsae.files import load_safetensors, read_json

Container = Literal["safetensors", "npz", "torch"]

_BY_SUFFIX: dict[str, Container] = {
    ".safetensors": "safetensors",
    ".npz": "npz",
    ".pt": "torch",
    ".pth": "torch",
    ".bin": "torch",
}


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
        return {name: read_object(folder / name) for name in names if (folder / name).exists()}


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
        CorruptFileError: it is damaged, or holds more than plain data.
    """
    try:
        kind = _container(path)
    except Exception as error:  # damaged bytes make zipfile fail in any way there is
        raise CorruptFileError(f"{path} cannot be read ({error}); use a sound file") from error
    if kind is None:
        return None
    readers = {"safetensors": load_safetensors, "npz": _read_npz, "torch": _read_torch}
    return Weights(path, kind, readers[kind](path))


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
        _check_sums(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make the unpickler fail in any way there is
        raise CorruptFileError(
            f"{path} is damaged or holds more than tensors, so it was not unpickled "
            f"({_first_line(error)}); use a sound file"
        ) from error
    if not isinstance(content, Mapping):
        raise CorruptFileError(f"{path} holds no named tensors; use a sound file")
    return content


def _check_sums(path: Path) -> None:
    """Compare an archive's checksums, which torch writes but does not read (0: not written)."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
        if damaged is not None and archive.getinfo(damaged).CRC:
            raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")


def _read_npz(path: Path) -> dict[str, Tensor]:
    """The float arrays of an `.npz`; object arrays, which are pickles, are refused."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # damaged bytes make zip, zlib and numpy fail in any way there is
        raise CorruptFileError(
            f"{path} is damaged or holds more than numbers ({_first_line(error)}); use a sound file"
        ) from error
    return {name: _to_tensor(a) for name, a in arrays.items() if a.dtype.kind == "f" or _is_bf16(a)}


def _is_bf16(array: np.ndarray[Any, Any]) -> bool:
    """numpy has no bfloat16: what ml_dtypes saved as one comes back as two opaque bytes."""
    return array.dtype.kind == "V" and array.dtype.itemsize == 2


def _to_tensor(array: np.ndarray[Any, Any]) -> Tensor:
    if _is_bf16(array):
        return torch.from_numpy(np.ascontiguousarray(array).view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:120]
