"""The working precision of mpmath and python-flint, which is global state in both libraries.

A thread that changes the precision holds a lock until it has restored the previous one.
Multiprecision fits and evaluations in several threads therefore run one after another, and do not
affect each other's precision.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["flint_precision", "working_digits"]

LOCK = threading.RLock()  # reentrant: precisions are nested


@contextmanager
def working_digits(count: int) -> Iterator[None]:
    """Compute with ``count`` decimal digits in mpmath."""
    from mpmath import mp  # slow to load, and not needed in double precision

    with LOCK, mp.workdps(count):
        yield


@contextmanager
def flint_precision(bits: int, order: int | None = None) -> Iterator[None]:
    """Compute with ``bits`` bits in python-flint.

    Args:
        bits: The number of binary digits.
        order: The number of coefficients of power series; unchanged by default.
    """
    from flint import ctx

    with LOCK:
        old = ctx.prec, ctx.cap
        ctx.prec, ctx.cap = bits, order or ctx.cap
        try:
            yield
        finally:
            ctx.prec, ctx.cap = old
