"""Data-parallel training under torchrun: each process has an equal part of every batch.

The first process reads the activations, decides and writes; the others follow it. A batch is
scattered, and means over it are means over the processes' means:

    gradient = mean over processes of (gradient on the process's tokens)

so that every process takes the step that one process would take on the whole batch, to rounding.
Outside torchrun everything here leaves what it is given as it is.

Shapes: n tokens of a batch, d_in.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from rsae.errors import ConfigError

__all__ = [
    "average_gradients", "check_divides", "everyones", "latest", "means", "number_of_processes",
    "own_part", "processes", "receive", "send",
]  # fmt: skip


@contextmanager
def processes(device: torch.device) -> Iterator[int]:
    """Join torchrun's processes, if there are any, and give this one's rank.

    Where the block of the first process ends well, the others are told that nothing follows.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield 0
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield dist.get_rank()
        if dist.get_rank() == 0:
            send(None)
    finally:
        dist.destroy_process_group()


def number_of_processes() -> int:
    """How many processes train together; 1 outside torchrun."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def check_divides(batch_size: int) -> None:
    """Refuse a batch that cannot be shared equally.

    Raises:
        ConfigError: It is no multiple of the number of processes.
    """
    if batch_size % number_of_processes():
        raise ConfigError(
            f"a batch of {batch_size:,} tokens cannot be shared by {number_of_processes()} "
            "processes; set a batch_size that is a multiple of that with --config"
        )


def send(message: Any) -> None:
    """Tell the other processes something; the first one calls this."""
    if number_of_processes() > 1:
        dist.broadcast_object_list([message], src=0)


def receive() -> Any:
    """What the first process sends next."""
    message = [None]
    dist.broadcast_object_list(message, src=0)
    return message[0]


def own_part(x: Tensor | None, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """This process's rows of a batch that the first one has, (n, d_in) → (n / processes, d_in)."""
    n = number_of_processes()
    if n == 1 and x is not None:
        return x
    parts = None if x is None else [part.contiguous() for part in x.to(device).chunk(n)]
    own = torch.empty(shape[0] // n, *shape[1:], device=device)
    dist.scatter(own, parts, src=0)
    return own


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Make every gradient its mean over the processes, in place."""
    if number_of_processes() == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:  # of a part in which nothing reached it
            parameter.grad = torch.zeros_like(parameter)
        parameter.grad.copy_(_mean(parameter.grad.contiguous()))


def means(*values: Tensor) -> tuple[float, ...]:
    """The mean over processes of each scalar."""
    both = torch.stack([value.detach() for value in values])
    return tuple((both if number_of_processes() == 1 else _mean(both)).tolist())


def latest(steps: Tensor) -> None:
    """Make each entry its largest over the processes, in place."""
    if number_of_processes() > 1:
        dist.all_reduce(steps, op=dist.ReduceOp.MAX)


def everyones(values: Tensor) -> Tensor:
    """All processes' values, (k,) each with its own k, one after another."""
    n = number_of_processes()
    if n == 1:
        return values
    lengths = [torch.zeros(1, dtype=torch.int64, device=values.device) for _ in range(n)]
    dist.all_gather(lengths, torch.tensor([len(values)], device=values.device))
    longest = max(int(length) for length in lengths)
    padded = [values.new_zeros(longest) for _ in range(n)]
    dist.all_gather(padded, torch.cat([values, values.new_zeros(longest - len(values))]))
    return torch.cat([part[: int(k)] for part, k in zip(padded, lengths, strict=True)])


def _mean(tensor: Tensor) -> Tensor:
    dist.all_reduce(tensor)  # gloo has sums but no means
    return tensor / number_of_processes()
