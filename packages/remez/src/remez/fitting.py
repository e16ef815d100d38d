"""`fit`: the chain of starts around one exchange, and the verdict on what it found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .certify import judge
from .errors import ConvergenceError
from .exchange import Outcome, exchange
from .problem import Problem, Target
from .reduction import Reduced, reduce
from .result import Fit, Status
from .start import chebyshev

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
    reduced = reduce(problem, target)
    grid = reduced.sample(np.unique(reduced.components))
    outcome = exchange(reduced, chebyshev(reduced), grid, max_iterations=max_iterations)
    answer = _answer(problem, target, reduced, outcome, "chebyshev")
    if throw and not answer.converged:
        raise ConvergenceError(answer.status.value, answer)
    return answer


def _answer(
    problem: Problem, target: Target, reduced: Reduced, outcome: Outcome, method: str
) -> Fit:
    if outcome.state is None:
        raise ConvergenceError(Status.NO_ALTERNATION.value)
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
