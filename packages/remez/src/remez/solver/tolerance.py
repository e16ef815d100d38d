"""The smallest degree whose best error is at most a given one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from remez.errors import DegreeError
from remez.problem import Problem
from remez.solution import Solution, Status

__all__ = ["smallest_degree"]

MAX_DEGREE = 120  # where the search gives up


def smallest_degree(
    problem: Problem,
    tol: float,
    start: Solution | None,
    solve: Callable[[Problem, Solution | None], Solution],
) -> Solution:
    """Raise both degrees by one, or by two on the line, until the error is at most ``tol``.

    Args:
        problem: what is asked; of its degree only m - n matters.
        tol: the error to reach.
        start: a former solution of a similar problem.
        solve: solves one problem, near a former solution if one is given.

    Returns:
        The first solution that reaches ``tol``, else the last one that was tried.

    Raises:
        DegreeError: ``tol`` is not positive.
    """
    if not tol > 0:
        raise DegreeError(f"tol = {tol} can never be reached: give a positive error")
    excess = problem.degree[0] - problem.degree[1]
    line = problem.domain.hull == (-np.inf, np.inf)  # where q of odd degree has a zero
    least = max(0, -(-(len(problem.interpolate) - abs(excess)) // 2))
    first = least + (least + max(-excess, 0)) % 2 * line
    best = start
    for k in range(first, max(MAX_DEGREE, first) + 1, 2 if line else 1):
        known = best if best is not None and best.converged and best.defect == 0 else None
        degree = k + max(excess, 0), k + max(-excess, 0)
        best = solve(problem.with_degree(degree), known)
        if (best.converged and best.error <= tol) or best.status is Status.NOISE_FLOOR:
            break
    assert best is not None  # the range has at least one degree
    return best
