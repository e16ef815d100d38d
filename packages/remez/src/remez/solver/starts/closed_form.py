r"""Problems with known best approximations: Zolotarev's, and those with the solution r = 0.

The best approximation of sign on ``[-1, -delta] ∪ [delta, 1]`` (`remez.zolotarev`) is odd, so
that ``s(x) = x R(x²)``, and R is the best to ``t^(-1/2)`` on ``[delta², 1]`` in relative error;
``(1 - E²)/R`` is the best to ``t^(1/2)``. A Moebius map of the variable leaves type (n, n) as it
is, and takes ``±[delta, 1]`` to any two intervals.

References:
    E. I. Zolotarev (1877); N. I. Akhiezer, Elements of the Theory of Elliptic Functions, ch. 9;
    I. Ninomiya, Math. Comp. 24 (1970), doi:10.1090/S0025-5718-1970-0273809-4.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from remez import curve_kernels
from remez.rational.zolotarev import alternation
from remez.solver.exchange import Outcome, State
from remez.solver.extrema import search
from remez.solver.levelling import Levelled
from remez.solver.problem_reduction import Reduced, Samples

__all__ = ["zero", "zolotarev"]

CLOSE = 1e-9  # relative: another function so close has the same best to the accuracy of a start


def zolotarev(reduced: Reduced, grid: Samples) -> np.ndarray | None:
    """The reference on which the best is level, where the samples show one of these problems."""
    if reduced.fixed or len(reduced.components) > 2:
        return None
    if len(reduced.components) == 2:
        return _step(reduced, grid)
    return _root(reduced, grid)


def zero(reduced: Reduced, grid: Samples) -> tuple[Reduced, Outcome]:
    """r = 0, the best where f alternates on m + 2 points: n less than others, so is its defect."""
    constant = reduced.with_degree((0, 0))
    level = Levelled(grid.u[-1:], np.zeros(1), np.ones(1), 0.0, True)
    found = search(constant, level, grid[np.array([0, -1])], grid)
    kept = curve_kernels.alternating(found.error, reduced.degree[0] + 2)
    if kept.size < reduced.degree[0] + 2:
        return constant, Outcome(None, 1)
    level = replace(level, error=float(np.abs(found.error[kept]).min()))
    return constant, Outcome(State(found.points[kept], level, found, 1), 1)


def _root(reduced: Reduced, grid: Samples) -> np.ndarray | None:
    """F is a square root of a linear function, or one over it, and its error is relative."""
    m, n = reduced.degree
    size = np.abs(grid.w * grid.f)
    if abs(m - n) > 1 or not (size[0] > 0 and _constant(size)):
        return None
    low, high = grid.u[[0, -1]]
    share = (grid.u - low) / (high - low)
    for square, excess in ((grid.f**2, 1), (grid.f**-2.0, -1)):
        line = square[0] * (1 - share) + square[-1] * share
        if m - n in (0, excess) and _constant(square / line) and not _constant(square):
            small, large = (low, high) if square[0] < square[-1] else (high, low)
            delta = float(np.sqrt(square.min() / square.max()))
            t = alternation(m + n + 1, delta) ** 2
            return np.sort(small + (large - small) * ((t - delta**2) / (1 - delta**2)))
    return None


def _step(reduced: Reduced, grid: Samples) -> np.ndarray | None:
    """F is constant on each of two intervals; type (n, n), or (n + 1, n) with symmetry, n even."""
    m, n = reduced.degree
    (a, b), (c, d) = reduced.components
    symmetric = np.isclose(b - a, d - c, rtol=CLOSE) and n % 2 == 0
    if not (m == n > 0 or (symmetric and m == n + 1)) or not _constant(grid.w):
        return None
    left = grid.f[grid.u <= b]
    right = grid.f[grid.u >= c]
    if not (_constant(left) and _constant(right)) or _constant(grid.f):
        return None
    across = (c - a) * (d - b)
    delta = (c - b) * (d - a) / across / (1 + np.sqrt((b - a) * (d - c) / across)) ** 2
    y = alternation(m, delta)

    def along(ratio: float) -> np.ndarray:
        """The share of its interval at which a point lies, from the end at the gap."""
        inner = ratio * (1 + delta) / (2 * delta) * (y - delta)
        share: np.ndarray = inner / (inner + (1 - y))
        return share

    below = b - (b - a) * along((c - b) / (c - a))
    above = c + (d - c) * along((c - b) / (d - b))
    return np.concatenate([below[::-1], above])[: reduced.size]


def _constant(values: np.ndarray) -> bool:
    """Whether all values are equal to `CLOSE`."""
    return bool(np.ptp(values) <= CLOSE * np.abs(values).max())
