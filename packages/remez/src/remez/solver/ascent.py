"""An exchange whose levelled error never decreases: slower than `exchange`, but more robust.

On any reference on which q does not change sign the levelled error is a lower bound on the best
error. An exchange of all points at once may decrease this bound or lead to a q with a sign change;
here the step is shortened until the bound increases. If no shortened step does so, a single point
is exchanged, as in the first algorithm of Remez.

References:
    E. W. Cheney, Introduction to Approximation Theory (1966), ch. 5; S.-I. Filip,
    Y. Nakatsukasa, L. N. Trefethen, B. Beckermann, SIAM J. Sci. Comput. 40 (2018),
    doi:10.1137/17M1132409.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from remez.solver.exchange import ExchangeOptions, Outcome, State, between, solve, terminate
from remez.solver.extrema import choose, search, swap
from remez.solver.problem_reduction import Reduced, Samples

__all__ = ["ascend"]

STEPS = 5  # multiple of max_iterations, since these steps are shorter
SLOW = 10  # steps in which the levelled error has to rise by a share of the gap
SHARE = 0.003  # of the gap
HALVINGS = 7  # largest number of halvings of a step
SINGLE = 6  # number of largest extrema that are tried for a single exchange


def ascend(
    reduced: Reduced, starts: Iterable[np.ndarray], grid: Samples, options: ExchangeOptions
) -> Outcome:
    """The outcome from the first of the starts that leads to a level error, else the best."""
    best = Outcome(None, 0)
    for start in starts:
        outcome = _from(reduced, reduced.reference(start), grid, options)
        state = outcome.state
        if state is None:
            continue
        if best.state is None or _rank(state) > _rank(best.state):
            best = outcome
        if state.nearly:
            break
    return best


def _rank(state: State) -> tuple[bool, float]:
    return state.extrema.sound, -state.gap


def _from(reduced: Reduced, start: Samples, grid: Samples, options: ExchangeOptions) -> Outcome:
    state = _state(reduced, start, grid, 1, 0.0)
    steps = STEPS * options.max_iterations
    bounds: list[float] = []
    for iteration in range(2, steps + 2):
        if state is None:
            return Outcome(None, 1)
        bounds.append(abs(state.level.error))
        if len(bounds) > SLOW and bounds[-1] < (1 + SHARE * state.gap) * bounds[-1 - SLOW]:
            return Outcome(state, iteration - 1)
        options.seen(reduced, state)
        if state.extrema.sound and terminate(reduced, state, 0, options.tolerance):
            return Outcome(state, iteration - 1)
        higher = _higher(reduced, state, grid, iteration)
        if higher is None:
            return Outcome(state, iteration - 1)
        state = higher
    return Outcome(state, steps)


def _higher(reduced: Reduced, state: State, grid: Samples, iteration: int) -> State | None:
    """The next state, whose levelled error is larger; one without a pole, if there is one."""
    proposal = choose(reduced, state.reference, state.level, state.extrema)
    bound, found = abs(state.level.error), None
    for _ in range(HALVINGS):
        one = _state(reduced, proposal, grid, iteration, bound)
        if one is not None and one.extrema.sound:
            return one
        found = found or one
        proposal = reduced.reference(between(state.reference.u, proposal.u))
    if found is not None:
        return found
    extrema = state.extrema
    signed = extrema.error * reduced.flips(extrema.points.u)
    for top in np.argsort(-np.abs(signed))[:SINGLE]:
        new = extrema.points[top : top + 1]
        proposal = swap(reduced, state.reference, state.level, new, signed[top])
        one = _state(reduced, proposal, grid, iteration, bound)
        if one is not None:
            return one
    return None


def _state(
    reduced: Reduced, proposal: Samples, grid: Samples, iteration: int, bound: float
) -> State | None:
    """What is levelled on the reference, if q keeps its sign there and the error is larger."""
    levelled = solve(reduced, proposal)
    if levelled is None or not levelled.sound or not abs(levelled.error) > bound:
        return None
    return State(proposal, levelled, search(reduced, levelled, proposal, grid), iteration)
