"""Coefficients of few bits, chosen together so that the error of the rational stays small.

Rounding each coefficient to nearest throws away what the others could repair. With r = P/Q and
integers k counting ulps, the new error is exactly::

    e_new = e - w (dP - r dQ) / (Q + dQ),    dP = sum_i ulp_i k_i t^i, dQ likewise

so that to first order the best choice is a closest vector in the lattice spanned by the columns
``w t^i ulp_i / Q`` and ``-w r t^j ulp_j / Q``. We reduce the lattice (LLL), take Babai's nearest
plane with the weights of Lawson's iteration (which turn least squares into least maximum), and
descend on the true maximum along the reduced basis, single vectors and pairs. P and Q have a common
scale to choose: several are tried.

Sources: N. Brisebarre, S. Chevillard, "Efficient polynomial L∞-approximations", ARITH 2007,
doi:10.1109/ARITH.2007.17; L. Babai, Combinatorica 6, 1986, doi:10.1007/BF02579403;
A. K. Lenstra, H. W. Lenstra, L. Lovász, Math. Ann. 261, 1982, doi:10.1007/BF01457454.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

__all__ = ["RoundedPair", "round_pair", "to_nearest"]

SCALES = 8  # common factors of P and Q tried between 1 and 2
LAWSON_STEPS = 6
LOVASZ = 0.99
MAX_DESCENT = 200


@dataclass(frozen=True, eq=False)
class RoundedPair:
    """Coefficients of the target type, and the errors they have on the sample.

    Attributes:
        p, q: in increasing powers of t, exact in the target type.
        error: maximum of |weight (f - p/q)| on the sample.
        naive: the same for coefficients that are each rounded to nearest, q_0 = 1.
    """

    p: np.ndarray
    q: np.ndarray
    error: float
    naive: float


@dataclass(frozen=True, eq=False)
class _Sample:
    """What is approximated, at points: powers of t, r = P/Q, w, and the error e of P/Q there."""

    powers: np.ndarray
    r: np.ndarray
    weight: np.ndarray
    error: np.ndarray

    def new_error(self, q: np.ndarray, dp: np.ndarray, dq: np.ndarray) -> np.ndarray:
        """e_new of the module's formula; ``dp`` and ``dq`` may be stacks of changes."""
        moved = dp @ self.powers[: dp.shape[-1]]
        shift = dq @ self.powers[: dq.shape[-1]]
        below = q @ self.powers[: q.size] + shift
        return self.error - self.weight * (moved - self.r * shift) / below


def to_nearest(c: np.ndarray, bits: int) -> np.ndarray:
    """Each number rounded to ``bits`` significant bits, ties to even."""
    mantissa, exponent = np.frexp(c)
    return np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits)


def round_pair(
    p: np.ndarray,
    q: np.ndarray,
    bits: int,
    t: np.ndarray,
    weight: np.ndarray,
    error: np.ndarray,
) -> RoundedPair:
    """Round P and Q to ``bits`` significant bits with a small maximum error.

    Args:
        p, q: coefficients in increasing powers of t; zeros stay zero. A constant q stays 1.
        bits: of the significand, the hidden one included (24 for float32, 8 for bfloat16).
        t: sample points in the scaled variable.
        weight: w there.
        error: ``w (f - p/q)`` there.
    """
    p, q = p / q[0], q / q[0]
    powers = t ** np.arange(max(p.size, q.size))[:, None]
    r = (p @ powers[: p.size]) / (q @ powers[: q.size])
    sample = _Sample(powers, r, weight, error)
    best = _measure(sample, p, q, to_nearest(p, bits), to_nearest(q, bits))
    naive = best.error
    scales = 2.0 ** (np.arange(SCALES) / SCALES) if q.size > 1 else np.ones(1)
    for scale in scales:
        unit = float(to_nearest(np.array([scale]), bits)[0])
        candidate = _closest(sample, p * unit, q * unit, bits)
        best = min(best, candidate, key=lambda pair: pair.error)
    return RoundedPair(best.p, best.q, best.error, naive)


def _measure(
    sample: _Sample, p: np.ndarray, q: np.ndarray, new_p: np.ndarray, new_q: np.ndarray
) -> RoundedPair:
    error = float(np.abs(sample.new_error(q, new_p - p, new_q - q)).max())
    return RoundedPair(new_p, new_q, error, error)


