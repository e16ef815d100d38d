r"""Rigorous bounds of ``w (f - p/q)`` over intervals, by Taylor panels of ball arithmetic.

On a panel x = c + rho t, |t| <= 1, Taylor's theorem gives

    e(x) = sum_{k < K} e_k t^k + theta t^K,

e_k from the series of e at c, and theta enclosed by the K-th coefficient of the series whose
constant term is the whole panel. The polynomial is bounded on a tree of halved cells, by the range
of its quadratic part plus the moduli of the rest. A panel on which the remainder is too large is
halved itself; where f is not smooth, panels shrink until the plain range of e is small enough.

Reference:
    K. Makino, M. Berz, "Taylor models and other validated functional inclusion methods",
    Int. J. Pure Appl. Math. 4(4), 2003 (panels with remainder); F. Johansson, "Arb: efficient
    arbitrary-precision midpoint-radius interval arithmetic", doi:10.1109/TC.2017.2690633.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import flint
from flint import arb, arb_poly, arb_series

__all__ = ["ErrorCurve", "Supremum", "barycentric", "coefficients", "exact", "working"]

ORDER = 14  # K, the order of the remainder
SLACK = 1e-6  # relative width to which the supremum is enclosed
DEPTH = 40  # halvings of a polynomial's cell
HALVINGS = 3000  # of a panel: singular points of small exponents need hundreds


@contextmanager
def working(bits: int) -> Iterator[None]:
    """Ball arithmetic at ``bits`` bits and series up to the order of the remainder."""
    old = flint.ctx.prec, flint.ctx.cap
    flint.ctx.prec, flint.ctx.cap = bits, ORDER + 1
    try:
        yield
    finally:
        flint.ctx.prec, flint.ctx.cap = old


def exact(x: Any) -> arb:
    """A float, fraction or mpmath number as a ball that holds it (exactly, if dyadic)."""
    if hasattr(x, "_mpf_"):
        sign, mantissa, exponent, _ = x._mpf_
        return arb((int(-mantissa if sign else mantissa), int(exponent)))
    if isinstance(x, Fraction):
        return arb(x.numerator) / x.denominator
    return arb(x)


def barycentric(nodes: Sequence[Any], values: Sequence[Any]) -> arb_poly:
    """``sum_k c_k prod_{j != k} (u - z_j)``, the polynomial behind a barycentric sum."""
    left, total = arb_poly([1]), arb_poly([0])
    for z, c in zip(nodes, values, strict=True):
        factor = arb_poly([-exact(z), 1])
        total = total * factor + left * exact(c)
        left = left * factor
    return total


def coefficients(values: Sequence[Any], inner: arb_poly) -> arb_poly:
    """The polynomial with those coefficients, constant term first, of a polynomial."""
    return arb_poly([exact(v) for v in values])(inner)


@dataclass(frozen=True)
class Supremum:
    """What the panels proved: the bound, whether q kept its sign on every one, and how many."""

    bound: arb
    pole_free: bool
    panels: int


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """``e = weight (f - p/q)`` with ball forms of f and the weight (None for 1)."""

    function: Callable[[Any], Any]
    weight: Callable[[Any], Any] | None
    p: arb_poly
    q: arb_poly

    def at(self, x: arb) -> arb:
        """An enclosure of e at a point."""
        value = self.function(x) - self.p(x) / self.q(x)
        return value if self.weight is None else self.weight(x) * value

    def supremum(self, panels: Sequence[tuple[arb, arb]], scale: arb) -> Supremum:
        """Bound |e| over panels (a, b); bounds below ``scale`` need not be tight."""
        bound, pole_free, count = arb(0), True, 0
        stack = [(a, b, 0) for a, b in reversed(panels)]
        while stack:
            a, b, depth = stack.pop()
            found = self._panel(a, b, bound.max(scale))
            if found is not None:
                count += 1
                bound = bound.max(found)
            elif depth >= HALVINGS:
                return Supremum(arb.pos_inf(), False, count)
            else:
                middle = ((a + b) / 2).mid()
                stack += [(middle, b, depth + 1), (a, middle, depth + 1)]
        return Supremum(bound, pole_free, count)

    def _panel(self, a: arb, b: arb, scale: arb) -> arb | None:
        """An upper bound of |e| on [a, b], with q of one sign there; None to halve the panel."""
        c, rho = ((a + b) / 2).mid(), ((b - a) / 2).upper()
        step = arb_poly([c, rho])
        p, q = self.p(step), self.q(step)
        head, *tail = q.coeffs() or [arb(0)]
        if not head.abs_lower() > sum((abs(v) for v in tail), arb(0)):
            return None
        whole = arb(0, 1)
        over = arb_poly([whole, 1])
        ball = self._series(arb_series([c + rho * whole, rho]), p(over), q(over))
        rest = abs(ball[ORDER])
        if rest < scale * SLACK / 4:
            point = self._series(arb_series([c, rho]), p, q)
            return _bound([point[k] for k in range(ORDER)], scale) + rest
        plain = abs(ball[0]).upper()
        slope = abs(ball[1])
        mean = abs(self.at(c)) + slope
        for bound in (plain, mean):
            if bound < scale * (1 - SLACK):
                return bound
        tight = self.at(c).abs_lower() + scale * SLACK
        return plain if plain < tight else mean if mean < tight else None

    def _series(self, x: arb_series, p: arb_poly, q: arb_poly) -> arb_series:
        top, bottom = (arb_series(v.coeffs()[: ORDER + 1]) for v in (p, q))
        value = self.function(x) - top / bottom
        return value if self.weight is None else self.weight(x) * value


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
