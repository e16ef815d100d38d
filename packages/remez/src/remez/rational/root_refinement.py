"""Zeros and poles of a barycentric rational, refined in multiprecision.

The roots that an eigenproblem gives in double precision are the start; Aberth's iteration on the
barycentric sums makes them accurate relative to their own size, however they cluster.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mpmath import mp

from remez.functions.working_precision import working_digits
from remez.rational.protocol import Real

__all__ = ["refined_roots"]

DIGITS = 50
SWEEPS = 30
SETTLED = 1e-25  # relative step at which a root is taken as found


def refined_roots(
    start: np.ndarray,
    nodes: np.ndarray,
    factors: Sequence[np.ndarray],
    origin: float,
) -> list[Real]:
    """Roots of ``sum_k c_k/(x - origin - z_k)`` from approximations to them, all at once.

    Args:
        start: the approximations.
        nodes: ``z_k``.
        factors: ``c_k`` is the product of the k-th entries of these.
        origin: of the coordinates of the nodes.

    References:
        O. Aberth, Math. Comp. 27, 1973, doi:10.1090/S0025-5718-1973-0329236-7.
    """
    with working_digits(DIGITS):
        base = mp.mpf(origin)
        coefficients = [mp.fprod(map(mp.mpf, row)) for row in zip(*factors, strict=True)]
        pairs = [(base + mp.mpf(z), c) for z, c in zip(nodes, coefficients, strict=True)]
        return _aberth(start, pairs, base)


def _aberth(start: np.ndarray, pairs: Sequence[tuple[Real, Real]], origin: Real) -> list[Real]:
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


def _newton_step(x: Real, terms: list[tuple[Real, Real]]) -> Real:
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