def _closest(sample: _Sample, p: np.ndarray, q: np.ndarray, bits: int) -> RoundedPair:
    """The best lattice point found around one scaling of P and Q, which fixes q_0."""
    c = np.concatenate([p, q])
    free = np.flatnonzero(np.concatenate([p, [0.0], q[1:]]))
    ulp = np.ldexp(1.0, np.frexp(c[free])[1] - bits)
    start = to_nearest(c, bits)
    scaled = np.concatenate([sample.powers[: p.size], -sample.r * sample.powers[: q.size]]) / (
        q @ sample.powers[: q.size]
    )
    columns = (sample.weight * scaled[free] * ulp[:, None]).T

    def maximum(moves: np.ndarray) -> np.ndarray:
        """Largest error after whole numbers of ulps (rows of ``moves``) from ``start``."""
        change = np.tile(start - c, (len(moves), 1))
        change[:, free] += moves * ulp
        return np.abs(sample.new_error(q, change[:, : p.size], change[:, p.size :])).max(1)

    first = sample.error - columns @ ((start[free] - c[free]) / ulp)
    moves, basis = _babai_lawson(columns, first, maximum)
    moves = _descend(moves, basis, maximum)
    rounded = start.copy()
    rounded[free] += moves * ulp
    rounded = to_nearest(rounded, bits)  # a power of two was crossed: the spacing doubled there
    return _measure(sample, p, q, rounded[: p.size], rounded[p.size :])


def _babai_lawson(
    columns: np.ndarray, residual: np.ndarray, maximum: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The best of the nearest-plane points under Lawson's weights, and the reduced basis."""
    weights = np.full(residual.size, 1.0 / residual.size)
    best, basis = np.zeros(columns.shape[1]), np.eye(columns.shape[1])
    best_value = float(maximum(best[None])[0])
    for step in range(LAWSON_STEPS):
        root = np.sqrt(weights)[:, None]
        orthogonal, triangle = np.linalg.qr(root * columns)
        if step == 0:
            basis = reduce_lattice(triangle)
        moves = basis @ _nearest_plane(triangle @ basis, orthogonal.T @ (root[:, 0] * residual))
        value = float(maximum(moves[None])[0])
        if value < best_value:
            best, best_value = moves, value
        weights = weights * np.abs(residual - columns @ moves)
        weights = weights / weights.sum() + 1e-12
    return best, basis


def _nearest_plane(basis: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Babai: integers z with ``basis @ z`` near ``target``."""
    orthogonal, triangle = np.linalg.qr(basis)
    rest, z = orthogonal.T @ target, np.zeros(basis.shape[1])
    for i in range(z.size - 1, -1, -1):
        z[i] = np.rint(rest[i] / triangle[i, i])
        rest = rest - triangle[:, i] * z[i]
    return z


def _descend(
    moves: np.ndarray, basis: np.ndarray, maximum: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Steepest descent of the maximum error along reduced vectors and sums of two of them."""
    signed = np.concatenate([basis.T, -basis.T])
    pairs = [signed[i] + signed[j] for i, j in combinations(range(len(signed)), 2)]
    directions = np.concatenate([signed, [pair for pair in pairs if pair.any()]])
    value = float(maximum(moves[None])[0])
    for _ in range(MAX_DESCENT):
        trial = maximum(moves + directions)
        if trial.min() >= value:
            break
        value = float(trial.min())
        moves = moves + directions[trial.argmin()]
    return moves


def reduce_lattice(columns: np.ndarray) -> np.ndarray:
    """LLL: a unimodular U such that the columns of ``columns @ U`` are short.

    In float64: for the few dozen columns of a rounding problem, whose entries carry no more.
    """
    basis, u = columns.copy(), np.eye(columns.shape[1])
    k = 1
    while k < basis.shape[1]:
        triangle = np.linalg.qr(basis[:, : k + 1], mode="r")
        for j in range(k - 1, -1, -1):
            factor = np.rint(triangle[j, k] / triangle[j, j])
            if factor:
                triangle[:, k] -= factor * triangle[:, j]
                basis[:, k] -= factor * basis[:, j]
                u[:, k] -= factor * u[:, j]
        ahead = triangle[k, k] ** 2 + triangle[k - 1, k] ** 2
        if ahead < LOVASZ * triangle[k - 1, k - 1] ** 2:
            basis[:, [k - 1, k]] = basis[:, [k, k - 1]]
            u[:, [k - 1, k]] = u[:, [k, k - 1]]
            k = max(k - 1, 1)
        else:
            k += 1
    return u
