"""The Remez exchange with step halving: level, locate extrema, exchange."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from remez.solution import IterationRecord
from remez.solver.extrema import Extrema, choose, search
from remez.solver.history import History
from remez.solver.levelling import Levelled, level
from remez.solver.problem_reduction import Reduced, Samples
from remez.solver.starts.linear_programming import Allowance

__all__ = ["ExchangeOptions", "Outcome", "State", "between", "exchange", "levelled_at", "solve"]

EPS = float(np.finfo(float).eps)
ROUNDING = 64 * EPS  # relative rounding error of f and r
LOST = 16 * EPS  # relative levelled error that rounding alone may cause
RISE = 1e-6  # relative increase of the levelled error of a polynomial that counts as progress
NEARLY = 0.01  # relative gap below which an outcome is verified


@dataclass(frozen=True, eq=False)
class State:
    """One step: a reference, the rational levelled on it, and the extrema of its error."""

    reference: Samples
    level: Levelled
    extrema: Extrema
    iteration: int

    @property
    def gap(self) -> float:
        """``1 - |lambda| / max error``: 0 when the error is level."""
        largest = self.extrema.largest
        return 1 - abs(self.level.error) / largest if largest > 0 else 0.0

    @property
    def exact(self) -> bool:
        """Whether the rational is sound and reproduces the target to rounding."""
        return self.extrema.sound and self.extrema.largest <= ROUNDING * self.reference.height

    @property
    def lost(self) -> bool:
        """Whether the levelled error is at the level of rounding, but the largest error is not."""
        return abs(self.level.error) <= LOST * self.reference.height and not self.exact

    @property
    def nearly(self) -> bool:
        """Whether the rational is sound and may be the best, to `NEARLY` or to rounding."""
        largest = self.extrema.largest
        rounding = ROUNDING * self.reference.height
        return self.extrema.sound and largest * (1 - NEARLY) <= abs(self.level.error) + rounding


@dataclass(frozen=True, eq=False)
class Outcome:
    """The result of an exchange.

    Attributes:
        state: The best state, None if no rational could be levelled.
        iterations: The number of steps.
        first: The state of the first step.
    """

    state: State | None
    iterations: int
    first: State | None = None


@dataclass(frozen=True, eq=False)
class ExchangeOptions:
    """Options of an exchange.

    Attributes:
        max_iterations: The largest number of steps.
        tolerance: The relative gap between the levelled and the largest error at which it ends.
        history: The object that records every step.
        watch: A function that is called with the state of every step.
        allowance: The work that is left for the linear programs of starts, if that is limited.
    """

    max_iterations: int = 40
    tolerance: float = 1e-6
    history: History | None = None
    watch: Callable[[State], None] | None = None
    allowance: Allowance | None = None

    def rough(self) -> ExchangeOptions:
        """Options for an intermediate degree, whose reference starts the next degree."""
        return ExchangeOptions(12, 0.01, self.history, allowance=self.allowance)

    def seen(self, reduced: Reduced, state: State) -> None:
        """Record one step."""
        if self.history is not None:
            self.history.add(partial(_record, reduced, state))
        if self.watch is not None:
            self.watch(state)


def _record(reduced: Reduced, state: State) -> IterationRecord:
    """The step in x, in the units of fn."""
    points = reduced.hints(state.reference.u)
    points.sort()
    return IterationRecord(
        state.iteration,
        reduced.type_in_x,
        points,
        reduced.height * abs(state.level.error),
        reduced.height * state.extrema.largest,
        state.extrema.sound,
    )


def exchange(
    reduced: Reduced,
    starts: Iterable[np.ndarray],
    grid: Samples,
    options: ExchangeOptions,
) -> Outcome:
    """Run the exchange from the best of the references ``starts``.

    That is the one with the largest levelled error, which is a lower bound on the best error.
    It ends when the error is level to the tolerance or to rounding, when several steps made no
    progress, or when no rational with the right signs of q exists near the reference.
    """
    proposal, levelled = _best(reduced, starts)
    best: State | None = None
    first: State | None = None
    previous: Samples | None = None
    stalled = lost = 0
    bound = 0.0  # the largest lambda: that of polynomials grows in every step
    for iteration in range(1, options.max_iterations + 1):
        state = _step(reduced, proposal, levelled, previous, grid, iteration)
        if state is None:
            return Outcome(best, iteration, first)
        options.seen(reduced, state)
        first = first or state
        better = best is None or (state.extrema.sound, -state.gap) > (best.extrema.sound, -best.gap)
        rises = reduced.degree[1] == 0 and abs(state.level.error) > bound * (1 + RISE)
        bound = max(bound, abs(state.level.error))
        stalled = 0 if better or rises else stalled + 1
        lost = (lost + 1 if state.extrema.sound else 2) if state.lost else 0
        best = state if better else best
        if lost >= 2 or terminate(reduced, state, stalled, options.tolerance):
            return Outcome(best, iteration, first)
        if state.extrema.sound or previous is None:
            previous = state.reference
        proposal = choose(reduced, state.reference, state.level, state.extrema)
        if np.array_equal(state.reference.u, proposal.u):
            return Outcome(best, iteration, first)
        levelled = solve(reduced, proposal)
    return Outcome(best, options.max_iterations, first)


def _best(reduced: Reduced, starts: Iterable[np.ndarray]) -> tuple[Samples, Levelled | None]:
    """The start with the largest levelled error among rationals with the right signs of q."""
    tried = [levelled_at(reduced, start) for start in starts]

    def bound(one: tuple[Samples, Levelled | None]) -> float:
        levelled = one[1]
        return abs(levelled.error) if levelled is not None and levelled.sound else -1.0

    return max(tried, key=bound)


def levelled_at(reduced: Reduced, start: np.ndarray) -> tuple[Samples, Levelled | None]:
    """The reference at the points ``start``, and the rational levelled on it."""
    proposal = reduced.reference(_apart(reduced, start))
    return proposal, solve(reduced, proposal)


def terminate(reduced: Reduced, state: State, stalled: int, tolerance: float) -> bool:
    """Whether the exchange ends: the error is level, or there is no more progress."""
    size = state.reference.height
    largest, levelled = state.extrema.largest, abs(state.level.error)
    noise = 4 * EPS * size / max(largest, 1e-300)
    if state.exact and levelled <= 4 * EPS * size:
        return True
    if state.extrema.sound and state.gap <= max(tolerance, noise):
        return True
    return stalled >= (2 if state.gap < 1e-3 else 8)


def _step(
    reduced: Reduced,
    proposal: Samples,
    levelled: Levelled | None,
    previous: Samples | None,
    grid: Samples,
    iteration: int,
) -> State | None:
    """Level on the proposed reference, or on one between it and the previous reference.

    The step is halved while q changes sign: up to eight times if it does so on the reference,
    otherwise up to three times.
    """
    fallback: State | None = None
    for attempt in range(8):
        if levelled is not None and (levelled.sound or previous is None):
            found = search(reduced, levelled, proposal, grid)
            state = State(proposal, levelled, found, iteration)
            if found.sound or previous is None:
                return state
            fallback = fallback or state
            if attempt >= 3:
                break
        if previous is None or previous.u.size != proposal.u.size:  # there is no reference half way
            break
        proposal = reduced.reference(between(previous.u, proposal.u))
        levelled = solve(reduced, proposal)
    return fallback


def solve(reduced: Reduced, reference: Samples) -> Levelled | None:
    """The rational levelled on the reference under the conditions, or None."""
    u, f = reference.u, reference.f
    if not ((reference.w > 0).all() and (u[1:] > u[:-1]).all()):
        return None
    slack = 1 / reference.w
    if reduced.fixed:
        points, values = np.array(reduced.fixed).T
        order = np.argsort(np.concatenate([u, points]))
        u = np.concatenate([u, points])[order]
        f = np.concatenate([f, values])[order]
        slack = np.concatenate([slack, np.zeros(points.size)])[order]
        if not (u[1:] > u[:-1]).all():
            return None
    if u.size != sum(reduced.degree) + 2:
        return None
    return level(u, f, slack, reduced.degree, reduced.unbounded, reduced.sign_changes)


def _apart(reduced: Reduced, u: np.ndarray) -> np.ndarray:
    """Move points that coincide with a fixed point slightly."""
    for point, _ in reduced.fixed:
        for i in np.flatnonzero(u == point):
            other = u[i + 1] if i + 1 < u.size else u[i - 1]
            u = np.append(u[:i], np.append(u[i] + 0.01 * (other - u[i]), u[i + 1 :]))
    return u


def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The midpoint; the geometric mean of numbers of equal sign."""
    product = a * b
    middle: np.ndarray = np.where(product > 0, np.sign(a) * np.sqrt(np.abs(product)), 0.5 * (a + b))
    return middle
