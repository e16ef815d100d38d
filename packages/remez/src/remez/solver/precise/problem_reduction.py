"""The problem in one arithmetic, reduced by symmetry, with a finite stand-in for infinity.

Even f becomes a function of t = (x - c)^2, odd f is (x - c) times one; the error of the latter
carries the weight sqrt(t). Unbounded domains are sampled in s with t = base + s / (1 - |s|);
their infinite ends are put so far out that f equals its limit to the last digit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction

from mpmath import mp

from remez.errors import TargetError
from remez.functions.working_precision import working_digits
from remez.number_types import to_mpf
from remez.problem import Problem, halved, unfolded
from remez.rational.arithmetic import Arithmetic, Number
from remez.solver.precise.exchange import Curve

__all__ = ["Reduction", "reduce"]

Function = Callable[[Number], Number]


@dataclass(frozen=True, eq=False)
class Reduction:
    """The relation between x and the variable t of the rational.

    Attributes:
        degree: The type in t.
        parity: "even", "odd" or None.
        centre: of the symmetry, exactly; 0 without one.
        rough: Points x where f is not smooth.
    """

    problem: Problem
    degree: tuple[int, int]
    parity: str | None
    centre: Fraction
    rough: tuple[Fraction, ...] = ()

    @property
    def power(self) -> int:
        """2 with a symmetry, else 1."""
        return 1 if self.parity is None else 2

    @property
    def defect(self) -> int:
        """What the symmetry leaves unused of the degree."""
        pairs = zip(self.problem.degree, self.type_in_x(self.degree), strict=True)
        return min(asked - used for asked, used in pairs)

    def type_in_x(self, degree: tuple[int, int]) -> tuple[int, int]:
        """The type as a rational in x of one in t."""
        return unfolded(degree, self.parity)

    def halved(self, degree: tuple[int, int]) -> tuple[int, int]:
        """The largest type in t of the rationals of a type in x that have the symmetry."""
        return self.attainable(halved(degree, self.parity))

    def lower(self) -> list[tuple[int, int]]:
        """The types in t of less in both degrees in x, large ones first: of degenerate bests."""
        m, n = self.problem.degree
        types = [(m - d, n - d) for d in range(1, min(m, n) + 1) if m - d >= (self.parity == "odd")]
        return list(dict.fromkeys(one for one in map(self.halved, types) if one != self.degree))

    def intervals(self) -> list[tuple[Number, Number]]:
        """The domain in t, ends as fractions or infinities."""
        ends = self.problem.domain.exact or self.problem.domain.intervals
        exact = [tuple(x if _infinite(x) else Fraction(x) for x in pair) for pair in ends]
        if self.parity is None:
            return exact  # type: ignore[return-value]
        shifted = [(a - self.centre, b - self.centre) for a, b in exact]
        return [(max(a, 0) ** 2, b**2) for a, b in shifted if b > 0]

    def curve(self, arithmetic: Arithmetic, degree: tuple[int, int]) -> Curve:
        """The curve at the working precision; ``degree`` in t."""
        number = arithmetic.number
        parts = self.intervals()
        low, high = parts[0][0], parts[-1][1]
        value, weight = self._functions(arithmetic)
        far = _far(arithmetic, lambda t: weight(t) * value(t), low, high, self.base(arithmetic))
        place, unplace = _placement(arithmetic, low, high, far)
        fixed = tuple(self._fixed(arithmetic, unplace))
        rough = [number(t) for t in sorted({(c - self.centre) ** self.power for c in self.rough})]
        return Curve(
            arithmetic,
            value,
            weight,
            tuple((unplace(a), unplace(b)) for a, b in parts),
            degree,
            place,
            fixed,
            tuple(unplace(t) for t in rough),
        )

    def attainable(self, degree: tuple[int, int]) -> tuple[int, int]:
        """The largest type in t up to this one whose rationals stay bounded.

        Towards infinity p must not outgrow q; without a zero on the whole line q is even.
        """
        if not self.unbounded or self.problem.weight is not None:
            return degree
        low, high = self.intervals()[0][0], self.intervals()[-1][1]
        n = degree[1] - degree[1] % 2 if _infinite(low) and _infinite(high) else degree[1]
        return max(min(degree[0], n - (self.parity == "odd")), 0), n

    @property
    def unbounded(self) -> bool:
        """Whether t reaches infinity."""
        return any(_infinite(end) for pair in self.intervals() for end in pair)

    def base(self, arithmetic: Arithmetic) -> Number:
        """The finite end of a half-line in t, 0 for the whole line."""
        finite = [
            end for end in (self.intervals()[0][0], self.intervals()[-1][1]) if not _infinite(end)
        ]
        return arithmetic.number(finite[0] if finite else 0)

    def unplace(self, arithmetic: Arithmetic, t: Number) -> Number:
        """The sampling coordinate of t."""
        parts = self.intervals()
        return _placement(arithmetic, parts[0][0], parts[-1][1], None)[1](t)

    def to_t(self, arithmetic: Arithmetic, xs: list[Number]) -> list[Number]:
        """t of points x, one for each pair of mirror images, increasing."""
        centre = arithmetic.number(self.centre)
        ts = sorted(arithmetic.number((arithmetic.number(x) - centre) ** self.power) for x in xs)
        apart = ts[:1]
        for t in ts[1:]:
            if self.parity is None or t - apart[-1] > t * arithmetic.number(1e-6):
                apart.append(t)
        return apart

    def to_x(self, ts: list[Number]) -> list[Number]:
        """The points x of mpmath numbers t, with mirror images, increasing."""
        centre = to_mpf(self.centre)
        if self.parity is None:
            return ts
        roots = [mp.sqrt(t) for t in ts]
        return sorted({centre + sign * root for root in roots for sign in (-1, 1)})

    def _functions(self, arithmetic: Arithmetic) -> tuple[Function, Function]:
        number = arithmetic.number
        fn, weigh = arithmetic.function(self.problem.fn), self._weight(arithmetic)  # type: ignore[arg-type]
        centre, zero, one = number(self.centre), number(0), number(1)
        if self.parity is None:
            return _checked(fn), lambda x: abs(weigh(x))
        even = self.parity == "even"
        value = _checked(fn)

        def reduced(t: Number) -> Number:
            d = arithmetic.sqrt(t)
            if even:
                return value(number(centre + d))
            return number(value(number(centre + d)) / d) if d != 0 else zero

        def weight(t: Number) -> Number:
            d = arithmetic.sqrt(t)
            if not even and d == 0:
                return zero
            return abs(weigh(number(centre + d)) * (one if even else d))

        return reduced, weight

    def _weight(self, arithmetic: Arithmetic) -> Callable[[Number], Number]:
        weight, one = self.problem.weight, arithmetic.number(1)
        if weight is None:
            return lambda x: one
        if weight == "relative":
            fn = arithmetic.function(self.problem.fn)  # type: ignore[arg-type]
            return lambda x: one / fn(x)
        return _not_negative(arithmetic.function(weight))  # type: ignore[arg-type]

    def _fixed(self, arithmetic: Arithmetic, unplace: Function) -> Iterator[tuple[Number, Number]]:
        number, seen = arithmetic.number, set()
        for pair in self.problem.interpolate:
            x, y = (Fraction(repr(float(v))) for v in pair)
            d = abs(x - self.centre) if self.parity else x - self.centre
            if d in seen or (self.parity == "odd" and d == 0):
                continue
            seen.add(d)
            sign = -1 if self.parity == "odd" and x < self.centre else 1
            target = sign * y / d if self.parity == "odd" else y
            yield unplace(number(d**self.power)), number(target)


def reduce(problem: Problem, arithmetic: Arithmetic, hints: tuple[float, ...] = ()) -> Reduction:
    """Find the symmetry and the points where f is not smooth, at the working precision."""
    ends = problem.domain.exact or problem.domain.intervals
    low, high = ends[0][0], ends[-1][1]
    symmetric = _infinite(low) == _infinite(high) and all(
        -a == d and -b == c if _infinite(low) else a + d == low + high and b + c == low + high
        for (a, b), (c, d) in zip(ends, reversed(ends), strict=True)
    )
    centre = Fraction(0) if _infinite(low) or not symmetric else Fraction(low + high) / 2
    parity = problem.parity
    if parity == "auto":
        parity = _symmetry(problem, centre, high) if symmetric else None
        parity = parity if _mirrored(problem, centre, parity) else None
    rough = tuple(sorted(set(_rough_points(problem, hints))))
    if parity == "odd" and problem.degree[0] == 0:  # every odd r of this type is 0
        return Reduction(problem, (0, 0), None, Fraction(0), rough)
    reduction = Reduction(problem, (0, 0), parity, centre if parity else Fraction(0), rough)
    return replace(reduction, degree=reduction.halved(problem.degree))


def _infinite(x: Number) -> bool:
    return isinstance(x, float) and abs(x) == float("inf")


def _far(arithmetic: Arithmetic, fn: Function, low: Number, high: Number, base: Number) -> Number:
    """What stands for infinity: 10^digits, its square where fn moves from here to there, and so on.

    Where fn cannot be evaluated any more, it stays.
    """
    signs = [sign for sign, end in ((-1, low), (1, high)) if _infinite(end)]
    far = arithmetic.number(10) ** arithmetic.decimals
    with suppress(TargetError):
        for _ in range(2):
            values = [(fn(sign * far), fn(sign * far * far), fn(base + sign)) for sign in signs]
            if all(abs(a - b) * far <= abs(b) + abs(c) for a, b, c in values):
                break
            far = far * far
    return arithmetic.number(far)


def _placement(
    arithmetic: Arithmetic, low: Number, high: Number, far: Number
) -> tuple[Function, Function]:
    """``s -> t`` and back."""
    number = arithmetic.number
    if not (_infinite(low) or _infinite(high)):
        return (lambda s: s), number
    base = number(0 if _infinite(low) and _infinite(high) else high if _infinite(low) else low)
    one = number(1)

    def place(s: Number) -> Number:
        if abs(s) >= one:
            return far if s > 0 else -far
        return number(base + s / (one - abs(s)))

    def unplace(t: Number) -> Number:
        if _infinite(t):
            return one if t > 0 else -one
        y = number(t) - base
        return number(y / (one + abs(y)))

    return place, unplace


def _checked(fn: Callable[[Number], Number]) -> Callable[[Number], Number]:
    def value(x: Number) -> Number:
        y = fn(x)
        if not (y - y == 0):  # NaN or infinity; a NaN ball is neither equal nor unequal
            raise TargetError(
                f"fn is {float(y):g} at x = {float(x):.17g}: leave that point out of the domain"
            )
        return y

    return value


def _not_negative(weight: Callable[[Number], Number]) -> Callable[[Number], Number]:
    def value(x: Number) -> Number:
        y = weight(x)
        if not y >= 0:  # negative or NaN
            raise TargetError(
                f"weight is {float(y):g} at x = {float(x):.17g}: return a number >= 0 on all of "
                "the domain"
            )
        return y

    return value


def _symmetry(problem: Problem, centre: Fraction, high: Number) -> str | None:
    """Whether f (and the weight) is even or odd about the centre, at a few points."""
    fn: Number = problem.fn
    middle = to_mpf(centre)
    weight = problem.weight if callable(problem.weight) else None
    inside = problem.domain.exact or problem.domain.intervals
    low = max(mp.mpf(0), to_mpf(inside[-1][0]) - middle)
    reach = mp.mpf(10) if _infinite(high) else to_mpf(high) - middle - low
    found = {"even", "odd"}
    for share in ("0.137", "0.291", "0.448", "0.623", "0.811", "0.973"):
        d = low + reach * mp.mpf(share)
        right, left = mp.mpf(fn(middle + d)), mp.mpf(fn(middle - d))
        tiny = mp.mpf(10) ** (6 - mp.dps) * max(abs(right), abs(left))
        found -= {"even"} if abs(right - left) > tiny else set()
        found -= {"odd"} if abs(right + left) > tiny else set()
        if weight is not None and abs(weight(middle + d) - weight(middle - d)) > tiny:
            return None
    return "even" if "even" in found else "odd" if found else None


def _mirrored(problem: Problem, centre: Fraction, parity: str | None) -> bool:
    """Whether the prescribed values have the symmetry as well."""
    pins = {(Fraction(repr(x)) - centre, Fraction(repr(y))) for x, y in problem.interpolate}
    sign = -1 if parity == "odd" else 1
    return pins == {(-d, sign * y) for d, y in pins}


def _rough_points(problem: Problem, hints: tuple[float, ...]) -> Iterator[Fraction]:
    """Candidates inside the domain at which second differences do not vanish like h^2."""
    candidates = {0.0, *hints}
    for c in candidates:
        short = Fraction(c).limit_denominator(1000)
        for exact in {Fraction(c), short, Fraction(float(short))}:
            inside = any(a < exact < b for a, b in problem.domain.intervals)
            if inside and _is_rough(problem.fn, exact):
                yield exact


def _is_rough(fn: Number, c: Fraction) -> bool:
    with working_digits(100):
        centre, noise = to_mpf(c), mp.mpf(10) ** -80
        differences = []
        for exponent in (-25, -35):
            h = mp.mpf(10) ** exponent
            middle = mp.mpf(fn(centre))
            second = abs(mp.mpf(fn(centre + h)) - 2 * middle + mp.mpf(fn(centre - h)))
            differences.append(second / h if second > noise * (1 + abs(middle)) else mp.zero)
        return bool(differences[1] > differences[0] * mp.mpf(10) ** -8)
