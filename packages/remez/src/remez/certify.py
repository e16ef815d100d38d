"""Independent evidence that a rational is the best one; it knows nothing of the solver.

`judge` takes a problem and a rational function, samples the error on a grid of its own, and
returns a `Verdict`: a lower bound on the best error (de la Vallée Poussin: the smallest of
m + n + 2 - defect errors of alternating sign), the maximum found on a grid that resolves the
error curve, and whether the denominator vanishes in the domain. This is evidence in floating
point; `remez.certificate` turns it into a proof.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import TargetError
from .problem import Problem, Target
from .rational import Rational
from .result import Status

__all__ = ["Verdict", "judge"]

EPS = float(np.finfo(float).eps)
RESOLVED = 1e4  # errors above this many eps |f| must be levelled; below, rounding may excuse
AGREE = 1e-3  # how closely the bracket's two sides must agree
PROMISE = 1e-6  # a step of the climb that would raise the maximum by less is not taken
ROUNDING = 64  # errors of fn and of r, in units of eps |f|, that are forgiven
PER_GAP = 7
EVEN = 257  # evenly spaced points, in every component, against features that no hint tells of
TAIL = np.geomspace(1e-9, 0.5, 12)
NEAR = np.geomspace(1e-18, 1, 40)
FAR = 1e15  # times the furthest hint stands for infinity


@dataclass(frozen=True, eq=False)
class Verdict:
    """What was found out about a rational.

    Attributes:
        status: `Status.CONVERGED`, `Status.NOISE_FLOOR`, or what is wrong.
        error: maximum of the weighted error on the grid.
        lower: lower bound on the best error.
        reference: the alternation points.
        defect: ``min(m - deg p, n - deg q)``.
        worst: where the maximum is.
    """

    status: Status
    error: float
    lower: float
    reference: np.ndarray
    defect: int
    worst: float


@dataclass(frozen=True, eq=False)
class _Curve:
    x: np.ndarray
    f: np.ndarray
    e: np.ndarray  # weighted error

    def merge(self, other: _Curve) -> _Curve:
        x = np.concatenate([self.x, other.x])
        order = np.argsort(x, kind="stable")
        order = order[np.append(True, x[order][1:] > x[order][:-1])]
        f = np.concatenate([self.f, other.f])[order]
        return _Curve(x[order], f, np.concatenate([self.e, other.e])[order])


def judge(
    problem: Problem,
    rational: Rational,
    hints: np.ndarray,
    target: Target | None = None,
) -> Verdict:
    """Judge ``rational`` as an answer to ``problem``.

    Args:
        problem: what was asked.
        rational: the answer.
        hints: where to look closely (the claimed alternation points, singular points). They
            can only make the verdict stricter or better resolved, never wrong.
        target: a counted target; a new one by default.
    """
    target = target or problem.target()
    try:
        curve, resolved = _explored(problem, rational, target, hints)
    except TargetError:
        return Verdict(Status.UNBOUNDED, np.inf, 0.0, hints, 0, np.nan)
    defect = _defect(problem, rational, float(np.abs(curve.f).max()))
    count = sum(problem.degree) + 2 - defect - len(problem.interpolate)
    size = np.abs(curve.e)
    top = int(size.argmax())
    error, worst = float(size[top]), float(curve.x[top])
    points = _alternation(problem, curve, count)
    lower = float(size[points].min()) if points.size >= count else 0.0
    noise = ROUNDING * EPS * _size(problem, curve)
    status = _status(problem, rational, curve, error, lower, noise, resolved)
    reference = curve.x[points] if points.size >= count else hints
    return Verdict(status, error, min(lower, error), reference, defect, worst)


def _explored(
    problem: Problem, rational: Rational, target: Target, hints: np.ndarray
) -> tuple[_Curve, Status | None]:
    """The error curve, resolved, and what kept it from being so; on samples, just these."""
    if problem.samples is not None:
        return _curve(problem, rational, target, np.array(problem.samples[0])), None
    curve = _curve(problem, rational, target, _grid(problem, rational, hints))
    curve, resolved = _resolve(problem, rational, target, curve)
    return _climb(problem, rational, target, curve), resolved


def _status(
    problem: Problem,
    rational: Rational,
    curve: _Curve,
    error: float,
    lower: float,
    noise: float,
    resolved: Status | None,
) -> Status:
    if _changes_sign(rational, curve.x) or not np.isfinite(error):
        return Status.POLE
    if error <= noise:
        return Status.NOISE_FLOOR
    if resolved is not None:
        return resolved
    if error - lower <= AGREE * error and error > 0:
        return Status.CONVERGED
    if error - lower <= noise and error <= RESOLVED / ROUNDING * noise:
        return Status.NOISE_FLOOR
    return Status.NO_ALTERNATION if lower == 0 else Status.NOT_LEVELLED


def _size(problem: Problem, curve: _Curve) -> float:
    """``max |w f|``, what rounding is relative to."""
    size = np.abs(curve.f) * problem.weight_of(curve.x, curve.f)
    return float(size[np.isfinite(size)].max(initial=0.0))


def _defect(problem: Problem, rational: Rational, height: float) -> int:
    """``min(m - deg p, n - deg q)``, which is n for r = 0."""
    m, n = problem.degree
    if rational.degree == (0, 0) and np.abs(rational.values).max() <= 4 * EPS * height:
        return n
    return max(min(m - rational.degree[0], n - rational.degree[1]), 0)


def _curve(problem: Problem, rational: Rational, target: Target, x: np.ndarray) -> _Curve:
    f = target(x)
    weight = problem.weight_of(x, f)
    with np.errstate(all="ignore"):
        error = np.where(weight == 0, 0.0, weight * (f - rational(x)))
    return _Curve(x, f, np.where(np.isnan(error), np.inf, error))


def _grid(problem: Problem, rational: Rational, hints: np.ndarray) -> np.ndarray:
    """Between neighbouring hints `PER_GAP` points, twice: bent towards both, and geometric
    about the origin; geometric again towards every end, or out to infinity.
    """
    if not problem.domain.is_finite:
        hints = hints[np.abs(hints) < 1e60]
    t = np.linspace(0, 1, PER_GAP + 2)[1:-1]
    bend = 0.5 * (1 - np.cos(np.pi * t))
    reach = np.abs(hints - rational.origin).max(initial=1.0)
    parts = [_near_roots(rational)]
    for low, high in problem.domain.intervals:
        a, b = max(low, rational.origin - FAR * reach), min(high, rational.origin + FAR * reach)
        marks = np.unique(np.concatenate([[a, b], hints[(hints > a) & (hints < b)]]))
        width = np.diff(marks)
        offset = marks - rational.origin
        with np.errstate(all="ignore"):
            ratio = offset[1:] / offset[:-1]
        wide = ((ratio > 3) & np.isfinite(ratio)) | ((ratio > 0) & (ratio < 1 / 3))
        bent = offset[:-1][wide, None] * np.abs(ratio[wide, None]) ** t
        parts += [
            marks,
            np.linspace(a, b, EVEN),
            (marks[:-1, None] + width[:, None] * bend).ravel(),
            rational.origin + bent.ravel(),
            a + width[0] * TAIL,
            b - width[-1] * TAIL,
        ]
        if a <= rational.origin <= b:
            near = min(b - a, reach) * NEAR
            parts += [rational.origin + near, rational.origin - near]
        if np.isinf([low, high]).any():
            far = reach * np.geomspace(1, FAR, 60)
            parts += [rational.origin + far, rational.origin - far]
    x = np.concatenate(parts)
    x.sort()
    x = x[np.append(True, x[1:] > x[:-1])]
    return x[problem.domain.contains(x)]


def _resolve(
    problem: Problem, rational: Rational, target: Target, curve: _Curve
) -> tuple[_Curve, Status | None]:
    """Halve every gap over which the error moves by more than half its maximum.

    A continuous error is resolved after some halvings. A jump survives until two neighbouring
    numbers, noise until there are too many points.
    """
    limit = 40 * (sum(problem.degree) + 10) + curve.x.size
    for _ in range(70):
        low, high = curve.x[:-1], curve.x[1:]
        level = 0.5 * np.abs(curve.e).max()
        rough = np.abs(np.diff(curve.e)) > level
        if not rough.any():
            return curve, None
        middle = 0.5 * (low + high)
        open_ = rough & (middle > low) & (middle < high) & problem.domain.contains(middle)
        gaps = rough & ~open_ & _same_component(problem, low, high)
        if gaps.any():
            return curve, Status.JUMP
        if not open_.any():
            return curve, None
        if curve.x.size > limit:
            return curve, Status.NOISY
        curve = curve.merge(_curve(problem, rational, target, middle[open_]))
    return curve, None


def _same_component(problem: Problem, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return np.any([(a <= low) & (high <= b) for a, b in problem.domain.intervals], axis=0)


def _climb(problem: Problem, rational: Rational, target: Target, curve: _Curve) -> _Curve:
    """Look for higher points near the local maxima that could be the largest.

    The parabola's vertex and the middle of the longer side are tried until the parabolas
    promise no more than `PROMISE` of the maximum; at a kink that takes about ten rounds.
    """
    rounding = 8 * EPS * _size(problem, curve)
    for _ in range(24):
        size = np.abs(curve.e)
        top = size.max()
        at = _runs(problem, curve)
        at = at[(size[at] > 0.9 * top) & (at > 0) & (at < size.size - 1)]
        left, right = curve.x[at] - curve.x[at - 1], curve.x[at + 1] - curve.x[at]
        down, up = size[at] - size[at - 1], size[at] - size[at + 1]
        with np.errstate(all="ignore"):
            bottom = left * up + right * down
            step = 0.5 * (right**2 * down - left**2 * up) / bottom
            step = np.clip(step, -0.5 * left, 0.5 * right)
            promise = step**2 * bottom / (left * right * (left + right))
        worth = promise > max(PROMISE * top, rounding)
        worth &= np.minimum(left, right) > 1e-6 * np.maximum(left, right)  # else it is rounding
        at, left, right, step = at[worth], left[worth], right[worth], step[worth]
        vertex = curve.x[at] + step
        middle = curve.x[at] + np.where(right > left, 0.5 * right, -0.5 * left)
        apart = np.abs(vertex - middle) > 0.1 * np.maximum(left, right)
        trial = np.sort(np.concatenate([vertex, middle[apart]]))
        trial = trial[problem.domain.contains(trial)]
        if not trial.size:
            break
        curve = curve.merge(_curve(problem, rational, target, trial))
    return curve


def _alternation(problem: Problem, curve: _Curve, count: int) -> np.ndarray:
    """The alternating extrema with the largest errors, at most ``count`` of them."""
    runs = _runs(problem, curve).tolist()
    size = np.abs(curve.e)
    while len(runs) > count:
        height = size[runs]
        small = int(height.argmin())
        if len(runs) == count + 1:
            del runs[0 if height[0] < height[-1] else -1]
        elif small in (0, len(runs) - 1):
            del runs[small]
        else:
            left = small - 1 if height[small - 1] < height[small + 1] else small
            del runs[left : left + 2]
    return np.array(runs, int)


def _runs(problem: Problem, curve: _Curve) -> np.ndarray:
    """The largest error of every run of equal sign, by index."""
    sign = np.sign(curve.e)
    for point, _ in problem.interpolate:
        sign[curve.x < point] *= -1
    used = np.flatnonzero(sign)
    if not used.size:
        return used
    starts = np.append(True, sign[used][1:] != sign[used][:-1])
    run = np.cumsum(starts) - 1
    order = np.lexsort((np.abs(curve.e[used]), run))
    last = np.append(run[order][1:] != run[order][:-1], True)
    return used[order[last]]


def _changes_sign(rational: Rational, x: np.ndarray) -> bool:
    """Whether q changes sign on the grid, which holds the real part of every root of q."""
    sign = rational.denominator_sign(x)
    return bool((sign > 0).any() and (sign < 0).any())


def _near_roots(rational: Rational) -> np.ndarray:
    """Real parts of the roots of q, and points on both sides at the accuracy of the roots."""
    roots = rational.poles()
    reach = np.maximum(np.abs(roots.imag), 1e-14 * np.abs(rational.nodes).max())
    offsets = np.array([-8.0, -1.0, -0.125, 0.0, 0.125, 1.0, 8.0])
    return (roots.real[:, None] + reach[:, None] * offsets).ravel()
