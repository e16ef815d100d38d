"""What `fit` returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.polynomial import Chebyshev

from remez.domain import Domain
from remez.problem import Problem
from remez.rational.barycentric import Rational

if TYPE_CHECKING:
    from remez.rational.bases import SafePade
    from remez.verification.certificate import Certificate

__all__ = ["Fit", "Status"]


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
class Fit:
    """A best rational approximation, the evidence for it, and how it was found.

    Attributes:
        rational: r in barycentric form.
        problem: what was asked.
        error: verified maximum of ``weight * |fn - r|`` over the domain.
        levelled_error: the lower bound on the best error (de la Vallée Poussin): the smallest
            extremum on ``reference``.
        reference: the alternation points, increasing, m + n + 2 - defect of them.
        status: see `Status`.
        iterations: exchange steps of the link that answered.
        evaluations: how many points ``fn`` was evaluated at.
        method: the link of the chain of starts that gave the answer.
        defect: ``min(m - deg p, n - deg q)`` of the answer in lowest terms; r = 0 has
            deg p = -inf and deg q = 0, so n. Where the error is rounding, the lowest type
            that reaches it counts.
        precision: decimal digits of a multiprecision fit, None for double.

    >>> import remez
    >>> fit = remez.fit(np.exp, (2, 2))
    >>> print(f"{fit.error:.4e}")
    8.6900e-05
    """

    rational: Rational
    problem: Problem
    error: float
    levelled_error: float
    reference: np.ndarray
    status: Status
    iterations: int = 0
    evaluations: int = 0
    method: str = ""
    defect: int = 0
    precision: int | None = None
    _polynomials: list[Any] = field(default_factory=list, repr=False)

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

    @property
    def numerator(self) -> Chebyshev:
        """p in the Chebyshev basis of the domain's hull."""
        return self._pq()[0]

    @property
    def denominator(self) -> Chebyshev:
        """q in the same basis, positive, with maximum 1 on the sampled hull."""
        return self._pq()[1]

    def _pq(self) -> tuple[Chebyshev, Chebyshev]:
        if not self._polynomials:
            hull = self.domain.hull if self.domain.is_finite else None
            self._polynomials.extend(self.rational.polynomials(hull))
        return self._polynomials[0], self._polynomials[1]

    def __call__(self, x: Any) -> Any:
        """r(x) for a number or an array of any shape."""
        return self.rational(x)

    def poles(self) -> np.ndarray:
        """The poles of r, complex."""
        return self.rational.poles()

    def zeros(self) -> np.ndarray:
        """The zeros of r, complex."""
        return self.rational.zeros()

    def residues(self) -> np.ndarray:
        """The residues of r at `poles()`."""
        return self.rational.residues()

    def partial_fractions(self) -> tuple[np.ndarray, np.ndarray, Chebyshev]:
        """``(poles, residues, polynomial part)``."""
        return self.rational.partial_fractions()

    def derivative(self) -> Callable[[Any], Any]:
        """The function r'."""
        return self.rational.derivative()

    def refined(self, precision: int) -> Fit:
        """The same problem to ``precision`` decimal digits, started here if this converged.

        The domain's ends stay the very floats that they are here, where `remez.fit` with
        ``precision=`` reads 0.1 as 1/10.
        """
        from remez.solver.precise.driver import fit_precise

        domain = self.problem.domain
        domain = replace(domain, exact=domain.exact or domain.intervals)
        problem = replace(self.problem, domain=domain)
        start = self if self.converged else None
        return fit_precise(problem, precision, start=start, throw=False)

    def certify(self) -> Certificate:
        """A rigorous enclosure of the error, and a proof that r has no pole in the domain."""
        from remez.verification.certificate import certify

        return certify(self)

    def code(self, lang: str, dtype: str = "float64") -> Any:
        """Source text that evaluates r, see `remez.code.generate`."""
        from remez.code.generate import generate

        return generate(self, lang, dtype=dtype)

    def safe_pade(self) -> SafePade:
        """r as ``P(t)/(1 + |Q(t)|)``, see `remez.rational.bases`."""
        from remez.rational.bases import safe_pade

        return safe_pade(self)

    def plot(self, ax: Any = None) -> Any:
        """The error curve with its alternation marked (matplotlib); returns the axes."""
        from remez.plotting import plot_error

        return plot_error(self, ax)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, exact in JSON; the callables are left out."""
        return {
            "rational": self.rational.to_dict(),
            "problem": self.problem.to_dict(),
            "error": _plain(self.error),
            "levelled_error": _plain(self.levelled_error),
            "reference": [_plain(x) for x in self.reference],
            "status": self.status.name,
            "iterations": self.iterations,
            "evaluations": self.evaluations,
            "method": self.method,
            "defect": self.defect,
            "precision": self.precision,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any], fn: Callable[..., Any] | None = None) -> Fit:
        """Read what `to_dict` wrote; ``fn`` may be given back to the problem."""
        rest = {k: data[k] for k in ("iterations", "evaluations", "method", "defect", "precision")}
        rational: Any = Rational
        number: Any = float
        dtype: type = float
        if data["precision"] is not None:
            from remez.rational.multiprecision import PreciseRational, read_number

            rational, number, dtype = PreciseRational, read_number, object
        return cls(
            rational.from_dict(data["rational"]),
            Problem.from_dict(data["problem"], fn),
            number(data["error"]),
            number(data["levelled_error"]),
            np.array([number(x) for x in data["reference"]], dtype),
            Status[data["status"]],
            **rest,
        )

    def __repr__(self) -> str:
        state = "converged" if self.converged else "NOT converged"
        return (
            f"Fit(type {self.degree}, error {float(self.error):.6e}, {state} by {self.method} "
            f"in {self.iterations} iterations)"
        )


def _plain(x: Any) -> float | str:
    """A float as it is, an mpmath number as exact text."""
    if not hasattr(x, "_mpf_"):
        return float(x)
    from remez.rational.multiprecision import write_number

    return write_number(x)
