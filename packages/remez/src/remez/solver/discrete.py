"""Best approximation of samples: the same exchange with extrema restricted to the samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from remez.domain import Domain
from remez.errors import DegreeError
from remez.problem import Problem, check_degree
from remez.samples import SampleSet
from remez.solution import Solution
from remez.solver.degree_stepping import step_degrees
from remez.solver.driver import Candidate, accepted, best_of
from remez.solver.exchange import ExchangeOptions, Outcome, exchange
from remez.solver.history import History
from remez.solver.problem_reduction import Reduced, Samples, reduce
from remez.solver.starts.closed_form import zero
from remez.solver.starts.resampling import resample
from remez.solver.starts.sample_programs import programmed
from remez.solver.survey import Survey

__all__ = ["samples_problem", "solve_samples"]

SYMMETRIC = 4 * float(np.finfo(float).eps)  # relative tolerance for mirror images
MANY = 30  # points of the reference above which linear programs are slow
THIN = 24  # samples per point of the reference in the first linear programs


@dataclass(frozen=True, eq=False)
class Discrete(Reduced):
    """A `Reduced` on samples: any other point is replaced by the nearest sample.

    Attributes:
        points: The samples; only one half of them if they are symmetric.
    """

    points: Samples | None = None

    def sample(self, u: np.ndarray) -> Samples:
        """The samples nearest to the points, each once."""
        points = self.points
        assert points is not None
        between = 0.5 * (points.u[1:] + points.u[:-1])
        return points[np.unique(np.searchsorted(between, u))]

    def scan(self, reference: Samples, grid: Samples) -> Samples:
        """All samples."""
        assert self.points is not None
        return self.points

    @property
    def climbs(self) -> bool:
        """There is nothing between the samples."""
        return False


def samples_problem(x: Any, y: Any, degree: Sequence[int], weight: Any = None) -> Problem:
    """The samples as a problem.

    Raises:
        TargetError: The samples are invalid, as in `SampleSet.of`.
        DegreeError: There are too few samples for the degree.
    """
    samples = SampleSet.of(x, y, weight)
    m, n = check_degree(degree)
    if samples.x.size < m + n + 2:
        raise DegreeError(
            f"{samples.x.size} samples are interpolated by type {(m, n)}, so there is no error to "
            "minimise: lower the degree"
        )
    domain = Domain.of((samples.x[0], samples.x[-1]))
    return Problem(None, (m, n), domain, parity=None, samples=samples)


def solve_samples(problem: Problem, max_iterations: int, history: History) -> Solution:
    """The best rational approximation on the samples of a problem, see `remez.fit_samples`."""
    reduced = _reduced(problem)
    options = ExchangeOptions(max_iterations=max_iterations, history=history)
    return best_of(accepted(problem, reduced.target, _chain(reduced, options)))


def _reduced(problem: Problem) -> Discrete:
    """The samples in the reduced variable; a symmetry has to hold at every one of them."""
    samples, target = problem.samples, problem.target()
    assert samples is not None
    mirrored = samples.x + samples.x[::-1]
    close = SYMMETRIC * np.abs(samples.x[[0, -1]]).max()
    symmetric = np.abs(mirrored - mirrored[0]).max() <= close
    asked = replace(problem, parity="auto" if symmetric else None)
    whole = reduce(asked, target, Survey(points=samples.x, values=samples.y))
    found = _discrete(whole, samples)
    if found.points is not None and found.points.u.size < found.size:  # nothing to alternate on
        found = _discrete(reduce(problem, target), samples)
    return found


def _discrete(reduced: Reduced, samples: SampleSet) -> Discrete:
    own = samples.x >= reduced.origin if reduced.parity else slice(None)
    points = reduced.sample(reduced.u(samples.x[own]))
    fields = {name: getattr(reduced, name) for name in reduced.__dataclass_fields__}
    return Discrete(**fields, points=points[points.w > 0])


def _chain(reduced: Discrete, options: ExchangeOptions) -> Iterator[Candidate]:
    """Two first references, r = 0, linear programs on some of the samples, degree stepping.

    Degree stepping comes first at degrees at which linear programs are slow.
    """
    points = reduced.points
    assert points is not None
    share = _chebyshev(reduced.size)
    low, high = points.u[[0, -1]]
    places = [
        low + (high - low) * share,
        points.u[np.rint(share * (points.u.size - 1)).astype(int)],
    ]
    starts = [_enough(reduced, place) for place in places]
    yield reduced, exchange(reduced, starts, points, options), "chebyshev"
    if reduced.problem.degree[0] < reduced.problem.degree[1]:
        yield *zero(reduced, points), "zero"
    if reduced.degree[1] == 0 or reduced.size > MANY:
        for small, outcome in step_degrees(reduced, points, None, options):
            yield small, outcome, "degree stepping"
    if reduced.degree[1] == 0:  # the exchange of polynomials converges from every start
        return
    count = min(THIN * reduced.size, points.u.size)
    index = np.rint(np.linspace(0, points.u.size - 1, count)).astype(int)
    thin = points[index].merge(reduced.sample(resample(reduced, low + (high - low) * share)))[0]
    yield from _programmed(reduced, points, thin, options)
    for small, outcome in step_degrees(reduced, points, thin, options):
        yield small, outcome, "differential correction"


def _programmed(
    reduced: Discrete, points: Samples, thin: Samples, options: ExchangeOptions
) -> Iterator[Candidate]:
    """The exchange from the reference of the linear programs, and their rational itself."""
    state = programmed(reduced, points, thin)
    if state is None:
        return
    if state.reference.u.size == reduced.size:
        yield reduced, exchange(reduced, [state.reference.u], points, options), "linear programs"
    yield reduced, Outcome(state, state.iteration), "linear programs"


def _chebyshev(count: int) -> np.ndarray:
    """Points of (0, 1), both ends included, that cluster at the ends."""
    share: np.ndarray = 0.5 - 0.5 * np.cos(np.pi * np.arange(count) / (count - 1))
    return share


def _enough(reduced: Discrete, u: np.ndarray) -> np.ndarray:
    """As many different samples as there are points: neighbours where some stand for the same."""
    points = reduced.points
    assert points is not None
    last = points.u.size - 1
    index = np.searchsorted(0.5 * (points.u[1:] + points.u[:-1]), u)
    step = np.arange(index.size)
    index = np.maximum.accumulate(index - step) + step
    return points.u[np.minimum(index, last - step[::-1])]
