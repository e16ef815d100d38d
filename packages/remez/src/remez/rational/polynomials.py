"""Numerator and denominator of a rational function as polynomials, in multiprecision.

The conversion starts from the exact values of the stored numbers, so that the only error is the
final rounding of the coefficients.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mpmath import mp

from remez.domain import Domain
from remez.errors import DomainError
from remez.functions.working_precision import working_digits
from remez.rational.protocol import RationalFunction, Real

__all__ = ["Variable", "chebyshev_pair", "monomial", "monomial_pair", "variable_of"]

DIGITS = 60  # working digits beyond those of the stored numbers
PARITY_TOLERANCE = 1e-13  # coefficients of the wrong parity below this are rounding


@dataclass(frozen=True)
class Variable:
    """The scaled variable t of a domain.

    Affine, for a bounded hull: ``t = (x - shift) * scale``. Möbius, for a half-line that starts at
    ``shift`` and runs in the direction of the sign of ``scale``: ``t = 1 - 2 / (y + 1)`` with
    ``y = (x - shift) * scale``, which takes [0, inf) to [-1, 1).
    """

    shift: float
    scale: float
    mobius: bool = False

    def __call__(self, x: Real) -> Real:
        """t of x, in the arithmetic of ``x``."""
        y = (x - self.shift) * self.scale
        return 1 - 2 / (y + 1) if self.mobius else y

    def inverse(self, t: Real) -> Real:
        """x of t, in the arithmetic of ``t``."""
        y = (1 + t) / (1 - t) if self.mobius else t
        return y / self.scale + self.shift


def variable_of(
    domain: Domain, points: Sequence[Real] | np.ndarray = (), *, binary: bool = False
) -> Variable:
    """The variable that maps the hull of a domain to [-1, 1].

    Args:
        domain: The domain, unbounded at one end at most.
        points: Points at which r varies; their median distance from the finite end is the scale of
            a half-line.
        binary: Whether the scale is a power of two, so that multiplying by it is exact; t then
            covers an interval between [-1/2, 1/2] and [-1, 1].

    Raises:
        DomainError: The hull is the whole line.
    """
    low, high = domain.hull
    if math.isinf(low) and math.isinf(high):
        raise DomainError("the whole line has no scaled variable: use a half-line or an interval")
    if domain.is_finite:
        half = (high - low) / 2
        return Variable((high + low) / 2, _power_of_two(half) if binary else 1 / half)
    end, sign = (low, 1) if math.isinf(high) else (high, -1)
    typical = float(np.median([abs(float(x) - end) for x in points])) if len(points) else 1.0
    return Variable(end, sign * _power_of_two(typical or 1.0), mobius=True)


def _power_of_two(half: float) -> float:
    """The largest power of two that takes ``half`` to at most 1."""
    mantissa, exponent = math.frexp(half)
    return 2.0 ** -(exponent - 1 if mantissa == 0.5 else exponent)


def chebyshev_pair(rational: RationalFunction, variable: Variable) -> tuple[list[Real], list[Real]]:
    """p and q of ``r(x(t)) = p(t)/q(t)``, coefficients of T_0(t), T_1(t), ... as ``mpf``.

    They are read off at `RationalFunction.size` Chebyshev points of [-1, 1], then cut to the
    rational's degree; q is scaled to maximum 1 on those points.
    """
    with working_digits(_digits(rational)):
        size = rational.size
        cosines = [mp.cos(mp.pi * i / (2 * size)) for i in range(4 * size)]
        pairs = [_at(rational, variable, t) for t in cosines[1 : 2 * size : 2]]
        p_values, q_values = (list(column) for column in zip(*pairs, strict=True))
        top = max(q_values, key=abs)
        p, q = _transform(p_values, cosines), _transform(q_values, cosines)
        m, n = rational.degree
        if variable.mobius:
            m = n = max(m, n)
        return _even_out([c / top for c in p[: m + 1]]), _even_out([c / top for c in q[: n + 1]])


def _at(rational: RationalFunction, variable: Variable, t: Real) -> tuple[Real, Real]:
    """p and q at a point t, times (1 - t)^(size - 1) in a Möbius variable."""
    p, q = rational.parts_at(variable.inverse(t))
    factor = (1 - t) ** (rational.size - 1) if variable.mobius else 1
    return factor * p, factor * q


def monomial_pair(rational: RationalFunction, variable: Variable) -> tuple[list[Real], list[Real]]:
    """p and q as `chebyshev_pair` gives them, coefficients of 1, t, t², ... as ``mpf``."""
    with working_digits(_digits(rational)):
        p, q = chebyshev_pair(rational, variable)
        return monomial(p), monomial(q)


def monomial(chebyshev: Sequence[Real]) -> list[Real]:
    """Chebyshev to monomial coefficients, in the arithmetic of the coefficients (Clenshaw)."""
    ahead: list[Real] = [0] * (len(chebyshev) + 2)
    current = list(ahead)
    for k in range(len(chebyshev) - 1, -1, -1):
        doubled = [0] + [(2 if k else 1) * c for c in current[:-1]]
        shifted = [a - b for a, b in zip(doubled, ahead, strict=True)]
        shifted[0] += chebyshev[k]
        ahead, current = current, shifted
    return current[: len(chebyshev)]


def _digits(rational: RationalFunction) -> int:
    return DIGITS + 2 * rational.working_digits + rational.size


def _transform(values: list[Real], cosines: list[Real]) -> list[Real]:
    """Chebyshev coefficients of the interpolant at cos((2j + 1) pi / (2N)): a discrete cosine."""
    size, period = len(values), len(cosines)
    return [
        mp.fdot(values, [cosines[k * (2 * j + 1) % period] for j in range(size)])
        * (2 if k else 1)
        / size
        for k in range(size)
    ]


def _even_out(coefficients: list[Real]) -> list[Real]:
    """Exact zeros where a polynomial is even or odd up to rounding."""
    top = max(map(abs, coefficients), default=mp.zero)
    for parity in (0, 1):
        if max(map(abs, coefficients[parity::2]), default=mp.zero) <= PARITY_TOLERANCE * top:
            return [mp.zero if k % 2 == parity else c for k, c in enumerate(coefficients)]
    return coefficients
