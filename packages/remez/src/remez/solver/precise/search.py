"""The search for a reference in any precision, from an earlier one or by growing the type."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from remez.rational.arithmetic import Arithmetic, Number
from remez.solution import IterationRecord, Solution, Status
from remez.solver.history import History
from remez.solver.precise.exchange import Curve, Reference, Watch, settle
from remez.solver.precise.levelling import Levelled
from remez.solver.precise.problem_reduction import Reduction
from remez.solver.precise.starts import chebyshev, first, inside, resample

__all__ = ["Found", "Search"]

PATIENCE = 14  # exchanges of a stage: from a good start it takes two or three


@dataclass(frozen=True, eq=False)
class Found:
    """The result of a search: the type in t, the points, and the working digits.

    ``exact`` says that f is a rational of this type, as far as those digits tell.
    """

    degree: tuple[int, int]
    points: list[Number]
    digits: int
    exact: bool


class Search:
    """The search for a reference of one reduced problem."""

    def __init__(
        self,
        reduction: Reduction,
        arithmetic: Arithmetic,
        limit: int,
        history: History | None = None,
    ) -> None:
        self.reduction = reduction
        self.arithmetic = arithmetic
        self.limit = limit
        self.history = history or History()
        self.evaluations = 0

    def curve(self, degree: tuple[int, int]) -> Curve:
        """The curve at the current working precision."""
        curve = self.reduction.curve(self.arithmetic, degree)

        def counted(t: Number) -> Number:
            self.evaluations += 1
            return curve.value(t)

        return replace(curve, value=counted)

    def near(self, former: Solution) -> Found | None:
        """Settle from a former fit's reference: (degree, sampling coordinates, digits)."""
        error = float(former.error)
        resolved = former.status is Status.CONVERGED and error > 0
        if not resolved or former.defect > self.reduction.defect:
            return None
        degree = self.reduction.degree
        digits = 30 + self.lost(self.arithmetic.number(error))
        with self.arithmetic.digits(digits):
            curve = self.curve(degree)
            points = self.reduction.to_t(self.arithmetic, list(former.reference))
            kept = inside(curve, [self.reduction.unplace(self.arithmetic, t) for t in points])
            if len(kept) != curve.size:
                return None
            reference = self._settle(curve, kept)
            if reference is None or not error / 2 < float(reference.error) < 2 * error:
                return None
            return Found(degree, reference.points, digits, False)

    def climb(self, degree: tuple[int, int] | None = None) -> Found | None:
        """Grow the type from the least one, each start resampled from the last reference."""
        full = self.reduction.degree if degree is None else degree
        top, least = max(full), self._least(full)
        at, digits = least - 1, 30
        path: list[tuple[int, list[Number]]] = []
        while at < top:
            steps = (max(1, (at + 1) // 3), max(1, (at + 1) // 6), 1, 2, 3, 4)
            for goal in dict.fromkeys(min(at + step, top) for step in steps):
                small = self._towards(full, goal)
                found = self._stage(small, path, goal, digits)
                if found is not None:
                    break
            else:
                return None
            reference, digits, exact = found
            if exact:
                return Found(small, reference.points, digits, True)
            path, at = [*path[-1:], (goal, reference.points)], goal
            digits = 30 + 2 * self.lost(reference.error)
        return Found(full, path[-1][1], digits, False)

    def lowest(self, exact: Found) -> Found:
        """f in lowest terms: one levelling on any reference tells whether a type reproduces it.

        Not on one out at infinity, from which the coefficients could not be told.
        """
        with self.arithmetic.digits(exact.digits):
            for less in ((1, 1), (1, 0), (0, 1)):
                while min(degree := (exact.degree[0] - less[0], exact.degree[1] - less[1])) >= 0:
                    curve = self.curve(degree)
                    reference = self._settle(curve, chebyshev(curve, curve.size + 2)[1:-1], 1)
                    if reference is None or reference.error > self.floor:
                        break
                    exact = replace(exact, degree=degree, points=reference.points)
        return exact

    def _towards(self, full: tuple[int, int], goal: int) -> tuple[int, int]:
        """The type (m, n) goal/max(m, n), rounded; on the line to one without a zero of q."""
        top = max(full)
        small = (round(full[0] * goal / top), round(full[1] * goal / top)) if top else (0, 0)
        return small if goal == top else self.reduction.attainable(small)

    def _least(self, full: tuple[int, int]) -> int:
        """The first goal whose type has room for all of the prescribed values."""
        top, pins = max(full), len(self.reduction.problem.interpolate)
        return next(k for k in range(top + 1) if k == top or sum(self._towards(full, k)) >= pins)

    def _stage(
        self, degree: tuple[int, int], path: list[tuple[int, list[Number]]], goal: int, digits: int
    ) -> tuple[Reference, int, bool] | None:
        """Settle at one type: the reference, the digits it took, and whether f was reached."""
        tries = [path, path[-1:], []][2 - min(len(path), 2) :]
        while tries:
            with self.arithmetic.digits(digits):
                curve = self.curve(degree)
                start = resample(curve, tries[0], goal) if tries[0] else first(curve)
                reference = self._settle(curve, start)
                if reference is None:
                    tries.pop(0)
                    continue
                exact = bool(reference.error <= self.floor)
            if not exact or digits >= 120:
                return reference, digits, exact
            digits *= 2
        return None

    def _settle(
        self, curve: Curve, points: list[Number], patience: int = PATIENCE
    ) -> Reference | None:
        try:
            return settle(curve, points, min(self.limit, patience), self.floor, self.watch(curve))
        except ZeroDivisionError:
            return None

    def watch(self, curve: Curve) -> Watch:
        """What records the steps of an exchange on the curve."""
        reduction, mpf = self.reduction, self.arithmetic.mpf
        degree = reduction.type_in_x(curve.degree)

        def record(
            step: int, points: Sequence[Number], levelled: Levelled, largest: Number, sound: bool
        ) -> None:
            xs = reduction.to_x([mpf(curve.place(s)) for s in points])
            error, largest = mpf(abs(levelled.error)), mpf(self.arithmetic.number(largest))
            reference = np.array(xs, object)
            record = IterationRecord(step, degree, reference, error, largest, sound)
            self.history.add(lambda: record)

        return record

    @cached_property
    def height(self) -> Number:
        """The size of w f, from a few points."""
        with self.arithmetic.digits(30):
            curve = self.curve((8, 8))
            points = map(curve.place, chebyshev(curve, curve.size))
            values = [abs(curve.weight(t) * curve.value(t)) for t in points]
            return max((v for v in values if v > 0), default=self.arithmetic.number(1))

    @property
    def floor(self) -> Number:
        """What cannot be told from rounding at the working precision."""
        return self.height * self.arithmetic.number(10) ** (12 - self.arithmetic.decimals)

    def lost(self, error: Number) -> int:
        """Decimal digits by which f exceeds the error."""
        gap = self.arithmetic.log(self.height) - self.arithmetic.log(error)
        return max(0, math.ceil(gap / math.log(10)))
