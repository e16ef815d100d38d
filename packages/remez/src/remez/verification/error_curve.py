"""The weighted error of a rational as a sampled curve, with points added until it is resolved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from remez import curve_kernels
from remez.functions.callable import Target
from remez.functions.zeros import Smoothed
from remez.points import distinct, sign_of_product
from remez.problem import Problem
from remez.rational.protocol import RationalFunction
from remez.solution import Status
from remez.verification.judge_grid import TINY

__all__ = ["AGREE", "EPS", "ROUNDING", "Curve", "alternation", "count_of", "refined", "sampled"]

EPS = float(np.finfo(float).eps)
AGREE = 1e-3  # relative difference allowed between the upper and lower bound
ROUNDING = 64  # tolerated rounding error of fn and r, in units of eps |f|
UNAVOIDABLE = 4  # rounding error of any fn and r, in units of eps |f|
UNDERFLOW = 1e-290  # smaller numbers lose relative accuracy
PROMISE = 1e-6  # smallest relative increase of the maximum for which points are added
UNDERFLOWS = 1e-150  # x * x underflows for smaller x, so that a NaN of fn there is ignored
BENT = 0.04  # deviation from linear interpolation, relative to the maximum, that is resolved
MULTIPLE = 2  # factor by which the number of maxima of a resolved curve does not grow
STEADY = 6  # halvings that suffice at a kink
TRACKED = 3  # sharpest places that are refined further, down to rounding
SLOWER = 8.0  # factor by which the rest of a slower sequence exceeds that of a geometric one


@dataclass(frozen=True, eq=False)
class Curve:
    """Increasing points x, with the values f = w fn, the errors e = w (fn - r) and the signs q."""

    x: np.ndarray
    f: np.ndarray
    e: np.ndarray
    q: np.ndarray

    def merge(self, other: Curve) -> Curve:
        """The union of the points of both curves."""
        x = np.concatenate([self.x, other.x])
        order = x.argsort(kind="stable")
        order = order[distinct(x[order])]
        rows = [[self.f, other.f], [self.e, other.e], [self.q, other.q]]
        return Curve(x[order], *(np.concatenate(row)[order] for row in rows))

    @cached_property
    def size(self) -> float:
        """``max |w f|``, the size to which rounding errors are relative."""
        size = np.abs(self.f)
        return float(size[np.isfinite(size)].max(initial=0.0))


def refined(
    problem: Problem, rational: RationalFunction, target: Target, curve: Curve
) -> tuple[Curve, Status | None]:
    """The curve with points added until it is resolved, and the status if it cannot be."""
    curve = _straightened(problem, rational, target, curve)
    curve, resolved = _resolve(problem, rational, target, curve)
    curve, multiply = _climb(problem, rational, target, curve)
    return curve, Status.NOISY if multiply and resolved is None else resolved


def sampled(problem: Problem, rational: RationalFunction, target: Target, x: np.ndarray) -> Curve:
    """The error at the points.

    Zeros of f are left out of a relative error, whose sign is changed at zeros of odd order.
    """
    f = target.raw(x)
    if not np.isfinite(f).all():
        known = ~(np.isnan(f) & (np.abs(x) < UNDERFLOWS) & (x != 0))
        x, f = x[known], target(x[known])
    weight = problem.weight_of(x, f)
    with np.errstate(all="ignore"):
        r, sign = rational.with_sign(x)
        error = weight * (f - r)
        if not np.isfinite(error).all():
            error = np.where((weight == 0) | (f == r), 0.0, error)
            error[np.isnan(error)] = np.inf
        curve = Curve(x, weight * f, error, sign)
        if not isinstance(target.fn, Smoothed):
            return curve
        side, kept = target.fn.side(x), np.abs(f) > UNDERFLOW
        return Curve(x[kept], (side * curve.f)[kept], (side * error)[kept], sign[kept])


def _straightened(
    problem: Problem, rational: RationalFunction, target: Target, curve: Curve
) -> Curve:
    """Halve gaps until linear interpolation describes the error curve well.

    This takes one halving where f is smooth and a few at a kink. If it takes more, f may have a
    singularity that is visible only at tiny distances, such as ``1/log|x|``; then the sharpest
    places are refined down to neighbouring floats.
    """
    rounding = ROUNDING * EPS * curve.size
    for attempt in range(70):
        bend = curve_kernels.curvature(curve.x, curve.e)
        top = np.abs(curve.e).max()
        if attempt < STEADY:
            at = 1 + np.flatnonzero(bend > max(BENT * top, rounding))
        else:
            gap = np.diff(curve.x)
            sharp = bend / np.maximum(gap[1:], gap[:-1]) ** 1.5
            sharp[bend <= max(AGREE * top, rounding)] = 0.0
            at = 1 + np.argsort(sharp)[-TRACKED:]
            at = at[sharp[at - 1] > 0]
        if not at.size:
            break
        beside = np.zeros(curve.x.size - 1, bool)
        beside[at - 1] = beside[at] = True
        low, high = curve.x[:-1][beside], curve.x[1:][beside]
        middle = _middle(low, high)
        inside = (low < middle) & (middle < high) & problem.domain.contains(middle)
        fresh = middle[inside & (np.abs(middle) > TINY[0])]
        if not fresh.size or not np.isfinite(top):
            break
        curve = curve.merge(sampled(problem, rational, target, fresh))
    return curve


def _middle(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The midpoint of each gap; the geometric mean if the ends differ by a factor above 8."""
    middle = 0.5 * low + 0.5 * high
    product = np.sign(low) * np.sign(high)
    size = np.sort(np.abs([low, high]), axis=0)
    wide = (product > 0) & (size[1] > 8 * size[0])
    middle[wide] = np.sign(low[wide]) * np.sqrt(size[0][wide]) * np.sqrt(size[1][wide])
    return middle


