"""The best rational on samples by linear programs; its denominator is positive between them too.

Minimising the largest error over all r of a type whose denominator is positive on an interval is a
quasiconvex problem: every start leads to the infimum. Where no best approximation exists, as for
many noisy samples, the infimum is approached only by denominators with a smaller and smaller
minimum, and no error alternates often enough for an exchange.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import qr

from remez import curve_kernels, kernels
from remez.rational.linear_programs import Iterate, Stuck, orthonormal
from remez.solver.exchange import State
from remez.solver.extrema import search
from remez.solver.levelling import Levelled
from remez.solver.problem_reduction import Reduced, Samples
from remez.solver.starts.linear_programming import attain
from remez.verification.judge_grid import near_roots

__all__ = ["programmed"]

ROUNDS = 12  # largest number of times that points are added
CLOSE = 3e-4  # relative bracket of the error, a third of what the judge accepts
MORE = 4  # samples added at a time per point of the reference


def programmed(reduced: Reduced, points: Samples, thin: Samples) -> State | None:
    """The best approximation on the points, or one whose error is close to the infimum.

    Linear programs see a part of the samples, and q at some points between them. Samples with a
    larger error are added, and places at which q is negative, until there are none.

    Args:
        reduced: The problem.
        points: All samples.
        thin: The samples of the first program.

    Returns:
        The rational with the extrema of its error as the reference; None if the linear programs
        fail.
    """
    between = np.empty(0)
    state: State | None = None
    for attempt in range(ROUNDS):
        seen = _with_places(thin, between)
        flat = np.where(seen.w > 0, seen.f - 0.5 * (thin.f.max() + thin.f.min()), 0.0)
        try:
            found = attain(reduced, seen, Iterate(flat, np.ones(seen.u.size)), 60, CLOSE)
        except Stuck:
            break
        level = None if found is None else _levelled(reduced, seen, *found)
        if found is None or level is None:
            break
        reference = thin[np.unique(np.searchsorted(thin.u, level.nodes))]
        extrema = search(reduced, level, reference, points)
        signed = extrema.error * reduced.flips(extrema.points.u)
        kept = curve_kernels.alternating(signed, reduced.size)
        state = State(extrema.points[kept], level, extrema, attempt + 1)
        negative = _negative(reduced, level, points)
        upper = np.abs(seen.w * found[0].error).max()
        if extrema.largest <= (1 + CLOSE) * upper and not negative.size:
            break
        between = np.unique(np.append(between, negative))
        largest = curve_kernels.alternating(signed, MORE * reduced.size)
        thin = thin.merge(extrema.points[largest])[0]
    return state


def _with_places(thin: Samples, between: np.ndarray) -> Samples:
    """The samples, and points of weight 0 at which only the sign of q counts."""
    between = between[~np.isin(between, thin.u)]
    none = np.zeros(between.size)
    return thin.merge(Samples(between, none, none))[0]


def _levelled(reduced: Reduced, seen: Samples, now: Iterate, lower: float) -> Levelled | None:
    """The rational in barycentric form, on samples at which it is well determined."""
    known = np.flatnonzero(seen.w > 0)
    count = max(reduced.degree) + 1
    with np.errstate(all="ignore"):
        basis = orthonormal(seen.u, 1 / now.q, count)
    if known.size < count or not np.isfinite(basis).all():
        return None
    _, _, pivots = qr(basis[known].T, mode="economic", pivoting=True)
    nodes = known[np.sort(pivots[:count])]
    u = seen.u[nodes]
    weights = kernels.lagrange_weights(u) * now.q[nodes] * (1.0 - 2.0 * (np.arange(count) % 2))
    values = seen.f[nodes] - now.error[nodes]
    return Levelled(u, values, weights / np.abs(weights).max(), lower, True)


def _negative(reduced: Reduced, level: Levelled, points: Samples) -> np.ndarray:
    """Places between the samples at which q has not the sign that it has at most samples."""
    rational = reduced.rational(level)
    domain = reduced.problem.domain
    low, high = domain.hull
    places = np.unique(near_roots(rational, high - low))
    places = places[domain.contains(places)]
    sign = rational.with_sign(places)[1]
    usual = np.sign(np.sum(rational.with_sign(reduced.x(points.u))[1]))
    return np.unique(reduced.u(places[sign != usual]))
