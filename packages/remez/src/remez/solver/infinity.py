"""Unbounded domains: the scale of the variable, and existence of a best approximation."""

from __future__ import annotations

import numpy as np

from remez.errors import DegreeError, TargetError
from remez.functions.callable import Target
from remez.problem import Degree, Problem

__all__ = ["bounded", "check", "middle"]

DISTANCE = np.geomspace(1e-8, 1e8, 65)
LOOKS = 4
ORDER = 0.05  # smallest order of growth that counts, and its accuracy
TAIL = np.array([1e9, 1e12, 1e15])  # multiples of the scale at which the trend is measured
MANY = np.geomspace(TAIL[0], TAIL[2], 13)  # the same, at which waves can hardly all be equal


def bounded(problem: Problem, target: Target) -> Problem:
    """The problem with m lowered so far that the weighted error is finite at infinity.

    If the weight grows as ``|x|^k``, every r of finite error is of type (n - k, n). Only weights
    that are callables are considered: in relative error m follows from fn. Where m would be
    negative, or fn is of no use, the problem is returned as it is.
    """
    if problem.domain.is_finite or not callable(problem.weight):
        return problem
    m, n = problem.degree
    orders = []
    for side in np.sign([end for end in problem.domain.hull if np.isinf(end)]):
        x = side * TAIL
        w = problem.weight_of(x, target.raw(x))
        if not (np.isfinite(w).all() and w.min() > 0):
            return problem
        orders.append(np.log(w[2] / w[0]) / np.log(TAIL[2] / TAIL[0]))
    order = max(orders)
    most = int(np.floor(n - order + ORDER))
    return problem.with_degree((most, n)) if order > ORDER and 0 <= most < m else problem


def middle(
    problem: Problem, target: Target, centre: float, direction: float
) -> tuple[float, float]:
    """Where half of the variation of w f has happened on the line, and the scale of the variation.

    On a half-line, ``direction`` from ``centre``, the scale is the distance to that place; on
    the line (``direction`` 0) it is half the distance between the quartiles, and the place is
    computed again from the first result. The scale is a power of two.
    """
    size = 1.0
    for _ in range(1 if direction else LOOKS):
        x = centre + (direction or 1.0) * DISTANCE
        if direction == 0:
            x = np.concatenate([centre - DISTANCE[::-1], [centre], x])
        x = x[problem.domain.contains(x)]
        f = target(x)
        if callable(problem.weight):
            f = f * problem.weight_of(x, f)
        steps = np.abs(np.diff(f))
        if not steps.sum() > 0:
            break
        share = np.cumsum(steps) / steps.sum()
        low, half, high = x[np.searchsorted(share, [0.25, 0.5, 0.75])].tolist()
        size = 0.5 * (high - low) if direction == 0 else abs(half - centre)
        size = size if size > 0 else max(abs(half - centre), float(DISTANCE[0]))
        centre = half
    return centre, float(2.0 ** np.round(np.log2(size)))


def check(problem: Problem, target: Target, degree: Degree, centre: float, scale: float) -> None:
    """Check that a best approximation exists on an unbounded domain.

    r of type (m, n) grows at most as |x|^(m - n). So ``w |x|^(m - n)`` has to stay bounded,
    and ``w f`` needs a limit, at both ends of the line the one that r can have.

    Raises:
        DegreeError: The weighted error is infinite for every r of exactly this type.
        TargetError: fn has no such limit.
    """
    m, n = degree
    line = problem.domain.hull == (-np.inf, np.inf)
    if line and n % 2:
        raise DegreeError(
            f"type {problem.degree}: q of odd degree has a zero on the line; take n even"
        )
    limits = []
    for side in np.sign([end for end in problem.domain.hull if np.isinf(end)]):
        x = centre + side * scale * MANY
        f = target(x)
        w = problem.weight_of(x, f)
        reach = w * MANY ** (m - n)
        if not np.isfinite(reach).all() or reach[-1] > 2 * reach[0] > 0:
            if m > n:
                raise DegreeError(
                    f"at infinity the weighted error of type {problem.degree} is infinite: take "
                    f"m <= n, or a weight that decays as |x|^{n - m}"
                )
            raise TargetError(
                "the weight grows at infinity so fast that the error is infinite for every r of "
                f"type {problem.degree}: raise n, or bound the weight"
            )
        seen = problem.domain.spread(17)
        size = float(np.abs(problem.weight_of(seen, target(seen)) * target(seen)).max())
        half = MANY.size // 2
        near, far = np.ptp(w[: half + 1] * f[: half + 1]), np.ptp(w[half:] * f[half:])
        if far > max(0.3 * near, 1e-3 * size):
            raise TargetError(
                f"fn has no limit at {side * np.inf} (or reaches it too slowly): take a bounded "
                "domain, subtract the growth from fn, or give a weight that decays"
            )
        limits.append((w * f)[-1])
    flip = (-1) ** (m - n) if reach[-1] > 0.5 * reach[0] else 1
    if line and abs(limits[1] - flip * limits[0]) > 1e-6 * size:
        raise TargetError(
            f"the (weighted) fn tends to {limits[0]:.4g} at -inf and to {limits[1]:.4g} at inf, "
            "which no r can follow: take a bounded domain, or half-lines"
        )
    if reach[-1] < 1e-3 * reach[0] and abs(limits[-1]) > 0.5 * size:
        raise TargetError(
            f"at infinity the error is {abs(limits[-1]):.4g} for every r of type "
            f"{problem.degree}: raise m, or give a weight that decays"
        )
