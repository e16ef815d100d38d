"""Relative error in any precision where fn has zeros, see `remez.solver.zeros`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from mpmath import mp

from remez.errors import TargetError
from remez.functions.working_precision import working_digits
from remez.functions.zeros import Zero, zeros_of
from remez.problem import Problem
from remez.rational.multiprecision import MultiprecisionRational
from remez.rational.protocol import Real
from remez.solution import Solution
from remez.solver.zeros import divided

__all__ = ["PreciseDivision", "divide"]

EXACT = 60  # digits with which an end, 0 or a short decimal is tried as a zero
NEAR = 1e-6  # relative distance from the zero in double precision within which it is meant


@dataclass(frozen=True, eq=False)
class _PreciseZero:
    """A zero of fn, known to any number of digits.

    Attributes:
        double: The zero in double precision.
        exact: The number itself, where fn vanishes there to all digits.
    """

    fn: Callable[[Real], Real]
    double: Zero
    exact: Fraction | None
    known: dict[int, Real] = field(default_factory=dict)

    def place(self) -> Real:
        """The zero at the working precision."""
        if self.exact is not None:
            return mp.mpf(self.exact.numerator) / self.exact.denominator
        digits = mp.dps
        if digits not in self.known:
            with working_digits(2 * digits * self.double.order):
                start = mp.mpf(self.double.high) + mp.mpf(self.double.low)
                self.known[digits] = _root(self.fn, start, self.double.order, digits)
        return +self.known[digits]


def _root(fn: Callable[[Real], Real], start: Real, order: int, digits: int) -> Real:
    """The zero of the derivative of order k - 1 next to a point, by the secant method."""

    def slope(x: Real) -> Real:
        return mp.mpf(fn(x)) if order == 1 else mp.diff(fn, x, order - 1)

    a, b = start, start + mp.mpf(10) ** -12 * max(abs(start), 1)
    f_a, f_b = slope(a), slope(b)
    for _ in range(60):
        if f_b in (f_a, 0):
            break
        a, b, f_a = b, b - f_b * (b - a) / (f_b - f_a), f_b
        if abs(b - a) <= mp.mpf(10) ** -(digits + 2) * abs(b):
            break
        f_b = slope(b)
    return b


class _Quotient:
    """``fn(x)/prod (x - z)^k`` for mpmath numbers, with the digits that it loses added.

    At a zero the value at a distance of 10^-digits stands for the limit.
    """

    def __init__(
        self, fn: Callable[[Real], Real], zeros: Sequence[_PreciseZero], hull: tuple[float, float]
    ) -> None:
        self.fn = fn
        self.zeros = tuple(zeros)
        self.hull = hull

    def __call__(self, x: Any) -> Real:
        digits, x = mp.dps, mp.mpf(x)
        apart = mp.mpf(10) ** -(digits + 5)
        lost = 0
        for zero in self.zeros:
            place = zero.place()
            gap = x - place
            if abs(gap) < apart:
                inward = 1 if place < sum(map(mp.mpf, self._ends(place))) / 2 else -1
                gap = inward * apart
                with working_digits(2 * digits + 20):
                    x = zero.place() + gap
            lost += zero.double.order * max(0, -int(mp.floor(mp.log10(abs(gap)))))
        with working_digits(2 * digits + lost + 10):
            value = mp.mpf(self.fn(x))
            for zero in self.zeros:
                value = value / (x - zero.place()) ** zero.double.order
        return +value

    def _ends(self, place: Real) -> tuple[Any, Any]:
        low, high = self.hull
        return (low if mp.isfinite(low) else place - 1, high if mp.isfinite(high) else place + 1)


@dataclass(frozen=True, eq=False)
class PreciseDivision:
    """A problem in relative error, and the one that is left without the zeros of fn."""

    whole: Problem
    problem: Problem
    zeros: tuple[_PreciseZero, ...]

    def lift(self, solution: Solution) -> Solution:
        """The solution of the whole problem, its rational multiplied by the factors."""
        if not self.zeros:
            return solution
        rational: Any = solution.rational
        with working_digits(rational.working_digits + 2 * rational.size + 10):
            product = _multiplied(rational, [(z.place(), z.double.order) for z in self.zeros])
        with working_digits(rational.digits):
            apart = mp.mpf(10) ** -(solution.precision or rational.digits)
            reference = solution.reference.copy()
            for zero in self.zeros:  # where the error is a limit
                place = zero.place()
                for i, x in enumerate(reference):
                    if abs(x - place) <= apart:
                        reference[i] = place + (apart if i < reference.size / 2 else -apart)
        return replace(solution, rational=product, problem=self.whole, reference=reference)


def divide(problem: Problem) -> PreciseDivision:
    """Find the zeros of fn where the error is relative, and divide them out.

    Raises:
        TargetError: fn vanishes, but not like a power of x - z, or not to all digits.
        DegreeError: fn has more zeros than a numerator of degree m.
    """
    if problem.weight != "relative":
        return PreciseDivision(problem, problem, ())
    fn: Any = problem.fn
    said = tuple(x for x, y in problem.interpolate if y == 0)
    doubles = [one.zero for one in zeros_of(problem.target(), problem.domain, said)]
    if not doubles:
        return PreciseDivision(problem, problem, ())
    ends = [x for pair in (problem.domain.exact or problem.domain.intervals) for x in pair]
    zeros = tuple(_PreciseZero(fn, zero, _exact(fn, zero, ends)) for zero in doubles)
    for zero in zeros:
        _check(zero)
    quotient = _Quotient(fn, zeros, problem.domain.hull)
    return PreciseDivision(problem, divided(problem, doubles, quotient), zeros)


def _exact(fn: Callable[[Real], Real], zero: Zero, ends: Sequence[Any]) -> Fraction | None:
    """The end, 0, or the decimal that the zero prints as, if fn vanishes there to all digits."""
    finite = [Fraction(end) for end in ends if mp.isfinite(mp.mpf(float(end)))]
    short = Fraction(repr(zero.high)).limit_denominator(10**6)
    for candidate in (Fraction(0), *finite, Fraction(zero.high), short):
        if abs(float(candidate) - zero.high) > NEAR * max(abs(zero.high), NEAR):
            continue
        with working_digits(EXACT), suppress(ArithmeticError, ValueError):
            value = mp.mpf(fn(mp.mpf(candidate.numerator) / candidate.denominator))
            unit = mp.mpf(fn(mp.mpf(candidate.numerator) / candidate.denominator + mp.mpf("0.01")))
            if abs(value) <= mp.mpf(10) ** (5 - EXACT) * abs(unit):
                return candidate
    return None


def _check(zero: _PreciseZero) -> None:
    """fn has to vanish at its zero to all digits."""
    with working_digits(EXACT):
        place = zero.place()
        at, beside = mp.mpf(zero.fn(place)), mp.mpf(zero.fn(place + mp.mpf("1e-5")))
        if abs(at) > mp.mpf(10) ** (15 - EXACT) * max(abs(beside), mp.mpf(10) ** -20):
            raise TargetError(
                f"fn is nearly 0 at x = {float(place):.9g}, but not to all digits: leave an "
                "interval around that point out of the domain, or give fn with more digits"
            )


def _multiplied(
    rational: MultiprecisionRational, zeros: Sequence[tuple[Real, int]]
) -> MultiprecisionRational:
    """The rational times ``prod (x - z)^k``, its coefficients taken about the first zero."""
    odd, places = int(rational.odd), []
    for z, order in zeros:
        d = z - rational.centre
        if rational.power == 1:
            places.append((d, order))
        elif abs(d) <= mp.mpf(10) ** (5 - mp.dps) * max(1, abs(z)):
            odd += order
            places.append((mp.zero, odd // 2))
            odd %= 2
        elif d > 0:  # its mirror image is a zero as well
            places.append((d * d, order))
    places = [place for place in places if place[1] > 0]
    anchor = min((t for t, _ in places), key=abs, default=rational.origin)
    shift = (anchor - rational.origin) / rational.scale
    p, q = (_shifted(c, shift) for c in (rational.numerator, rational.denominator))
    for t, order in places:
        for _ in range(order):
            p = _times(p, anchor - t, rational.scale)
    m, n = rational.degree
    return replace(
        rational,
        numerator=tuple(p),
        denominator=tuple(q),
        degree=(m + sum(order for _, order in zeros), n),
        working_digits=mp.dps,
        odd=bool(odd),
        origin=anchor,
    )


def _shifted(coefficients: Sequence[Real], c: Real) -> list[Real]:
    """Coefficients of ``p(u + c)``."""
    out = list(coefficients)
    for i in range(len(out) - 1):
        for k in range(len(out) - 2, i - 1, -1):
            out[k] += c * out[k + 1]
    return out


def _times(coefficients: Sequence[Real], constant: Real, slope: Real) -> list[Real]:
    """Coefficients of ``(constant + slope u) p(u)``."""
    padded = [mp.zero, *coefficients]
    above = [*coefficients, mp.zero]
    return [slope * a + constant * b for a, b in zip(padded, above, strict=True)]
