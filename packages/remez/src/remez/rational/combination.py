"""Sums, products, quotients, powers and derivatives of rational functions, as numpy.polynomial has
them.

A combination is evaluated from its operands and is as accurate as they are. Its numerator and
denominator follow from the rules of arithmetic, such as ``(p_1 q_2 + p_2 q_1)/(q_1 q_2)``, without
cancelling common factors.
"""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial

from remez.errors import DegreeError, TargetError, shown
from remez.functions.working_precision import working_digits
from remez.number_types import Real, horner

__all__ = ["Combinable", "Combination", "PolynomialTerm"]

FLOAT64 = 16  # decimal digits
LARGEST_POWER = 1_000  # a product of more factors is slower than powers of the values
DIGITS = 60  # additional digits for coefficients and zeros of a sum


class Combinable:
    """Arithmetic of anything with the methods of `remez.rational.protocol.RationalFunction`."""

    def __add__(self, other: Any) -> Combination:
        return _combined("+", self, other)

    def __radd__(self, other: Any) -> Combination:
        return _combined("+", other, self)

    def __sub__(self, other: Any) -> Combination:
        return _combined("-", self, other)

    def __rsub__(self, other: Any) -> Combination:
        return _combined("-", other, self)

    def __mul__(self, other: Any) -> Combination:
        return _combined("*", self, other)

    def __rmul__(self, other: Any) -> Combination:
        return _combined("*", other, self)

    def __truediv__(self, other: Any) -> Combination:
        return _combined("/", self, other)

    def __rtruediv__(self, other: Any) -> Combination:
        return _combined("/", other, self)

    def __neg__(self) -> Combination:
        return _combined("*", -1.0, self)

    def __pos__(self) -> Any:
        return self

    def __pow__(self, power: Any) -> Combination:
        if not isinstance(power, int | np.integer):
            return NotImplemented
        if abs(int(power)) > LARGEST_POWER:
            raise DegreeError(
                f"the power {shown(power)} is more than {LARGEST_POWER:,} in size: take r(x) ** n"
                " of the values instead"
            )
        base = self if power >= 0 else _combined("/", 1.0, self)
        out = _combined("*", 1.0, 1.0) if power == 0 else _combined("*", 1.0, base)
        for _ in range(abs(int(power)) - 1):
            out = _combined("*", out, base)
        return out

    def deriv(self) -> Combination:
        """The derivative, a rational function again."""
        return Combination("'", _operand(self), PolynomialTerm(Polynomial([0.0])))


@dataclass(frozen=True, eq=False)
class PolynomialTerm(Combinable):
    """A polynomial of `numpy.polynomial`, or a constant, as a rational function."""

    polynomial: Polynomial

    @property
    def degree(self) -> tuple[int, int]:
        """The type (m, 0)."""
        return self.polynomial.degree(), 0

    @property
    def working_digits(self) -> int:
        """Decimal digits of float64."""
        return FLOAT64

    def __call__(self, x: Any) -> Any:
        """The value at x."""
        return self.polynomial(x)

    def parts_at(self, x: Real) -> tuple[Real, Real]:
        """The value and 1 as mpmath numbers."""
        from mpmath import mp

        return horner([mp.mpf(c) for c in self.polynomial.coef], x), mp.one

    def derivative(self) -> Any:
        """The derivative as a function."""
        return self.polynomial.deriv()

    def poles(self) -> np.ndarray:
        """None: no symmetry is known."""
        return np.empty(0, complex)

    def zeros(self) -> np.ndarray:
        """The zeros, complex."""
        return np.asarray(self.polynomial.roots(), complex)


