"""The best rational on a grid by linear programming: slow, but needs no initial guess."""

from __future__ import annotations

from typing import Any

import numpy as np

from remez import curve_kernels
from remez.points import sign_of_product
from remez.solver.levelling import Levelled
from remez.solver.problem_reduction import Reduced, Samples

__all__ = ["Stuck", "correct", "improvable"]

FEASIBLE = -1e-9  # delta/E below which a linear program has attained a smaller error
RESOLVED = 1e-8  # of max |w f|; the programs are solved to 1e-10 and resolve no smaller errors
# limit of the simplex method, which may cycle at such tolerances
LIMITS: Any = {
    "primal_feasibility_tolerance": 1e-10,
    "dual_feasibility_tolerance": 1e-10,
    "maxiter": 5000,
    "time_limit": 1.0,
}
LIMIT = 1  # status of scipy.optimize.linprog at this limit
FINE = 1.02  # ratio of the bounds at which differential correction replaces bisection


class Stuck(Exception):
    """The simplex method reached its limits; it would do so at higher degrees as well."""


def correct(
    reduced: Reduced, points: Samples, near: Levelled | None, rounds: int = 24
) -> np.ndarray | None:
    r"""A reference for ``reduced`` from the best approximation on the given points.

    Whether some ``p/q`` has ``w |f - p/q| < E`` on the points is a linear program: minimise
    delta subject to ``w |f q - p| - E |q| <= delta |q_k|``, |q| being q times the signs that it
    is to have. E is bisected, geometrically; once its
    bracket is small, E is the error reached, which is differential correction and converges
    quadratically. Rows are divided by the last q, and p and q are kept in bases orthonormal on
    the points with weight ``1/q_k``.

    Args:
        reduced: The problem; its degree may exceed that of ``near``.
        points: The grid.
        near: An initial rational of lower degree, None for a constant.
        rounds: The largest number of linear programs.

    Returns:
        The alternating extrema, or None if there are fewer than needed.

    Raises:
        Stuck: The simplex method reached its limits.

    References:
        I. Barrodale, M. J. D. Powell, F. D. K. Roberts, SIAM J. Numer. Anal. 9 (1972),
        doi:10.1137/0709044.
    """
    points = points[points.w > 0]
    side = sign_of_product(points.u, reduced.sign_changes)
    q, error = _begin(points, near)
    upper, lower = np.abs(points.w * error).max(), 0.0
    if not np.isfinite(upper):
        return None
    for _ in range(rounds):
        fine = upper <= FINE * lower
        trial = upper if fine else max(0.25 * upper, np.sqrt(lower) * np.sqrt(upper))
        step = _program(points, reduced, q, trial)
        if step is None or not step[2] < FEASIBLE * trial or not (step[1] > 0).all():
            if fine:
                break
            lower = trial
            continue
        error_next = points.f - side * step[0] / step[1]
        size = np.abs(points.w * error_next).max()
        if not size < upper:
            break
        done = fine and size > (1 - 1e-5) * upper
        q, error, upper = step[1] / step[1].max(), error_next, size
        if done:
            break
    signed = points.w * error * reduced.flips(points.u)
    kept = curve_kernels.alternating(signed, reduced.size)
    return points.u[kept] if kept.size == reduced.size else None


def improvable(reduced: Reduced, points: Samples, error: float) -> bool:
    """Whether p/q with the reduced problem's signs can have an error below ``error``.

    False says that none can, on the points; True may also mean that rounding hides it, or that
    the program was too hard.
    """
    points = points[points.w > 0]
    try:
        found = _program(points, reduced, np.ones(points.u.size), error)
    except Stuck:
        return True
    return found is None or found[2] < FEASIBLE * error


def _begin(points: Samples, near: Levelled | None) -> tuple[np.ndarray, np.ndarray]:
    """q and the error of the first iterate."""
    flat = points.f - 0.5 * (points.f.max() + points.f.min())
    if near is None:
        return np.ones(points.u.size), flat
    u = points.u
    gap = u[:, None] - near.nodes
    hit_row, hit_col = np.nonzero(gap == 0)
    gap[hit_row, hit_col] = 1.0
    total = (near.weights / gap).sum(1)
    error = points.f - (near.weights * near.values / gap).sum(1) / total
    total[hit_row] = near.weights[hit_col]
    error[hit_row] = points.f[hit_row] - near.values[hit_col]
    with np.errstate(divide="ignore"):
        log = np.log(np.abs(gap)).sum(1) + np.log(np.abs(total))
    return np.exp(log - log.max()), error


def _program(
    points: Samples, reduced: Reduced, q: np.ndarray, best: float
) -> tuple[np.ndarray, np.ndarray, float] | None:
    """One linear program, rows divided by q_k; values of the next p and |q|, and delta/best.

    None if it fails.
    """
    from scipy.optimize import linprog

    if best < RESOLVED * points.height:
        return None
    m, n = reduced.degree
    side = sign_of_product(points.u, reduced.sign_changes)[:, None]
    with np.errstate(all="ignore"):
        basis = _orthonormal(points.u, 1 / q, max(m, n) + 1)
    if not np.isfinite(basis).all():
        return None
    p_rows, q_rows = basis[:, : m + 1], basis[:, : n + 1]
    target = (points.w * points.f)[:, None] * q_rows
    numerator = points.w[:, None] * p_rows
    height = best * side * q_rows
    one = np.full((points.u.size, 1), best)
    rows = np.vstack(
        [
            np.hstack([-numerator, target - height, -one]),
            np.hstack([numerator, -target - height, -one]),
        ]
    )
    if not np.isfinite(rows).all():
        return None
    cost = np.zeros(rows.shape[1])
    cost[-1] = 1.0
    bounds = [(None, None)] * (m + 1) + [(-1, 1)] * (n + 1) + [(None, None)]
    scale = np.abs(rows).max(1, keepdims=True)
    found = linprog(
        cost,
        A_ub=rows / scale,
        b_ub=np.zeros(rows.shape[0]),
        bounds=bounds,
        options=LIMITS,
    )
    if found.status == LIMIT:
        raise Stuck
    if found.x is None or found.status != 0:
        return None
    p_next = p_rows @ found.x[: m + 1] * q
    q_next = side[:, 0] * (q_rows @ found.x[m + 1 : -1]) * q
    return p_next, q_next, float(found.x[-1])


def _orthonormal(u: np.ndarray, start: np.ndarray, count: int) -> np.ndarray:
    """Polynomials of degree 0 … count - 1 times ``start``, by Arnoldi, columns of norm sqrt(N).

    P. D. Brubeck, Y. Nakatsukasa, L. N. Trefethen, SIAM Review 63 (2021),
    doi:10.1137/19M130100X.
    """
    basis = np.empty((u.size, count))
    basis[:, 0] = start
    for k in range(count):
        column = basis[:, k] if k == 0 else u * basis[:, k - 1]
        for _ in range(2):
            column = column - basis[:, :k] @ (basis[:, :k].T @ column) / u.size
        basis[:, k] = column * np.sqrt(u.size / (column @ column))
    return basis
