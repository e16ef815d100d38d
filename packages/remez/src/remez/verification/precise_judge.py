"""The checks of `remez.verification.judge` for multiprecision fits.

Grid, alternation, bounds and pole check are those of double precision. The function, the weight and
the rational are evaluated with mpmath at the working precision of the rational, and the bounds must
agree to the requested number of digits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from mpmath import mp

from remez.errors import RemezError, TargetError
from remez.number_types import to_mpf
from remez.problem import Degree, Problem, attainable
from remez.rational.arithmetic import fastest
from remez.rational.protocol import RationalFunction, Real
from remez.solution import Status
from remez.verification.error_curve import Curve, alternation, count_of
from remez.verification.judge import Verdict, keeps_sign
from remez.verification.judge_grid import grid
from remez.verification.narrow_features import candidates

__all__ = ["judge_precise"]

POINTS = 2000  # largest size of the grid, without the hints
CLIMBS = 12  # refinements of a maximum, each of which about doubles its correct digits
HIGH = 0.9  # extrema below this share of the maximum are not refined


def judge_precise(
    problem: Problem,
    rational: RationalFunction,
    hints: Sequence[Real],
    digits: int,
    singular: Sequence[Real] = (),
) -> Verdict:
    """Decide at mpmath's current precision whether ``rational`` is the best approximation.

    Args:
        problem: The approximation problem.
        rational: The rational function to judge.
        hints: The claimed alternation points, as mpmath numbers.
        digits: The number of digits to which the bounds on the best error must agree.
        singular: Points at which fn may be singular.

    Raises:
        TargetError: fn cannot be evaluated at a point of the domain.
    """
    sample = _Sampler(problem, rational)
    curve = sample.climbed(sample.curve(sample.points(hints, singular)), digits)
    narrow = sample.narrow_features(curve)
    if narrow:
        curve = sample.climbed(curve.merge(sample.curve(narrow)), digits)
    size = abs(curve.e)
    error, tolerance = max(size), mp.mpf(10) ** -digits
    null = max(abs(curve.f - curve.e)) <= tolerance * error
    defect = _defect(problem.degree, rational.degree, null)
    possible = attainable(problem)
    count = count_of(replace(problem, degree=possible), _defect(possible, rational.degree, null))
    points = _alternating(problem, curve, error, count)
    lower = min(size[points]) if points.size >= count else mp.zero
    if not mp.isfinite(error) or (
        rational.degree[1] > 0 and not keeps_sign(problem, curve.x, curve.q)
    ):
        status = Status.POLE
    elif error <= tolerance * max(abs(curve.f)) or error - lower <= 4 * tolerance * error:
        status = Status.CONVERGED
    else:
        status = Status.NOT_LEVELLED if lower else Status.NO_ALTERNATION
    reference = curve.x[points] if points.size >= count else np.array(list(hints), object)
    worst = float(curve.x[int(np.argmax(size))])
    return Verdict(status, error, lower, reference, defect, worst)


def _defect(asked: Degree, has: Degree, null: bool) -> int:
    """``min(m - deg p, n - deg q)``, which is n for r = 0, whose deg p is -inf."""
    return asked[1] if null else max(min(a - b for a, b in zip(asked, has, strict=True)), 0)


class _Sampler:
    """fn, the weight and the rational at mpmath numbers of the domain."""

    def __init__(self, problem: Problem, rational: RationalFunction) -> None:
        self.problem = problem
        self.rational = rational
        ends = problem.domain.exact or problem.domain.intervals
        self.ends = [(to_mpf(a), to_mpf(b)) for a, b in ends]
        self.fn = _evaluated(problem.fn)
        self.weight = _evaluated(problem.weight) if callable(problem.weight) else None

    def points(self, hints: Sequence[Real], singular: Sequence[Real]) -> list[Real]:
        """The grid of double precision, the hints, and two points next to each hint.

        These are so close to the hint that the parabola through them locates the maximum to two
        thirds of the digits.
        """
        places = np.array([float(x) for x in hints])
        centres = [0.0, self.rational.focus, *map(float, singular)]
        coarse = grid(self.problem, self.rational, places, centres)
        coarse = coarse[:: max(1, coarse.size // POINTS)]
        known = sorted({*hints, *singular, *(x for pair in self.ends for x in pair)})
        known = [x for x in known if mp.isfinite(x)]
        step = mp.mpf(10) ** -(mp.dps // 3)
        beside = []
        for i, x in enumerate(known):
            room = min((abs(x - y) for y in known[max(i - 1, 0) : i + 2] if y != x), default=1)
            beside += [x - room * step, x + room * step]
        return [*map(mp.mpf, coarse.tolist()), *known, *beside]

    def curve(self, points: Sequence[Real]) -> Curve:
        """The error at the points that lie in the domain, in increasing order."""
        inside = sorted({x for x in points if self.contains(x)})
        rows = [self._row(x) for x in inside]
        return Curve(
            _objects(inside), *(_objects(list(column)) for column in zip(*rows, strict=True))
        )

    def narrow_features(self, curve: Curve) -> list[Real]:
        """Points between those of the curve near which fn bends, as seen in double precision."""
        error, size = (float(max(abs(values))) for values in (curve.e, curve.f))
        if not np.isfinite(error):
            return []
        known, target = np.unique(curve.x.astype(float)), self.problem.target()
        with np.errstate(all="ignore"):
            try:
                target(known[:2])  # which finds out whether fn takes arrays
                found = candidates(self.problem, target, known, error, size, lower=False)
            except TargetError:  # fn cannot be evaluated with float64
                return []
        taken = set(curve.x)
        return [x for x in map(mp.mpf, found.tolist()) if x not in taken]

    def contains(self, x: Real) -> bool:
        """Whether a point lies in the domain with its exact ends."""
        return any(a <= x <= b for a, b in self.ends)

    def _row(self, x: Real) -> tuple[Real, Real, Real]:
        """``w f``, ``w (f - r)`` and the sign of q at a point."""
        f = self.fn(x)
        p, q = self.rational.parts_at(x)
        sign = int(mp.sign(q))
        if self.problem.weight == "relative":
            if f == 0:
                return mp.zero, mp.zero if p == 0 else mp.inf, sign
            return mp.sign(f), mp.sign(f) * (1 - p / q / f) if q else mp.inf, sign
        weight = mp.one if self.weight is None else self.weight(x)
        if weight < 0:
            raise TargetError(
                f"weight is {mp.nstr(weight, 5)} at x = {mp.nstr(x, 17)}: return a number >= 0 on "
                "all of the domain"
            )
        error = weight * (f - p / q) if q else mp.inf
        return weight * f, error if weight else mp.zero, sign

    def climbed(self, curve: Curve, digits: int) -> Curve:
        """The curve with its largest extrema refined until parabolas predict no increase."""
        for _ in range(CLIMBS):
            size = abs(curve.e)
            top = max(size)
            if not mp.isfinite(top) or top == 0:
                break
            at = _alternating(self.problem, curve, top, 0)
            fresh = _summits(curve.x, size, at[size[at] > HIGH * top], top * mp.mpf(10) ** -digits)
            known = set(curve.x)
            fresh = [x for x in fresh if x not in known and self.contains(x)]
            if not fresh:
                break
            curve = curve.merge(self.curve(fresh))
        return curve


def _evaluated(fn: Any) -> Callable[[Real], Real]:
    """A function of mpmath numbers that evaluates fn and checks that the value is finite."""
    arithmetic = fastest()
    exact = arithmetic.function(fn)

    def value(x: Real) -> Real:
        try:
            y = arithmetic.mpf(exact(arithmetic.number(x)))
        except RemezError:
            raise
        except (ArithmeticError, ValueError, TypeError) as cause:
            raise TargetError(
                f"fn fails at x = {mp.nstr(x, 17)} ({type(cause).__name__}: {cause})"
            ) from cause
        if not mp.isfinite(y):
            raise TargetError(f"fn is {y} at x = {mp.nstr(x, 17)}: leave that point out")
        return y

    return value


def _alternating(problem: Problem, curve: Curve, top: Real, count: int) -> np.ndarray:
    """`alternation` of the errors, which are mapped monotonically to float64.

    The map is logarithmic near the largest error, where float64 would not resolve differences.
    """
    if not mp.isfinite(top) or top == 0:
        return np.empty(0, int)

    def mapped(e: Real) -> float:
        share = abs(e) / top
        value = float(share) if share <= 0.5 else float(-mp.log(1 - share + mp.eps))
        return value if e > 0 else -value

    scaled = np.array([mapped(e) for e in curve.e])
    return alternation(problem, Curve(curve.x, scaled, scaled, scaled), count)


def _summits(x: np.ndarray, size: np.ndarray, at: np.ndarray, gain: Real) -> list[Real]:
    """The vertices of parabolas through maxima that predict an increase above ``gain``."""
    found = []
    for i in at:
        if not 0 < i < x.size - 1:
            continue
        left, right = x[i] - x[i - 1], x[i + 1] - x[i]
        fall_left, fall_right = size[i] - size[i - 1], size[i] - size[i + 1]
        bottom = left * fall_right + right * fall_left
        if fall_left < 0 or fall_right < 0 or not bottom > 0:
            continue
        step = (right * right * fall_left - left * left * fall_right) / (2 * bottom)
        if step * step * bottom / (left * right * (left + right)) > gain:
            found += [x[i] + step, x[i] + (right if right > left else -left) / 2]
    return found


def _objects(values: Sequence[Real]) -> np.ndarray:
    out = np.empty(len(values), object)
    out[:] = values
    return out
