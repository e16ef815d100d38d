"""What every representation of a rational function can do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, Self

import numpy as np
from numpy.polynomial import Chebyshev

from remez.domain import Domain
from remez.number_types import Real

__all__ = ["Approximation", "RationalFunction", "Real", "Record", "Values"]

Values = Any  # a number, or an array of numbers, real or complex
Record = dict[str, Any]  # plain types, which JSON keeps exactly


class RationalFunction(Protocol):
    """``r = p/q`` of type (m, n), in double precision or in any other.

    `BarycentricRational` computes with float64, `MultiprecisionRational` with mpmath numbers at
    its working precision; arrays hold float64 or complex128 for the first, and are object arrays
    of mpmath numbers for the second.
    """

    @property
    def degree(self) -> tuple[int, int]:
        """The type (m, n)."""

    @property
    def parity(self) -> str | None:
        """ "even" or "odd" where r is so by construction, about `focus`; else None."""

    @property
    def focus(self) -> float:
        """The point x relative to which r is evaluated most accurately."""

    @property
    def working_digits(self) -> int:
        """Decimal digits of the numbers that r is made of."""

    @property
    def size(self) -> int:
        """How many points determine the polynomials that `parts_at` gives values of."""

    def __call__(self, x: Values) -> Values:
        """r(x) for a real or complex number, or an array of any shape."""

    def with_sign(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """r and the sign of q, up to a common one, at real points of shape (K,)."""

    def derivative(self) -> Callable[[Values], Values]:
        """The function r'."""

    def poles(self) -> np.ndarray:
        """The zeros of q, complex, sorted by real then imaginary part."""

    def estimated_poles(self) -> np.ndarray:
        """All zeros of q, complex, at the accuracy of the numbers that r is made of."""

    def zeros(self) -> np.ndarray:
        """The zeros of p, complex, sorted by real then imaginary part."""

    def residues(self) -> np.ndarray:
        """The residue of r at each of `poles()`, in that order; the poles must be simple."""

    def partial_fractions(self) -> tuple[np.ndarray, np.ndarray, Chebyshev]:
        """``(poles, residues, polynomial part)``: r is their sum when the poles are simple."""

    def polynomials(self, hull: tuple[float, float] | None = None) -> tuple[Chebyshev, Chebyshev]:
        """``(p, q)`` in float64 in the Chebyshev basis of ``hull``, with max |q| = 1 there."""

    def parts_at(self, x: Real) -> tuple[Real, Real]:
        """p(x) and q(x) up to a common factor, as mpmath numbers at the current precision.

        Both are values of polynomials of degree less than `size`, exact but for the rounding of
        mpmath's working precision.
        """

    def exact_roots(self) -> tuple[list[Real], list[Real]]:
        """The zeros and the poles as mpmath numbers, accurate relative to their own size."""

    def to_dict(self) -> Record:
        """Plain types that keep every number exactly in JSON."""

    @classmethod
    def from_dict(cls, data: Record) -> Self:
        """Restore the object from the dictionary that `to_dict` returned."""


class Approximation(Protocol):
    """What a conversion to another form needs of a fit."""

    @property
    def rational(self) -> RationalFunction:
        """The rational function."""

    @property
    def domain(self) -> Domain:
        """Where it approximates."""

    @property
    def reference(self) -> np.ndarray:
        """The alternation points, dense where r varies."""
