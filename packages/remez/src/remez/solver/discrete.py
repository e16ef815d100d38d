"""Minimax on discrete samples: the same exchange, where only the samples can be extrema."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from remez.domain import Domain
from remez.errors import DegreeError, TargetError, shown
from remez.problem import Problem, check_degree
from remez.solution import Solution
from remez.solver.driver import accepted, best_of
from remez.solver.exchange import ExchangeOptions, exchange
from remez.solver.history import History
from remez.solver.linear_programming import Stuck, correct
from remez.solver.problem_reduction import Reduced, Samples, reduce

__all__ = ["samples_problem", "solve_samples"]


@dataclass(frozen=True, eq=False)
class Discrete(Reduced):
    """A `Reduced` that has the samples only: any point stands for the nearest of them."""

    def sample(self, u: np.ndarray) -> Samples:
        """The samples nearest to the points, each once."""
        x = np.array(self.problem.samples[0])  # type: ignore[index]
        index = np.unique(np.searchsorted(0.5 * (x[1:] + x[:-1]), self.x(u)))
        return super().sample(self.u(x[index]))


def solve_samples(problem: Problem, max_iterations: int, history: History) -> Solution:
    """The best rational approximation on the samples of a problem, see `remez.fit_samples`."""
    target = problem.target()
    reduced = Discrete(**_fields(reduce(problem, target)))
    points = reduced.sample(reduced.u(np.array(problem.samples[0])))  # type: ignore[index]
    options = ExchangeOptions(max_iterations=max_iterations, history=history)
    chain = (
        (reduced, exchange(reduced, [start], points, options), method)
        for method, start in _starts(reduced, points)
    )
    return best_of(accepted(problem, target, chain))


def _fields(reduced: Reduced) -> dict[str, Any]:
    return {name: getattr(reduced, name) for name in reduced.__dataclass_fields__}


def _starts(reduced: Reduced, points: Samples) -> Any:
    """Chebyshev-like indices, then linear programs on the samples."""
    t = 0.5 - 0.5 * np.cos(np.pi * np.arange(reduced.size) / (reduced.size - 1))
    index = np.round(t * (points.u.size - 1)).astype(int)
    index = np.maximum.accumulate(np.maximum(index, np.arange(reduced.size)))
    for i in range(1, index.size):
        index[i] = max(index[i], index[i - 1] + 1)
    over = np.arange(points.u.size - reduced.size, points.u.size)
    yield "chebyshev", points.u[np.minimum(index, over)]
    with suppress(Stuck):
        start = correct(reduced, points, None, rounds=40)
        if start is not None:
            yield "differential correction", start


def samples_problem(x: Any, y: Any, degree: Sequence[int], weight: Any = None) -> Problem:
    """The samples as a problem, sorted and checked.

    Raises:
        TargetError: shapes differ, a value is not finite, or a point occurs twice.
        DegreeError: too few samples for the degree.
    """
    x, y = _column("x", x), _column("y", y)
    w = np.ones_like(x) if weight is None else _column("weight", weight)
    if not x.size == y.size == w.size:
        raise TargetError(
            f"x, y and weight have {x.size}, {y.size} and {w.size} entries: match them"
        )
    if not (w > 0).all():
        raise TargetError("a weight is zero or negative: leave that sample out")
    order = np.argsort(x)
    x, y, w = x[order], y[order], w[order]
    m, n = check_degree(degree)
    if x.size < m + n + 2:
        raise DegreeError(f"{x.size} samples are interpolated by type {(m, n)}: lower it")
    if not (np.diff(x) > 0).all():
        raise TargetError("a point x occurs twice: give each once")
    rows = tuple(x.tolist()), tuple(y.tolist()), tuple(w.tolist())
    domain = Domain.of((x[0], x[-1]))
    return Problem(None, (m, n), domain, parity=None, samples=rows)


def _column(name: str, values: Any) -> np.ndarray:
    """The values as a vector of finite floats.

    Raises:
        TargetError: one is complex, masked, NaN, infinite, or no number.
    """
    try:
        if isinstance(values, list | tuple) and any(v is np.ma.masked for v in values):
            raise TypeError("an entry is masked")
        found = np.ma.asarray(values)
        if found.dtype.kind not in "fiub":  # floats, integers and booleans are plainly real
            found = np.ma.filled(found.astype(object), np.nan).ravel()
            if any(isinstance(v, str | bytes | complex) or np.iscomplexobj(v) for v in found):
                raise TypeError("complex numbers and texts are no samples")
        column: np.ndarray = np.ma.filled(found.astype(float), np.nan).ravel()
    except (TypeError, ValueError, ArithmeticError) as cause:
        raise TargetError(f"{name} = {shown(values)} must hold real numbers ({cause})") from cause
    if not np.isfinite(column).all():
        raise TargetError(f"{name} has an entry that is NaN, infinite or masked: leave it out")
    return column
