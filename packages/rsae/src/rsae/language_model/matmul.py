"""Matrix products: the fastest single-precision kernel of the CPU, where it is as exact.

PyTorch multiplies ``float32`` matrices on x86 by MKL, which leaves AVX-512 unused on some
processors; allowed to use lower precision, PyTorch asks oneDNN instead, and oneDNN answers with a
true single-precision AVX-512 kernel where the processor has no faster units for bfloat16. Which of
the two this machine does is measured on one product.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

__all__ = ["fast_products"]

_EXACT = 2e-6  # relative; single precision is near 4e-7 on this product, bfloat16 near 2e-3


@contextmanager
def fast_products() -> Iterator[None]:
    """Within it, CPU products of ``float32`` matrices take oneDNN's kernel if it is exact here.

    Elsewhere (other processors, GPUs) it changes nothing.

    Example:
        >>> with fast_products():
        ...     _ = torch.ones(2, 3) @ torch.ones(3, 2)
    """
    with _onednn(_onednn_is_exact()):
        yield


@contextmanager
def _onednn(allowed: bool) -> Iterator[None]:
    setting: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = setting.fp32_precision
    if allowed:
        setting.fp32_precision = "bf16"
    try:
        yield
    finally:
        setting.fp32_precision = before


@cache
def _onednn_is_exact() -> bool:
    if not hasattr(torch.backends.mkldnn, "matmul") or not torch.backends.mkldnn.is_available():
        return False
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(128, 512, generator=generator)
    b = torch.randn(512, 128, generator=generator)
    exact = a.double() @ b.double()
    with _onednn(True):
        error = (a @ b).double() - exact
    return bool(error.norm() < _EXACT * exact.norm())
