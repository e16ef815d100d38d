"""The working precision of mpmath and python-flint, which both keep in one global state.

A thread holds a lock while it works at a precision of its own, and the former precision is put
back afterwards. Fits and evaluations in several threads so take turns, and none changes the
digits of another.
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
        bits: binary digits.
        order: number of coefficients of power series; default as it is.
    """
    from flint import ctx

    with LOCK:
        old = ctx.prec, ctx.cap
        ctx.prec, ctx.cap = bits, order or ctx.cap
        try:
            yield
        finally:
            ctx.prec, ctx.cap = old
