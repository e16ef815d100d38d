"""A proven upper bound on the error of generated code in exact arithmetic."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

from remez.domain import Domain
from remez.functions.expression import Expression

__all__ = ["enclose_error"]

BITS = 128  # numbers of a program have 53 bits, and cancellation may lose as many
MOST = 5_000  # largest number of panels; a smooth f needs some hundreds
HALVINGS = 200  # of one panel; more would be needed only at a singularity of f


def enclose_error(
    f: Expression,
    run: Callable[[Any, Callable[[float], Any]], Any],
    domain: Domain,
    *,
    near: float,
    relative: bool = False,
) -> float | None:
    """An upper bound on ``max |f(x) - r(x)|`` over a domain, by Taylor panels (`balls`).

    Args:
        f: The function that r approximates.
        run: ``run(x, constant)`` evaluates r in the arithmetic of ``x``; ``constant`` converts a
            number to this arithmetic. The numbers are taken as exact.
        domain: The intervals, bounded or not.
        near: A lower estimate of the error. A bound above it exceeds the maximum by at most a
            relative 1e-6.
        relative: Whether to bound ``|1 - r/f|`` instead.

    Returns:
        The bound, or None if python-flint is not installed or no bound could be proved because of
        a pole or a strong singularity.
    """
    if importlib.util.find_spec("flint") is None:
        return None
    from remez.verification.balls import ErrorCurve, Evaluated, exact, working

    with working(BITS):
        curve = ErrorCurve(f, f.reciprocal() if relative else None, Evaluated(run))
        ends = [(exact(a), exact(b)) for a, b in domain.intervals]
        bound = curve.supremum(ends, exact(near), MOST, HALVINGS).bound
        return float(bound.upper()) * (1 + 1e-15) if bound.is_finite() else None
