"""The rational that levels the error on one reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import kernels

__all__ = ["Levelled", "level", "spread"]

POLISH = 1e-7  # relative levelled error below which the eigenvector's accuracy is not enough


@dataclass(frozen=True, eq=False)
class Levelled:
    """A barycentric rational in the reduced variable, and its levelled error.

    Attributes:
        nodes, values, weights: support points, values there, barycentric weights.
        error: lambda in ``f - r = (-1)^i lambda / w`` on the reference.
        sound: whether the denominator keeps one sign on the reference.
    """

    nodes: np.ndarray
    values: np.ndarray
    weights: np.ndarray
    error: float
    sound: bool


def spread(size: int, count: int, inner: bool = False) -> np.ndarray:
    """``count`` of the indices 1 … size - 1, evenly; every other one for size = 2 count.

    With ``inner`` the last index is left out where enough others remain.
    """
    top = size - 2 if inner and count <= size - 2 else size - 1
    return 1 + ((np.arange(count) + 0.5) * top / count).astype(np.int64)


def level(
    u: np.ndarray,
    f: np.ndarray,
    slack: np.ndarray,
    degree: tuple[int, int],
    inner: bool = False,
) -> Levelled | None:
    r"""Solve ``f_i - p(u_i)/q(u_i) = (-1)^i lambda slack_i`` on m + n + 2 increasing points.

    p is eliminated by divided differences: ``sum_i D_i phi(u_i) q(u_i) (f_i - (-1)^i lambda
    slack_i) = 0`` for every phi of degree <= n. With ``d_i = |D_i|`` and the Lagrange basis of
    n + 1 support points this is a symmetric eigenproblem of size n + 1, definite after a QR
    factorisation of the rows ``sqrt(d_i slack_i) l_k(u_i)``; for m = n and every other point
    as support the rows are a Cauchy matrix with orthonormal columns.

    Args:
        u: reference, increasing.
        f: target there.
        slack: 1/weight; 0 demands interpolation.
        degree: (m, n) with ``m + n + 2 = u.size``.
        inner: keep the last point out of the support (it is infinity).

    Returns:
        The solution whose denominator keeps its sign on the reference, else the one with the
        fewest changes of sign; None if the linear algebra fails.

    References:
        S.-I. Filip, Y. Nakatsukasa, L. N. Trefethen, B. Beckermann, SIAM J. Sci. Comput. 40
        (2018), doi:10.1137/17M1132409; A. Ruttan, Lecture Notes in Math. 1045 (1984).
    """
    m, n = degree
    support = spread(u.size, n + 1, inner)
    rows, log_d, _ = kernels.lagrange_rows(u, support)
    sign = 1.0 - 2.0 * (np.arange(u.size) % 2)
    centre = 0.5 * (f.min() + f.max()) if m >= n else 0.0
    try:
        error, q, sound = _denominator(rows, sign * (f - centre), slack)
    except np.linalg.LinAlgError:
        return None
    if m == n:
        nodes, log_w = support, _log_products(u[support])
    else:
        nodes = spread(u.size, max(m, n) + 1, inner)
        log_w = _log_products(u[nodes])
    alternate = sign[: nodes.size] * q[nodes]
    size = -0.5 * log_d[nodes] - log_w
    weights = alternate * np.exp(size - size.max())
    weights = weights / np.abs(weights).max()
    if abs(error) * np.max(slack) < POLISH * np.ptp(f):
        start = weights if sound else sign[: nodes.size] * np.abs(weights)
        better, refined, change = start, error, np.inf
        for _ in range(6):
            better, refined, change = _polish(u, f, sign * slack, nodes, better, refined, m - n)
            if not 1e-4 <= change < np.inf:
                break
        if change < 1e-4 or (sound and change < np.inf):
            weights, error, sound = better, refined, True
    values = f[nodes] - sign[nodes] * error * slack[nodes]
    return Levelled(u[nodes], values, weights, error, sound)


def _polish(
    u: np.ndarray,
    f: np.ndarray,
    slope: np.ndarray,
    nodes: np.ndarray,
    weights: np.ndarray,
    error: float,
    excess: int,
) -> tuple[np.ndarray, float, float]:
    """One Newton step on the relative sizes of the weights and on lambda, and its size.

    The eigenvector is accurate relative to its largest entry only. Here the residuals are
    formed from differences of f, each weight is corrected relative to its own size, and the
    ``|m - n|`` conditions that lower the degree are rows of Chebyshev polynomials.
    """
    rest = np.setdiff1d(np.arange(u.size), nodes)
    t, level = u[nodes], f - error * slope
    cauchy = weights / (u[rest][:, None] - t)
    system = cauchy * (
        (f[nodes] - f[rest][:, None]) - error * (slope[nodes] - slope[rest][:, None])
    )
    change = (cauchy * (slope[rest][:, None] - slope[nodes])).sum(1)
    if excess:
        middle, half = 0.5 * (t[0] + t[-1]), 0.5 * (t[-1] - t[0])
        powers = np.polynomial.chebyshev.chebvander((t - middle) / half, abs(excess) - 1).T
        extra = powers * weights * (level[nodes] if excess < 0 else 1.0)
        loss = -(powers * weights * slope[nodes]).sum(1) if excess < 0 else np.zeros(abs(excess))
        system, change = np.vstack([system, extra]), np.concatenate([change, loss])
    scale = np.abs(system).max(1)
    count = nodes.size
    matrix = np.zeros((count + 1, count + 1))
    matrix[:count, :count] = system / scale[:, None]
    matrix[:count, count] = change / scale * error
    matrix[count, :count] = 1.0
    right = np.append(-system.sum(1) / scale, 0.0)
    try:
        step = np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        return weights, error, np.inf
    if not (step[:count].min() > -1 and abs(step[count]) < 0.5):
        return weights, error, np.inf
    return weights * (1 + step[:count]), error * (1 + step[count]), float(np.abs(step).max())


def _denominator(
    rows: np.ndarray, target: np.ndarray, slack: np.ndarray
) -> tuple[float, np.ndarray, bool]:
    """lambda, ``sqrt(d_i) q(u_i)`` and whether q keeps its sign."""
    free = slack > 0
    root = np.sqrt(slack[free])
    order = np.argsort(-np.abs(rows[free] * root[:, None]).max(1), kind="stable")
    basis, triangle = np.linalg.qr((rows[free] * root[:, None])[order])
    scaled = (target[free] / slack[free])[order]
    matrix = basis.T @ (scaled[:, None] * basis)
    whole = np.empty_like(rows)
    whole[np.flatnonzero(free)[order]] = basis / root[order, None]
    if not free.all():
        held = np.linalg.solve(triangle.T, rows[~free].T).T
        whole[~free] = held
        matrix += held.T @ (target[~free][:, None] * held)
    errors, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    q = whole @ vectors
    positive = (q > 0).sum(0)
    changes = np.minimum(positive, q.shape[0] - positive)
    best = int(changes.argmin())
    column = q[:, best]
    return float(errors[best]), column * np.sign(column.sum()), bool(changes[best] == 0)


def _log_products(t: np.ndarray) -> np.ndarray:
    gap = np.abs(t[:, None] - t)
    np.fill_diagonal(gap, 1.0)
    return np.log(gap).sum(1)
