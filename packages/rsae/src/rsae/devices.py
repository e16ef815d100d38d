"""Devices and floating types by name: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from rsae.errors import DeviceError

__all__ = ["DTYPES", "own_random_numbers", "resolve_device", "resolve_dtype", "widest_dtype"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_RANDOM_NUMBERS = threading.RLock()  # global to the process: restored by one thread at a time
_NAME = re.compile(r"cpu|mps|cuda(:\d{1,3})?")


def resolve_device(name: str | torch.device = "auto") -> torch.device:
    """The torch device that a name stands for, checked to exist on this machine.

    Args:
        name: ``"auto"`` is the first of CUDA, MPS and the CPU that this machine has;
            ``"cpu"``, ``"mps"``, ``"cuda"`` or ``"cuda:i"`` is that device. Under torchrun
            ``"auto"`` and ``"cuda"`` are the GPU of the process's LOCAL_RANK.

    Returns:
        The device; ``"cuda"`` becomes ``cuda:0``, so that two names of one device are equal.

    Raises:
        DeviceError: The name is unknown, or this machine has no such device.

    Example:
        >>> from rsae.devices import resolve_device
        >>> resolve_device("cpu")
        device(type='cpu')
    """
    wanted = str(name).strip().lower()
    own = int(os.environ.get("LOCAL_RANK", "0"))  # torchrun gives each process a GPU of its own
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", own)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if not _NAME.fullmatch(wanted):
        raise DeviceError(
            f"{str(name)[:40]!r} is no device; use auto, cpu, cuda, cuda:0, cuda:1, … or mps"
        )
    if wanted == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("this machine or this build of PyTorch has no MPS device; use cpu")
    if wanted.startswith("cuda"):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        index = int(wanted.partition(":")[2] or own)
        if index >= count:
            have = f"has {count} CUDA devices" if count else "has no CUDA device"
            raise DeviceError(
                f"this machine, with PyTorch {torch.__version__}, {have}; use "
                f"{'cuda:0' if count else 'cpu'} instead of {wanted}"
            )
        return torch.device("cuda", index)
    return torch.device(wanted)


def resolve_dtype(name: str | torch.dtype = "float32") -> torch.dtype:
    """The floating type that a name stands for.

    Args:
        name: ``"float32"``, ``"bfloat16"`` or ``"float16"``, or the `torch.dtype` itself.

    Raises:
        DeviceError: The name is another.

    Example:
        >>> from rsae.devices import resolve_dtype
        >>> resolve_dtype("bfloat16")
        torch.bfloat16
    """
    wanted = str(name).removeprefix("torch.")
    if wanted not in DTYPES:
        raise DeviceError(f"{str(name)[:40]!r} is no floating type; use {', '.join(DTYPES)}")
    return DTYPES[wanted]


def widest_dtype(device: torch.device) -> torch.dtype:
    """The floating type in which to sum on a device: float64, or float32 where there is none.

    Example:
        >>> import torch
        >>> from rsae.devices import widest_dtype
        >>> widest_dtype(torch.device("cpu")), widest_dtype(torch.device("mps"))
        (torch.float64, torch.float32)
    """
    return torch.float32 if device.type == "mps" else torch.float64


@contextmanager
def own_random_numbers(device: torch.device) -> Iterator[None]:
    """Within it, draws of PyTorch's global generators leave them as they were outside.

    Example:
        >>> before = torch.random.get_rng_state()
        >>> with own_random_numbers(torch.device("cpu")):
        ...     _ = torch.rand(3)
        >>> torch.equal(before, torch.random.get_rng_state())
        True
    """
    cuda = [device] if device.type == "cuda" else []
    with _RANDOM_NUMBERS, torch.random.fork_rng(cuda):
        yield
