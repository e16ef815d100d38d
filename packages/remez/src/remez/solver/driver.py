"""The solver in double precision: a sequence of starts for the exchange, and their verification."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from remez.errors import ConvergenceError, TargetError
from remez.functions.callable import Target
from remez.functions.zeros import LocalZero
from remez.problem import NO_WEIGHT, Problem
from remez.rational.protocol import RationalFunction
from remez.solution import Solution, Status
from remez.solver.ascent import ascend
from remez.solver.degree_stepping import from_half, further_steps, step_degrees, with_lowest
from remez.solver.exchange import ExchangeOptions, Outcome, exchange
from remez.solver.history import History
from remez.solver.infinity import bounded
from remez.solver.problem_reduction import Reduced, reduce
from remez.solver.sign_patterns import CLOSE, Search, like, patterns
from remez.solver.starts.aaa_lawson import lawson_references
from remez.solver.starts.closed_form import zero, zolotarev
from remez.solver.starts.linear_programming import Allowance
from remez.solver.starts.references import Densities, base_grid, dense_grid
from remez.solver.starts.resampling import carried, completed, warm, with_end
from remez.solver.survey import Survey, survey
from remez.solver.zeros import Division, divide
from remez.verification.judge import judge

__all__ = ["accepted", "best_of", "solve"]

Candidate = tuple[Reduced, Outcome, str]  # with the name of the link

LEVEL = 1e-4  # gap at which a warm start ends, a tenth of the accepted gap
PROGRAMS = 700_000  # work of the linear programs on a union, some seconds, for one sign pattern
OTHERS = 300_000  # the same for all other sign patterns
PATTERNS = 255  # largest number of further sign patterns; all of them on nine intervals


def solve(
    problem: Problem,
    *,
    start: Solution | None = None,
    max_iterations: int = 40,
    history: History | None = None,
) -> Solution:
    """The best rational approximation in double precision, see `remez.fit`.

    Args:
        problem: The problem.
        start: A solution of a similar problem, whose alternation points are tried first.
        max_iterations: The largest number of exchange steps from each start.
        history: The object that records the steps.

    Returns:
        The accepted solution, or the one with the smallest error if none was accepted.

    Raises:
        TargetError: fn is NaN or infinite, discontinuous, noisy or has a pole in the domain.
        DegreeError: No rational of this type has a finite error.
        ConvergenceError: No start led to any rational.
    """
    options = ExchangeOptions(max_iterations=max_iterations, history=history)
    union = len(problem.domain.intervals) > 1
    if union:
        options = replace(options, allowance=Allowance(PROGRAMS))
    target = problem.target()
    problem = bounded(problem, target)
    division = divide(problem, target)
    marks: list[float] = []
    chain = _chain(division.problem, division.target(target), start, options, marks)
    try:
        found = accepted(problem, target, chain, division, marks)
    except np.linalg.LinAlgError as cause:
        raise ConvergenceError(
            f"the linear algebra of type {problem.degree} overflows: lower the degree"
        ) from cause
    if found and union and problem.degree[1] > 0:
        options = replace(options, allowance=Allowance(OTHERS))
        found = _compared(division, problem, target, found, options)
    return best_of(found)


def best_of(found: list[Solution]) -> Solution:
    """The accepted solution, or the one with the smallest error if none was accepted.

    Raises:
        ConvergenceError: There is no solution.
    """
    if not found:
        raise ConvergenceError(Status.NO_ALTERNATION.value)
    return max(found, key=lambda one: (one.converged, -one.error))


def accepted(
    problem: Problem,
    target: Target,
    chain: Iterable[Candidate],
    division: Division | None = None,
    marks: list[float] | None = None,
    below: float = np.inf,
) -> list[Solution]:
    """Yield solutions up to the first accepted one.

    A function that a rational reproduces exactly is solved at the lowest such type. If a
    ``division`` by the zeros of fn is given, the divided problem is solved.

    Verification costs as much as several exchange steps. Therefore outcomes that are not nearly
    level are verified only if all starts have failed, and if the error that the exchange saw is
    ``below`` that of a known solution. Where the judge finds the largest error of a
    rejected outcome is added to ``marks``, because fn may have a narrow feature there.
    """
    found: list[Solution] = []
    waiting: list[Candidate] = []
    for reduced, outcome, method in chain:
        for small, one in with_lowest(reduced, outcome):
            candidate = small, one, method
            if one.state is not None and one.state.nearly:
                solution, worst = _judged(problem, target, division, *candidate)
                found.append(solution)
                if solution.converged:
                    return found
                if marks is not None:
                    marks.append(worst)
            elif one.state is not None and small.height * one.state.extrema.largest < below:
                waiting.append(candidate)
    return found + [_judged(problem, target, division, *candidate)[0] for candidate in waiting]


def _chain(
    problem: Problem,
    target: Target,
    start: Solution | None,
    options: ExchangeOptions,
    marks: list[float],
) -> Iterator[Candidate]:
    """Yield the outcomes of the starts in order; the caller stops at the first accepted one.

    The caller adds to ``marks`` the places at which the outcomes so far were rejected.
    """
    if start is not None:
        soon = replace(options, tolerance=LEVEL)
        for small, near in _warm(problem, target, start):
            yield small, exchange(small, near, base_grid(small), soon), "warm start"
    reduced = reduce(problem, target)
    grid = base_grid(reduced)
    if not (grid.w > np.finfo(float).tiny).any():
        raise TargetError(NO_WEIGHT)
    known = zolotarev(reduced, grid)
    if known is not None:
        yield reduced, exchange(reduced, [known], grid, options), "zolotarev"
    densities = Densities.of(reduced, grid)
    yield reduced, exchange(reduced, densities.references(reduced), grid, options), "chebyshev"
    yield reduced, from_half(reduced, grid, densities, options), "half the degree"
    if problem.degree[0] < problem.degree[1] and not reduced.fixed:
        yield *zero(reduced, grid), "zero"
    found = survey(problem, target, marks)
    if found.fault is not None:
        place = "" if found.where is None else f" (near x = {found.where:.17g})"
        coarse = f"; fn returns {target.dtype}: compute it in float64" if target.is_coarse else ""
        raise TargetError(found.fault.value + place + coarse)
    reduced = reduce(problem, target, found)
    grid = base_grid(reduced)
    seen, _ = grid.merge(reduced.sample(np.unique(reduced.u(found.points))))
    starts = list(Densities.of(reduced, seen).references(reduced))
    yield reduced, exchange(reduced, starts, seen, options), "survey"
    for small, outcome in step_degrees(reduced, grid, None, options):
        yield small, outcome, "degree stepping"
    for small, outcome in further_steps(reduced, grid):
        yield small, outcome, "lower degree"
    if reduced.degree[1] == 0:  # the exchange of polynomials converges from every start
        return
    usual = [*densities.references(reduced), *starts]
    yield reduced, ascend(reduced, usual, seen, options), "monotone exchange"
    dense = dense_grid(reduced, grid)
    tried = lawson_references(reduced, dense)
    yield reduced, ascend(reduced, tried, seen, options), "AAA-Lawson"
    for small, outcome in step_degrees(reduced, grid, dense, options):
        yield small, outcome, "differential correction"
        state = outcome.state
        if small.degree == reduced.degree and state is not None and not state.nearly:
            again = ascend(reduced, [state.reference.u], seen, options)
            yield reduced, again, "differential correction"


def _warm(
    problem: Problem, target: Target, start: Solution
) -> Iterator[tuple[Reduced, list[np.ndarray]]]:
    """Yield reduced problems, each with the references that a former solution suggests."""
    reduced = reduce(problem, target, Survey(np.array([start.rational.focus])))
    reduced = like(reduced, start.rational)
    former = completed(np.asarray(start.reference, float), start.domain)
    places = carried(former, start.domain, problem.domain, start.rational.focus)
    tried = [(reduced, places)]
    lower = start.defect if start.degree == problem.degree else 0
    small = reduced.lowered(lower) if lower else None
    if small is not None:
        tried.insert(0, (small, places))
    if lower == 1:
        tried[:0] = [(reduced, one) for one in with_end(former, start.domain, problem.domain)]
    for one, points in tried:
        near = warm(one, points)
        if near:
            yield one, near


def _compared(
    division: Division,
    problem: Problem,
    target: Target,
    fits: list[Solution],
    options: ExchangeOptions,
) -> list[Solution]:
    """The best fit among all sign patterns of q on the intervals.

    The status is OPEN if another pattern could be neither solved nor excluded.
    """
    best = best_of(fits)
    if best.status is Status.NOISE_FLOOR:
        return [best]
    inner = division.target(target)
    found = survey(division.problem, inner)
    first, *others = islice(patterns(division.problem, inner, found), PATTERNS + 1)
    settled = len(others) < PATTERNS
    for reduced in [*others, first]:
        if reduced is first and not best.converged:
            break
        if best.converged and like(reduced, best.rational).sign_changes == reduced.sign_changes:
            continue
        below = (1 - CLOSE) * best.error / reduced.height if best.converged else np.inf
        search = Search(reduced, below, options)
        outcomes = search.outcomes(best.reference)
        chain = ((reduced, one, "another pattern") for one in outcomes)
        known = best.error if best.converged else np.inf
        rivals = accepted(problem, target, chain, division, below=known)
        rival = next((one for one in rivals if one.converged), None)
        if rival is not None and (not best.converged or rival.error < (1 - CLOSE) * best.error):
            best = rival
        settled = settled and (rival is not None or search.excluded)
    if best.status is Status.CONVERGED and not settled:
        best = replace(best, status=Status.OPEN)
    return [best]


def _judged(
    problem: Problem,
    target: Target,
    division: Division | None,
    reduced: Reduced,
    outcome: Outcome,
    method: str,
) -> tuple[Solution, float]:
    """The outcome as a solution with the verdict of the judge, and the place of its maximum."""
    assert outcome.state is not None
    rational: RationalFunction = reduced.rational(outcome.state.level)
    zeros: Sequence[LocalZero] = ()
    if division is not None:
        rational, zeros = division.lift(rational), division.zeros
    hints = reduced.hints(outcome.state.reference.u)
    singular = reduced.hints(np.array(reduced.singular)).tolist() if reduced.singular else ()
    verdict = judge(problem, rational, hints, target, zeros, singular)
    solution = Solution(
        rational,
        problem,
        verdict.error,
        verdict.lower,
        verdict.reference,
        verdict.status,
        iterations=outcome.iterations,
        evaluations=target.evaluations,
        method=method,
        defect=verdict.defect,
    )
    return solution, verdict.worst
