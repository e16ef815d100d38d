"""Degree stepping: increase both degrees, resampling each reference from the previous one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain, islice

import numpy as np

from remez import curve_kernels
from remez.solver.exchange import EPS, ExchangeOptions, Outcome, State, exchange, levelled_at
from remez.solver.extrema import search
from remez.solver.levelling import Levelled
from remez.solver.problem_reduction import Reduced, Samples
from remez.solver.starts.linear_programming import Stuck, correct
from remez.solver.starts.references import Densities, base_grid
from remez.solver.starts.resampling import resample

__all__ = ["from_half", "further_steps", "step_degrees", "with_lowest"]

LEAST = 1e-4  # relative gap to a lower bound, a tenth of the accepted one
ROUGH = 0.1  # relative gap of the bounds at which a reference for the next degree is good enough
SIGN = 0.02  # relative distance from the bound for an r of one sign at which a degree may suffice
LONGER = 4  # lowest types that get further steps where rounding spoils a single one
MORE = 8  # points of a linear program per point of the reference


def step_degrees(
    reduced: Reduced,
    grid: Samples,
    dense: Samples | None,
    options: ExchangeOptions,
) -> Iterator[tuple[Reduced, Outcome]]:
    """Solve at (m - n + k, k) or (k, n - m + k) for growing k, and yield the last outcome.

    Polynomials step from degree 0, and so do reciprocals of polynomials.
    A lower degree is also yielded if it reproduces the function to rounding, or if its error
    alternates so often that it is the (degenerate) best of the full type. With ``dense`` points,
    linear programs on these are used at a degree at which the resampled reference fails.
    """
    low = _steps(reduced)
    stride = 2 if reduced.line else 1  # where q of odd degree has a zero
    bound = _one_signed(reduced, grid)
    last: State | None = None
    spare: tuple[Reduced, Outcome] | None = None  # near the bound, tried after the full degree
    k = (reduced.degree[1] - low) % stride
    while True:
        # exchange at this degree from the reference of the last successful one
        small = _at(reduced, k)
        now = options if k == low else options.rough()
        if last is None:
            starts = Densities.of(small, grid).references(small)
        else:
            starts = _next(small, _places(last))
        outcome = exchange(small, starts, grid, now)
        # if that fails: start from one degree less, then from linear programs
        enough = 1e-3 if k == low else 0.2
        if last is not None and not _good(outcome.state, enough):
            outcome = _by_half_steps(small, last, grid, now) or outcome
        if dense is not None and not _good(outcome.state, enough):
            near = None if last is None else last.level
            try:
                outcome = _corrected(small, grid, dense, near, now) or outcome
            except Stuck:
                dense = None
        # offer the full degree, and a lower one that is exact or degenerate
        state = outcome.state
        if state is not None and state.extrema.sound and (k == low or state.exact):
            yield small, outcome
        if state is not None and _good(state):
            last = state
            near = state.extrema.largest <= (1 + SIGN) * bound
            if k < low and (near or _degenerate(small, last, low - k)):
                outcome = exchange(small, [last.reference.u], grid, options)
                if near and not _is_least(outcome.state, bound):
                    spare = small, outcome
                elif outcome.state is not None:
                    yield small, outcome
        # grow by a sixth, and by a single step to the full degree
        if k == low:
            yield from [] if spare is None else [spare]
            return
        k = min(k + stride * max(1, k // 6), low - stride if k < low - stride else low)


def from_half(
    reduced: Reduced, grid: Samples, densities: Densities, options: ExchangeOptions
) -> Outcome:
    """Start from the reference of half the degree, which suffices if f is analytic."""
    low = _steps(reduced)
    k = low // 2 + (low // 2 + reduced.degree[1] - low) % 2 * reduced.line
    if k == low:
        return Outcome(None, 0)
    small = _at(reduced, k)
    half = exchange(small, densities.references(small), grid, options.rough())
    if half.state is None or not _good(half.state):
        return Outcome(None, half.iterations)
    return exchange(reduced, [resample(reduced, _places(half.state))], grid, options)


def _next(reduced: Reduced, old: np.ndarray) -> list[np.ndarray]:
    """The next reference up, distributed as ``old`` is.

    1/q has no zero: where f changes sign all alternation may be on one side but for one point,
    far off, which is left alone in two more references.
    """
    starts = [resample(reduced, old)]
    if reduced.degree[0] == 0 and not reduced.line and reduced.size > old.size > 2:
        part = reduced.with_degree((0, reduced.degree[1] - 1))
        starts.append(np.append(resample(part, old[:-1]), old[-1]))
        starts.append(np.append(old[0], resample(part, old[1:])))
    return starts


def _steps(reduced: Reduced) -> int:
    """How often both degrees can be lowered, or the other one where one of them is 0."""
    return min(reduced.degree) or max(reduced.degree)


def _at(reduced: Reduced, k: int) -> Reduced:
    """The type from which k steps lead to that of ``reduced``."""
    m, n = reduced.degree
    back = _steps(reduced) - k
    return reduced.with_degree((max(m - back, 0), max(n - back, 0)))


def _is_least(state: State | None, bound: float) -> bool:
    """Whether the largest error is equal to a lower bound, to a tenth of the accepted gap."""
    return (
        state is not None and state.extrema.sound and state.extrema.largest <= (1 + LEAST) * bound
    )


def _one_signed(reduced: Reduced, grid: Samples) -> float:
    """A lower bound on the error of every reciprocal of a polynomial, which has one sign; else 0.

    A positive r misses the most negative value of f by more than that value, a negative r the most
    positive one.
    """
    if reduced.degree[0] > 0 or len(reduced.components) > 1:
        return 0.0
    size = grid.f * grid.w
    return float(min(size.max(), -size.min()))


def _degenerate(small: Reduced, state: State, defect: int) -> bool:
    """Whether the error alternates on ``defect`` more points than the type of ``small`` asks."""
    signed = state.extrema.error * small.flips(state.extrema.points.u)
    kept = curve_kernels.alternating(signed, small.size + defect)
    high = np.abs(signed[kept]) > 0.5 * state.extrema.largest
    return kept.size == small.size + defect and bool(high.all())


def _by_half_steps(
    reduced: Reduced, last: State, grid: Samples, options: ExchangeOptions
) -> Outcome | None:
    """Start from a type with one degree less, which helps at blocks of nearly equal errors."""
    m, n = reduced.degree
    for degree in ((m - 1, n), (m, n - 1)):
        if min(degree) < 0:
            continue
        half = reduced.with_degree(degree)
        points = base_grid(half) if half.unbounded else grid  # there they depend on m - n
        state = exchange(half, [resample(half, _places(last))], points, options.rough()).state
        if state is not None and _good(state):
            outcome = exchange(reduced, [resample(reduced, _places(state))], grid, options)
            if _good(outcome.state):
                return outcome
    return None


def _places(state: State) -> np.ndarray:
    """The alternation points, those beyond the reference included."""
    high = np.abs(state.extrema.error) > 0.5 * state.extrema.largest
    points = state.extrema.points.u[high]
    return points if points.size >= state.reference.u.size else state.reference.u


def _corrected(
    reduced: Reduced,
    grid: Samples,
    dense: Samples,
    near: Levelled | None,
    options: ExchangeOptions,
) -> Outcome | None:
    """Start from the best on ``dense``; points that it left out are added, twice if need be."""
    outcome: Outcome | None = None
    # where their work is limited, the programs of an intermediate degree end at a rough reference
    limited = options.allowance is not None and options.tolerance > LEAST
    close = ROUGH if limited else None
    for _ in range(3):
        start = correct(reduced, dense, near, allowance=options.allowance, close=close)
        if start is None:
            return outcome
        outcome = exchange(reduced, [start], grid, options)
        if _good(outcome.state) or outcome.first is None:
            return outcome
        found = outcome.first.extrema
        largest = curve_kernels.alternating(found.error, MORE * reduced.size)
        dense, _ = dense.merge(found.points[largest])
    return outcome


def _good(state: State | None, gap: float = 0.2) -> bool:
    """Whether the state is near enough to the best, or to rounding, to go on from."""
    if state is None or not state.extrema.sound:
        return False
    rounding = 1e4 * EPS * state.reference.height
    return state.exact or state.gap < (gap if state.extrema.largest > rounding else 0.2)


def with_lowest(reduced: Reduced, outcome: Outcome) -> Iterator[tuple[Reduced, Outcome]]:
    """The lowest type that reproduces the target to rounding, if there is one, and the outcome.

    It exists if the outcome is exact, or exact except for rounding.
    """
    state = outcome.state
    if state is not None and (state.exact or state.lost):
        enough = max(16 * EPS * state.reference.height, state.exact * state.extrema.largest)
        lower = _lowest(reduced, enough)
        if lower is not None:
            yield lower
    yield reduced, outcome


def _lowest(reduced: Reduced, enough: float) -> tuple[Reduced, Outcome] | None:
    """The lowest type that is exact: of the diagonal, and of polynomials or reciprocals below it.

    Its error is at most ``enough``, which is rounding. The rational levelled at the lowest possible
    type is often it.
    """
    grid = base_grid(reduced)
    densities = Densities.of(reduced, grid)

    @cache
    def first(small: Reduced) -> tuple[Samples, Levelled | None]:
        return levelled_at(small, next(densities.references(small)))

    for small in _possible(reduced, enough, first):
        points = base_grid(small) if small.unbounded else grid  # there they depend on m - n
        others = islice(densities.references(small), 1, None)
        for reference, solved in chain([first(small)], (levelled_at(small, u) for u in others)):
            if solved is None:
                continue
            state = State(reference, solved, search(small, solved, reference, points), 1)
            if state.exact and state.extrema.largest <= enough:
                return small, Outcome(state, 1, state)
    return None


def further_steps(reduced: Reduced, grid: Samples) -> Iterator[tuple[Reduced, Outcome]]:
    """A few steps at the lowest types that may be exact, where rounding spoils a single one."""
    densities = Densities.of(reduced, grid)
    options = ExchangeOptions(max_iterations=LONGER)

    def first(small: Reduced) -> tuple[Samples, Levelled | None]:
        return levelled_at(small, next(densities.references(small)))

    for small in islice(_possible(reduced, 16 * EPS * grid.height, first), LONGER):
        points = base_grid(small) if small.unbounded else grid
        for start in densities.references(small):
            outcome = exchange(small, [start], points, options)
            if outcome.state is not None and outcome.state.exact:
                yield small, outcome


def _possible(
    reduced: Reduced,
    enough: float,
    first: Callable[[Reduced], tuple[Samples, Levelled | None]],
) -> Iterator[Reduced]:
    """The types below that of ``reduced`` whose error may be at most ``enough``, lowest first.

    On any reference |lambda| is a lower bound on the best error. Therefore the lowest is located by
    bisection among those whose lambda, on the ``first`` reference, is that small.
    """
    lowered = cache(reduced.lowered)

    def possible(defect: int) -> bool:
        small = lowered(defect)
        solved = None if small is None else first(small)[1]
        return solved is not None and abs(solved.error) <= enough

    defects = range(max(reduced.problem.degree), 0, -1)
    for defect in defects[bisect_left(defects, True, key=possible) :]:
        small = lowered(defect)
        if small is not None:
            yield small
