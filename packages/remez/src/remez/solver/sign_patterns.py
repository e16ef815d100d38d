"""Sign patterns of q on a union of intervals: an r with a pole in a gap may be the best.

The alternation theorem compares rationals whose denominators have the same signs on the intervals,
so that the exchange and the judge find the best among these. Therefore every sign pattern that a q
of degree n can have is either searched or proved to contain no better rational.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np

from remez.functions.callable import Target
from remez.problem import Problem
from remez.rational.linear_programs import Iterate
from remez.rational.protocol import RationalFunction
from remez.solver.degree_stepping import step_degrees
from remez.solver.exchange import ExchangeOptions, Outcome, State, exchange
from remez.solver.problem_reduction import Reduced, Samples, reduce
from remez.solver.starts.linear_programming import Stuck, improved, reference_from
from remez.solver.starts.references import Densities, base_grid, dense_grid
from remez.solver.starts.resampling import warm
from remez.solver.survey import Survey

__all__ = ["Search", "like", "patterns"]

CLOSING = 12  # largest number of linear programs from a better rational to the best one
CLOSE = 1e-3  # smallest relative improvement that counts as better


def patterns(problem: Problem, target: Target, found: Survey) -> Iterator[Reduced]:
    """The reduced problem for every sign pattern of q, starting with that of one sign.

    A symmetric pattern has a symmetric best approximation, and the symmetry is used. Of two
    patterns that are mirror images, only one is given, without symmetry.
    """
    reduced = reduce(problem, target, found)
    yield from _with_sign_changes(reduced)
    if reduced.degree == problem.degree:  # no symmetry
        return
    plain = reduce(replace(problem, parity=None), target, found)
    centre = float(plain.u(np.array(reduced.origin)))
    seen: set[tuple[float, ...]] = set()
    for pattern in _with_sign_changes(plain):
        offsets = tuple(place - centre for place in pattern.sign_changes)
        mirrored = tuple(sorted(-place for place in offsets))
        odd = len(offsets) % 2 == 1
        if (mirrored != offsets or (odd and reduced.parity != "even")) and mirrored not in seen:
            seen.add(offsets)
            yield pattern


def like(reduced: Reduced, rational: RationalFunction) -> Reduced:
    """The reduced problem with the sign pattern that the denominator of ``rational`` has.

    Args:
        reduced: The problem without sign changes of q.
        rational: A rational in x, for instance the solution of a similar problem.
    """
    ends = reduced.components
    if len(ends) == 1 or reduced.line:
        return reduced
    sign = rational.with_sign(reduced.x(ends.mean(1)))[1]
    gaps = 0.5 * (ends[:-1, 1] + ends[1:, 0])
    return replace(reduced, sign_changes=tuple(gaps[sign[1:] * sign[:-1] < 0].tolist()))


def _with_sign_changes(reduced: Reduced) -> Iterator[Reduced]:
    ends = reduced.components
    gaps = (0.5 * (ends[:-1, 1] + ends[1:, 0])).tolist()
    most = 0 if reduced.line else min(reduced.degree[1], len(gaps))
    for count in range(most + 1):
        for sign_changes in combinations(gaps, count):
            yield replace(reduced, sign_changes=sign_changes)


class Search:
    """The search for a rational of one sign pattern whose error is smaller than ``below``.

    Attributes:
        reduced: The problem with its sign changes.
        below: The error to improve on, in units of the reduced problem.
        excluded: Whether it is known that no such rational exists.
    """

    def __init__(self, reduced: Reduced, below: float, options: ExchangeOptions) -> None:
        self.reduced = reduced
        self.below = below
        self.options = replace(options, watch=self._watch)
        self.excluded = False

    def outcomes(self, former: np.ndarray) -> Iterator[Outcome]:
        """Yield the outcomes of exchanges from several starts until the pattern is excluded."""
        reduced, grid, options = self.reduced, base_grid(self.reduced), self.options
        usual = list(Densities.of(reduced, grid).references(reduced))
        for starts in (usual, warm(reduced, former)):
            if starts and not self.excluded:
                outcome = exchange(reduced, starts, grid, options)
                if outcome.state is not None and outcome.state.extrema.sound:
                    yield outcome
        dense = dense_grid(reduced, grid)
        if self.excluded:
            return
        if np.isfinite(self.below):
            counted = dense[dense.w > 0]
            near, self.excluded = improved(reduced, counted, self.below)
            if self.excluded:
                return
            if near is not None:
                yield from self._from(near, counted, grid)
        for small, outcome in step_degrees(reduced, grid, dense, options):
            if small.degree == reduced.degree:
                yield outcome

    def _from(self, near: Iterate, points: Samples, grid: Samples) -> Iterator[Outcome]:
        """The outcome from the best rational on the points, if linear programs lead to it."""
        try:
            start = reference_from(self.reduced, points, near, CLOSING, self.options.allowance)
        except Stuck:
            return
        if start is not None:
            yield exchange(self.reduced, [start], grid, self.options)

    def _watch(self, state: State) -> None:
        """De la Vallée Poussin's lower bound needs the signs of q on the reference only."""
        if state.level.sound and abs(state.level.error) >= self.below:
            self.excluded = True
