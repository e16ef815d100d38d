"""A rational function as a product of real factors of degree at most two."""

from __future__ import annotations

import numpy as np
from mpmath import mp

from remez.functions.working_precision import working_digits
from remez.rational.polynomials import Variable
from remez.rational.protocol import RationalFunction, Real

__all__ = ["factors_of"]

Factor = tuple[float, float]  # (a, b): (t - a)² + b² for b > 0, t - a for b = 0

DIGITS = 50
REAL = 1e-18  # relative imaginary part below which a root is real


def factors_of(
    rational: RationalFunction, variable: Variable
) -> tuple[float, list[Factor], list[Factor]]:
    """``r = gain * prod zeros / prod poles`` in the scaled variable t.

    Returns:
        ``(gain, zeros, poles)``, zeros and poles as factors, the smallest roots first.
    """
    with working_digits(DIGITS):
        zeros, poles = ([variable(z) for z in roots] for roots in rational.exact_roots())
        if variable.mobius:  # x at infinity is t = 1
            surplus = len(poles) - len(zeros)
            zeros += [mp.one] * max(surplus, 0)
            poles += [mp.one] * max(-surplus, 0)
        gain = _gain(rational, variable, zeros, poles)
        return float(gain), _pair(zeros), _pair(poles)


def _gain(
    rational: RationalFunction, variable: Variable, zeros: list[Real], poles: list[Real]
) -> Real:
    """The constant factor, computed at the test point at which |r| is largest."""
    best = mp.zero, mp.zero
    for t in np.cos(np.linspace(0.1, 3.0, 15)).tolist():
        p, q = rational.parts_at(variable.inverse(mp.mpf(t)))
        if q and abs(p / q) > abs(best[0]):
            best = p / q, mp.mpf(t)
    value, t = best
    ratio = mp.fprod(t - z for z in poles) / mp.fprod(t - z for z in zeros)
    return mp.re(value * ratio)


def _pair(roots: list[Real]) -> list[Factor]:
    """Quadratic factors of the complex conjugate roots and linear factors of the real ones."""
    pairs = []
    for root in roots:
        a, b = mp.re(root), mp.im(root)
        if abs(b) <= REAL * abs(root):
            pairs.append((float(a), 0.0))
        elif b > 0:
            pairs.append((float(a), float(b)))
    return sorted(pairs, key=lambda factor: abs(complex(*factor)))
