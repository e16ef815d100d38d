r"""Proof of a certificate in ball arithmetic, from its numbers and expressions alone.

Upper bound: Taylor panels over the whole domain (`balls`) bound ``max weight |f - p/q|`` for the
exact numbers of r, and show that q does not change sign on any interval.

Lower bound (de la Vallée Poussin): let p/q be of type (m - d, n - d), with an error that alternates
on m + n + 2 - d points with modulus at least ``lower``. If another rational of type (m, n) whose
denominator has the same signs on the domain had a smaller error, the difference of the two would
change sign m + n + 1 - d times, but its numerator has degree at most m + n - d.

With interpolation conditions r(z_j) = y_j, j = 1, ..., k, this numerator vanishes at every z_j.
Divided by ``prod_j (x - z_j)`` it has degree at most m + n - d - k, so m + n + 2 - d - k points
suffice on which the error times ``prod_j sign(x - z_j)`` alternates. Rounded coefficients do not
interpolate exactly; therefore p is replaced by p + c, where c is the polynomial of degree k - 1
that restores the conditions, enclosed in balls. The upper bound holds for p and for p + c. A lower
bound under fewer conditions is also valid under all of them; this is used if symmetry implies a
condition, such as r(0) = 0 for odd r.

All points are finite; an infinite end needs no point, because enlarging the domain can only
increase the best error.

References:
    E. W. Cheney, "Introduction to Approximation Theory", 1966, chapter 5; with nodes:
    S. Paszkowski, "On approximation with nodes", Rozprawy Mat. 14, 1957; G. Gilormini,
    "Approximation rationnelle avec noeuds", C. R. Acad. Sci. Paris A 263, 1966, 286-287.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from flint import arb, arb_poly

from remez.domain import Domain
from remez.errors import RemezError
from remez.functions.expression import Expression, parse
from remez.number_types import read_number
from remez.rational.protocol import Record
from remez.verification.balls import ErrorCurve, Quotient, barycentric, coefficients, exact, working

__all__ = ["Proof", "Unproved", "prove"]

BITS = (192, 384, 768, 1536, 3072)  # precisions, tried until the error is resolved
RESOLVED = 40  # bits to which the error must be known on the reference

Ends = Sequence[tuple[arb, arb]]
Degree = tuple[int, int]


class Unproved(RemezError):
    """The bounds could not be proved; the message states the reason."""


@dataclass(frozen=True)
class Proof:
    """``lower <= best error <= upper``, and ``upper`` bounds the error of r."""

    lower: float
    upper: float
    panels: int


@dataclass(frozen=True, eq=False)
class _Fraction:
    """p/q with ball coefficients, and the type (m, n) of its representation."""

    p: arb_poly
    q: arb_poly
    degree: Degree

    @classmethod
    def of(cls, rational: Record) -> _Fraction:
        """Convert the dictionary of any representation of a rational."""
        if "roots" in rational:
            return cls._of_factors(rational)
        if "nodes" not in rational:
            return cls._of_coefficients(rational)
        u = arb_poly([-exact(rational["origin"]), 1])
        folded = rational["folded"]
        form, inner = (rational, u) if folded is None else (folded, u * u)
        nodes, values, weights = (form[key] for key in ("nodes", "values", "weights"))
        products = [exact(v) * exact(w) for v, w in zip(values, weights, strict=True)]
        p, q = barycentric(nodes, products)(inner), barycentric(nodes, weights)(inner)
        size = (len(nodes) - 1) * (1 if folded is None else 2)
        if folded is None or not folded["odd"]:
            return cls(p, q, (size, size))
        return cls(p * u, q, (size + 1, size))

    @classmethod
    def _of_factors(cls, rational: Record) -> _Fraction:
        rest = cls.of(rational["rest"])
        p, (m, n) = rest.p, rest.degree
        for high, low, order in rational["roots"]:
            p, m = p * arb_poly([-exact(high) - exact(low), 1]) ** order, m + order
        return cls(p, rest.q, (m, n))

    @classmethod
    def _of_coefficients(cls, rational: Record) -> _Fraction:
        centre, origin, scale = (
            exact(read_number(rational[k])) for k in ("centre", "origin", "scale")
        )
        power, odd = int(rational["power"]), bool(rational["odd"])
        d = arb_poly([-centre, 1])
        u = (d**power - origin) * (1 / scale)
        p, q = (
            coefficients([read_number(text) for text in rational[key]], u)
            for key in ("numerator", "denominator")
        )
        m, n = (power * (len(rational[key]) - 1) for key in ("numerator", "denominator"))
        return cls(p * d if odd else p, q, (m + odd, n))

    def interpolating(self, fixed: Sequence[tuple[arb, arb]], share: arb) -> _Fraction:
        """(p + share c)/q, where p + c satisfies the conditions; the ball [0, 1] covers both."""
        if not fixed:
            return self
        added = arb_poly([0])
        for z, y in fixed:
            term = arb_poly([y * self.q(z) - self.p(z)])
            for other in (x for x, _ in fixed if x is not z):
                term = term * arb_poly([-other, 1]) * (1 / (z - other))
            added = added + term
        m, n = self.degree
        return _Fraction(self.p + added * share, self.q, (max(m, len(fixed) - 1), n))


def prove(claim: Record) -> Proof:
    """Prove bounds on the best error.

    Args:
        claim: The numbers and expressions of a certificate.

    Raises:
        Unproved: A condition of the proof is not satisfied; the message states which.
    """
    expression = parse(claim["expression"])
    weight = _weight(claim["weight"], expression)
    domain = Domain.of(claim["domain"])
    degree = _attainable(claim["degree"], domain, weight)
    numbers = [read_number(text) for text in claim["points"]]
    for bits in BITS:
        with working(bits):
            ends = [(exact(a), exact(b)) for a, b in (domain.exact or domain.intervals)]
            points = _clamped([exact(x) for x in numbers], ends)
            fixed = [(exact(Fraction(x)), exact(Fraction(y))) for x, y in claim["interpolate"]]
            witness = _Fraction.of(claim["witness"]).interpolating(fixed, arb(1))
            judged = ErrorCurve(expression, weight, Quotient(witness.p, witness.q))
            errors = [judged.at(x) for x in points]
            if min(e.rel_accuracy_bits() for e in errors) < RESOLVED:
                continue
            signs = _signs(weight, claim["weight"] == "relative", points)
            errors = [sign * e for sign, e in zip(signs, errors, strict=True)]
            lower = _alternation(witness, degree, points, ends, fixed, errors)
            rational = _Fraction.of(claim["rational"])
            held = rational.interpolating(fixed, arb(0.5, 0.5))
            curves = [ErrorCurve(expression, weight, Quotient(held.p, held.q))]
            if not all(a <= b for a, b in zip(held.degree, degree, strict=True)):
                curves.append(judged)  # r is of type (m, n) only to rounding
            upper, panels = _supremum(curves, points, ends)
            return Proof(_outward(lower.lower(), -1), _outward(upper.upper(), 1), panels)
    raise Unproved(f"the error is not resolved with {BITS[-1]} bits on the reference")


def _attainable(degree: Sequence[int], domain: Domain, weight: Expression | None) -> Degree:
    """The largest type whose rationals are bounded on the domain: see `problem.attainable`."""
    m, n = map(int, degree)
    if weight is not None or domain.is_finite:
        return m, n
    n -= 0 if any(map(math.isfinite, domain.hull)) else n % 2
    return min(m, n), n


def _signs(weight: Expression | None, relative: bool, points: Sequence[arb]) -> list[int]:
    """The sign of the weight at every point; only 1/f, which stands for 1/|f|, may be negative."""
    signs = []
    for x in points:
        w = arb(1) if weight is None else weight.ball(x)
        if not (w > 0 or (relative and w < 0)):
            raise Unproved("the weight is not positive at a point of the reference")
        signs.append(1 if w > 0 else -1)
    return signs


def _weight(weight: str | None, expression: Expression) -> Expression | None:
    if weight is None:
        return None
    return expression.reciprocal() if weight == "relative" else parse(weight)


def _clamped(points: Sequence[arb], ends: Ends) -> list[arb]:
    """Check that the points lie in the domain; one that agrees with an end is replaced by it."""
    out = []
    finite = [end for pair in ends for end in pair if end.is_finite()]
    for x in points:
        end = next((e for e in finite if abs(x - e) <= abs(e) * 2.0**-60), None)
        x = x if end is None else end
        if end is None and not any(a <= x <= b for a, b in ends):
            raise Unproved("a point of the reference lies outside the domain")
        out.append(x)
    return out


def _alternation(
    witness: _Fraction,
    degree: Degree,
    points: Sequence[arb],
    ends: Ends,
    fixed: Sequence[tuple[arb, arb]],
    errors: Sequence[arb],
) -> arb:
    """The lower bound of de la Vallée Poussin, after checking its conditions."""
    # check the type and the order of the points
    defect = min(a - b for a, b in zip(degree, witness.degree, strict=True))
    if defect < 0:
        raise Unproved(f"the witness has type {witness.degree}, above {degree}")
    if not all(a < b for a, b in itertools.pairwise(points)):
        raise Unproved("the points of the reference do not increase")
    # check the signs of q on every interval
    for a, b in ends:
        values = [witness.q(x) for x in points if a <= x <= b]
        if not (all(v > 0 for v in values) or all(v < 0 for v in values)):
            raise Unproved("the witness's denominator changes sign between points of an interval")
    # find runs of alternating sign, under all of the conditions or fewer
    found = []
    for kept in _subsets(fixed):
        needed = sum(degree) + 2 - defect - len(kept)
        signed = [e * _side(x, kept) for x, e in zip(points, errors, strict=True)]
        for first in range(len(points) - needed + 1):
            part = signed[first : first + needed]
            if all((a > 0 and b < 0) or (a < 0 and b > 0) for a, b in itertools.pairwise(part)):
                found.append(min(abs(e).lower() for e in part))
    if not found:
        needed = sum(degree) + 2 - defect - len(fixed)
        raise Unproved(f"the error does not alternate on {needed} points of the reference")
    return max(found)


def _subsets(fixed: Sequence[tuple[arb, arb]]) -> list[list[tuple[arb, arb]]]:
    """The sets of conditions that are tried: all, all but one, and none."""
    fewer = [[one for one in fixed if one is not other] for other in fixed]
    return [list(fixed), *fewer, []] if fixed else [[]]


def _side(x: arb, fixed: Sequence[tuple[arb, arb]]) -> int:
    """The sign of ``prod_j (x - z_j)``."""
    if any((x - z).contains(0) for z, _ in fixed):
        raise Unproved("a point of the reference is a fixed point")
    return math.prod(1 if x > z else -1 for z, _ in fixed)


def _supremum(curves: Sequence[ErrorCurve], points: Sequence[arb], ends: Ends) -> tuple[arb, int]:
    """A bound of all curves over the domain, and the number of panels used."""
    bound, panels = arb(0), 0
    for curve in curves:
        sizes = [abs(curve.at(x)).upper() for x in points]
        found = curve.supremum(_panels(points, ends), max([*sizes, bound]))
        if not found.bound.is_finite():
            raise Unproved(
                "no upper bound was found: f has a strong singularity, r has a pole, or the limit "
                "of f at infinity is not known"
            )
        bound, panels = bound.max(found.bound), panels + found.panels
    return bound, panels


def _panels(points: Sequence[arb], ends: Ends) -> list[tuple[arb, arb]]:
    """The intervals, divided at the points of the reference, with ends rounded outwards.

    The point nearest to an infinite end is skipped; the unbounded panel covers it.
    """
    out = []
    for a, b in ends:
        inner = [x.mid() for x in points if a < x < b]
        inner = inner[0 if a.is_finite() else 1 : None if b.is_finite() else -1]
        knots = [a.lower(), *inner, b.upper()]
        out += [(x, y) for x, y in itertools.pairwise(knots) if x < y]
    return out


def _outward(x: arb, direction: int) -> float:
    """A float >= x for direction 1, a float <= x for direction -1."""
    mantissa, exponent = x.mid().man_exp()
    value = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
    near = float(value)
    while (Fraction(near) - value) * direction < 0:
        near = math.nextafter(near, math.inf * direction)
    return near
