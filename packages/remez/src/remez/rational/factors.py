"""Zeros and poles of a barycentric rational to full accuracy, as factors of degree at most two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mpmath import mp

from remez.functions.working_precision import working_digits
from remez.rational.polynomials import Variable

__all__ = ["factors_of"]

Factor = tuple[float, float]  # (a, b): (t - a)² + b² for b > 0, t - a for b = 0

DIGITS = 50
SWEEPS = 30
SETTLED = 1e-25  # relative step at which a root is taken as found
REAL = 1e-18  # relative imaginary part below which a root is real


def factors_of(rational: Any, variable: Variable) -> tuple[float, list[Factor], list[Factor]]:
    """``r = gain * prod zeros / prod poles`` in the scaled variable t.

    The rational's own roots, found in double by an eigenproblem, are the start; Aberth's
    iteration on the barycentric sums in multiprecision makes them accurate relative to their
    own size, however they cluster.

    Returns:
        ``(gain, zeros, poles)``, zeros and poles as factors, the smallest roots first.
    """
    with working_digits(DIGITS):
        weights = [mp.mpf(w) for w in rational.weights]
        moments = [w * mp.mpf(v) for w, v in zip(weights, rational.values, strict=True)]
        zeros = [variable(z) for z in _refined(rational.zeros(), rational, moments)]
        poles = [variable(z) for z in _refined(rational.poles(), rational, weights)]
        if variable.mobius:  # x at infinity is t = 1
            surplus = len(poles) - len(zeros)
            zeros += [mp.one] * max(surplus, 0)
            poles += [mp.one] * max(-surplus, 0)
        gain = _gain(rational, variable, zeros, poles, weights, moments)
        return float(gain), _pair(zeros), _pair(poles)


def _refined(start: Sequence[complex], rational: Any, coefficients: list[Any]) -> list[Any]:
    """Roots of ``sum_k c_k/(x - z_k)`` from approximations to them, all at once.

    Source: O. Aberth, Math. Comp. 27, 1973, doi:10.1090/S0025-5718-1973-0329236-7.
    """
    origin = mp.mpf(rational.origin)
    pairs = [(origin + mp.mpf(z), c) for z, c in zip(rational.nodes, coefficients, strict=True)]
    terms = [(z, c) for z, c in pairs if c]
    roots = [mp.mpmathify(z) for z in start]
    exact = [z for z, c in pairs if not c][: len(roots)]  # a node without weight is a root itself
    for z in exact:
        roots.remove(min(roots, key=lambda root: abs(root - z)))
    for _ in range(SWEEPS):
        largest = mp.zero
        for i, root in enumerate(roots):
            newton = _newton_step(root, terms)
            repulsion = sum(
                (1 / (root - other) for other in roots[:i] + roots[i + 1 :] if other != root),
                mp.zero,
            )
            step = newton / (1 - newton * repulsion)
            roots[i] = root - step
            size = abs(roots[i] - origin)
            largest = max(largest, abs(step) / size if size > SETTLED else mp.zero)
        if largest < SETTLED:
            break
    return roots + exact


def _newton_step(x: Any, terms: list[Any]) -> Any:
    """q/q' for ``q = l(x) sum c/(x - z)``, ``l = prod (x - z)``."""
    value = slope = pull = mp.zero
    for z, c in terms:
        if x == z:
            return mp.zero
        inverse = 1 / (x - z)
        value += c * inverse
        slope -= c * inverse * inverse
        pull += inverse
    full = slope + value * pull
    return value / full if full else mp.zero


def _gain(
    rational: Any,
    variable: Variable,
    zeros: list[Any],
    poles: list[Any],
    weights: list[Any],
    moments: list[Any],
) -> Any:
    """The constant factor, from the point of a few where |r| is largest."""
    nodes = [mp.mpf(rational.origin) + mp.mpf(z) for z in rational.nodes]
    best = mp.zero, mp.zero
    for t in np.cos(np.linspace(0.1, 3.0, 15)).tolist():
        x = variable.inverse(mp.mpf(t))
        cauchy = [1 / (x - z) for z in nodes if x != z]
        if len(cauchy) < len(nodes):
            continue
        value = mp.fdot(moments, cauchy) / mp.fdot(weights, cauchy)
        if abs(value) > abs(best[0]):
            best = value, mp.mpf(t)
    value, t = best
    ratio = mp.fprod(t - z for z in poles) / mp.fprod(t - z for z in zeros)
    return mp.re(value * ratio)


def _pair(roots: list[Any]) -> list[Factor]:
    """Complex conjugate roots to one quadratic factor each, real ones to a linear factor."""
    pairs = []
    for root in roots:
        a, b = mp.re(root), mp.im(root)
        if abs(b) <= REAL * abs(root):
            pairs.append((float(a), 0.0))
        elif b > 0:
            pairs.append((float(a), float(b)))
    return sorted(pairs, key=lambda factor: abs(complex(*factor)))
