"""The best rational on a grid by linear programming: slow, but needs no initial guess."""

from __future__ import annotations

import numpy as np

from remez import curve_kernels
from remez.points import sign_of_product
from remez.problem import Degree
from remez.rational.linear_programs import Iterate, Stuck, improve
from remez.solver.levelling import Levelled
from remez.solver.problem_reduction import Reduced, Samples

__all__ = ["Allowance", "Stuck", "attain", "correct", "improved", "reference_from"]

FEASIBLE = -1e-9  # delta below which a linear program has attained a smaller error
FALL = 0.25  # ratio of successive errors that are asked for, at first
FAR = 1e-4  # ratio to the error of a constant below which a program may miss that p/q exist
STEEP = 0.8  # ratio so close to 1 that the program is certain
DESCENT = 40  # largest number of programs that decide whether an error can be improved on
FINE = 1.02  # ratio of the bounds at which differential correction replaces bisection


class Allowance:
    """The work that several linear programs may take together.

    Attributes:
        left: What is left, as the number of points times that of coefficients, summed.
    """

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self, points: int, degree: Degree) -> None:
        """Count one program.

        Raises:
            Stuck: Nothing was left.
        """
        if self.left <= 0:
            raise Stuck
        self.left -= points * (sum(degree) + 2)


def correct(
    reduced: Reduced,
    points: Samples,
    near: Levelled | None,
    rounds: int = 24,
    allowance: Allowance | None = None,
    close: float | None = None,
) -> np.ndarray | None:
    """A reference for ``reduced`` from the best approximation on the given points.

    Args:
        reduced: The problem; its degree may exceed that of ``near``.
        points: The grid.
        near: An initial rational of lower degree, None for a constant.
        rounds: The largest number of linear programs.
        allowance: The work that is left for them, if that is limited.
        close: The relative bracket at which they end, see `attain`.

    Returns:
        The alternating extrema, or None if there are fewer than needed.

    Raises:
        Stuck: The simplex method reached its limits, or the allowance is spent.
    """
    points = points[points.w > 0]
    return reference_from(reduced, points, _begin(points, near), rounds, allowance, close)


def reference_from(
    reduced: Reduced,
    points: Samples,
    start: Iterate,
    rounds: int = 24,
    allowance: Allowance | None = None,
    close: float | None = None,
) -> np.ndarray | None:
    """The same from a rational on the points, all of which have a weight."""
    found = attain(reduced, points, start, rounds, close, allowance)
    if found is None:
        return None
    signed = points.w * found[0].error * reduced.flips(points.u)
    kept = curve_kernels.alternating(signed, reduced.size)
    return points.u[kept] if kept.size == reduced.size else None


def attain(
    reduced: Reduced,
    points: Samples,
    start: Iterate,
    rounds: int = 24,
    close: float | None = None,
    allowance: Allowance | None = None,
) -> tuple[Iterate, float] | None:
    """The best approximation on the points and a lower bound on its error, by linear programs.

    The error is bisected, geometrically; once its bracket is small, the error reached is asked
    for, which is differential correction and converges quadratically. With ``close`` the bisection
    goes on until the relative bracket is as small: where no best approximation exists, differential
    correction would lead to a q that vanishes at a point.

    Args:
        reduced: The problem.
        points: The points; those of weight 0 only ask for the sign of q.
        start: A rational on the points whose q has the required signs.
        rounds: The largest number of linear programs.
        close: The relative bracket to reach; None for differential correction.
        allowance: The work that is left for the programs, if that is limited.

    Raises:
        Stuck: The simplex method reached its limits, or the allowance is spent.

    References:
        I. Barrodale, M. J. D. Powell, F. D. K. Roberts, SIAM J. Numer. Anal. 9 (1972),
        doi:10.1137/0709044.
    """
    side = sign_of_product(points.u, reduced.sign_changes)
    now, upper, lower = start, np.abs(points.w * start.error).max(), 0.0
    if not np.isfinite(upper):
        return None
    for _ in range(rounds):
        fine = upper <= FINE * lower
        middle = max(0.25 * upper, np.sqrt(lower) * np.sqrt(upper))
        trial = upper if fine and close is None else middle
        if allowance is not None:
            allowance.spend(points.u.size, reduced.degree)
        step = improve(points.u, points.f, points.w, side, now, reduced.degree, trial)
        if step is None or not step.delta < FEASIBLE or not (step.iterate.q > 0).all():
            if fine and close is None:
                break
            lower = trial
        else:
            size = np.abs(points.w * step.iterate.error).max()
            if not size < upper:
                break
            done = fine and close is None and size > (1 - 1e-5) * upper
            now, upper = step.iterate, size
            if done:
                break
        if close is not None and upper <= (1 + close) * lower:
            break
    return now, lower


def improved(reduced: Reduced, points: Samples, error: float) -> tuple[Iterate | None, bool]:
    """A p/q with the reduced problem's signs and an error below ``error``, and whether none exists.

    Both refer to the points, all of which have a weight. Neither is known where rounding hides it,
    or the programs are too hard. A program resolves errors and q relative to those of the rational
    from which it starts. Where that is a constant of a far larger error, or the first program finds
    a q that rounding spoils, the error that is asked for falls by steps.
    """
    side = sign_of_product(points.u, reduced.sign_changes)
    now, trial, fall = _begin(points, None), error, FALL
    upper = np.abs(points.w * now.error).max()
    for attempt in range(DESCENT):
        try:
            step = improve(points.u, points.f, points.w, side, now, reduced.degree, trial)
        except Stuck:
            return None, False
        if step is None:
            return None, False
        reached = np.abs(points.w * step.iterate.error).max()
        attained = step.delta < FEASIBLE
        certain = FAR if attempt == 0 else STEEP
        if not attained and trial > certain * upper:
            return None, True
        if attained and (step.iterate.q > 0).all() and reached < upper:
            now, upper = step.iterate, reached
        elif attempt > 0:
            if trial > STEEP * upper:
                return None, False
            fall = np.sqrt(fall)
        if upper < error:
            return now, False
        trial = max(error, fall * upper)
    return None, False


def _begin(points: Samples, near: Levelled | None) -> Iterate:
    """The first iterate: ``near``, or a constant."""
    flat = points.f - 0.5 * (points.f.max() + points.f.min())
    if near is None:
        return Iterate(flat, np.ones(points.u.size))
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
    return Iterate(error, np.exp(log - log.max()))
