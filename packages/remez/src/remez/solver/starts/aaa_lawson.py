"""Initial references from the AAA algorithm and Lawson's iteration.

AAA chooses support points one by one, each at the largest error. On them a barycentric rational of
type (n, n) is fitted by iteratively reweighted least squares, where the weights are multiplied by
the error at each point. This levels the error slowly, and not always; the extrema of the error of
each iterate are references from which an exchange may converge.

References:
    Y. Nakatsukasa, L. N. Trefethen, SIAM J. Sci. Comput. 42 (2020), doi:10.1137/19M1281897.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
from scipy import linalg

from remez import curve_kernels
from remez.solver.exchange import solve
from remez.solver.problem_reduction import Reduced, Samples

__all__ = ["lawson_references"]

ROUNDS = 60
LEAST = 1e-30  # of the largest weight, so that a point may come back


def lawson_references(reduced: Reduced, points: Samples) -> Iterator[np.ndarray]:
    """References on which q keeps its sign; none unless the type is (n, n) without conditions."""
    points = points[points.w > 0]
    m, n = reduced.degree
    if m != n or reduced.fixed or reduced.sign_changes or reduced.line or points.u.size < 4 * n + 4:
        return
    support = _support(points, n + 1)
    basis = _basis(points.u, support)
    weight = np.ones(points.u.size)
    for _ in range(ROUNDS):
        error = _fitted(basis, points, weight)
        if error is None:
            return
        size = np.abs(error)
        kept = curve_kernels.alternating(error, reduced.size)
        if kept.size == reduced.size:
            reference = points.u[kept]
            levelled = solve(reduced, reduced.sample(reference))
            if levelled is not None and levelled.sound:
                yield reference
        weight = weight * size / size.max()
        weight = np.maximum(weight / weight.max(), LEAST)


def _support(points: Samples, count: int) -> np.ndarray:
    """Indices of support points, increasing: those of AAA, and even ones where it stops early."""
    from scipy.interpolate import AAA  # slow to load, and seldom needed

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the tolerance, which is 0, was not reached
        found = AAA(points.u, points.f, rtol=0, max_terms=count, clean_up=False)
    chosen = np.searchsorted(points.u, np.sort(found.support_points))
    spare = np.setdiff1d(np.arange(points.u.size), chosen)
    missing = count - chosen.size
    even = np.linspace(0, spare.size - 1, missing + 2)[1:-1].astype(int)
    return np.sort(np.concatenate([chosen, spare[even]]))


def _basis(u: np.ndarray, support: np.ndarray) -> np.ndarray:
    """Rows ``1/(u - z_k)``; at a support point its own term alone, which is all that counts."""
    with np.errstate(divide="ignore"):
        basis: np.ndarray = 1 / (u[:, None] - u[support])
    basis[support] = np.eye(support.size)
    return basis


def _fitted(basis: np.ndarray, points: Samples, weight: np.ndarray) -> np.ndarray | None:
    """``w (f - p/q)`` for the p and q of least ``sum weight (w (f q - p))^2``, |q| = 1."""
    root = (np.sqrt(weight) * points.w)[:, None]
    try:
        first, _ = linalg.qr(root * basis, mode="economic", check_finite=False)
        rows = root * points.f[:, None] * basis
        for _ in range(2):  # twice, as once leaves rounding
            rows = rows - first @ (first.T @ rows)
        _, _, vectors = linalg.svd(rows, full_matrices=False, check_finite=False)
        q = basis @ vectors[-1]
        right = root[:, 0] * points.f * q
        p = basis @ linalg.lstsq(root * basis, right, check_finite=False)[0]
    except (linalg.LinAlgError, ValueError):
        return None
    with np.errstate(all="ignore"):
        error = points.w * (points.f - p / q)
    error[~np.isfinite(error)] = 0.0
    return error if error.any() else None
