"""Joint rounding of coefficients to few bits with a small error of the rational.

Rounding each coefficient to nearest is not optimal, since errors can compensate. With r = P/Q and
integers k counting ulps, the new error is exactly::

    e_new = (e Q - w (dP - f dQ)) / (Q + dQ),    dP = sum_i ulp_i k_i t^i, dQ likewise

so that, for a given new denominator, the best choice is a closest vector in the lattice spanned by
the columns ``w t^i ulp_i`` and ``-w f t^j ulp_j`` over that denominator. We reduce the lattice
(LLL), apply Babai's nearest plane algorithm several times, with the denominator of the previous
iteration and the weights of Lawson's iteration (which lead from least squares to the minimax
solution), and minimise the true maximum by descent along vectors of the reduced basis and pairs of
them. Several common scales of P and Q are tried.

References:
    N. Brisebarre, S. Chevillard, "Efficient polynomial L∞-approximations", ARITH 2007,
    doi:10.1109/ARITH.2007.17; L. Babai, Combinatorica 6, 1986, doi:10.1007/BF02579403;
    A. K. Lenstra, H. W. Lenstra, L. Lovász, Math. Ann. 261, 1982, doi:10.1007/BF01457454.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

__all__ = ["RoundedPair", "round_pair", "to_nearest"]

SCALES = 16  # number of common scales of P and Q, between 1 and 2
DESCENTS = 2  # number of scales for which descent is run
LAWSON_STEPS = 8
LOVASZ = 0.99
MAX_DESCENT = 60
MAX_LATTICE = 40  # most coefficients for which float64 suffices; more are rounded to nearest
MAX_PAIRED = 24  # most basis vectors for which sums of two are tried
COARSE = 200  # sample points in the search; the final choice uses all points
SINGLE_EXPONENT = -126  # exponent of the smallest normal float32 and bfloat16
SINGLE_TOP = 2.0**128  # exceeds the largest float32 and bfloat16
SHRINK = 0.5  # smallest ratio of the rounded to the original denominator


@dataclass(frozen=True, eq=False)
class RoundedPair:
    """Coefficients of the target type, and their errors on the sample.

    Attributes:
        p, q: The coefficients in increasing powers of t, exact in the target type.
        error: The maximum of |weight (f - p/q)| on the sample.
        naive: The same if each coefficient is rounded to nearest and the largest of q is 1.
    """

    p: np.ndarray
    q: np.ndarray
    error: float
    naive: float


def to_nearest(c: np.ndarray, bits: int) -> np.ndarray:
    """Each number rounded to ``bits`` significant bits, ties to even.

    With at most 24 bits the result has the exponent range of float32: numbers below 2^-126 have
    fewer bits, and numbers from 2^128 on become infinite.
    """
    ulp = _ulp(c, bits)
    with np.errstate(over="ignore"):
        out: np.ndarray = np.ldexp(np.rint(np.ldexp(c, -ulp)), ulp)
    return np.where(np.abs(out) >= SINGLE_TOP, np.copysign(np.inf, out), out) if bits <= 24 else out


def _ulp(c: np.ndarray, bits: int) -> np.ndarray:
    """The exponents of the units in the last place."""
    exponent = np.frexp(c)[1]
    lowest = SINGLE_EXPONENT if bits <= 24 else np.finfo(float).minexp
    ulp: np.ndarray = np.maximum(exponent - 1, lowest) - (bits - 1)
    return ulp


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
        p, q: The coefficients in increasing powers of t; zeros stay zero, a constant q stays 1.
        bits: The number of significant bits (24 for float32, 8 for bfloat16).
        t: The sample points in the scaled variable, shape (K,).
        weight: The weight w at the points, shape (K,).
        error: The error ``w (f - p/q)`` at the points, shape (K,).
    """
    largest = q[np.abs(q).argmax()]
    p, q = p / largest, q / largest
    scales = 2.0 ** (np.arange(SCALES) / SCALES) if q.size > 1 else np.ones(1)
    coarse = slice(None, None, -(-t.size // COARSE))

    def scaling(unit: float, part: slice) -> _Scaling:
        return _Scaling(p * unit, q * unit, bits, t[part], weight[part], error[part])

    with np.errstate(invalid="ignore"):  # a coefficient that overflows is infinite
        nearest = scaling(1.0, slice(None))
    still = np.zeros(nearest.free.size)
    if not np.isfinite(nearest.start).all():
        return RoundedPair(*nearest.rounded(still), np.inf, np.inf)
    naive = nearest.worst(still)
    if not 0 < still.size <= MAX_LATTICE:
        return RoundedPair(*nearest.rounded(still), naive, naive)
    found = []
    for unit in np.unique(to_nearest(scales, bits)):
        one = scaling(unit, coarse)
        moves, basis = _babai_lawson(one)
        found.append((one.worst(moves), unit, moves, one, basis))
    found.sort(key=lambda entry: entry[0])
    ends = [(unit, moves) for _, unit, moves, _, _ in found]
    ends += [(unit, _descend(one, moves, basis)) for _, unit, moves, one, basis in found[:DESCENTS]]
    judged = [(scaling(unit, slice(None)), moves) for unit, moves in ends]
    best, moves = min([(nearest, still), *judged], key=lambda end: end[0].worst(end[1]))
    return RoundedPair(*best.rounded(moves), best.worst(moves), naive)


class _Scaling:
    """One common scale of P and Q, which fixes the largest coefficient of Q.

    The others differ from their nearest values by integers of ulps, a row called "moves".
    """

    def __init__(
        self,
        p: np.ndarray,
        q: np.ndarray,
        bits: int,
        t: np.ndarray,
        weight: np.ndarray,
        error: np.ndarray,
    ) -> None:
        self.c, self.size, self.bits = np.concatenate([p, q]), p.size, bits
        self.free = np.flatnonzero(self.c)
        self.free = self.free[self.free != p.size + np.abs(q).argmax()]
        self.ulp = np.ldexp(1.0, _ulp(self.c[self.free], bits))
        self.start = to_nearest(self.c, bits)
        powers = t ** np.arange(max(p.size, q.size))[:, None]
        self.powers, self.q_powers = powers[: p.size], powers[: q.size]
        self.q = q @ self.q_powers
        self.weight, self.error = weight, error
        self.f = (p @ self.powers) / self.q + error / np.where(weight > 0, weight, 1.0)
        stacked = np.concatenate([self.powers, -self.f * self.q_powers])
        self.columns = (weight / self.q * stacked[self.free] * self.ulp[:, None]).T
        offset = (self.start[self.free] - self.c[self.free]) / self.ulp
        self.residual = error - self.columns @ offset

    def rounded(self, moves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """P and Q after the moves, exact in the target type."""
        c = self._change(moves[None])[0] + self.c
        return to_nearest(c[: self.size], self.bits), to_nearest(c[self.size :], self.bits)

    def shrinkage(self, moves: np.ndarray) -> np.ndarray:
        """(Q + dQ)/Q on the sample, for each row of moves."""
        return (self._change(moves)[:, self.size :] @ self.q_powers) / self.q + 1

    def maximum(self, moves: np.ndarray) -> np.ndarray:
        """max |e_new| on the sample for each row of moves; infinite if Q collapses."""
        change = self._change(moves)
        dp, dq = change[:, : self.size] @ self.powers, change[:, self.size :] @ self.q_powers
        numerator = self.error * self.q - self.weight * (dp - self.f * dq)
        shrinkage = dq / self.q + 1
        with np.errstate(all="ignore"):
            error = np.abs(numerator / self.q / shrinkage).max(1)
        return np.where(shrinkage.min(1) > SHRINK, error, np.inf)

    def worst(self, moves: np.ndarray) -> float:
        """`maximum` for one row of moves."""
        return float(self.maximum(moves[None])[0])

    def _change(self, moves: np.ndarray) -> np.ndarray:
        """Changes of the coefficients, rounded again beyond a power of two, where ulps double."""
        c = np.tile(self.start, (len(moves), 1))
        c[:, self.free] = to_nearest(c[:, self.free] + moves * self.ulp, self.bits)
        moved: np.ndarray = c - self.c
        return moved


def _babai_lawson(scaling: _Scaling) -> tuple[np.ndarray, np.ndarray]:
    """The best of the nearest-plane points under Lawson's weights, and the reduced basis."""
    columns, residual = scaling.columns, scaling.residual
    best = np.zeros(columns.shape[1])
    best_value = scaling.worst(best)
    weights = np.full(residual.size, 1.0 / residual.size)
    shrinkage = np.ones_like(residual)
    basis = reduce_lattice(np.asarray(np.linalg.qr(columns, mode="r")))
    for _ in range(LAWSON_STEPS):
        root = np.sqrt(weights) / shrinkage
        orthogonal, triangle = np.linalg.qr(root[:, None] * columns)
        moves = basis @ _nearest_plane(triangle @ basis, orthogonal.T @ (root * residual))
        value = scaling.worst(moves)
        if value < best_value:
            best, best_value = moves, value
        shrinkage = np.maximum(scaling.shrinkage(moves[None])[0], SHRINK)
        weights = weights * np.abs((residual - columns @ moves) / shrinkage)
        if not weights.any():  # the coefficients fit the target type as they are
            break
        weights = weights / weights.sum() + 1e-12
    return best, basis


def _nearest_plane(basis: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Babai's nearest plane algorithm: integers z with ``basis @ z`` near ``target``."""
    orthogonal, triangle = np.linalg.qr(basis)
    rest, z = orthogonal.T @ target, np.zeros(basis.shape[1])
    for i in range(z.size - 1, -1, -1):
        z[i] = np.rint(rest[i] / triangle[i, i])
        rest = rest - triangle[:, i] * z[i]
    return z


def _descend(scaling: _Scaling, moves: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Steepest descent of the maximum error along reduced vectors and sums of two of them."""
    signed = np.concatenate([basis.T, -basis.T])
    directions = signed
    if len(basis) <= MAX_PAIRED:
        pairs = [signed[i] + signed[j] for i, j in combinations(range(len(signed)), 2)]
        directions = np.array([*signed, *(pair for pair in pairs if pair.any())])
    value = scaling.worst(moves)
    for _ in range(MAX_DESCENT):
        trial = scaling.maximum(moves + directions)
        if trial.min() >= value:
            break
        value = float(trial.min())
        moves = moves + directions[trial.argmin()]
    return moves


def reduce_lattice(columns: np.ndarray) -> np.ndarray:
    """LLL reduction: a unimodular U such that the columns of ``columns @ U`` are short.

    It runs in float64, which suffices for the few dozen columns of a rounding problem.
    """
    basis, u = columns.copy(), np.eye(columns.shape[1])
    k = 1
    while k < basis.shape[1]:
        triangle = np.asarray(np.linalg.qr(basis[:, : k + 1], mode="r"))
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
