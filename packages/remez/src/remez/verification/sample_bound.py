"""A lower bound on the best error on samples that needs no alternation.

The best error of noisy samples may be an infimum that no rational attains: the error of those that
come close to it alternates on too few points for the bound of de la Vallée Poussin. There a linear
program decides whether any rational of the type, with a positive denominator, has a given error.
"""

from __future__ import annotations

import numpy as np

from remez.linear_programs import Iterate, Stuck, improve
from remez.problem import Problem
from remez.rational.protocol import RationalFunction

__all__ = ["excludes"]

MOST = 2000  # largest number of samples in the program
FEASIBLE = -1e-9  # solutions of the program above this number are 0 up to its rounding


def excludes(
    problem: Problem, rational: RationalFunction, between: np.ndarray, error: float
) -> bool:
    """Whether no rational of the type of the problem has an error of at most ``error``.

    The program is scaled by the denominator of ``rational``: one whose ratio to it varies by more
    than about 1e6 is not seen.

    Args:
        problem: The problem of the samples.
        rational: The rational whose denominator scales the program.
        between: Points between the samples, at which the denominator is to be positive as well.
        error: The error.
    """
    samples = problem.samples
    assert samples is not None
    size = samples.weight * np.abs(samples.y - rational(samples.x))
    step = -(-samples.x.size // MOST)
    kept = np.union1d(
        np.arange(0, size.size, step), np.argpartition(size, max(size.size - MOST, 0))[-MOST:]
    )
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
        step_down = improve(u, f, w, np.ones(x.size), now, problem.degree, error)
    except Stuck:
        return False
    return step_down is not None and step_down[1] >= FEASIBLE
