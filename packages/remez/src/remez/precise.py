"""`fit` with ``precision=``: the exchange in arbitrary precision, and where it starts.

The start is a former fit's reference where there is one, else continuation: the type grows from
(0, 0) to (m, n), each reference extrapolated from the spacings of the two before. Where that
fails, the double fit's reference is tried.

>>> import remez
>>> from mpmath import mp
>>> fit = remez.fit(remez.targets.exp, (2, 2), precision=30)
>>> print(mp.nstr(fit.error, 25))
0.00008689991075055192412300355
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from mpmath import mp

from .arithmetic import Arithmetic, Number, fastest
from .errors import ConvergenceError, RemezError
from .expression import as_expression
from .precise_exchange import Curve, Reference, Scan, polish, settle
from .precise_levelling import spread
from .precise_rational import PreciseRational
from .precise_reduction import Reduction, reduce
from .precise_start import chebyshev, compared, double_fit, first, folded, inside, resample
from .problem import Problem
from .result import Fit, Status

__all__ = ["fit_precise"]

GUARD = 15  # digits kept beyond those that are asked for
RAISES = 4  # of the digits, when rounding keeps the error from being level
PATIENCE = 14  # exchanges of a stage: from a good start it takes two or three
WINDOW = 100.0  # of an unbounded domain, in which an expression is asked for its kinks
DETECT = 60  # digits with which symmetry is looked for


def fit_precise(
    problem: Problem,
    precision: int,
    *,
    start: Fit | None = None,
    max_iterations: int = 40,
    callback: Callable[..., Any] | None = None,
    throw: bool = True,
    arithmetic: Arithmetic | None = None,
) -> Fit:
    """The best rational approximation to ``precision`` decimal digits.

    Args:
        problem: floats that bound its domain mean the decimals that they print as, 0.1 one
            tenth; ``fn`` and ``weight`` take mpmath numbers; expressions and catalogue targets
            are evaluated with python-flint where that is installed.
        precision: decimal digits of the error, and of the values of r relative to the error.
        start: a former fit of the same type whose reference is close.
        max_iterations: of the scanning exchange, and of Newton's.
        callback: called with ``(degree, points)`` before each exchange of a stage.
        arithmetic: the numbers to work with; default the fastest that is installed.

    Raises:
        ConvergenceError: no start led to an alternating error; with ``throw=False`` only when
            there is nothing to return at all.
    """
    arithmetic = arithmetic or fastest()
    problem = replace(problem, domain=problem.domain.decimal())
    limit = math.inf
    if len(problem.domain.intervals) > 1 and problem.degree[1] > 0:
        problem, double = compared(problem)
        if double is not None:
            start, limit = double, double.error
    with arithmetic.digits(DETECT):
        reduction = reduce(problem, arithmetic, _rough_hints(problem))
    search = _Search(reduction, arithmetic, max_iterations, callback)
    best: Fit | None = None
    for method, found in _attempts(search, start):
        fit = _finish(search, found, precision, method)
        if fit.converged and fit.error > 1.001 * limit:
            fit = replace(fit, status=Status.OPEN)
        best = fit if best is None or fit.converged else best
        if fit.converged:
            return fit
    if best is None:
        raise ConvergenceError(
            f"no alternating error was found on the way to type {problem.degree}: lower the "
            "degree, or split the domain where fn is singular"
        )
    if throw:
        raise ConvergenceError(best.status.value, best)
    return best


def _attempts(search: _Search, start: Fit | None) -> Iterator[tuple[str, _Found]]:
    """What the starts lead to, one after another."""
    if start is not None and (found := search.near(start)) is not None:
        yield "warm start", found
    if (found := search.climb()) is not None:
        yield "continuation", found
    former = double_fit(folded(search.reduction)) if start is None else None
    if former is not None and (found := search.near(former)) is not None:
        yield "double start", found


def _rough_hints(problem: Problem) -> tuple[float, ...]:
    """Where f may not be smooth, as its expression and double precision see it."""
    from .survey import survey

    found: set[float] = set()
    expression = as_expression(problem.fn)
    if expression is not None:
        low, high = (min(max(end, -WINDOW), WINDOW) for end in problem.domain.hull)
        found.update(expression.singular_points(low, high))
    with suppress(RemezError, ArithmeticError, ValueError, TypeError):  # double cannot say
        found.update(map(float, survey(problem, problem.target()).singular))
    return tuple(sorted(found))


@dataclass(frozen=True, eq=False)
class _Found:
    """Where a search ended: the type in t, the points, and the digits it worked with.

    ``exact`` says that f is a rational of this type, as far as those digits tell.
    """

    degree: tuple[int, int]
    points: list[Number]
    digits: int
    exact: bool


class _Search:
    """Reference hunting for one reduced problem."""

    def __init__(
        self,
        reduction: Reduction,
        arithmetic: Arithmetic,
        limit: int,
        callback: Callable[..., Any] | None,
    ) -> None:
        self.reduction = reduction
        self.arithmetic = arithmetic
        self.limit = limit
        self.callback = callback
        self.evaluations = 0

    def curve(self, degree: tuple[int, int]) -> Curve:
        """The curve at the current working precision."""
        curve = self.reduction.curve(self.arithmetic, degree)

        def counted(t: Number) -> Number:
            self.evaluations += 1
            return curve.value(t)

        return replace(curve, value=counted)

    def near(self, former: Fit) -> _Found | None:
        """Settle from a former fit's reference: (degree, sampling coordinates, digits)."""
        error = float(former.error)
        resolved = former.status is Status.CONVERGED and error > 0
        if not resolved or former.defect > self.reduction.defect:
            return None
        degree = self.reduction.degree
        digits = 30 + self.lost(self.arithmetic.number(error))
        with self.arithmetic.digits(digits):
            curve = self.curve(degree)
            points = self.reduction.to_t(self.arithmetic, list(former.reference))
            kept = inside(curve, [self.reduction.unplace(self.arithmetic, t) for t in points])
            if len(kept) != curve.size:
                return None
            reference = self._settle(curve, kept)
            if reference is None or not error / 2 < float(reference.error) < 2 * error:
                return None
            return _Found(degree, reference.points, digits, False)

    def climb(self) -> _Found | None:
        """Grow the type from the least one, each start resampled from the last reference."""
        top, least = max(self.reduction.degree), self._least()
        at, digits = least - 1, 30
        path: list[tuple[int, list[Number]]] = []
        while at < top:
            for step in dict.fromkeys((max(1, (at + 1) // 3), max(1, (at + 1) // 6), 1, 2, 3, 4)):
                goal = min(at + step, top)
                degree = self._towards(goal, top)
                found = self._stage(degree, path, goal, digits)
                if found is not None:
                    break
            else:
                return None
            reference, digits, exact = found
            if exact:
                return _Found(degree, reference.points, digits, True)
            path, at = [*path[-1:], (goal, reference.points)], goal
            digits = 30 + 2 * self.lost(reference.error)
        return _Found(degree, path[-1][1], digits, False)

    def _towards(self, goal: int, top: int) -> tuple[int, int]:
        """The type (m, n) goal/top, rounded; on the line to one without a zero of q."""
        m, n = self.reduction.degree
        small = (round(m * goal / top), round(n * goal / top)) if top else (0, 0)
        return small if goal == top else self.reduction.attainable(small)

    def _least(self) -> int:
        """The first goal whose type has room for all of the prescribed values."""
        top, pins = max(self.reduction.degree), len(self.reduction.problem.interpolate)
        return next(k for k in range(top + 1) if k == top or sum(self._towards(k, top)) >= pins)

    def _stage(
        self, degree: tuple[int, int], path: list[tuple[int, list[Number]]], goal: int, digits: int
    ) -> tuple[Reference, int, bool] | None:
        """Settle at one type: the reference, the digits it took, and whether f was reached."""
        tries = [path, path[-1:], []][2 - min(len(path), 2) :]
        while tries:
            with self.arithmetic.digits(digits):
                curve = self.curve(degree)
                start = resample(curve, tries[0], goal) if tries[0] else first(curve)
                reference = self._settle(curve, start)
                if reference is None:
                    tries.pop(0)
                    continue
                exact = bool(reference.error <= self.floor)
            if not exact or digits >= 120:
                return reference, digits, exact
            digits *= 2
        return None

    def _settle(self, curve: Curve, points: list[Number]) -> Reference | None:
        if self.callback is not None:
            self.callback(curve.degree, points)
        try:
            return settle(curve, points, min(self.limit, PATIENCE), self.floor)
        except ZeroDivisionError:
            return None

    @cached_property
    def height(self) -> Number:
        """The size of f, from a few points."""
        with self.arithmetic.digits(30):
            curve = self.curve((8, 8))
            values = [abs(curve.value(curve.place(s))) for s in chebyshev(curve, curve.size)]
            return max((v for v in values if v > 0), default=self.arithmetic.number(1))

    @property
    def floor(self) -> Number:
        """What cannot be told from rounding at the working precision."""
        return self.height * self.arithmetic.number(10) ** (12 - self.arithmetic.decimals)

    def lost(self, error: Number) -> int:
        """Decimal digits by which f exceeds the error."""
        gap = self.arithmetic.log(self.height) - self.arithmetic.log(error)
        return max(0, math.ceil(gap / math.log(10)))


def _finish(search: _Search, found: _Found, precision: int, method: str) -> Fit:
    """Polish at full precision, and write the answer in x."""
    degree, points, exact = found.degree, found.points, found.exact
    arithmetic = search.arithmetic
    with arithmetic.digits(found.digits):
        curve = search.curve(degree)
        rough = curve.levelled(inside(curve, points), None)
        lost = 0 if exact else search.lost(abs(rough.error))
        crowding = _crowding(arithmetic, points)
    digits, steps = precision + GUARD + lost + crowding, 0
    for _ in range(RAISES):
        with arithmetic.digits(digits):
            curve = search.curve(degree)
            points = inside(curve, points)  # an end that is no dyadic number has moved
            reference = Reference(points, curve.levelled(points, None), 1.0, steps)
            tolerance = arithmetic.number(10) ** -(precision + 2)
            if exact:
                break
            reference = polish(curve, reference, tolerance, 20)
            points, steps = reference.points, reference.iterations
            if not tolerance < reference.excess < 1e-6:
                break
            digits += 5 + math.ceil(arithmetic.log(reference.excess / tolerance) / math.log(10))
    with arithmetic.digits(digits):
        rational = _rational(search.reduction, curve, reference, precision)
        scan = Scan.of(curve, reference.levelled, reference.points)
        low, high = reference.error, reference.error * (1 + max(reference.excess, 0))
        sampled = arithmetic.number(scan.peak)
        level = sampled <= high * (1 + tolerance) and reference.excess <= tolerance
        settled = scan.one_sign and (exact or level)
        low, high = (arithmetic.mpf(arithmetic.number(x)) for x in (low, max(high, sampled)))
        if exact:
            low, high = min(low, high), arithmetic.mpf(sampled)
        xs = search.reduction.to_x([arithmetic.mpf(curve.place(s)) for s in reference.points])
    with mp.workdps(precision):
        return Fit(
            rational,  # type: ignore[arg-type]
            search.reduction.problem,
            +high,
            +low,
            np.array(xs, object),
            Status.CONVERGED if settled else Status.NOT_LEVELLED,
            iterations=reference.iterations,
            evaluations=search.evaluations,
            method=f"{method}, {arithmetic.name}",
            defect=search.reduction.defect
            + min(a - b for a, b in zip(search.reduction.degree, degree, strict=True))
            * search.reduction.power,
            precision=precision,
        )


def _crowding(arithmetic: Arithmetic, points: Sequence[Number]) -> int:
    """Digits that neighbouring points have in common, relative to the size of the domain."""
    if len(points) < 2:
        return 0
    gap = min(b - a for a, b in itertools.pairwise(points))
    near = max(map(abs, points))
    return max(0, math.ceil((arithmetic.log(near) - arithmetic.log(gap)) / math.log(10)))


def _rational(
    reduction: Reduction, curve: Curve, reference: Reference, precision: int
) -> PreciseRational:
    """Coefficients in u = (t - origin)/scale, with digits raised until they give r back."""
    arithmetic, levelled = curve.arithmetic, reference.levelled
    ts = levelled.points
    low, high = ts[0], ts[-2] if reduction.unbounded else ts[-1]
    gaps = [b - a for a, b in itertools.pairwise(ts)]
    if reduction.unbounded:
        origin, scale = reduction.base(arithmetic), arithmetic.number(1)
    else:
        crowd = ts[gaps.index(min(gaps))]
        spaced = min(gaps) * 20 * len(ts) > high - low
        origin = (
            arithmetic.number((low + high) / 2)
            if spaced
            else min((*ts, *map(curve.place, curve.singular)), key=lambda t: abs(t - crowd))
        )
        scale = arithmetic.number(max(high - origin, origin - low))
    wanted = [p / q for p, q in zip(levelled.p, levelled.q, strict=True)]
    bound = (
        reference.error if reference.error > 0 else abs(max(wanted, key=abs))
    ) * arithmetic.number(10) ** -(precision + 1)
    weights = [curve.weight(t) for t in ts]
    digits = arithmetic.decimals
    for _ in range(8):
        digits += 10 + len(ts) // 2
        with arithmetic.digits(digits):
            u = [(t - origin) / scale for t in ts]
            p, q = (
                _coefficients(arithmetic, u, values, degree)
                for values, degree in zip((levelled.p, levelled.q), curve.degree, strict=True)
            )
            top = (
                max(q, key=abs)
                * (1 if levelled.q[0] > 0 else -1)
                * (1 if max(q, key=abs) > 0 else -1)
            )
            p, q = [arithmetic.number(c / top) for c in p], [arithmetic.number(c / top) for c in q]
            got = [_horner(p, v) / _horner(q, v) for v in u]
            if all(abs(a - b) * w <= bound for a, b, w in zip(got, wanted, weights, strict=True)):
                break
    odd = reduction.parity == "odd"
    return PreciseRational(
        tuple(map(arithmetic.mpf, p)),
        tuple(map(arithmetic.mpf, q)),
        (reduction.power * curve.degree[0] + odd, reduction.power * curve.degree[1]),
        precision,
        digits,
        reduction.power,
        odd,
        mp.mpf(reduction.centre.numerator) / reduction.centre.denominator,
        arithmetic.mpf(origin),
        arithmetic.mpf(scale),
    )


def _coefficients(
    arithmetic: Arithmetic, u: Sequence[Number], values: Sequence[Number], degree: int
) -> list[Number]:
    """The polynomial through degree + 1 of the points, by Newton's divided differences."""
    at = spread(len(u), degree + 1)
    nodes, table = [u[i] for i in at], [values[i] for i in at]
    for k in range(1, len(nodes)):
        for i in range(len(nodes) - 1, k - 1, -1):
            table[i] = arithmetic.number((table[i] - table[i - 1]) / (nodes[i] - nodes[i - k]))
    out = [table[-1]]
    for z, c in zip(reversed(nodes[:-1]), reversed(table[:-1]), strict=True):
        shifted = [arithmetic.number(0), *out]
        out = [
            arithmetic.number(a - z * b)
            for a, b in zip(shifted, [*out, arithmetic.number(0)], strict=True)
        ]
        out[0] = arithmetic.number(out[0] + c)
    return out


def _horner(coefficients: Sequence[Number], u: Number) -> Number:
    value = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        value = value * u + c
    return value
