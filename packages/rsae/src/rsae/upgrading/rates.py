"""How fast this machine computes, measured in a fraction of a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from rsae.language_model.matmul import fast_products

__all__ = ["Rates", "measure_rates"]

_ROUNDS = 5
_BLOCK = 2**24  # numbers: the system hands out large blocks page by page
_CALLS = 500


@dataclass(frozen=True)
class Rates:
    """Rates of one device.

    Attributes:
        products: Operations per second of a matrix product in float32.
        model_products: The same in the language model's floating type, by the kernel it runs on.
        memory: Bytes per second at which the sum of two blocks is written into a new block.
        call: Seconds of one operation on a few numbers.
    """

    products: float
    model_products: float
    memory: float
    call: float


def measure_rates(
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    clock: Callable[[], float] = time.perf_counter,
) -> Rates:
    """Time a product, a sum of two blocks and small operations on the device.

    The best of five rounds counts: what the machine can do while it does nothing else.

    Args:
        device: Where to compute.
        dtype: Floating type of the language model.
        clock: Seconds since some time; `time.process_time` counts those of the CPU.
    """

    def best(work: Callable[[], object]) -> float:
        work()
        spent = []
        for _ in range(_ROUNDS):
            begin = clock()
            work()
            if device.type != "cpu":
                torch.accelerator.synchronize(device)
            spent.append(clock() - begin)
        return max(min(spent), 1e-9)

    def product(kind: torch.dtype) -> float:
        side = 512 if device.type == "cpu" else 4096
        a = torch.ones(side, side, device=device, dtype=kind)
        return 2 * side**3 / best(lambda: a @ a)

    with torch.inference_mode():
        x = torch.ones(_BLOCK, device=device)
        memory = 12 * len(x) / best(lambda: x + x)
        few = torch.ones(8, device=device)
        call = best(lambda: [few + few for _ in range(_CALLS)]) / _CALLS
        products = product(torch.float32)
        with fast_products():
            return Rates(products, product(dtype), memory, call)
