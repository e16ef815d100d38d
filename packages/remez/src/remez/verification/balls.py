r"""Rigorous bounds of ``w (f - r)`` over intervals, by Taylor panels of ball arithmetic.

On a panel x = c + rho t, |t| <= 1, Taylor's theorem gives

    e(x) = sum_{k < K} e_k t^k + theta t^K,

e_k from the series of e at c, and theta enclosed by the K-th coefficient of the series whose
constant term is the whole panel. The polynomial is bounded on a tree of halved cells, by the range
of its quadratic part plus the moduli of the rest. A panel on which the remainder is too large is
halved; where f is not smooth, panels are halved until the interval range of e is small enough.
The last panel of an unbounded interval is [X, inf), on which f and r have tail enclosures
(`functions.tails`). In certificates r is a quotient of polynomials, in generated code a program of
arithmetic operations.

References:
    K. Makino, M. Berz, "Taylor models and other validated functional inclusion methods",
    Int. J. Pure Appl. Math. 4(4), 2003 (panels with remainder); F. Johansson, "Arb: efficient
    arbitrary-precision midpoint-radius interval arithmetic", doi:10.1109/TC.2017.2690633.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

from flint import arb, arb_poly, arb_series

from remez.functions.expression import Expression
from remez.functions.tails import TailEnclosure
from remez.functions.working_precision import flint_precision
from remez.number_types import horner, mantissa_and_exponent
from remez.rational.protocol import Real

__all__ = [
    "ErrorCurve",
    "Evaluated",
    "Quotient",
    "Supremum",
    "barycentric",
    "coefficients",
    "exact",
    "working",
]

Ball = arb | arb_series

ORDER = 14  # K, the order of the remainder
SLACK = 1e-6  # relative width to which the supremum is enclosed
DEPTH = 40  # halvings of a cell when the polynomial is bounded
HALVINGS = 3000  # of one panel; singularities |x|^a with small a need hundreds
PANELS = 100_000  # largest number of panels of a proof
DOUBLINGS = 400  # of X, after which the limit of f at infinity counts as unknown


@contextmanager
def working(bits: int) -> Iterator[None]:
    """Ball arithmetic at ``bits`` bits and series up to the order of the remainder."""
    with flint_precision(bits, ORDER + 1):
        yield


def exact(x: Real) -> arb:
    """A float, fraction or mpmath number as a ball that holds it (exactly, if dyadic)."""
    if hasattr(x, "_mpf_"):
        return arb(mantissa_and_exponent(x))
    if isinstance(x, Fraction):
        return arb(x.numerator) / x.denominator
    return arb(x)


def barycentric(nodes: Sequence[Real], values: Sequence[Real]) -> arb_poly:
    """``sum_k c_k prod_{j != k} (u - z_j)``, the polynomial behind a barycentric sum."""
    left, total = arb_poly([1]), arb_poly([0])
    for z, c in zip(nodes, values, strict=True):
        factor = arb_poly([-exact(z), 1])
        total = total * factor + left * exact(c)
        left = left * factor
    return total


def coefficients(values: Sequence[Real], inner: arb_poly) -> arb_poly:
    """The polynomial with these coefficients, constant term first, at the polynomial ``inner``."""
    return arb_poly([exact(v) for v in values])(inner)


class Approximant(Protocol):
    """r in ball arithmetic."""

    def at(self, x: arb) -> arb:
        """An enclosure of r at a point."""

    def along(self, c: arb, rho: arb) -> Callable[[arb_poly], arb_series] | None:
        """``r(c + rho t)`` as a function of the series t, or None if r may have a pole there."""

    def tail(self, x: TailEnclosure) -> TailEnclosure:
        """An enclosure of r over all x of a tail."""


@dataclass(frozen=True, eq=False)
class Quotient:
    """p/q."""

    p: arb_poly
    q: arb_poly

    def at(self, x: arb) -> arb:
        """An enclosure of p/q at a point."""
        return self.p(x) / self.q(x)

    def along(self, c: arb, rho: arb) -> Callable[[arb_poly], arb_series] | None:
        """``(p/q)(c + rho t)``, or None unless q is proved to have no zero for |t| <= 1."""
        step = arb_poly([c, rho])
        p, q = self.p(step), self.q(step)
        head, *rest = q.coeffs() or [arb(0)]
        if not head.abs_lower() > sum((abs(v) for v in rest), arb(0)):
            return None
        return lambda t: _truncated(p(t)) / _truncated(q(t))

    def tail(self, x: TailEnclosure) -> TailEnclosure:
        """An enclosure of p/q over all x of a tail."""
        return _tail_of(self.p, x) / _tail_of(self.q, x)


@dataclass(frozen=True, eq=False)
class Evaluated:
    """r as a program: ``run(x, arb)`` evaluates it with exact constants in the arithmetic of x."""

    run: Callable[[Any, Callable[[float], arb]], Any]

    def at(self, x: arb) -> arb:
        """An enclosure of r at a point."""
        return arb(self.run(x, arb))

    def along(self, c: arb, rho: arb) -> Callable[[arb_poly], arb_series]:
        """``r(c + rho t)``; a division by zero gives a coefficient that is not finite."""

        def series(t: arb_poly) -> arb_series:
            value = self.run(arb_series([c + rho * t[0], rho]), arb)
            return value if isinstance(value, arb_series) else arb_series([value])

        return series

    def tail(self, x: TailEnclosure) -> TailEnclosure:
        """An enclosure of r over all x of a tail."""
        return x.of(self.run(x, arb))


@dataclass(frozen=True)
class Supremum:
    """A bound of |e|, finite only if r has no pole on the panels, and the number of panels."""

    bound: arb
    panels: int


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """``e = weight (f - r)``; the weight None stands for 1."""

    function: Expression
    weight: Expression | None
    rational: Approximant

    def at(self, x: arb) -> arb:
        """An enclosure of e at a point."""
        value = self.function.ball(x) - self.rational.at(x)
        error: arb = value if self.weight is None else self.weight.ball(x) * value
        return error

    def supremum(
        self,
        panels: Sequence[tuple[arb, arb]],
        scale: arb,
        most: int = PANELS,
        halvings: int = HALVINGS,
    ) -> Supremum:
        """Bound |e| over panels (a, b).

        Args:
            panels: Panels that cover the domain; an end may be infinite.
            scale: Bounds below this value need not be tight.
            most: The number of panels after which the result is infinite.
            halvings: The number of halvings of a bounded panel after which the result is infinite.
        """
        bound, count = arb(0), 0
        # unbounded panels first: they fail early if the limit of f is unknown
        stack = sorted(((a, b, 0) for a, b in reversed(panels)), key=lambda panel: _reaches(*panel))
        while stack:
            a, b, depth = stack.pop()
            tail = _reaches(a, b)
            found = (self._tail if tail else self._panel)(a, b, bound.max(scale))
            if found is not None:
                count += 1
                bound = bound.max(found)
            elif depth >= (DOUBLINGS if tail else halvings) or len(stack) + count > most:
                return Supremum(arb.pos_inf(), count)
            else:
                middle = _middle(a, b)
                halves = [(middle, b, depth + 1), (a, middle, depth + 1)]
                stack += sorted(halves, key=lambda panel: _reaches(*panel))
        return Supremum(bound, count)

    def _panel(self, a: arb, b: arb, scale: arb) -> arb | None:
        """An upper bound of |e| on [a, b], or None if the panel must be halved."""
        c, rho = ((a + b) / 2).mid(), ((b - a) / 2).upper()
        rational = self.rational.along(c, rho)
        if rational is None:
            return None
        for function in self._forms(a, b, scale):
            found = self._enclosed(function, rational, c, rho, scale)
            if found is not None:
                return found
        return None

    def _forms(self, a: arb, b: arb, scale: arb) -> Iterator[Callable[[Ball], Ball]]:
        """f and, for large |x|, a constant ball around its tail if narrow enough."""
        yield self.function.ball
        if self.weight is None and (a >= 1 or b <= -1):
            values = self.function.tail(_far(a, 1) if a >= 1 else _far(b, -1)).values
            if values.is_finite() and values.rad() < scale * SLACK / 4:
                yield lambda x: values

    def _enclosed(
        self,
        function: Callable[[Ball], Ball],
        rational: Callable[[arb_poly], arb_series],
        c: arb,
        rho: arb,
        scale: arb,
    ) -> arb | None:
        """A bound on c + rho [-1, 1] by the Taylor model, the range or the mean value form."""
        whole = arb_poly([arb(0, 1), 1])
        try:
            ball = self._series(function, rational, c, rho, whole)
        except (ValueError, ZeroDivisionError):  # a denominator whose enclosure contains 0
            return None
        rest = abs(ball[ORDER])
        if rest < scale * SLACK / 4:
            point = self._series(function, rational, c, rho, arb_poly([0, 1]))
            return _bound([point[k] for k in range(ORDER)], scale) + rest
        here = self.at(c)
        return _accepted([abs(ball[0]).upper(), abs(here) + abs(ball[1])], here, scale)

    def _tail(self, a: arb, b: arb, scale: arb) -> arb | None:
        """An upper bound of |e| on [a, inf) or (-inf, b], or None if the panel must be divided."""
        edge, sign = (a, 1) if a.is_finite() else (b, -1)
        if not edge * sign >= 1:
            return None
        x = _far(edge, sign)
        value = self.function.tail(x) - self.rational.tail(x)
        value = value if self.weight is None else self.weight.tail(x) * value
        return _accepted([abs(value.values).upper()], self.at(edge), scale)

    def _series(
        self,
        function: Callable[[Ball], Ball],
        rational: Callable[[arb_poly], arb_series],
        c: arb,
        rho: arb,
        t: arb_poly,
    ) -> arb_series:
        x = arb_series([c + rho * t[0], rho])
        value = function(x) - rational(t)
        return value if self.weight is None else self.weight.ball(x) * value


def _truncated(polynomial: arb_poly) -> arb_series:
    return arb_series(polynomial.coeffs()[: ORDER + 1])


def _far(edge: arb, sign: int) -> TailEnclosure:
    """The tail of x beyond ``edge``."""
    return TailEnclosure((edge * sign).lower(), Fraction(1), arb(sign), arb(sign))


def _reaches(a: arb, b: arb, depth: int = 0) -> bool:
    """Whether a panel reaches infinity."""
    return not (a.is_finite() and b.is_finite())


def _accepted(bounds: Sequence[arb], attained: arb, scale: arb) -> arb | None:
    """The first bound that is below ``scale`` or tight to SLACK, if any."""
    for level in (scale * (1 - SLACK), attained.abs_lower() + scale * SLACK):
        for bound in bounds:
            if bound < level:
                return bound
    return None


def _middle(a: arb, b: arb) -> arb:
    """The point that divides a panel: the midpoint, the geometric mean, or twice the finite end."""
    if not (a.is_finite() or b.is_finite()):
        return arb(0)
    if not b.is_finite():
        return (2 * abs(a)).max(arb(1)).mid()
    if not a.is_finite():
        return -_middle(-b, arb.pos_inf())
    if a > 0 and b > 16 * a:
        return (a * b).sqrt().mid()
    if b < 0 and a < 16 * b:
        return -(a * b).sqrt().mid()
    return ((a + b) / 2).mid()


def _tail_of(polynomial: arb_poly, x: TailEnclosure) -> TailEnclosure:
    """The tail enclosure of a polynomial."""
    *lower, top = polynomial.coeffs() or [arb(0)]
    value: TailEnclosure = horner([*lower, 0 * x + top], x)
    return value


def _bound(series: Sequence[arb], scale: arb) -> arb:
    """An upper bound of |sum_k c_k t^k| on [-1, 1], tight to SLACK where it exceeds ``scale``."""
    bound = arb(0)
    cells = [(arb_poly(list(series)), 0)]
    while cells:
        cell, depth = cells.pop()
        c = [cell[k] for k in range(len(series))]
        rest = sum((abs(v) for v in c[3:]), arb(0))
        here = (_quadratic(c[0], c[1], c[2]) + rest).upper()
        if here < scale or here < bound or rest < scale * SLACK / 4 or depth == DEPTH:
            bound = bound.max(here)
            continue
        half = arb(0.5)
        cells += [
            (cell(arb_poly([-half, half])), depth + 1),
            (cell(arb_poly([half, half])), depth + 1),
        ]
    return bound


def _quadratic(c0: arb, c1: arb, c2: arb) -> arb:
    """An upper bound of |c0 + c1 t + c2 t^2| on [-1, 1]: the ends and the vertex, if inside."""
    top = abs(c0 + c1 + c2).max(abs(c0 - c1 + c2))
    if 2 * abs(c2) < abs(c1) or c2 == 0:
        return top
    if c2.contains(0):
        return abs(c0) + abs(c1) + abs(c2)
    return top.max(abs(c0 - c1 * c1 / (4 * c2)))
