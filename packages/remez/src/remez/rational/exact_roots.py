"""Zeros, poles and residues of a barycentric rational, with small relative errors.

The sums ``sum_k c_k/(u - z_k)`` are brought to polynomials ``sum_k c_k prod_(j != k) (u - z_j)``
in multiprecision, which is accurate also for clustered nodes, and the zeros of these are isolated.
A leading coefficient that is as small as the rounding errors of the weights c_k is set to zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mpmath import mp

from remez.functions.working_precision import working_digits
from remez.number_types import horner
from remez.rational.arithmetic import fastest
from remez.rational.protocol import Real

__all__ = ["Roots", "exact_roots", "without_spurious"]

DIGITS = 60  # decimal digits, besides those that may be lost in expanding the products
ROUNDING = 16 * float(np.finfo(float).eps)  # relative size of a coefficient that is rounding
REAL = 1e-40  # relative imaginary part below which a zero is real
NEGLIGIBLE = 8 * float(np.finfo(float).eps)  # contribution of a spurious pole / max |v|


@dataclass(frozen=True, eq=False)
class Roots:
    """Zeros, poles and residues in the coordinate ``u = x - origin`` of a barycentric form.

    Attributes:
        zeros, poles: The zeros and poles as mpmath numbers.
        residues: The residues of r at the poles.
        spurious: For each pole, whether a zero cancels it, so that its contribution to r at the
            nodes is at the level of rounding.
    """

    zeros: list[Real]
    poles: list[Real]
    residues: list[Real]
    spurious: list[bool]


def exact_roots(
    nodes: np.ndarray, values: np.ndarray, weights: np.ndarray, degree: tuple[int, int]
) -> Roots:
    """Zeros and poles of ``sum w_k v_k/(u - z_k) / sum w_k/(u - z_k)``.

    Args:
        nodes, values, weights: The numbers ``z_k``, ``v_k`` and ``w_k``, shape (N,).
        degree: The largest degrees of numerator and denominator.
    """
    with working_digits(DIGITS + 4 * nodes.size):
        shift, scale = _coordinate(nodes)
        places = [(mp.mpf(z) - shift) / scale for z in nodes]
        w = [mp.mpf(one) for one in weights]
        moments = [a * mp.mpf(v) for a, v in zip(w, values, strict=True)]
        p, q = (_polynomial(places, c, n) for c, n in ((moments, degree[0]), (w, degree[1])))
        zeros, poles = (_zeros(c) for c in (p, q))
        slope = [k * c for k, c in enumerate(q)][1:]
        residues = [_quotient(horner(p, z), horner(slope, z)) for z in poles] if p else []
        residues = residues or [mp.zero] * len(poles)
        size = NEGLIGIBLE * max(map(float, np.abs(values)), default=0.0)
        spurious = [
            abs(residue) <= size * min(abs(pole - z) for z in places)
            for pole, residue in zip(poles, residues, strict=True)
        ]
        return Roots(
            [shift + scale * z for z in zeros],
            [shift + scale * z for z in poles],
            [scale * c for c in residues],
            spurious,
        )


def without_spurious(roots: Roots) -> Roots:
    """The same without the spurious poles, and without the zero next to each of them."""
    zeros = list(roots.zeros)
    for pole in [z for z, out in zip(roots.poles, roots.spurious, strict=True) if out]:
        if zeros:
            zeros.remove(min(zeros, key=lambda zero: abs(zero - pole)))
    kept = [k for k, out in enumerate(roots.spurious) if not out]
    poles, residues = ([c[k] for k in kept] for c in (roots.poles, roots.residues))
    return Roots(zeros, poles, residues, [False] * len(kept))


def _coordinate(nodes: np.ndarray) -> tuple[Real, Real]:
    """Shift and scale of a variable in which the nodes have size 1; no shift if 0 is near them."""
    low, high = float(nodes.min()), float(nodes.max())
    near = min(abs(low), abs(high)) <= high - low or low <= 0 <= high
    shift = 0.0 if near else 0.5 * (low + high)
    return mp.mpf(shift), mp.mpf(max(abs(low - shift), abs(high - shift)) or 1.0)


def _polynomial(places: Sequence[Real], c: Sequence[Real], count: int) -> list[Real]:
    """Coefficients, constant term first, of ``sum_k c_k prod_(j != k) (u - z_j)``, cut to degree
    ``count``, without leading ones that are rounding."""
    total, product = _expanded(list(zip(places, c, strict=True)))
    parts = [mp.zero] * len(c)  # of the k-th product's coefficient, by synthetic division
    for j in range(len(c) - 1, -1, -1):
        parts = [part * z + product[j + 1] for part, z in zip(parts, places, strict=True)]
        noise = ROUNDING * mp.fsum(abs(a * part) for a, part in zip(c, parts, strict=True))
        if j <= count and abs(total[j]) > noise:
            return total[: j + 1]
    return []


def _expanded(pairs: Sequence[tuple[Real, Real]]) -> tuple[list[Real], list[Real]]:
    """``sum_k c_k prod_(j != k) (u - z_j)`` and ``prod_k (u - z_k)``, by halves."""
    if len(pairs) == 1:
        ((z, c),) = pairs
        return [c], [-z, mp.one]
    half = len(pairs) // 2
    (p, a), (q, b) = _expanded(pairs[:half]), _expanded(pairs[half:])
    return [x + y for x, y in zip(_times(p, b), _times(q, a), strict=True)], _times(a, b)


def _times(a: Sequence[Real], b: Sequence[Real]) -> list[Real]:
    out = [mp.zero] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            out[i + j] += x * y
    return out


def _zeros(coefficients: list[Real]) -> list[Real]:
    """The zeros of a polynomial; those at 0 exactly."""
    at_zero = next((k for k, c in enumerate(coefficients) if c), 0)
    rest = coefficients[at_zero:]
    found = fastest().roots(rest) if len(rest) > 1 else []
    real = [mp.re(z) if abs(mp.im(z)) <= REAL * abs(z) else z for z in found]
    return [mp.zero] * at_zero + real


def _quotient(a: Real, b: Real) -> Real:
    return a / b if b else mp.inf