@dataclass(frozen=True, eq=False)
class Combination(Combinable):
    """``left operation right``, or the derivative of ``left`` for the operation "'".

    >>> import numpy as np, remez
    >>> r = remez.fit(np.exp, (3, 2)).rational
    >>> s = r / (1 + r)
    >>> s.degree, bool(abs(s(0.3) - 1 / (1 + np.exp(-0.3))) < 1e-5), s.deriv().degree
    ((5, 5), True, (9, 10))
    """

    operation: str
    left: Any
    right: Any

    @cached_property
    def degree(self) -> tuple[int, int]:
        """The type (m, n) without cancellation of common factors."""
        (m, n), (k, j) = self.left.degree, self.right.degree
        if self.operation in "+-":
            return max(m + j, k + n), n + j
        if self.operation == "*":
            return m + k, n + j
        if self.operation == "/":
            return m + j, n + k
        return max(m + n - 1, 0), 2 * n

    @property
    def working_digits(self) -> int:
        """Decimal digits of the more precise operand."""
        return int(max(self.left.working_digits, self.right.working_digits))

    @property
    def size(self) -> int:
        """How many points determine numerator and denominator."""
        return max(self.degree) + 1

    def __call__(self, x: Any) -> Any:
        """The value at x, real or complex and of any shape."""
        if self.operation == "'":
            return self.left.derivative()(x)
        if self.working_digits <= FLOAT64:
            return self._value(x)
        with working_digits(self.working_digits):
            return self._value(x)

    def _value(self, x: Any) -> Any:
        """At the current precision."""
        with np.errstate(all="ignore"):
            a, b = self.left(x), self.right(x)
            if self.operation == "/":
                return np.divide(a, b)[()] if _is_float(a) and _is_float(b) else a / b
            return a * b if self.operation == "*" else a + b if self.operation == "+" else a - b

    def parts_at(self, x: Real) -> tuple[Real, Real]:
        """Numerator and denominator as mpmath numbers, at the current precision."""
        if self.operation == "'":
            from mpmath import mp

            ((p, q), slopes) = self.left.parts_at(x), self._slopes
            dp, dq = (horner(c, x) for c in slopes)
            scale = mp.one
            if q:  # the parts of the operand are those of the polynomials up to one factor
                scale = horner(self._coefficients[1], x) / q
            p, q = p * scale, q * scale
            return dp * q - p * dq, q * q
        (p, q), (s, t) = self.left.parts_at(x), self.right.parts_at(x)
        if self.operation == "*":
            return p * s, q * t
        if self.operation == "/":
            return p * t, q * s
        return (p * t + s * q if self.operation == "+" else p * t - s * q), q * t

    @cached_property
    def _coefficients(self) -> tuple[list[Real], list[Real]]:
        """Numerator and denominator of ``left`` in powers of x, in multiprecision."""
        return _powers_of(self.left)

    @cached_property
    def _slopes(self) -> list[list[Real]]:
        from mpmath import mp

        return [[k * c for k, c in enumerate(one)][1:] or [mp.zero] for one in self._coefficients]

    def derivative(self) -> Any:
        """The function r'."""
        if self.operation == "'":
            return self._second
        a, b = self.left, self.right
        da, db = a.derivative(), b.derivative()
        if self.operation == "*":
            return lambda x: da(x) * b(x) + a(x) * db(x)
        if self.operation == "/":
            return lambda x: (da(x) - a(x) / b(x) * db(x)) / b(x)
        sign = 1 if self.operation == "+" else -1
        return lambda x: da(x) + sign * db(x)

    def _second(self, x: Any) -> Any:
        """The derivative of a derivative, from the polynomials in multiprecision."""
        from mpmath import mp

        with working_digits(DIGITS + 2 * self.working_digits + self.size):
            p, q = _powers_of(self)
            dp, dq = ([k * c for k, c in enumerate(one)][1:] or [mp.zero] for one in (p, q))

            def slope(one: Any) -> complex:
                z = mp.mpmathify(one)
                bottom = horner(q, z)
                return complex((horner(dp, z) - horner(p, z) / bottom * horner(dq, z)) / bottom)

            found = np.array([slope(one) for one in np.ravel(x).tolist()]).reshape(np.shape(x))
        return (found if np.iscomplexobj(x) else found.real)[()]

    def poles(self) -> np.ndarray:
        """The zeros of the denominator, complex, those of both operands one after the other."""
        if self.operation == "'":
            return np.repeat(self.left.poles(), 2)
        both = self.right.zeros() if self.operation == "/" else self.right.poles()
        return _sorted(np.concatenate([self.left.poles(), both]))

    def zeros(self) -> np.ndarray:
        """The zeros of the numerator, complex."""
        if self.operation in "*/":
            both = self.right.zeros() if self.operation == "*" else self.right.poles()
            return _sorted(np.concatenate([self.left.zeros(), both]))
        from remez.rational.arithmetic import fastest

        with working_digits(DIGITS + 2 * self.working_digits + self.size):
            p = _trimmed(_powers_of(self)[0])
            roots = fastest().roots(p) if len(p) > 1 else []
        return _sorted(np.array([complex(z) for z in roots], complex))

    def polynomials(self, hull: tuple[float, float] = (-1.0, 1.0)) -> tuple[Chebyshev, Chebyshev]:
        """Numerator and denominator in float64 in the Chebyshev basis of ``hull``."""
        from mpmath import mp

        nodes = np.cos(np.pi * (np.arange(self.size) + 0.5) / self.size)
        x = 0.5 * (hull[0] + hull[1]) + 0.5 * (hull[1] - hull[0]) * nodes
        with working_digits(DIGITS + self.working_digits):
            pairs = [self.parts_at(mp.mpf(one)) for one in x]
            top = max((q for _, q in pairs), key=abs)
            p, q = (
                Chebyshev.fit(x, [float(y / top) for y in column], self.size - 1, domain=hull)
                for column in zip(*pairs, strict=True)
            )
        return p.truncate(self.degree[0] + 1), q.truncate(self.degree[1] + 1)


