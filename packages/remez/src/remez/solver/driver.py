"""`fit`: the chain of starts around one exchange, and the verdict on what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from remez.domain import Domain
from remez.errors import ConvergenceError, DegreeError, TargetError
from remez.functions.callable import Target
from remez.problem import Problem
from remez.result import Fit, Status
from remez.solver.closed_form import zero, zolotarev
from remez.solver.degree_stepping import from_half, step_degrees, with_lowest
from remez.solver.exchange import Outcome, State, exchange
from remez.solver.problem_reduction import Reduced, reduce
from remez.solver.sign_patterns import CLOSE, Search, patterns
from remez.solver.starts import Densities, base_grid, dense_grid, warm
from remez.solver.survey import Survey, survey
from remez.verification.judge import judge

__all__ = ["accepted", "conclude", "fit"]

Candidate = tuple[Reduced, Outcome, str]  # with the name of the link

MAX_DEGREE = 120  # where the search for a degree that reaches tol= gives up
PATTERNS = 255  # of signs that q may have on a union, beyond the first: all on nine intervals


def fit(
    fn: Callable[..., Any],
    degree: Sequence[int] | None = None,
    domain: Any = (-1, 1),
    *,
    weight: Callable[..., Any] | str | None = None,
    parity: str | None = "auto",
    interpolate: Sequence[Sequence[float]] | None = None,
    tol: float | None = None,
    precision: int | None = None,
    start: Fit | None = None,
    max_iterations: int = 40,
    callback: Callable[[Any], Any] | None = None,
    throw: bool = True,
) -> Fit:
    r"""The best rational approximation of type (m, n) in the maximum norm.

    Minimises ``max_x weight(x) |fn(x) - p(x)/q(x)|`` over p of degree <= m and q of degree
    <= n without zeros in the domain. A relaxed Remez exchange levels the error on m + n + 2
    points; the result is accepted only if its error alternates on m + n + 2 - defect points,
    if the bracket of the best error that follows from it is tight to 1e-3, or to the rounding
    of fn, and if no pole lies in the domain (`remez.verification.judge`). On a union of intervals
    the signs of q on them are compared as well (`remez.solver.sign_patterns`).

    Args:
        fn: real function, vectorised or not (found out).
        degree: ``(m, n)``; with ``tol`` only m - n matters, 0 by default.
        domain: ``(a, b)`` or a list of disjoint intervals; outer ends may be infinite.
        weight: positive callable, ``"relative"`` for 1/|fn|, or None for 1.
        parity: ``"auto"`` finds even and odd fn and solves in x²; ``"even"``, ``"odd"`` or
            None say it.
        interpolate: pairs (x, y): r(x) = y is demanded, such as ``[(0, 0)]``.
        tol: find the smallest degree whose error is at most this.
        precision: decimal digits, for the multiprecision solver; None for double.
        start: a former fit of a similar problem, whose alternation points are tried first.
        max_iterations: exchange steps per link of the chain of starts.
        callback: called after every exchange step with its `remez.solver.exchange.State`.
        throw: raise when the result is not accepted; else return it with its status.

    Returns:
        A `Fit`; `Fit.method` names the link that answered: "warm start", "zolotarev",
        "chebyshev", "half the degree", "zero", "survey" (from where f was found to bend), "degree
        stepping", "differential correction", or "another pattern" of signs that q has on the
        intervals of a union: a pole in a gap may do better than none.

    Raises:
        TargetError: fn is NaN or infinite, jumps, has a pole, or is noisy, in the domain.
        DomainError, DegreeError: what is asked for is impossible.
        ConvergenceError: nothing was accepted; ``.fit`` is the best that was found.

    References:
        S.-I. Filip, Y. Nakatsukasa, L. N. Trefethen, B. Beckermann, SIAM J. Sci. Comput. 40
        (2018), doi:10.1137/17M1132409.

    >>> fit(np.exp, (5, 4))
    Fit(type (5, 4), error 4.29...e-12, converged by chebyshev in 3 iterations)
    """
    if tol is not None:
        options = {
            "weight": weight,
            "parity": parity,
            "interpolate": interpolate,
            "precision": precision,
            "max_iterations": max_iterations,
            "callback": callback,
        }
        return _reach(fn, degree or (0, 0), domain, tol, start, throw, options)
    if degree is None:
        raise DegreeError("give a degree (m, n), or tol= to have the smallest one found")
    problem = Problem.of(fn, degree, domain, weight=weight, parity=parity, interpolate=interpolate)
    if precision is not None:
        from remez.solver.precise.driver import fit_precise

        return fit_precise(
            problem,
            precision,
            start=start,
            max_iterations=max_iterations,
            callback=callback,
            throw=throw,
        )
    target = problem.target()
    found = accepted(problem, target, _chain(problem, target, start, max_iterations, callback))
    if found and len(problem.domain.intervals) > 1 and problem.degree[1] > 0:
        found = _compared(problem, target, found, max_iterations, callback)
    return conclude(found, throw)


def _reach(
    fn: Callable[..., Any],
    degree: Sequence[int],
    domain: Any,
    tol: float,
    start: Fit | None,
    throw: bool,
    options: dict[str, Any],
) -> Fit:
    """Raise both degrees until the error is at most ``tol``."""
    excess = int(degree[0]) - int(degree[1])
    if not tol > 0:
        raise DegreeError(f"tol = {tol} can never be reached: give a positive error")
    best: Fit | None = start
    line = Domain.of(domain).hull == (-np.inf, np.inf)  # where q of odd degree has a zero
    first = max(-excess, 0) % 2 if line else 0
    for k in range(first, MAX_DEGREE + 1, 2 if line else 1):
        one = fit(
            fn,
            (k + max(excess, 0), k + max(-excess, 0)),
            domain,
            start=best if best is not None and best.converged and best.defect == 0 else None,
            throw=False,
            **options,
        )
        if one.converged and one.error <= tol:
            return one
        best = one
        if one.status is Status.NOISE_FLOOR:
            break
    assert best is not None
    if throw:
        raise ConvergenceError(
            f"tol = {tol:g} was not reached: type {best.degree} has error {best.error:.3g}; "
            "raise tol or use precision=",
            best,
        )
    return best


def conclude(found: list[Fit], throw: bool) -> Fit:
    """The accepted fit, else the one with the least error; raise if none is accepted.

    Raises:
        ConvergenceError: see there.
    """
    if not found:
        raise ConvergenceError(Status.NO_ALTERNATION.value)
    best = max(found, key=lambda one: (one.converged, -one.error))
    if throw and not best.converged:
        raise ConvergenceError(best.status.value, best)
    return best


def accepted(problem: Problem, target: Target, chain: Iterable[Candidate]) -> list[Fit]:
    """Fits up to the first that is accepted; an answer that is exact at the lowest type that is.

    To judge one takes as long as some steps of an exchange, so that what is not nearly level
    waits until nothing else is left.
    """
    found: list[Fit] = []
    waiting: list[Candidate] = []
    for reduced, outcome, method in chain:
        for small, one in with_lowest(reduced, outcome):
            candidate = small, one, method
            if one.state is not None and one.state.nearly:
                found.append(_judged(problem, target, *candidate))
                if found[-1].converged:
                    return found
            elif one.state is not None:
                waiting.append(candidate)
    return found + [_judged(problem, target, *candidate) for candidate in waiting]


def _chain(
    problem: Problem,
    target: Target,
    start: Fit | None,
    max_iterations: int,
    callback: Callable[[State], Any] | None,
) -> Iterator[Candidate]:
    """What the links lead to, one after another, until the caller is content."""
    options: dict[str, Any] = {"max_iterations": max_iterations, "callback": callback}
    if start is not None:
        reduced = reduce(problem, target, Survey(np.array([start.rational.origin])))
        near = warm(reduced, start.reference)
        if near is not None:
            yield reduced, exchange(reduced, [near], base_grid(reduced), **options), "warm start"
    reduced = reduce(problem, target)
    grid = base_grid(reduced)
    known = zolotarev(reduced, grid)
    if known is not None:
        yield reduced, exchange(reduced, [known], grid, **options), "zolotarev"
    densities = Densities.of(reduced, grid)
    yield reduced, exchange(reduced, densities.references(reduced), grid, **options), "chebyshev"
    yield reduced, from_half(reduced, grid, densities, **options), "half the degree"
    if reduced.degree[0] < reduced.degree[1] and not reduced.fixed:
        yield *zero(reduced, grid), "zero"
    found = survey(problem, target)
    if found.fault is not None:
        place = "" if found.where is None else f" (near x = {found.where:.17g})"
        raise TargetError(found.fault.value + place)
    reduced = reduce(problem, target, found)
    grid = base_grid(reduced)
    seen, _ = grid.merge(reduced.sample(np.unique(reduced.u(found.points))))
    starts = Densities.of(reduced, seen).references(reduced)
    yield reduced, exchange(reduced, starts, seen, **options), "survey"
    for small, outcome in step_degrees(reduced, grid, None, **options):
        yield small, outcome, "degree stepping"
    for small, outcome in step_degrees(reduced, grid, dense_grid(reduced, grid), **options):
        yield small, outcome, "differential correction"


def _compared(
    problem: Problem,
    target: Target,
    fits: list[Fit],
    max_iterations: int,
    callback: Callable[[State], Any] | None,
) -> list[Fit]:
    """The best fit among all patterns of signs that q may have on the intervals.

    Where one of the others could neither be solved nor be excluded the status says so.
    """
    best = max(fits, key=lambda one: (one.converged, -one.error))
    if best.status is Status.NOISE_FLOOR:
        return [best]
    found = survey(problem, target)
    first, *others = islice(patterns(problem, target, found), PATTERNS + 1)
    settled = len(others) < PATTERNS
    for reduced in others if best.converged else [*others, first]:
        if reduced is first and not best.converged:
            break
        below = (1 - CLOSE) * best.error / reduced.height if best.converged else np.inf
        search = Search(reduced, below, callback)
        outcomes = search.outcomes(best.reference, max_iterations)
        chain = ((reduced, one, "another pattern") for one in outcomes)
        rivals = accepted(problem, target, chain)
        rival = next((one for one in rivals if one.converged), None)
        if rival is not None and (not best.converged or rival.error < (1 - CLOSE) * best.error):
            best = rival
        settled = settled and (rival is not None or search.excluded)
    if best.status is Status.CONVERGED and not settled:
        best = replace(best, status=Status.OPEN)
    return [best]


def _judged(
    problem: Problem, target: Target, reduced: Reduced, outcome: Outcome, method: str
) -> Fit:
    """The outcome as a `Fit`, with the judge's verdict."""
    assert outcome.state is not None
    rational = reduced.rational(outcome.state.level)
    verdict = judge(problem, rational, reduced.hints(outcome.state.reference.u), target)
    return Fit(
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
