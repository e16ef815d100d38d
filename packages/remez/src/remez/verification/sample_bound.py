"""A lower bound on the best error on samples that needs no alternation.

The best error of noisy samples may be an infimum that no rational attains: the error of those that
come close to it alternates on too few points for the bound of de la Vallée Poussin. By Gordan's
theorem no p/q of the type with q >= 0 has an error below E if and only if the conditions
``s_i w_i (f_i q(x_i) - p(x_i)) < E q(x_i)`` with signs s_i, and ``q(z_j) > 0`` between the samples,
have a linear combination with positive factors that is 0 for all p and q. A linear program
suggests which conditions; the factors are then computed with so many digits that their signs are
certain.

References:
    A. Schrijver, Theory of Linear and Integer Programming, Wiley 1986, section 7.8.
"""

from __future__ import annotations

import numpy as np

from remez.functions.working_precision import working_digits
from remez.problem import Degree, Problem
from remez.rational.linear_programs import Iterate, Step, Stuck, improve
from remez.rational.protocol import RationalFunction, Real

__all__ = ["excludes"]

MOST = 2000  # largest number of samples in the program
DIGITS = 120  # for the factors
RESOLVED = 1e-60  # relative size below which a combination is 0 with these digits
NEGLIGIBLE = 1e-13  # multipliers below this share of the largest are 0


def excludes(
    problem: Problem, rational: RationalFunction, between: np.ndarray, error: float
) -> bool:
    """Whether no rational of the type of the problem has an error below ``error``.

    Args:
        problem: The problem of the samples.
        rational: The rational whose denominator scales the program.
        between: Points between the samples, at which the denominator is to be positive as well.
        error: The error.

    Returns:
        True if that is certain; False also where the program does not show it.
    """
    samples = problem.samples
    assert samples is not None
    size = samples.weight * np.abs(samples.y - rational(samples.x))
    stride = -(-samples.x.size // MOST)
    largest = np.argpartition(size, max(size.size - MOST, 0))[-MOST:]
    kept = np.union1d(np.arange(0, size.size, stride), largest)
    between = np.setdiff1d(between, samples.x)
    x = np.concatenate([samples.x[kept], between])
    order = np.argsort(x)
    none = np.zeros(between.size)
    f = np.concatenate([samples.y[kept], none])[order]
    w = np.concatenate([samples.weight[kept], none])[order]
    x = x[order]
    low, high = problem.domain.hull
    with np.errstate(divide="ignore"):
        log = np.log(np.abs(x[:, None] - rational.estimated_poles())).sum(1)
    now = Iterate(np.where(w > 0, f - rational(x), 0.0), np.exp(log - log.max()))
    u = (2 * x - low - high) / (high - low)
    try:
        step = improve(u, f, w, np.ones(x.size), now, problem.degree, error)
    except Stuck:
        return False
    return step is not None and _contradicts(x, f, w, step, problem.degree, error)


def _contradicts(
    x: np.ndarray, f: np.ndarray, w: np.ndarray, step: Step, degree: Degree, error: float
) -> bool:
    """Whether positive factors exist for the conditions whose multipliers are not 0."""
    from mpmath import mp

    multipliers = np.concatenate([step.above, step.below])
    active = np.flatnonzero(multipliers > NEGLIGIBLE * multipliers.max(initial=0.0))
    count = sum(degree) + 2
    if not 1 < active.size <= count + 1:
        return False
    with working_digits(DIGITS):
        rows, low, high = [], mp.mpf(x[0]), mp.mpf(x[-1])
        for k in active.tolist():
            i, sign = k % x.size, 1 if k < x.size else -1
            u = (2 * mp.mpf(x[i]) - low - high) / (high - low)
            rows.append(_condition(u, f[i], w[i], sign, degree, error))
        matrix, right = mp.matrix(rows[:-1]).T, -mp.matrix(rows[-1])
        try:
            square = active.size == count + 1
            found = mp.lu_solve(matrix, right) if square else mp.qr_solve(matrix, right)[0]
        except (ZeroDivisionError, ValueError):
            return False
        if not all(factor > 0 for factor in found):
            return False
        rest = matrix * found - right
        size = sum(abs(a) * b for column in rows for a in column for b in [max(found)])
        return bool(max(abs(v) for v in rest) <= mp.mpf(RESOLVED) * size)


def _condition(u: Real, f: float, w: float, sign: int, degree: Degree, error: float) -> list[Real]:
    """``sign w (f q - p) - error q`` as coefficients of p and q in Chebyshev's basis.

    Where w is 0 it is -q.
    """
    from mpmath import mp

    m, n = degree
    chebyshev = [mp.one, u]
    for _ in range(max(m, n)):
        chebyshev.append(2 * u * chebyshev[-1] - chebyshev[-2])
    slope = sign * mp.mpf(w) * mp.mpf(f) - (mp.mpf(error) if w else 1)
    top = [-sign * mp.mpf(w) * value for value in chebyshev[: m + 1]]
    return top + [slope * value for value in chebyshev[: n + 1]]
