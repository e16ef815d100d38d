"""`fit`: the chain of starts around one exchange, and the verdict on what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .certify import judge
from .correction import correct
from .errors import ConvergenceError, TargetError
from .exchange import EPS, Outcome, State, exchange
from .levelling import Levelled
from .problem import Problem, Target
from .reduction import Reduced, Samples, reduce
from .result import Fit
from .start import base_grid, chebyshev, dense_grid, resample
from .survey import survey

__all__ = ["fit"]


def fit(
    fn: Callable[..., Any],
    degree: Sequence[int] = (4, 4),
    domain: Any = (-1, 1),
    *,
    weight: Callable[..., Any] | str | None = None,
    parity: str | None = "auto",
    interpolate: Sequence[Sequence[float]] | None = None,
    max_iterations: int = 40,
    throw: bool = True,
) -> Fit:
    """The best rational approximation of type ``degree`` to ``fn`` on ``domain``."""
    problem = Problem.of(fn, degree, domain, weight=weight, parity=parity, interpolate=interpolate)
    target = problem.target()
    answer = None
    for candidate in _chain(problem, target, max_iterations):
        if answer is None or _rank(candidate) > _rank(answer):
            answer = candidate
        if candidate.converged:
            break
    if throw and not answer.converged:
        raise ConvergenceError(answer.status.value, answer)
    return answer


def _rank(fit: Fit) -> tuple[bool, float]:
    return fit.converged, -fit.error


def _chain(problem: Problem, target: Target, max_iterations: int) -> Iterator[Fit]:
    """Answers of the links, one after another, until the caller is content."""
    reduced = reduce(problem, target)
    grid = base_grid(reduced)
    outcome = exchange(reduced, chebyshev(reduced, grid), grid, max_iterations=max_iterations)
    if outcome.state is not None:
        yield _answer(problem, target, reduced, outcome, "chebyshev")
    found = survey(problem, target)
    if found.fault is not None:
        raise TargetError(f"{found.fault.value} (x = {found.where})")
    reduced = reduce(problem, target, found.singular)
    grid = base_grid(reduced)
    for small, outcome in step_degrees(reduced, grid, max_iterations):
        yield _answer(problem, target, small, outcome, "degree stepping")
    dense = dense_grid(reduced, grid)
    for small, outcome in step_degrees(reduced, grid, max_iterations, dense):
        yield _answer(problem, target, small, outcome, "differential correction")


def step_degrees(
    reduced: Reduced, grid: Samples, max_iterations: int, dense: Samples | None = None
) -> Iterator[tuple[Reduced, Outcome]]:
    """Solve at (m - n + k, k) or (k, n - m + k) for growing k, each from the one before.

    With ``dense`` points, a degree at which the resampled reference leads nowhere is started
    by differential correction.
    """
    m, n = reduced.degree
    low = min(m, n)
    last: State | None = None
    k = 0
    while True:
        small = reduced.with_degree((m - low + k, n - low + k))
        steps = max_iterations if k == low else 12
        tolerance = 1e-6 if k == low else 0.05
        start = chebyshev(small, grid) if last is None else resample(small, last.reference.u)
        outcome = exchange(small, start, grid, max_iterations=steps, tolerance=tolerance)
        if dense is not None and not _good(outcome.state):
            near = None if last is None else last.level
            outcome = _corrected(small, grid, dense, near, steps, tolerance) or outcome
        state = outcome.state
        if state is not None and state.extrema.sound and (k == low or _exact(state)):
            yield small, outcome
        if _good(state):
            last = state
        if k == low:
            return
        k = min(k + max(1, k // 4), low)


def _corrected(
    reduced: Reduced,
    grid: Samples,
    dense: Samples,
    near: Levelled | None,
    steps: int,
    tolerance: float,
) -> Outcome | None:
    """Start from the best on ``dense``; points that it left out are added, twice if need be."""
    outcome: Outcome | None = None
    for _ in range(3):
        start = correct(reduced, dense, near)
        if start is None:
            return outcome
        seen: list[State] = []
        outcome = exchange(
            reduced, start, grid, max_iterations=steps, tolerance=tolerance, callback=seen.append
        )
        if _good(outcome.state) or not seen:
            return outcome
        dense = dense.merge(seen[0].extrema.points)
    return outcome


def _good(state: State | None) -> bool:
    """Whether the state is near enough to the best to go on from."""
    return state is not None and state.extrema.sound and (state.gap < 0.2 or _exact(state))


def _exact(state: State) -> bool:
    """Whether the rational reproduces the target to rounding."""
    return state.extrema.largest <= 16 * EPS * np.abs(state.reference.f).max()


def _answer(
    problem: Problem, target: Target, reduced: Reduced, outcome: Outcome, method: str
) -> Fit:
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
