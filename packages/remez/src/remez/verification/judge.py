"""Verification, independent of the solver, that a rational is the best approximation.

`judge` takes a problem and a rational function, samples the error on a grid of its own, and
returns a `Verdict`: a lower bound on the best error (de la Vallée Poussin: the smallest of
m + n + 2 - defect errors of alternating sign), the maximum found on a grid that resolves the
error curve, and whether the denominator vanishes in the domain. This is evidence in floating
point, not a proof; `remez.verification.certificate` proves bounds. For samples the lower bound may
come from a linear program (`remez.verification.sample_bound`). The module imports nothing of
`remez.solver`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from remez import curve_kernels
from remez.functions.callable import Target
from remez.functions.zeros import LocalZero, Smoothed, zeros_of
from remez.points import distinct, sign_of_product
from remez.problem import Problem
from remez.rational.protocol import RationalFunction as Rational
from remez.solution import Status
from remez.verification.judge_grid import EVEN, TINY, grid, near_roots
from remez.verification.narrow_features import between, candidates

__all__ = ["Curve", "Verdict", "alternation", "count_of", "grid", "judge", "keeps_sign"]

EPS = float(np.finfo(float).eps)
RESOLVED = 1e4  # in units of eps |f|: smaller errors may differ by rounding
AGREE = 1e-3  # relative difference allowed between the upper and lower bound
UNDERFLOW = 1e-290  # smaller numbers lose relative accuracy
PROMISE = 1e-6  # smallest relative increase of the maximum for which points are added
ROUNDING = 64  # tolerated rounding error of fn and r, in units of eps |f|
UNDERFLOWS = 1e-150  # x * x underflows for smaller x, so that a NaN of fn there is ignored
BENT = 0.04  # deviation from linear interpolation, relative to the maximum, that is resolved
STEADY = 6  # halvings that suffice at a kink
TRACKED = 3  # sharpest places that are refined further, down to rounding
WINDOW = 26  # neighbours on either side (two gaps between hints) whose size sets the rounding
SLOWER = 8.0  # factor by which the rest of a slower sequence exceeds that of a geometric one
MEANINGFUL = 1e-3  # an error above this share of the typical |w f| is not due to rounding
TYPICAL = 0.9  # quantile of |w f| that counts as its typical size
SEEN = 1000  # additional points at which the rounding error is sampled
ACCEPTED = (Status.CONVERGED, Status.NOISE_FLOOR)
UNSEEN = 0.5  # safety margin for unsampled points, as a share of the sampled rounding error
ULPS = 2  # further safety margin, in ulps of |w f|


@dataclass(frozen=True, eq=False)
class Verdict:
    """The result of `judge`.

    Attributes:
        status: `Status.CONVERGED`, `Status.NOISE_FLOOR`, or the reason for rejection.
        error: The maximum of the weighted error on the grid.
        lower: The lower bound on the best error.
        reference: The alternation points.
        defect: ``min(m - deg p, n - deg q)``.
        worst: The point of the maximum.
    """

    status: Status
    error: float
    lower: float
    reference: np.ndarray
    defect: int
    worst: float


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


@np.errstate(all="ignore")
def judge(
    problem: Problem,
    rational: Rational,
    hints: np.ndarray,
    target: Target | None = None,
    zeros: Sequence[LocalZero] | None = None,
    singular: Sequence[float] = (),
) -> Verdict:
    """Decide whether ``rational`` is the best approximation of ``problem``.

    Args:
        problem: The approximation problem.
        rational: The rational function to judge.
        hints: Points near which the grid is refined, such as the claimed alternation points. They
            only affect the resolution; the verdict does not rely on them.
        target: The function with its count of evaluations; a new one by default.
        zeros: The zeros of fn for a relative error; located by default.
        singular: Points at which fn may be singular. The grid clusters at them, at 0 and at the
            focus of the rational; other singular points are detected from the error curve.

    Raises:
        TargetError: fn is not finite at a point of the domain.
    """
    target = target or problem.target()
    if zeros is None:
        zeros = zeros_of(target, problem.domain) if problem.weight == "relative" else ()
    if zeros:
        target = Target(Smoothed(target, zeros))
        hints = np.union1d(hints, [one.zero.high for one in zeros])
    centres = [0.0, rational.focus, *singular]
    curve, resolved = _explored(problem, rational, target, hints, centres)
    order = sum(one.zero.order for one in zeros)
    verdict = _verdict(problem, rational, curve, resolved, order, hints)
    if verdict.status not in ACCEPTED or problem.samples is not None:
        return verdict
    missed, largest = _missed(problem, rational, target, curve, verdict)
    if missed is not None:
        curve, resolved = _refined(problem, rational, target, missed)
        verdict = _verdict(problem, rational, curve, resolved, order, hints)
    if verdict.status is Status.NOISE_FLOOR:
        error = max(verdict.error, largest)
        noise = float(_noise(curve, error)[np.searchsorted(curve.x, verdict.worst)])
        error += UNSEEN * (error - verdict.lower) + ULPS * noise
        verdict = replace(verdict, error=error)
    return verdict


def _verdict(
    problem: Problem,
    rational: Rational,
    curve: Curve,
    resolved: Status | None,
    order: int,
    hints: np.ndarray,
) -> Verdict:
    """The verdict on a curve.

    Args:
        problem: The approximation problem.
        rational: The rational function to judge.
        curve: The resolved error curve.
        resolved: The reason why it is not resolved, if any.
        order: The orders of all zeros of fn that were divided out, added up.
        hints: The reference of a rational whose error alternates too rarely.
    """
    defect = _defect(problem, rational, curve)
    count = count_of(problem, defect) - order
    size = np.abs(curve.e)
    top = int(size.argmax())
    error, worst = float(size[top]), float(curve.x[top])
    points = alternation(problem, curve, count)
    lower = float(size[points].min()) if points.size >= count else 0.0
    poles = rational.degree[1] > 0 and not keeps_sign(problem, curve)
    if problem.samples is not None and not poles and np.isfinite(error):
        lower = max(lower, _excluded(problem, rational, curve, error, lower))
    noise = _noise(curve, error)
    status = _status(problem, curve, error, lower, resolved, poles, noise)
    complete = points.size >= count or problem.samples is not None
    reference = curve.x[points] if complete else hints
    return Verdict(status, error, min(lower, error), reference, defect, worst)


def _excluded(
    problem: Problem, rational: Rational, curve: Curve, error: float, lower: float
) -> float:
    """A lower bound on the best error on samples by a linear program, 0 where there is none."""
    close = (1 - 0.9 * AGREE) * error
    if lower >= close or problem.degree[1] == 0:
        return 0.0
    from remez.verification.sample_bound import excludes

    return close if excludes(problem, rational, curve.x, close) else 0.0


def _missed(
    problem: Problem, rational: Rational, target: Target, curve: Curve, verdict: Verdict
) -> tuple[Curve | None, float]:
    """The curve with further points if it missed a larger error or a sign of q, and that error.

    An error that `AGREE` or rounding explains is not missed.
    """
    lower = 2 * sum(rational.degree) < sum(problem.degree)
    x = candidates(problem, target, curve.x, verdict.error, curve.size, lower)
    limit = (1 + AGREE) * verdict.error
    if verdict.status is Status.NOISE_FLOOR:
        limit += ROUNDING * EPS * curve.size
        x = np.concatenate([x, between(problem, curve.x, SEEN // curve.x.size + 1)])
    if not x.size:
        return None, 0.0
    more = _curve(problem, rational, target, x)
    size = np.abs(more.e)
    largest = float(size.max(initial=0.0))
    merged = curve.merge(more)
    if largest <= limit and (rational.degree[1] == 0 or keeps_sign(problem, merged)):
        return None, largest
    return merged, largest


def _explored(
    problem: Problem,
    rational: Rational,
    target: Target,
    hints: np.ndarray,
    centres: Sequence[float],
) -> tuple[Curve, Status | None]:
    """The resolved error curve and, if it cannot be resolved, the status that says why.

    For samples, these are the points of the curve.
    """
    if problem.samples is not None:
        curve = _curve(problem, rational, target, problem.samples.x)
        between = np.sort(near_roots(rational, np.ptp(problem.samples.x)))
        between = between[problem.domain.contains(between)]  # q may vanish here, without a sample
        none = np.zeros(between.size)
        return curve.merge(Curve(between, none, none, rational.with_sign(between)[1])), None
    curve = _curve(problem, rational, target, grid(problem, rational, hints, centres))
    return _refined(problem, rational, target, curve)


def _refined(
    problem: Problem, rational: Rational, target: Target, curve: Curve
) -> tuple[Curve, Status | None]:
    """The curve with points added until it is resolved, and the status if it cannot be."""
    curve = _straightened(problem, rational, target, curve)
    curve, resolved = _resolve(problem, rational, target, curve)
    return _climb(problem, rational, target, curve), resolved


def keeps_sign(problem: Problem, curve: Curve) -> bool:
    """Whether q has one sign on each interval; the grid contains the real parts of its roots."""
    inside = [curve.q]
    if len(problem.domain.intervals) > 1:
        inside = [curve.q[(a <= curve.x) & (curve.x <= b)] for a, b in problem.domain.intervals]
    return not any(q.max() > 0 > q.min() for q in inside)


def _status(
    problem: Problem,
    curve: Curve,
    error: float,
    lower: float,
    resolved: Status | None,
    poles: bool,
    noise: np.ndarray,
) -> Status:
    """The status that follows from the curve.

    Args:
        problem: The approximation problem.
        curve: The resolved error curve.
        error: Its maximum.
        lower: The lower bound on the best error.
        resolved: The reason why the curve is not resolved, if any.
        poles: Whether q changes sign in the domain.
        noise: One rounding error at each point.
    """
    if poles or not np.isfinite(error):
        return Status.POLE
    size, forgiven, rounding = np.abs(curve.e), np.zeros(1), False
    most = float(noise.max())
    if most > 0:
        typical = np.inf if problem.samples is not None else _typical(problem, curve)
        noise = np.maximum(noise, min(EPS * typical, most))  # r combines values from distant points
        forgiven = ROUNDING * noise
        rounding = bool(error <= RESOLVED * noise[size.argmax()])
        if rounding and error > MEANINGFUL * typical:
            return Status.UNBOUNDED
    if (size <= forgiven).all():
        return Status.NOISE_FLOOR
    if resolved is not None:
        return resolved
    if error - lower <= AGREE * error and error > 0:
        return Status.CONVERGED
    if rounding and (size <= lower + forgiven).all():
        return Status.NOISE_FLOOR
    return Status.NO_ALTERNATION if lower == 0 else Status.NOT_LEVELLED


def _typical(problem: Problem, curve: Curve) -> float:
    """The 0.9 quantile of |w f| over the domain, which a pole or a singularity hardly affects."""
    even = np.interp(problem.domain.spread(EVEN.size), curve.x, np.abs(curve.f))
    even.sort()
    return float(even[int(TYPICAL * even.size)])


def _noise(curve: Curve, error: float) -> np.ndarray:
    """One rounding error at each point: eps times the largest |w f| nearby.

    It is 0 everywhere if the largest error is too large to be caused by rounding.
    """
    if error > RESOLVED * EPS * curve.size:
        return np.zeros_like(curve.x)
    size = np.abs(np.where(np.isfinite(curve.f), curve.f, 0.0))
    width, length = 1, 2 * WINDOW + 1
    largest = np.concatenate([np.zeros(WINDOW), size, np.zeros(WINDOW)])
    while width < length:  # doubling the window
        step = min(width, length - width)
        largest = np.maximum(largest[:-step], largest[step:])
        width += step
    noise: np.ndarray = EPS * largest
    return noise


def _defect(problem: Problem, rational: Rational, curve: Curve) -> int:
    """``min(m - deg p, n - deg q)``, which is n for r = 0, whose deg p is -inf."""
    m, n = problem.degree
    if np.abs(curve.f - curve.e).max() <= 4 * EPS * curve.size:
        return n
    return max(min(m - rational.degree[0], n - rational.degree[1]), 0)


def _curve(problem: Problem, rational: Rational, target: Target, x: np.ndarray) -> Curve:
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


def _straightened(problem: Problem, rational: Rational, target: Target, curve: Curve) -> Curve:
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
        middle = np.unique(_middle(curve.x[np.append(at - 1, at)], curve.x[np.append(at, at + 1)]))
        fresh = middle[(np.abs(middle) > TINY[0]) & problem.domain.contains(middle)]
        fresh = fresh[~np.isin(fresh, curve.x)]
        if not fresh.size or not np.isfinite(top):
            break
        curve = curve.merge(_curve(problem, rational, target, fresh))
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
    problem: Problem, rational: Rational, target: Target, curve: Curve
) -> tuple[Curve, Status | None]:
    """Halve every gap over which the error changes by more than half its maximum.

    A continuous error is resolved after a few halvings. At a jump, and where fn has an infinite
    slope, halving ends at neighbouring floats; noise is detected by the growing number of points.
    """
    limit = 40 * (sum(problem.degree) + 10) + curve.x.size
    steep: set[float] = set()
    for _ in range(70):
        low, high = curve.x[:-1], curve.x[1:]
        level = 0.5 * np.abs(curve.e).max()
        rough = np.abs(np.diff(curve.e)) > level
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
        curve = curve.merge(_curve(problem, rational, target, middle[open_]))
    return curve, None


def _is_continuous(
    problem: Problem, rational: Rational, target: Target, low: float, high: float, small: float
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
        curve = _curve(problem, rational, target, x[order][problem.domain.contains(x[order])])
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


def _climb(problem: Problem, rational: Rational, target: Target, curve: Curve) -> Curve:
    """Refine the local maxima that could be the largest.

    The vertex of the parabola through three points and the middle of the longer side are added
    until the parabola predicts a relative increase below `PROMISE`; a kink takes about ten rounds.
    """
    rounding = 8 * EPS * curve.size
    for _ in range(24):
        size = np.abs(curve.e)
        top = size.max()
        at = alternation(problem, curve, 0)
        at = at[size[at] > 0.9 * top]
        trial = curve_kernels.climb(curve.x, size, at, max(PROMISE * top, rounding))
        trial = trial[problem.domain.contains(trial)]
        if not trial.size:
            break
        trial.sort()
        curve = curve.merge(_curve(problem, rational, target, trial))
    return curve


def alternation(problem: Problem, curve: Curve, count: int) -> np.ndarray:
    """Indices of alternating extrema with the largest errors: ``count`` of them, or all if 0."""
    signed = curve.e * sign_of_product(curve.x, _conditions(problem))
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
