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

import numpy as np

from remez.functions.callable import Target
from remez.functions.zeros import LocalZero, Smoothed, zeros_of
from remez.problem import Problem
from remez.rational.protocol import RationalFunction
from remez.solution import Status
from remez.verification.error_curve import (
    AGREE,
    EPS,
    ROUNDING,
    Curve,
    alternation,
    count_of,
    refined,
    sampled,
)
from remez.verification.judge_grid import EVEN, grid, near_roots
from remez.verification.narrow_features import between, candidates

__all__ = ["Verdict", "judge", "keeps_sign"]

RESOLVED = 1e4  # in units of eps |f|: smaller errors may differ by rounding
WINDOW = 26  # neighbours on either side (two gaps between hints) whose size sets the rounding
MEANINGFUL = 1e-3  # an error above this share of the typical |w f| is not due to rounding
TYPICAL = 0.9  # quantile of |w f| that counts as its typical size
SEEN = 1000  # additional points at which the rounding error is sampled
ACCEPTED = (Status.CONVERGED, Status.NOISE_FLOOR)
UNSEEN = 1.0  # safety margin for unsampled points, as a share of the sampled rounding error
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


@np.errstate(all="ignore")
def judge(
    problem: Problem,
    rational: RationalFunction,
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
        curve, resolved = refined(problem, rational, target, missed)
        verdict = _verdict(problem, rational, curve, resolved, order, hints)
    if verdict.status is Status.NOISE_FLOOR:
        verdict = replace(verdict, error=_with_unseen(problem, curve, verdict, largest))
    return verdict


def _with_unseen(problem: Problem, curve: Curve, verdict: Verdict, largest: float) -> float:
    """The largest error at the noise floor, with a margin for rounding at unsampled points.

    Where |w f| is large an ulp is too, so that the largest error may lie far from the sampled one.
    """
    error = max(verdict.error, largest)
    near = float((np.abs(curve.e) + ULPS * _noise(problem, curve, error)).max())
    return max(near, error) + UNSEEN * (error - verdict.lower)


def _verdict(
    problem: Problem,
    rational: RationalFunction,
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
    if problem.degree[0] == 0 and len(problem.domain.intervals) == 1 and problem.samples is None:
        lower = max(lower, min(float(curve.f.max()), -float(curve.f.min())))  # r has one sign
    poles = rational.degree[1] > 0 and not keeps_sign(problem, curve.x, curve.q)
    if problem.samples is not None and not poles and np.isfinite(error):
        lower = max(lower, _excluded(problem, rational, curve, error, lower))
    status = _status(problem, curve, error, lower, resolved, poles)
    complete = points.size >= count or problem.samples is not None
    reference = curve.x[points] if complete else hints
    return Verdict(status, error, min(lower, error), reference, defect, worst)


def _excluded(
    problem: Problem, rational: RationalFunction, curve: Curve, error: float, lower: float
) -> float:
    """A lower bound on the best error on samples by a linear program, 0 where there is none."""
    close = (1 - 0.9 * AGREE) * error
    if lower >= close or problem.degree[1] == 0:
        return 0.0
    from remez.verification.sample_bound import excludes

    return close if excludes(problem, rational, curve.x, close) else 0.0


def _missed(
    problem: Problem, rational: RationalFunction, target: Target, curve: Curve, verdict: Verdict
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
    more = sampled(problem, rational, target, x)
    largest = float(np.abs(more.e).max(initial=0.0))
    x, q = np.concatenate([curve.x, more.x]), np.concatenate([curve.q, more.q])
    if largest <= limit and (rational.degree[1] == 0 or keeps_sign(problem, x, q)):
        return None, largest
    return curve.merge(more), largest


def _explored(
    problem: Problem,
    rational: RationalFunction,
    target: Target,
    hints: np.ndarray,
    centres: Sequence[float],
) -> tuple[Curve, Status | None]:
    """The resolved error curve and, if it cannot be resolved, the status that says why.

    For samples, these are the points of the curve.
    """
    if problem.samples is not None:
        curve = sampled(problem, rational, target, problem.samples.x)
        between = np.sort(near_roots(rational, np.ptp(problem.samples.x)))
        between = between[problem.domain.contains(between)]  # q may vanish here, without a sample
        none = np.zeros(between.size)
        return curve.merge(Curve(between, none, none, rational.with_sign(between)[1])), None
    curve = sampled(problem, rational, target, grid(problem, rational, hints, centres))
    return refined(problem, rational, target, curve)


def keeps_sign(problem: Problem, x: np.ndarray, q: np.ndarray) -> bool:
    """Whether q has one sign on each interval; the grid contains the real parts of its roots.

    Args:
        problem: The problem, whose domain has these intervals.
        x: Points of the domain, in any order.
        q: The signs of q at the points.
    """
    inside = [q]
    if len(problem.domain.intervals) > 1:
        inside = [q[(a <= x) & (x <= b)] for a, b in problem.domain.intervals]
    return not any(q.max() > 0 > q.min() for q in inside)


def _status(
    problem: Problem,
    curve: Curve,
    error: float,
    lower: float,
    resolved: Status | None,
    poles: bool,
) -> Status:
    """The status that follows from the curve.

    Args:
        problem: The approximation problem.
        curve: The resolved error curve.
        error: Its maximum.
        lower: The lower bound on the best error.
        resolved: The reason why the curve is not resolved, if any.
        poles: Whether q changes sign in the domain.
    """
    if poles or not np.isfinite(error):
        return Status.POLE
    size, noise = np.abs(curve.e), _noise(problem, curve, error)
    forgiven = ROUNDING * noise
    rounding = bool(error <= RESOLVED * noise[size.argmax()])
    if rounding and error > MEANINGFUL * _typical(problem, curve):
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
    """The 0.9 quantile of |w f| over the domain, which a pole or a singularity hardly affects.

    Samples have none: it is infinite.
    """
    if problem.samples is not None:
        return np.inf
    even = np.interp(problem.domain.spread(EVEN.size), curve.x, np.abs(curve.f))
    even.sort()
    return float(even[int(TYPICAL * even.size)])


def _noise(problem: Problem, curve: Curve, error: float) -> np.ndarray:
    """One rounding error at each point: eps times the largest |w f| nearby, or its typical size.

    The latter since r combines values from distant points; the largest anywhere bounds it. It is 0
    everywhere if the largest error is too large to be caused by rounding.
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
    near = EPS * largest
    noise: np.ndarray = np.maximum(near, min(EPS * _typical(problem, curve), near.max()))
    return noise


def _defect(problem: Problem, rational: RationalFunction, curve: Curve) -> int:
    """``min(m - deg p, n - deg q)``, which is n for r = 0, whose deg p is -inf."""
    m, n = problem.degree
    if np.abs(curve.f - curve.e).max() <= 4 * EPS * curve.size:
        return n
    return max(min(m - rational.degree[0], n - rational.degree[1]), 0)
