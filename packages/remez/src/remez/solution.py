"""What a solver returns: the rational, the evidence for it, and how it was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
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
    """How a fit ended; the value is a sentence with the cause and the next step."""

    CONVERGED = (
        "converged: the error alternates, its two-sided bracket is tight, and no pole lies in "
        "the domain"
    )
    NOISE_FLOOR = (
        "reached the noise floor: the best error is too close to the rounding of fn to be "
        "resolved in double; use precision= for more"
    )
    OPEN = (
        "open: best among denominators with these signs on the intervals, but a pole in a gap of "
        "the domain may do better, which was not excluded; fit each interval, or lower the degree"
    )
    NOT_LEVELLED = (
        "not levelled: the extrema of the error differ by more than the tolerance; raise "
        "max_iterations or change the degree"
    )
    NO_ALTERNATION = (
        "no alternation: too few extrema of alternating sign were found; lower the degree or "
        "split the domain at its singular points"
    )
    POLE = "pole: every candidate had a pole in the domain; lower the degree, or step n down by one"
    JUMP = (
        "jump: fn is discontinuous in the domain, or so steep that neighbouring float64 differ by "
        "more than the error; leave a gap around the jump, or shift a singular point to 0"
    )
    NOISY = (
        "noisy: fn carries noise above the error that this degree could reach; smooth fn, lower "
        "the degree, or use fit_samples"
    )
    UNBOUNDED = (
        "unbounded: fn has a pole in the domain; leave an interval around it out of the domain"
    )


@dataclass(frozen=True, eq=False)
class IterationRecord:
    """One step of an exchange, the same in double and in any other precision.

    Attributes:
        iteration: The number of the step within its exchange, from 1.
        degree: The type in x of the rational that was levelled; smaller than the problem's while
            the degree is stepped up.
        reference: The points x on which it was levelled, increasing.
        levelled_error: The modulus of the weighted error on them.
        largest_error: The largest modulus of the weighted error that was sampled.
        sound: Whether the denominator keeps its sign on everything that was sampled.
    """

    iteration: int
    degree: tuple[int, int]
    reference: np.ndarray
    levelled_error: Real
    largest_error: Real
    sound: bool

    @property
    def gap(self) -> float:
        """``1 - levelled_error/largest_error``, which is 0 when the error is level."""
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
            extremum on ``reference``.
        reference: The alternation points, increasing, m + n + 2 - defect of them.
        status: Whether the answer is accepted, and why or why not, see `Status`.
        iterations: The number of exchange steps of the start that led to the answer.
        evaluations: The number of points at which ``fn`` was evaluated.
        method: The name of the start that led to the answer, see `remez.fit`.
        defect: ``min(m - deg p, n - deg q)`` of the answer in lowest terms; r = 0 has
            deg p = -inf and deg q = 0, so n. Where the error is rounding, the lowest type
            that reaches it counts.
        precision: Decimal digits of a multiprecision fit, None for double.
        history: The exchange steps in the order in which they were taken, those of starts that
            led nowhere included; left out of files.
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
    history: tuple[IterationRecord, ...] = field(default=(), repr=False)

    @property
    def converged(self) -> bool:
        """Whether the answer is accepted: best, to the accuracy that its status states."""
        return self.status in (Status.CONVERGED, Status.NOISE_FLOOR)

    @property
    def degree(self) -> tuple[int, int]:
        """The type (m, n) that was asked for."""
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

        A multiprecision fit is compared with ``fn`` at the working precision of its rational; the
        points are finite then.

        Raises:
            TargetError: the fit was read from a file without its ``fn`` or its ``weight``.
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
        """The weighted error at an mpmath number, at the current precision."""
        weight, f = self.problem.weight, fn(x)
        p, q = self.rational.parts_at(x)
        if f == 0 and isinstance(weight, str):
            return f  # both vanish
        if weight is None:
            return f - p / q
        return (1 / abs(f) if isinstance(weight, str) else abs(weight(x))) * (f - p / q)

    def to_dict(self) -> Record:
        """Plain types, exact in JSON; the callables and the history are left out."""
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
        """Read what `to_dict` wrote.

        Args:
            data: The dictionary, or what JSON made of it.
            fn: The function that was approximated, which the file lacks; without it the fit can be
                evaluated and converted, not refined, plotted or certified.
            weight: The weight, where it was a callable.

        Raises:
            RemezError: ``data`` is no such dictionary.
        """
        try:
            return cls._read(data, fn, weight)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as cause:
            if isinstance(cause, RemezError):
                raise
            raise RemezError(
                f"this is no record of a fit ({type(cause).__name__}: {cause}): pass what "
                "Fit.to_dict returned"
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
