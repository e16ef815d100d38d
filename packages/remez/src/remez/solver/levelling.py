"""The rational that levels the error on one reference."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.linalg import lapack  # without NumPy's checks, which cost more than the algebra

from remez import kernels
from remez.points import sign_of_product

__all__ = ["Levelled", "level", "spread"]

EPS = float(np.finfo(float).eps)
NEWTON = 12  # largest number of Newton steps
FAR = 20.0  # largest relative size of a first Newton step that is trusted
ROOT = 100  # largest number of steps of the root finder
POLISH = 1e-7  # relative levelled error below which the eigenvector is refined by Newton


@dataclass(frozen=True, eq=False)
class Levelled:
    """A barycentric rational in the reduced variable, and its levelled error.

    Attributes:
        nodes, values, weights: The support points, the values at them, and barycentric weights.
        error: The number lambda in ``f - r = (-1)^i lambda / w`` on the reference.
        sound: Whether the denominator has the required signs on the reference.
    """

    nodes: np.ndarray
    values: np.ndarray
    weights: np.ndarray
    error: float
    sound: bool


@lru_cache(maxsize=256)
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
    sign_changes: tuple[float, ...] = (),
) -> Levelled | None:
    r"""Solve ``f_i - p(u_i)/q(u_i) = (-1)^i lambda slack_i`` on m + n + 2 increasing points.

    p is eliminated by divided differences: ``sum_i D_i phi(u_i) q(u_i) (f_i - (-1)^i lambda
    slack_i) = 0`` for every phi of degree <= n. With ``d_i = |D_i|`` and the Lagrange basis of
    n + 1 support points this is a symmetric eigenproblem of size n + 1, definite after a QR
    factorisation of the rows ``sqrt(d_i slack_i) l_k(u_i)``; for m = n and every other point
    as support the rows are a Cauchy matrix with orthonormal columns.

    Args:
        u: The reference, increasing, shape (m + n + 2,).
        f: The values of the function at the reference.
        slack: 1/weight at the reference; 0 at a fixed point.
        degree: The type (m, n).
        inner: Whether the last point, which represents infinity, is no support point.
        sign_changes: Points in gaps of the domain at which q must change sign.

    Returns:
        The solution whose denominator has these sign changes only on the reference, or the one
        with the fewest wrong signs; None if the linear algebra fails.

    References:
        S.-I. Filip, Y. Nakatsukasa, L. N. Trefethen, B. Beckermann, SIAM J. Sci. Comput. 40
        (2018), doi:10.1137/17M1132409; A. Ruttan, Lecture Notes in Math. 1045 (1984).
    """
    m, n = degree
    if n == 0:
        return _polynomial(u, f, slack, inner)
    if m == 0:
        found = _reciprocal(u, f, slack, inner, sign_of_product(u, sign_changes))
        if found is not None:
            return found
    nodes = spread(u.size, max(m, n) + 1, inner)
    support = spread(u.size, n + 1, inner)
    if not slack.all():
        nodes, support = _through(nodes, slack), _through(support, slack)
    sign, side = _alternating(u.size), sign_of_product(u, sign_changes)
    low, high = f.min(), f.max()
    centre = 0.5 * (low + high) if m >= n else 0.0
    rows, order, scale = kernels.lagrange_rows(u, slack, support, nodes)
    solved = _eigen(rows, (sign * (f - centre))[order], slack[order])
    if solved is None:
        return None
    errors, columns = solved
    best, weights, sound = kernels.steadiest(columns, order, slack, side, nodes, scale)
    error = float(errors[best])
    slope = sign * slack
    if abs(error) * slack.max() < POLISH * (high - low):
        start = weights if sound else sign[: nodes.size] * side[nodes] * np.abs(weights)
        better, refined, change = start, error, np.inf
        for _ in range(NEWTON):
            unit = max(abs(refined), EPS * (high - low))
            better, refined, change = _polish(u, f, slope, nodes, better, refined, unit, m - n)
            if not 1e-4 <= change < np.inf:
                break
        if change < 1e-4 or (sound and change < np.inf):
            weights, error, sound = better, refined, True
    return Levelled(u[nodes], f[nodes] - error * slope[nodes], weights, error, sound)


def _polynomial(u: np.ndarray, f: np.ndarray, slack: np.ndarray, inner: bool) -> Levelled:
    """A polynomial: the divided difference of f - (-1)^i lambda slack is 0, which is linear.

    All finite points are nodes, one more than necessary, to avoid extrapolation.
    """
    sign, d = _alternating(u.size), kernels.lagrange_weights(u)
    centre = 0.5 * (f.min() + f.max())
    error = float((d * sign) @ (f - centre) / (d @ slack))
    return _on_all(u, f - error * sign * slack, np.ones(u.size), error, inner)


def _reciprocal(
    u: np.ndarray, f: np.ndarray, slack: np.ndarray, inner: bool, side: np.ndarray
) -> Levelled | None:
    r"""The reciprocal of a polynomial with the signs ``side`` or their opposites, or None.

    The divided difference of ``1/(f - (-1)^i lambda slack)`` is 0. Between the poles of the
    terms at which some r_i changes sign that difference is monotone in lambda, from -inf to inf:
    there is one solution, computed by Newton's method safeguarded by bisection.
    """
    sign, d = _alternating(u.size), kernels.lagrange_weights(u)
    slope = sign * slack
    for flip in (1.0, -1.0) if side @ f >= 0 else (-1.0, 1.0):
        value, rate = flip * side * f, flip * side * slope
        if (value[rate == 0] <= 0).any():
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            bound = value / rate
        low = float(bound[rate < 0].max(initial=-np.inf))
        high = float(bound[rate > 0].min(initial=np.inf))
        if -np.inf < low < high < np.inf:
            error = _root(sign * d, f, slope, low, high)
            r = f - error * slope
            if (flip * side * r > 0).all():
                return _on_all(u, r, 1 / r, error, inner)
    return None


def _root(d: np.ndarray, f: np.ndarray, slope: np.ndarray, low: float, high: float) -> float:
    """Where ``sum d/(f - error slope)``, which grows from -inf at low to inf at high, is 0."""
    error = 0.0 if low < 0 < high else 0.5 * (low + high)
    for _ in range(ROOT):
        q = 1 / (f - error * slope)
        total = float(d @ (q - q.mean()))  # as sum d = 0
        low, high = (error, high) if total < 0 else (low, error)
        trial = error - total / float((d * slope) @ (q * q))
        trial = trial if low < trial < high else 0.5 * (low + high)
        if abs(trial - error) <= EPS * abs(trial):
            return trial
        error = trial
    return error


def _on_all(
    u: np.ndarray, values: np.ndarray, q: np.ndarray, error: float, inner: bool
) -> Levelled:
    """The rational p/q with these values on all points, or all but the last; p or q is 1."""
    nodes = slice(0, u.size - 1 if inner else u.size)
    weights = _alternating(u.size)[nodes] * kernels.lagrange_weights(u[nodes]) * q[nodes]
    return Levelled(u[nodes], values[nodes], weights / np.abs(weights).max(), error, True)


def _through(indices: np.ndarray, slack: np.ndarray) -> np.ndarray:
    """The indices, moved to the points without slack, where r then takes its value exactly."""
    moved = indices.copy()
    for held in np.flatnonzero(slack == 0):
        free = np.flatnonzero(slack[moved] > 0)
        if free.size and held not in moved:
            moved[free[np.abs(moved[free] - held).argmin()]] = held
    return np.sort(moved)


def _polish(
    u: np.ndarray,
    f: np.ndarray,
    slope: np.ndarray,
    nodes: np.ndarray,
    weights: np.ndarray,
    error: float,
    unit: float,
    excess: int,
) -> tuple[np.ndarray, float, float]:
    """One Newton step on the relative sizes of the weights and on lambda/unit, and its size.

    The eigenvector is accurate relative to its largest entry only; here each weight is
    corrected relative to its own size, by at most 0.8 of it. The size is infinite where the
    step is too long to be trusted.
    """
    system, right = kernels.newton_system(u, f, slope, nodes, weights, error, unit, excess)
    _, _, step, info = lapack.dgesv(system, right)
    size = float(np.abs(step).max())
    if info != 0 or not size < FAR:
        return weights, error, np.inf
    change, growth = step[:-1], float(step[-1])
    part = 0.8 / max(size, 0.8)
    return weights * (1 + part * change), error + part * growth * unit, size


def _eigen(
    rows: np.ndarray, target: np.ndarray, slack: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """All lambda with columns ``sqrt(d_i slack_i) q(u_i)``; None if the linear algebra fails.

    Rows are sorted by decreasing size; those without slack are last and are not factorised.
    """
    count = int(np.count_nonzero(slack))
    if count < rows.shape[1]:
        return None
    factors, tau, _, _ = lapack.dgeqrf(rows[:count])
    basis, _, _ = lapack.dorgqr(factors, tau)
    matrix = basis.T @ ((target[:count] / slack[:count])[:, None] * basis)
    if count < slack.size:
        below = lapack.dtrtrs(factors[: basis.shape[1]], rows[count:].T, trans=1)[0].T
        matrix += below.T @ (target[count:, None] * below)
        basis = np.vstack([basis, below])
    if not np.isfinite(matrix).all():  # LAPACK would write a warning to stderr
        return None
    errors, vectors, info = lapack.dsyevd(matrix)
    return (errors, basis @ vectors) if info == 0 else None


@lru_cache(maxsize=256)
def _alternating(size: int) -> np.ndarray:
    """1, -1, 1, …"""
    return 1.0 - 2.0 * (np.arange(size) % 2)
