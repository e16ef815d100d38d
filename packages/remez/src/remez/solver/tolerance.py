"""The smallest degree whose best error is at most a given one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from remez.errors import ConvergenceError, DegreeError, RemezError
from remez.problem import Problem
from remez.solution import Solution, Status

__all__ = ["smallest_degree"]

MAX_DEGREE = 120  # largest degree of the search
SINGLE = 8  # degrees tried one by one; then steps of a quarter of the degree, and bisection
STILL = 0.5  # ratio of successive errors above which the error counts as stagnant
PATIENCE = 2  # stagnant or failed degrees in a row after which the search ends


def smallest_degree(
    problem: Problem,
    tol: float,
    start: Solution | None,
    solve: Callable[[Problem, Solution | None], Solution],
) -> Solution:
    """Raise both degrees by one, or by two on the line, until the error is at most ``tol``.

    Beyond `SINGLE` the steps grow, and the last one is bisected: the best error does not grow with
    the degree. At the noise floor the search goes on while the error falls. Where a degree fails at
    an error below ``tol``, those before it are tried.

    Args:
        problem: The problem; of its degree only m - n is used.
        tol: The error to reach.
        start: A solution of a similar problem.
        solve: A function that solves one problem, starting from a solution if one is given.

    Returns:
        The solution of the smallest degree that reaches ``tol``, or the best one if none does.

    Raises:
        DegreeError: ``tol`` is not positive, or no degree of the search is possible.
        ConvergenceError: No degree led to a solution.
    """
    if not tol > 0:
        raise DegreeError(f"tol = {tol} cannot be reached: give a positive error")
    excess = problem.degree[0] - problem.degree[1]
    line = problem.domain.hull == (-np.inf, np.inf)  # where q of odd degree has a zero
    stride = 2 if line else 1
    least = max(0, -(-(len(problem.interpolate) - abs(excess)) // 2))
    first = least + (least + max(-excess, 0)) % 2 * line
    found: list[Solution] = []
    causes: list[RemezError] = []

    def reaches(k: int, near: Solution | None) -> bool:
        """Solve at the k-th degree and test whether the error is at most tol."""
        usable = near is not None and near.converged and near.defect == 0
        degree = k + max(excess, 0), k + max(-excess, 0)
        try:
            found.append(solve(problem.with_degree(degree), near if usable else None))
        except (ConvergenceError, DegreeError) as cause:  # a degree too low for the zeros of fn
            causes.append(cause)
            return False
        return found[-1].converged and bool(found[-1].error <= tol)

    k, failed, still = first, first - stride, 0
    while k <= max(MAX_DEGREE, first) and still < PATIENCE:
        reached = reaches(k, found[-1] if found else start)
        if reached or (found and found[-1].error <= tol):  # perhaps below what rounding allows
            last = found[-1] if reached else None
            smallest = _bisected(found, reaches, (failed, k), stride, last)
            if smallest is not None:
                return smallest
        still = still + 1 if _still(found, k) else 0
        failed, k = k, k + stride * (1 if k < SINGLE else k // (4 * stride))
    if not found:
        raise causes[-1]
    return min(found, key=lambda one: (not one.converged, one.error))


def _bisected(
    found: list[Solution],
    reaches: Callable[[int, Solution | None], bool],
    bracket: tuple[int, int],
    stride: int,
    reached: Solution | None,
) -> Solution | None:
    """Bisect between a degree that failed and one that reached the tolerance.

    The larger degree may also have reached it without being accepted, so that ``reached`` is None;
    so is the result then if no degree between them is accepted.
    """
    failed, k = bracket
    accepted = [one for one in found if one.converged]
    while k - failed > stride:
        middle = failed + (k - failed) // (2 * stride) * stride
        near = reached or (accepted[-1] if accepted else None)
        if reaches(middle, near):
            k, reached = middle, found[-1]
        else:
            failed = middle
    return reached


def _still(found: list[Solution], k: int) -> bool:
    """Whether the last solution is at the noise floor and no better than the one before, or failed.

    Low degrees may fail and higher ones succeed.
    """
    if len(found) < 2:
        return False
    if not found[-1].converged:
        return k > SINGLE
    floor = found[-1].status is Status.NOISE_FLOOR
    return floor and bool(found[-1].error > STILL * found[-2].error)
