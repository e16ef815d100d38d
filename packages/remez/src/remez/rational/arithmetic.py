"""Multiprecision arithmetic for the solver: python-flint if it is installed, otherwise mpmath.

Both arithmetics implement the same interface, on which the exchange is written.
python-flint (Arb) does a 100 x 100 linear solve at 60 digits in 10 ms, mpmath in seconds; scalar
operations cost 0.1 µs against 0.6 µs (`benchmarks/remez/precise.py --arithmetic` measures both).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import mpmath
from mpmath import mp

from remez.errors import RemezError
from remez.functions.expression import as_expression
from remez.functions.working_precision import flint_precision, working_digits
from remez.number_types import mantissa_and_exponent, to_mpf

__all__ = ["Arithmetic", "FlintArithmetic", "MpmathArithmetic", "fastest"]

# a zero of order k of a polynomial needs about k times the digits
ROOT_PRECISIONS = (1, 2, 4, 8)
INSEPARABLE = (
    "two zeros or poles are too close to be told apart: the fit has a multiple one, or more "
    "degree than its function needs; lower the degree"
)
Number = Any  # an arb or an mpf, both untyped; exact, never an interval
Matrix = Sequence[Sequence[Number]]


class Arithmetic(Protocol):
    """Real numbers at a working precision, and linear algebra on lists of rows of them."""

    name: str

    @property
    def decimals(self) -> int:
        """The working precision in decimal digits."""

    def digits(self, count: int) -> Any:
        """A context in which numbers are rounded to ``count`` decimal digits."""

    def number(self, x: Number) -> Number:
        """``x`` as a number, rounded to the working precision."""

    def mpf(self, x: Number) -> Number:
        """The number as an exact mpmath number."""

    def sqrt(self, x: Number) -> Number:
        """The square root."""

    def log(self, x: Number) -> float:
        """The natural logarithm of a positive number, in double precision."""

    def exp(self, x: float) -> Number:
        """The exponential, also outside the range of double precision."""

    def roots(self, coefficients: Sequence[Number]) -> list[Number]:
        """The zeros of a polynomial of mpmath numbers, constant term first, as mpmath numbers."""

    def function(self, fn: Callable[[Number], Number]) -> Callable[[Number], Number]:
        """A function of mpmath numbers as a function of these numbers."""

    def product(self, a: Matrix, b: Matrix) -> list[list[Number]]:
        """The matrix product."""

    def solve(self, a: Matrix, b: Matrix) -> list[list[Number]]:
        """X with A X = B; raises ZeroDivisionError when A is singular."""

    def eigenvectors(self, a: Matrix) -> list[list[Number]]:
        """The real parts of the eigenvectors of A, by decreasing modulus of the eigenvalue."""


class MpmathArithmetic:
    """mpmath numbers, which are always available."""

    name = "mpmath"

    @property
    def decimals(self) -> int:
        """The working precision in decimal digits."""
        return int(mp.dps)

    @contextmanager
    def digits(self, count: int) -> Iterator[None]:
        """Work with ``count`` decimal digits."""
        with working_digits(count):
            yield

    def number(self, x: Number) -> Number:
        """``x`` rounded to the working precision."""
        return to_mpf(x)

    def mpf(self, x: Number) -> Number:
        """The same number."""
        return x

    def sqrt(self, x: Number) -> Number:
        """The square root."""
        return mp.sqrt(x)

    def log(self, x: Number) -> float:
        """The natural logarithm, in double precision."""
        return float(mp.log(x))

    def exp(self, x: float) -> Number:
        """The exponential."""
        return mp.exp(x)

    def roots(self, coefficients: Sequence[Number]) -> list[Number]:
        """The zeros of a polynomial, constant term first."""
        for more in ROOT_PRECISIONS:
            try:
                found = mp.polyroots(coefficients[::-1], 500 * more, extraprec=4 * more * mp.prec)
            except mp.NoConvergence:
                continue
            return list(found)
        raise RemezError(INSEPARABLE)

    def function(self, fn: Callable[[Number], Number]) -> Callable[[Number], Number]:
        """``fn`` with its values converted to real numbers."""
        return lambda x: mp.mpf(fn(x))

    def product(self, a: Matrix, b: Matrix) -> list[list[Number]]:
        """The matrix product, each entry rounded once."""
        columns = list(zip(*b, strict=True))
        return [[mp.fdot(row, column) for column in columns] for row in a]

    def solve(self, a: Matrix, b: Matrix) -> list[list[Number]]:
        """Solve by LU with partial pivoting, one factorisation for all columns."""
        lu, pivots = mp.LU_decomp(mp.matrix(a))
        columns = []
        for column in zip(*b, strict=True):
            y = mp.L_solve(lu, mp.matrix(column), pivots)
            columns.append(list(mp.U_solve(lu, y)))
        return [list(row) for row in zip(*columns, strict=True)]

    def eigenvectors(self, a: Matrix) -> list[list[Number]]:
        """The real parts of the eigenvectors, by decreasing modulus of the eigenvalue."""
        values, vectors = mp.eig(mp.matrix(a))
        order = sorted(range(len(values)), key=lambda k: -abs(values[k]))
        return [[vectors[i, k].real for i in range(len(values))] for k in order]


class FlintArithmetic:
    """python-flint's ``arb`` as floating-point numbers: the centre of each ball is kept."""

    name = "flint"

    def __init__(self) -> None:
        import flint

        self._flint = flint

    @property
    def decimals(self) -> int:
        """The working precision in decimal digits."""
        return int(mp.dps)

    @contextmanager
    def digits(self, count: int) -> Iterator[None]:
        """Work with ``count`` decimal digits, in mpmath as well."""
        with working_digits(count), flint_precision(mp.prec):
            yield

    def number(self, x: Number) -> Number:
        """``x`` rounded to the working precision; a ball gives its centre."""
        if isinstance(x, self._flint.arb):
            return x.mid()
        x = to_mpf(x)
        if not mp.isfinite(x):
            return self._flint.arb.nan()
        return self._flint.arb(mantissa_and_exponent(x))

    def mpf(self, x: Number) -> Number:
        """The centre of ``x`` as an mpf, exactly."""
        mantissa, exponent = x.mid().man_exp()
        return mp.make_mpf(mpmath.libmp.from_man_exp(int(mantissa), int(exponent)))

    def sqrt(self, x: Number) -> Number:
        """The square root."""
        return x.sqrt().mid()

    def log(self, x: Number) -> float:
        """The natural logarithm, in double precision."""
        return float(x.log())

    def exp(self, x: float) -> Number:
        """The exponential."""
        return self._flint.arb(x).exp().mid()

    def roots(self, coefficients: Sequence[Number]) -> list[Number]:
        """The zeros of a polynomial, constant term first."""
        digits = mp.dps
        for more in ROOT_PRECISIONS:
            with self.digits(more * (2 * digits + 10 * len(coefficients))):
                polynomial = self._flint.acb_poly([self.number(c) for c in coefficients])
                try:
                    found = polynomial.roots(tol=self.number(10) ** -(digits + 5))
                except ValueError:  # two zeros are not separated at this precision
                    continue
                return [mp.mpc(self.mpf(z.real), self.mpf(z.imag)) for z in found]
        raise RemezError(INSEPARABLE)

    def function(self, fn: Callable[[Number], Number]) -> Callable[[Number], Number]:
        """Evaluate expressions and catalogue targets with arb, other callables with mpmath."""
        expression = as_expression(fn)
        if expression is not None:
            return lambda x: expression.ball(x).mid()
        return lambda x: self.number(mp.mpf(fn(self.mpf(x))))

    def product(self, a: Matrix, b: Matrix) -> list[list[Number]]:
        """The matrix product."""
        matrix = self._flint.arb_mat
        return (matrix(a) * matrix(b)).mid().tolist()

    def solve(self, a: Matrix, b: Matrix) -> list[list[Number]]:
        """Solve by LU with partial pivoting, in floating-point (no error bounds)."""
        matrix = self._flint.arb_mat
        return matrix(a).solve(matrix(b), algorithm="approx").mid().tolist()

    def eigenvectors(self, a: Matrix) -> list[list[Number]]:
        """The real parts of the eigenvectors, by decreasing modulus of the eigenvalue."""
        values, vectors = self._flint.acb_mat(a).eig(algorithm="approx", right=True)
        order = sorted(range(len(values)), key=lambda k: -float(abs(values[k]).log()))
        return [[vectors[i, k].real.mid() for i in range(len(values))] for k in order]


def fastest() -> Arithmetic:
    """The arithmetic of python-flint if it is installed, otherwise of mpmath."""
    if importlib.util.find_spec("flint") is not None:
        return FlintArithmetic()
    return MpmathArithmetic()
