"""The search for features of fn that are narrower than the gaps of the judge's grid.

No finite number of points shows every feature. This module samples fn on a fine even grid of each
interval, independent of the solver and of the grid of the judge. Between the points of that grid r
is smooth. Therefore the error need only be computed where the sixth difference of fn is not small
against the largest error; the common case costs no evaluation of r.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from remez import curve_kernels
from remez.functions.callable import Target
from remez.problem import Problem

__all__ = ["between", "candidates"]

EPS = float(np.finfo(float).eps)
FINE = 6007  # points of the fine grid, a prime, which no period of fn divides
FINEST = 65521  # the same where far lower degrees suffice, as for a constant
SLOW = 509  # points for a callable that is evaluated point by point
LEAST = 61  # points in the shortest interval of a union
SHIFT = 0.3819660112501051  # place of a point in its gap
STRIDES = (1, 3)  # of the differences; features wider than a few of the longer one show on the grid
SMALL = 0.05  # a sixth difference below this share of the largest error is ignored
ROUNDING = 64 * EPS  # relative to |w f|, the largest sixth difference of rounding errors
SEVERAL = 4  # points in every gap of an unbounded domain


def candidates(
    problem: Problem, target: Target, x: np.ndarray, error: float, size: float, lower: bool
) -> np.ndarray:
    """Points at which the error may be larger than at the points so far, in no order.

    Args:
        problem: The approximation problem.
        target: fn as a function of arrays.
        x: The points so far, increasing.
        error: The largest error at them.
        size: The largest ``|w f|`` at them.
        lower: Whether r has at most half of the degrees that the problem asks for.
    """
    if not problem.domain.is_finite:
        return between(problem, x, SEVERAL)
    length = sum(b - a for a, b in problem.domain.intervals)
    total = (FINEST if lower else FINE) if target.takes_arrays else SLOW
    limit = max(SMALL * error, ROUNDING * size)
    parts = []
    for a, b in problem.domain.intervals:
        fine = (b - a) * _even(max(int(total * ((b - a) / length)), LEAST)) + a
        parts.append(_bent(problem, target, fine, limit) if target.takes_arrays else fine)
    return np.concatenate(parts)


def between(problem: Problem, x: np.ndarray, count: int) -> np.ndarray:
    """``count`` points of the domain in every gap between increasing points.

    Args:
        problem: The approximation problem.
        x: The points, increasing, at least two.
        count: The number of points in every gap.
    """
    share = (np.arange(count) + SHIFT) / count
    points = (x[:-1, None] + np.diff(x)[:, None] * share).ravel()
    inside: np.ndarray = points[problem.domain.contains(points)]
    return inside


@lru_cache(maxsize=16)
def _even(count: int) -> np.ndarray:
    """Even points of (0, 1), none of them a simple fraction."""
    return (np.arange(count) + SHIFT) / count


def _bent(problem: Problem, target: Target, x: np.ndarray, limit: float) -> np.ndarray:
    """The even points at which a weighted sixth difference of fn exceeds the limit."""
    f = target.raw(x)
    marks = np.zeros(x.size, bool)
    for stride in STRIDES:
        if problem.weight is not None or curve_kernels.bends(f, stride, limit):
            weight = problem.weight_of(x, f)
            curve_kernels.mark_bends(f, weight, stride, limit, marks)
    return x[marks]
