"""A proven upper bound on the error of generated code in exact arithmetic."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

from remez.domain import Domain
from remez.functions.expression import Expression

__all__ = ["enclose_error"]

BITS = 128  # the numbers of a program have 53: cancellation may cost as many again
MOST = 5_000  # panels; a smooth f needs some hundreds
HALVINGS = 200  # of a panel: past these f has a singularity that halving does not resolve


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
        run: ``run(x, constant)`` evaluates r in the arithmetic of ``x``; ``constant`` brings a
            number into it. The numbers are taken as exact.
        domain: The intervals, bounded or not.
        near: An error that r is known to exceed or to come near; a bound above it exceeds the
            maximum by a relative 1e-6 at most.
        relative: Whether to bound ``|1 - r/f|`` instead.

    Returns:
        The bound; None when python-flint is missing, or no bound is found (a pole, or a
        singularity too strong for bisection).
    """
    if importlib.util.find_spec("flint") is None:
        return None
    from remez.verification.balls import ErrorCurve, Evaluated, exact, working

    with working(BITS):
        curve = ErrorCurve(f, f.reciprocal() if relative else None, Evaluated(run))
        ends = [(exact(a), exact(b)) for a, b in domain.intervals]
        bound = curve.supremum(ends, exact(near), MOST, HALVINGS).bound
        return float(bound.upper()) * (1 + 1e-15) if bound.is_finite() else None
