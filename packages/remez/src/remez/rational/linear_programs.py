r"""Linear programs that lower the error of a rational on finitely many points.

Whether some ``p/q`` with q > 0 has ``w |f - p/q| <= E`` on the points is a linear program. It is
written relative to a known function r, the last rational ``p_k/q_k``, with error ``e = f - r``.
With ``g = q/q_k`` and ``d = (p - r q)/q_k`` the new error is exactly ``e - d/g``, and e is known to
its own accuracy. Errors far below the accuracy of the program relative to f are therefore resolved.
Both the solver and the judge use these programs.

References:
    I. Barrodale, M. J. D. Powell, F. D. K. Roberts, SIAM J. Numer. Anal. 9 (1972),
    doi:10.1137/0709044.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Iterate", "Step", "Stuck", "improve", "orthonormal"]

RESOLVED = 1e-14  # of max |w f|: smaller errors are rounding
INDEPENDENT = 1e-14  # relative size below which a direction of the coefficients is dependent
SHARE = 0.1  # of the error: change of r below which a direction counts as one of q alone
# limits of the simplex method, which may cycle at such tolerances; none is on the clock, so that
# the result does not depend on what else the machine does
LIMITS: Any = {
    "primal_feasibility_tolerance": 1e-10,
    "dual_feasibility_tolerance": 1e-10,
    "maxiter": 5000,
}
WORK = 3e8  # iterations times entries of the matrix: about a second
ROUNDS = 40  # largest number of times that rows are added
VIOLATED = 1e-9  # excess of a row, of largest entry 1, from which it is added
SOLVED, LIMIT = 0, 1  # statuses of scipy.optimize.linprog
# the interior-point method where the simplex method fails
METHODS: tuple[Any, ...] = ("highs", "highs-ipm")


class Stuck(Exception):
    """The simplex method reached its limits; it would do so at higher degrees as well."""


@dataclass(frozen=True, eq=False)
class Iterate:
    """A rational on the points: its error ``f - r`` and the size of q, at most 1, shape (K,)."""

    error: np.ndarray
    q: np.ndarray


@dataclass(frozen=True, eq=False)
class Step:
    """The solution of a linear program.

    Attributes:
        iterate: The new rational.
        delta: The optimum; negative if the error that was asked for is attained.
        above, below: The multipliers, at least 0, of the upper and the lower bound on
            ``f - r`` at every point, shape (K,). At points of weight 0 ``above`` is that of q >= 0.
    """

    iterate: Iterate
    delta: float
    above: np.ndarray
    below: np.ndarray


def improve(
    u: np.ndarray,
    f: np.ndarray,
    w: np.ndarray,
    side: np.ndarray,
    now: Iterate,
    degree: tuple[int, int],
    bound: float,
) -> Step | None:
    """Minimise delta subject to ``w |f - r| |q| - bound |q| <= bound delta |q_k|``.

    q is at most twice q_k. At a point of weight 0 q has to be at least ``-delta`` times the smaller
    q_k of the points with a weight on either side.

    Args:
        u: The points, increasing, shape (K,).
        f: The values of the function, shape (K,).
        w: The weights, shape (K,), 0 at points at which only q matters.
        side: The sign that q is to have at every point, shape (K,).
        now: The known rational.
        degree: The type (m, n).
        bound: The error that is asked for.

    Returns:
        The solution; None if the program fails.

    Raises:
        Stuck: The simplex method reached its limits.
    """
    counts = w > 0
    if bound < RESOLVED * np.abs(w * f).max():
        return None
    with np.errstate(all="ignore"):
        change = _changes(u, np.where(counts, f - now.error, 0.0), w, side, now, degree, bound)
    if change is None:
        return None
    of_p, of_q = change
    # the rows of the error on both sides, the sign of q elsewhere, and the limit of q
    slope = ((w * now.error)[:, None] * of_q - w[:, None] * of_p)[counts] / bound
    inner = of_q[counts]
    outer = of_q[~counts] * (now.q / _beside(now.q, counts))[~counts, None]
    delta = np.repeat([1.0, 0.0], [2 * len(inner) + len(outer), len(of_q)])[:, None]
    matrix = np.hstack([np.vstack([slope - inner, -slope - inner, -outer, of_q]), -delta])
    right = np.zeros(len(matrix))
    right[-len(of_q) :] = 2.0
    scale = np.abs(matrix).max(1)
    rows = _first_rows((w * now.error)[counts], len(outer), len(of_q), matrix.shape[1])
    solution = _minimise(matrix / scale[:, None], right / scale, rows)
    if solution is None:
        return None
    x, multipliers = solution[0], solution[1] / scale
    growth = of_q @ x[:-1]
    with np.errstate(all="ignore"):
        error = now.error - (of_p @ x[:-1]) / growth
        q = now.q * growth
        iterate = Iterate(np.where(counts, error, 0.0), q / np.abs(q).max())
    above, below = np.zeros(u.size), np.zeros(u.size)
    size = len(inner)
    above[counts], below[counts] = multipliers[:size], multipliers[size : 2 * size]
    above[~counts] = multipliers[2 * size : 2 * size + len(outer)]
    return Step(iterate, float(x[-1]), above, below)


def _first_rows(error: np.ndarray, places: int, limits: int, columns: int) -> np.ndarray:
    """Rows that may bind: at the extrema of the error, at some other points, and all of q's signs.

    Args:
        error: The weighted error at the points that count, shape (N,), of which there are rows for
            either side.
        places: The number of rows for the sign of q elsewhere.
        limits: The number of rows for the limit of q.
        columns: The number of unknowns; as many points are taken at even distances.
    """
    lobe = np.concatenate([[0], np.cumsum(np.diff(np.sign(error)) != 0)])
    order = np.lexsort((-np.abs(error), lobe))
    extrema = order[np.concatenate([[True], np.diff(lobe[order]) != 0])]
    points = np.union1d(extrema, np.arange(0, error.size, max(error.size // columns, 1)))
    last = 2 * error.size + places
    return np.concatenate([
        points,
        error.size + points,
        np.arange(2 * error.size, last),
        np.arange(last, last + limits, max(limits // columns, 1)),
    ])  # fmt: skip


def _minimise(
    matrix: np.ndarray, right: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """The x of the least last entry with ``matrix x <= right``, and the rows' multipliers.

    Few of the rows bind, and neighbours are alike. A program of some rows is solved, those that its
    solution violates most among their neighbours are added, until none is violated.

    Args:
        matrix: The rows, in groups along the points, of largest entry 1, shape (R, C).
        right: The right-hand sides, shape (R,).
        rows: Indices of the rows of the first program.

    Raises:
        Stuck: The simplex method reached its limits.
    """
    from scipy.optimize import linprog

    columns = matrix.shape[1]
    cost = np.zeros(columns)
    cost[-1] = 1.0
    work = 0
    for _ in range(ROUNDS):
        for method in METHODS:
            found = linprog(
                cost,
                A_ub=matrix[rows],
                b_ub=right[rows],
                bounds=[(None, None)] * (columns - 1) + [(-1, None)],
                method=method,
                options=LIMITS,
            )
            work += int(found.nit) * rows.size * columns
            if found.status in (SOLVED, LIMIT):
                break
        if found.status == LIMIT or work > WORK:
            raise Stuck
        if found.x is None or found.status != SOLVED:
            return None
        over = matrix @ found.x - right
        over[rows] = 0
        beside = np.concatenate([[0.0], over, [0.0]])
        worst = (over > VIOLATED) & (over >= beside[:-2]) & (over >= beside[2:])
        if not worst.any():
            multipliers = np.zeros(right.size)
            multipliers[rows] = -found.ineqlin.marginals
            return found.x, multipliers
        rows = np.union1d(rows, np.flatnonzero(worst))
    raise Stuck


def _changes(
    u: np.ndarray,
    r: np.ndarray,
    w: np.ndarray,
    side: np.ndarray,
    now: Iterate,
    degree: tuple[int, int],
    bound: float,
) -> tuple[np.ndarray, np.ndarray] | None:
    """``(p - r q)/q_k`` and ``q/q_k`` as matrices of the same coordinates.

    The coordinates make the columns of the first orthonormal, in units of ``bound``, unless they
    change r by less than a share of the error.
    """
    from scipy.linalg import qr, solve_triangular

    m, n = degree
    basis = orthonormal(u, 1 / now.q, max(m, n) + 1)
    if not np.isfinite(basis).all():
        return None
    of_q = side[:, None] * basis[:, : n + 1]
    both = np.hstack([side[:, None] * basis[:, : m + 1], -r[:, None] * of_q])
    triangle, pivots = qr(w[:, None] * both / np.sqrt(u.size), mode="r", pivoting=True)
    triangle = triangle[: m + n + 2]
    if triangle.shape[0] < m + n + 2:
        return None
    size = np.diag(triangle)
    least = max(SHARE * bound, INDEPENDENT * np.abs(size).max())
    np.fill_diagonal(triangle, np.where(np.abs(size) < least, least, size))
    inverse = np.empty_like(triangle)
    inverse[pivots] = bound * solve_triangular(triangle, np.eye(m + n + 2))
    return both @ inverse, of_q @ inverse[m + 1 :]


def _beside(q: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """At every point the smaller q of the nearest points that count on either side."""
    known = np.flatnonzero(counts)
    after = np.clip(np.searchsorted(known, np.arange(q.size)), 0, known.size - 1)
    beside: np.ndarray = np.minimum(q[known[np.maximum(after - 1, 0)]], q[known[after]])
    return beside


def orthonormal(u: np.ndarray, start: np.ndarray, count: int) -> np.ndarray:
    """Polynomials of degree 0 … count - 1 times ``start``, by Arnoldi, columns of norm sqrt(K).

    Args:
        u: The points, shape (K,).
        start: The factor, shape (K,).
        count: The number of polynomials.

    References:
        P. D. Brubeck, Y. Nakatsukasa, L. N. Trefethen, SIAM Review 63 (2021),
        doi:10.1137/19M130100X.
    """
    basis = np.empty((u.size, count))
    basis[:, 0] = start * np.sqrt(u.size / (start @ start))
    for k in range(1, count):
        column = u * basis[:, k - 1]
        for _ in range(2):
            column = column - basis[:, :k] @ (basis[:, :k].T @ column) / u.size
        basis[:, k] = column * np.sqrt(u.size / (column @ column))
    return basis
