"""What a solver returns: the rational, the evidence for it, and how it was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import Enum
from functools import cached_property, partial
from typing import Any, Self

import numpy as np

from remez.domain import Domain
from remez.errors import RemezError
from remez.functions.callable import Function
from remez.problem import Problem
from remez.rational.barycentric import BarycentricRational
from remez.rational.factored import FactoredRational
from remez.rational.protocol import RationalFunction, Real, Record

__all__ = ["IterationRecord", "Solution", "Status"]


class Status(Enum):
    """The outcome of a fit; each value states the cause and the next step."""

    CONVERGED = (
        "converged: the error alternates, its two-sided bracket is tight, and no pole lies in "
        "the domain"
    )
    NOISE_FLOOR = (
        "reached the noise floor: the best error is too close to the rounding of fn to be "
        "resolved in double precision; use precision= for more digits"
    )
    OPEN = (
        "open: best among denominators with these signs on the intervals, but an r with a pole in "
        "a gap of the domain may be better; fit each interval separately, or lower the degree"
    )
    NOT_LEVELLED = (
        "not levelled: the extrema of the error differ by more than the tolerance; raise "
        "max_iterations or change the degree"
    )
    NO_ALTERNATION = (
        "no alternation: too few extrema of alternating sign were found; lower the degree or "
        "split the domain at its singular points"
    )
    POLE = "pole: every candidate had a pole in the domain; lower the degree, or only n by one"
    JUMP = (
        "jump: fn or its weight is discontinuous in the domain, or so steep that neighbouring "
        "float64 differ by more than the error; leave a gap around the jump, or shift a "
        "singular point to 0"
    )
    NOISY = (
        "noisy: fn carries noise above the error that this degree could reach; smooth fn, lower "
        "the degree, or use fit_samples"
    )
    UNBOUNDED = (
        "unbounded: fn or its weight has a pole in the domain; leave an interval around it out of "
        "the domain"
    )


@dataclass(frozen=True, eq=False)
class IterationRecord:
    """One step of the exchange, in double precision or multiprecision.

    Attributes:
        iteration: The number of the step within its exchange, from 1.
        degree: The type in x of the rational of this step; smaller than the type of the problem
            during degree stepping.
        reference: The points x on which the weighted error was levelled, increasing.
        levelled_error: The modulus of the weighted error on the reference.
        largest_error: The largest sampled modulus of the weighted error.
        sound: Whether the denominator has one sign at all sampled points.
    """

    iteration: int
    degree: tuple[int, int]
    reference: np.ndarray
    levelled_error: Real
    largest_error: Real
    sound: bool

    @property
    def gap(self) -> float:
        """``1 - levelled_error/largest_error``, which is 0 for the best approximation."""
        largest = self.largest_error
        return float(1 - self.levelled_error / largest) if largest > 0 else 0.0


@dataclass(frozen=True, eq=False)
class Solution:
    """A best rational approximation, the evidence for it, and how it was found.

    Attributes:
        rational: The rational function r, a `BarycentricRational` in double precision and a
            `MultiprecisionRational` otherwise.
        problem: The problem that was solved.
        error: The verified maximum of ``weight * |fn - r|`` over the domain.
        lower_bound: The lower bound on the best error (de la Vallée Poussin): the smallest
            extremum on ``reference``. For samples, it may come from a linear program instead.
        reference: The alternation points, increasing, m + n + 2 - defect of them; fewer for samples
            of which no best approximation exists.
        status: Whether the answer is accepted, and why or why not, see `Status`.
        iterations: The number of exchange steps of the start that led to the answer.
        evaluations: The number of points at which ``fn`` was evaluated.
        method: The name of the start that led to the answer, see `remez.fit`.
        defect: ``min(m - deg p, n - deg q)`` of the answer in lowest terms; r = 0 has
            deg p = -inf and deg q = 0, so its defect is n. If the error is at the level of
            rounding, the degrees are those of the lowest type that reaches this level.
        precision: Decimal digits of a multiprecision fit, None for double precision.
        steps: A function that returns the history.
    """

    rational: RationalFunction
    problem: Problem
    error: Real
    lower_bound: Real
    reference: np.ndarray
    status: Status
    iterations: int = 0
    evaluations: int = 0
    method: str = ""
    defect: int = 0
    precision: int | None = None
    steps: Callable[[], tuple[IterationRecord, ...]] = field(default=tuple, repr=False)

    @cached_property
    def history(self) -> tuple[IterationRecord, ...]:
        """All exchange steps in order, including those of unsuccessful starts.

        They are converted to records on first access, and are not saved to files.
        """
        return self.steps()

    def __getstate__(self) -> Record:
        state = {one.name: getattr(self, one.name) for one in fields(self)}
        return {**state, "steps": partial(tuple, self.history)}

    @property
    def converged(self) -> bool:
        """Whether the result is accepted: the status is CONVERGED or NOISE_FLOOR."""
        return self.status in (Status.CONVERGED, Status.NOISE_FLOOR)

    @property
    def degree(self) -> tuple[int, int]:
        """The requested type (m, n)."""
        return self.problem.degree

    @property
    def domain(self) -> Domain:
        """The domain of the problem."""
        return self.problem.domain

    def __call__(self, x: Any) -> Any:
        """r(x) for a real or complex number, or an array of any shape."""
        return self.rational(x)

    def error_at(self, x: np.ndarray) -> np.ndarray:
        """``weight(x) (fn(x) - r(x))`` in float64 at points of shape (K,).

        For a multiprecision fit, the difference is computed at the working precision of its
        rational, and the points must be finite.

        Raises:
            TargetError: The fit was read from a file without its ``fn`` or its ``weight``.
        """
        target = self.problem.target()
        if self.precision is None:
            f = target(np.asarray(x, float))
            with np.errstate(divide="ignore", invalid="ignore"):
                error = np.asarray(self.problem.weight_of(x, f) * (f - self.rational(x)))
            return np.where((f == 0) & np.isnan(error), 0.0, error)
        from mpmath import mp

        from remez.functions.working_precision import working_digits

        with working_digits(self.rational.working_digits):
            return np.array([float(self._exact_error(mp.mpf(one), target.fn)) for one in x])

    def _exact_error(self, x: Real, fn: Callable[[Real], Real]) -> Real:
        """The weighted error at an mpmath number, at mpmath's current precision."""
        weight, f = self.problem.weight, fn(x)
        p, q = self.rational.parts_at(x)
        if f == 0 and isinstance(weight, str):
            return f  # both vanish
        if weight is None:
            return f - p / q
        return (1 / abs(f) if isinstance(weight, str) else weight(x)) * (f - p / q)

    def to_dict(self) -> Record:
        """The fit as plain types that JSON keeps exactly, without callables and history."""
        return {
            "rational": self.rational.to_dict(),
            "problem": self.problem.to_dict(),
            "error": _plain(self.error),
            "lower_bound": _plain(self.lower_bound),
            "reference": [_plain(x) for x in self.reference],
            "status": self.status.name,
            "iterations": self.iterations,
            "evaluations": self.evaluations,
            "method": self.method,
            "defect": self.defect,
            "precision": self.precision,
        }

    @classmethod
    def from_dict(
        cls,
        data: Record,
        fn: Function | None = None,
        weight: Function | None = None,
    ) -> Self:
        """Restore a fit from the dictionary that `to_dict` returned.

        Args:
            data: The dictionary, possibly after a round trip through JSON.
            fn: The approximated function, which the dictionary does not contain. Without it the
                fit can be evaluated and converted, but not refined, plotted or certified.
            weight: The weight, if it was a callable.

        Returns:
            The fit.

        Raises:
            RemezError: ``data`` is not such a dictionary.
        """
        try:
            return cls._read(data, fn, weight)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as cause:
            if isinstance(cause, RemezError):
                raise
            raise RemezError(
                f"this is not a saved fit ({type(cause).__name__}: {cause}): pass a dictionary "
                "that Fit.to_dict returned"
            ) from cause

    @classmethod
    def _read(
        cls,
        data: Record,
        fn: Function | None,
        weight: Function | None,
    ) -> Self:
        rest = {k: data[k] for k in ("iterations", "evaluations", "method", "defect", "precision")}
        rational: type[RationalFunction] = BarycentricRational
        number: Callable[[Any], Real] = float
        dtype: type = float
        if data["precision"] is not None:
            from remez.number_types import read_number
            from remez.rational.multiprecision import MultiprecisionRational

            rational, number, dtype = MultiprecisionRational, read_number, object
        if "roots" in data["rational"]:
            rational = FactoredRational
        return cls(
            rational.from_dict(data["rational"]),
            Problem.from_dict(data["problem"], fn, weight),
            number(data["error"]),
            number(data["lower_bound"]),
            np.array([number(x) for x in data["reference"]], dtype),
            Status[data["status"]],
            **rest,
        )


def _plain(x: Real) -> float | str:
    """A float as it is, an mpmath number as exact text."""
    if not hasattr(x, "_mpf_"):
        return float(x)
    from remez.number_types import write_number

    return write_number(x)