def _combined(operation: str, left: Any, right: Any) -> Combination:
    """Combine two operands.

    Raises:
        TargetError: The operation divides by the polynomial zero.
    """
    a, b = _operand(left), _operand(right)
    if operation == "/" and isinstance(b, PolynomialTerm) and not b.polynomial.coef.any():
        raise TargetError("a rational cannot be divided by zero: give a divisor that is not 0")
    return NotImplemented if a is None or b is None else Combination(operation, a, b)


def _operand(value: Any) -> Any:
    """Convert a rational, a NumPy polynomial or a real number to a rational, otherwise None."""
    value = getattr(value, "rational", value)
    if isinstance(value, Combinable):
        return value
    if isinstance(value, numbers.Real):
        try:
            return PolynomialTerm(Polynomial([float(value)]))
        except OverflowError:
            raise TargetError("a constant above 1.8e308 is not a float: scale it first") from None
    if hasattr(value, "coef") and hasattr(value, "convert"):
        return PolynomialTerm(value.convert(kind=Polynomial, domain=[-1, 1], window=[-1, 1]))
    return None


def _powers_of(rational: Any) -> tuple[list[Real], list[Real]]:
    """Numerator and denominator in powers of x, from their values at Chebyshev points."""
    from mpmath import mp

    from remez.rational.polynomials import Variable, monomial_pair

    with working_digits(DIGITS + 2 * rational.working_digits + max(rational.degree)):
        p, q = monomial_pair(cast(Any, _Sized(rational)), Variable(0.0, 1.0))
        return [mp.mpf(c) for c in p], [mp.mpf(c) for c in q]


@dataclass(frozen=True)
class _Sized:
    """A rational with the least size that determines its polynomials."""

    rational: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rational, name)

    @property
    def size(self) -> int:
        """At least one more than the larger degree."""
        return int(max(getattr(self.rational, "size", 0), max(self.rational.degree) + 1))


def _trimmed(p: list[Real]) -> list[Real]:
    top = max(map(abs, p), default=0)
    while p and abs(p[-1]) <= 1e-30 * top:
        p = p[:-1]
    return p


def _is_float(a: Any) -> bool:
    return isinstance(a, float | complex) or (isinstance(a, np.ndarray) and a.dtype != object)


def _sorted(roots: np.ndarray) -> np.ndarray:
    roots = np.asarray(roots, complex)
    return roots[np.lexsort((roots.imag, roots.real))]
