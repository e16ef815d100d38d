"""Locate the extrema of the error curve, and choose those that alternate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remez import curve_kernels, kernels
from remez.solver.levelling import Levelled
from remez.solver.problem_reduction import Reduced, Samples

__all__ = ["Extrema", "choose", "search", "swap"]

EPS = float(np.finfo(float).eps)
WORTH = 0.1  # smallest predicted increase, relative to the squared gap, for another point


@dataclass(frozen=True, eq=False)
class Extrema:
    """The largest point of every run of equal sign, in order.

    Attributes:
        points, error: The extrema, and the weighted error at them.
        largest: The maximum of the sampled error.
        sound: Whether q has no sign changes at the sampled points except the given ones.
    """

    points: Samples
    error: np.ndarray
    largest: float
    sound: bool


def search(
    reduced: Reduced,
    level: Levelled,
    reference: Samples,
    grid: Samples,
    rounds: int = 12,
) -> Extrema:
    """Sample the error between the reference points, then refine each extremum.

    An extremum is refined until the parabola through its three highest points predicts a small
    increase; at a kink, gaps are halved as well. As the exchange converges quadratically, a
    relative increase below a tenth of the squared gap is small enough.

    ``grid`` contains the points that are sampled in every step: the ends, and points that cluster
    at singularities.
    """
    ends = reduced.components
    curve = reduced.scan(reference, grid)
    rounds = rounds if reduced.climbs else 0
    error, sign = _residual(reduced, level, curve)
    polynomial = reduced.degree[1] == 0  # q is 1, whatever sign rounding gives to its sum
    sound = polynomial or sign != 0
    noise = 8 * EPS * reference.height
    for attempt in range(rounds + 1):
        signed = error * reduced.flips(curve.u) if reduced.fixed else error
        peaks = curve_kernels.alternating(signed, 0)
        size = np.abs(error)
        largest = float(size.max())
        if attempt == rounds:
            break
        gap = 1 - abs(level.error) / largest if largest > 0 else 0.0
        gain = max(min(1e-3, WORTH * gap * gap), 1e-7) * largest
        trial = curve_kernels.climb(curve.u, size, peaks, max(gain, noise))
        if len(ends) > 1:
            trial = trial[_inside(trial, ends)]
        if not trial.size:
            break
        trial.sort()
        fresh = reduced.sample(trial)
        new_error, new_sign = _residual(reduced, level, fresh)
        sound = sound and (polynomial or new_sign == sign)
        curve, order = curve.merge(fresh)
        error = np.concatenate([error, new_error])[order]
    return Extrema(curve[peaks], error[peaks], largest, sound)


def choose(reduced: Reduced, old: Samples, level: Levelled, found: Extrema) -> Samples:
    """The next reference: the ``reduced.size`` largest extrema that alternate.

    When there are fewer, the largest error replaces one point of the old reference (the
    classical single exchange). If the levelled error of a polynomial is at the level of rounding,
    for instance because f has the other parity, the points of the reference are not extrema.
    """
    signed = found.error * reduced.flips(found.points.u)
    noise = 8 * EPS * old.height
    if reduced.degree[1] == 0 and abs(level.error) < noise < found.largest:
        signed = np.where(np.abs(signed) < noise, 0.0, signed)
    kept = curve_kernels.alternating(signed, reduced.size)
    if kept.size == reduced.size:
        return found.points[kept]
    if not signed.size:
        return old
    top = int(np.abs(signed).argmax())
    return swap(reduced, old, level, found.points[top : top + 1], signed[top])


def swap(reduced: Reduced, old: Samples, level: Levelled, new: Samples, error: float) -> Samples:
    """``old`` with ``new`` in place of the neighbour at which the error has the same sign."""
    at = int(np.searchsorted(old.u, new.u[0]))
    first = np.sign(level.error) * (-1) ** len(reduced.fixed)
    same = np.sign(error) == first * (
        1 - 2 * ((at - 1) % 2)
    )  # same sign as the neighbour on the left
    if at < old.u.size and old.u[at] == new.u[0]:
        return old
    if at == 0:
        drop = 0 if not same else old.u.size - 1
    elif at == old.u.size:
        drop = at - 1 if same else 0
    else:
        drop = at - 1 if same else at
    keep = np.delete(np.arange(old.u.size), drop)
    return old[keep].merge(new)[0]


def _residual(reduced: Reduced, level: Levelled, points: Samples) -> tuple[np.ndarray, int]:
    parts = level.nodes, level.values, level.weights
    sign_changes = np.array(reduced.sign_changes, float)
    error, changes = kernels.residual(points.u, points.f, points.w, *parts, sign_changes)
    return error, changes


def _inside(u: np.ndarray, components: np.ndarray) -> np.ndarray:
    inside: np.ndarray = (u[:, None] >= components[:, 0]) & (u[:, None] <= components[:, 1])
    return np.asarray(inside.any(1))
