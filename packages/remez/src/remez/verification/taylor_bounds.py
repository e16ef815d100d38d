"""A proven upper bound on the error of an approximation, by Taylor panels of ball arithmetic.

On a panel ``c + [-h, h]`` the error is ``e_0 + e_1 s + ... + e_K s^K``, the first K coefficients
taken at c and the last one enclosed over the whole panel. Panels are halved, the worst one first,
until the bound is within a given factor of an error that is attained.
"""

from __future__ import annotations

import heapq
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from remez.domain import Domain
from remez.functions.expression import Expression
from remez.functions.working_precision import flint_precision

__all__ = ["enclose_error"]

ORDER = 5
BITS = 128
MAX_PANELS = 5_000
START = 16  # panels per interval


def enclose_error(
    f: Expression,
    run: Callable[[Any, Callable[[float], Any]], Any],
    domain: Domain,
    *,
    relative: bool = False,
    gap: float = 1e-6,
) -> float | None:
    """An upper bound on ``max |f(x) - r(x)|`` over a bounded domain, tight to ``gap``.

    Args:
        f: the target.
        run: ``run(x, constant)`` evaluates the approximation in the arithmetic of ``x``;
            ``constant`` brings a number into it. Its numbers are taken as exact.
        domain: bounded intervals.
        relative: bound ``|1 - r/f|`` instead.
        gap: relative excess of the bound over an error that is attained.

    Returns:
        The bound; None when python-flint is missing, the domain is unbounded, or the bound is not
        reached within 5 000 panels (a pole, or a singularity too strong for bisection).
    """
    if not domain.is_finite:
        return None
    if importlib.util.find_spec("flint") is None:
        return None
    with flint_precision(BITS, ORDER + 1):
        return _bisect(_Error(f, run, relative), domain, gap)


def _bisect(error: _Error, domain: Domain, gap: float) -> float | None:
    """Halve the panel with the largest bound until the attained error is close below it."""
    queue: list[tuple[float, float, float]] = []
    attained = 0.0
    for low, high in domain.intervals:
        edges = np.linspace(low, high, START + 1)
        for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            attained = max(attained, _push(queue, error, a, b))
    for _ in range(MAX_PANELS):
        top, a, b = queue[0]
        if -top <= attained * (1 + gap):
            return -top
        middle = 0.5 * (a + b)
        if not a < middle < b:
            return None
        heapq.heappop(queue)
        attained = max(attained, _push(queue, error, a, middle), _push(queue, error, middle, b))
    return None


def _push(queue: list[tuple[float, float, float]], error: _Error, a: float, b: float) -> float:
    bound, attained = error.on_panel(a, b)
    heapq.heappush(queue, (-bound, a, b))
    return attained


@dataclass(frozen=True)
class _Error:
    """``f - r``, or that divided by f, as Taylor coefficients."""

    f: Expression
    run: Callable[[Any, Callable[[float], Any]], Any]
    relative: bool

    def on_panel(self, a: float, b: float) -> tuple[float, float]:
        """(upper bound on |error| over [a, b], a lower bound on its maximum there)."""
        from flint import arb

        low, high = arb(a), arb(b)
        centre = (low + high) / 2
        h = (high - low) / 2
        try:
            at, over = self._series(centre), self._series(low.union(high))
        except (ValueError, ZeroDivisionError):  # the denominator's enclosure contains zero
            return float("inf"), 0.0
        attained = float(at[0].abs_lower())
        best = float("inf")
        rest = arb(0)
        for k in range(ORDER + 1):  # the form of order k: the other terms at c, this one over all
            reach = rest + over[k].abs_upper() * h**k
            if reach.is_finite():
                best = min(best, float(reach.abs_upper()) * (1 + 1e-15))
            rest += at[k].abs_upper() * h**k
        return best, attained

    def _series(self, point: Any) -> Any:
        from flint import arb, arb_series

        x = arb_series([point, 1])
        r, f = self.run(x, arb), self.f.ball(x)
        return 1 - r / f if self.relative else f - r