def _resolve(
    problem: Problem, rational: RationalFunction, target: Target, curve: Curve
) -> tuple[Curve, Status | None]:
    """Halve every gap over which the error changes by more than half its maximum.

    A continuous error is resolved after a few halvings. At a jump, and where fn has an infinite
    slope, halving ends at neighbouring floats; noise is detected by the growing number of points.
    A change of `UNAVOIDABLE` rounding errors is left alone: halving would follow it to the end.
    """
    limit = 40 * (sum(problem.degree) + 10) + curve.x.size
    steep: set[float] = set()
    for _ in range(70):
        low, high = curve.x[:-1], curve.x[1:]
        level = 0.5 * np.abs(curve.e).max()
        change = np.abs(np.diff(curve.e))
        rough = change > level
        if rough.any():
            size = np.abs(curve.f)
            rough &= change > UNAVOIDABLE * EPS * np.maximum(size[:-1], size[1:])
        if not rough.any():
            return curve, None
        middle = _middle(low, high)
        open_ = rough & (middle > low) & (middle < high) & problem.domain.contains(middle)
        open_ &= np.abs(middle) > TINY[0]
        closed = np.flatnonzero(rough & ~open_ & _same_component(problem, low, high))
        for i in closed[~np.isin(low[closed], list(steep))]:
            if not _is_continuous(problem, rational, target, low[i], high[i], AGREE * level):
                return curve, Status.JUMP
            steep.add(float(low[i]))
        if not open_.any():
            return curve, None
        if curve.x.size > limit:
            return curve, Status.NOISY
        curve = curve.merge(sampled(problem, rational, target, middle[open_]))
    return curve, None


def _is_continuous(
    problem: Problem,
    rational: RationalFunction,
    target: Target,
    low: float,
    high: float,
    small: float,
) -> bool:
    """Whether fn and r are continuous between neighbouring floats, though one of them is steep.

    The differences over distances from one end that grow by factors are compared. If they decrease
    like a geometric sequence, as for ``|x|^a``, the change within the gap is the rest of its sum.
    For inverse powers of a logarithm they decrease more slowly, and that sum is too small by a
    bounded factor. At a jump the differences are much smaller than the change. A change of at most
    ``small`` is ignored.
    """
    distance = (high - low) * 16.0 ** np.arange(6)
    for end, side in ((low, 1.0), (high, -1.0)):
        x = end + side * np.append(0.0, distance)
        order = np.argsort(x)
        curve = sampled(problem, rational, target, x[order][problem.domain.contains(x[order])])
        values = np.array([curve.f, curve.f - curve.e])[:, :: int(side)]
        if curve.x.size < x.size or not np.isfinite(values).all():
            continue
        steps = np.abs(np.diff(values))
        change, first, last = steps[:, 0], steps[:, 1], steps[:, -1]
        ratio = np.minimum((first / np.maximum(last, np.finfo(float).tiny)) ** 0.25, 1.0)
        if ((change <= small) | (change * (1 - ratio) <= SLOWER * first * ratio)).all():
            return True
    return False


def _same_component(problem: Problem, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    together: np.ndarray = np.any(
        [(a <= low) & (high <= b) for a, b in problem.domain.intervals], axis=0
    )
    return together


def _climb(
    problem: Problem, rational: RationalFunction, target: Target, curve: Curve
) -> tuple[Curve, bool]:
    """Refine the local maxima that could be the largest; also whether these multiply.

    The vertex of the parabola through three points and the middle of the longer side are added
    until the parabola predicts a relative increase below `PROMISE`; a kink takes about ten rounds.
    Where the points miss most waves of the error, each further point uncovers new maxima, without
    end.
    """
    rounding = 8 * EPS * curve.size
    most = np.inf
    for _ in range(24):
        size = np.abs(curve.e)
        top = size.max()
        at = alternation(problem, curve, 0)
        at = at[size[at] > 0.9 * top]
        most = min(most, MULTIPLE * max(at.size, sum(problem.degree) + 2))
        if at.size > most:
            return curve, True
        trial = curve_kernels.climb(curve.x, size, at, max(PROMISE * top, rounding))
        trial = trial[problem.domain.contains(trial)]
        if not trial.size:
            break
        trial.sort()
        curve = curve.merge(sampled(problem, rational, target, trial))
    return curve, False


def alternation(problem: Problem, curve: Curve, count: int) -> np.ndarray:
    """Indices of alternating extrema with the largest errors: ``count`` of them, or all if 0."""
    fixed = _conditions(problem)
    signed = curve.e * sign_of_product(curve.x, fixed) if fixed else curve.e
    kept: np.ndarray = curve_kernels.alternating(signed, count)
    return kept


def count_of(problem: Problem, defect: int) -> int:
    """The number of alternation points of a best approximation with this defect."""
    return sum(problem.degree) + 2 - defect - len(_conditions(problem))


def _conditions(problem: Problem) -> list[float]:
    """The fixed points, without zeros, which a relative error implies.

    If the problem states a parity, the mirror images of the points are fixed as well.
    """
    relative = problem.weight == "relative"
    points = {x for x, y in problem.interpolate if not (relative and y == 0)}
    if problem.parity in ("even", "odd"):
        low, high = problem.domain.hull
        centre = 0.5 * (low + high) if problem.domain.is_finite else 0.0
        points |= {2 * centre - x for x in points}
        points -= {centre} if problem.parity == "odd" else set()
    return sorted(points)
