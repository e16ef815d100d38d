"""A rational function with coefficients of any precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mpmath import mp
from numpy.polynomial import Chebyshev

from remez.functions.working_precision import working_digits
from remez.rational.arithmetic import fastest

__all__ = ["PreciseRational", "read_number", "write_number"]

Real = Any  # mpmath's mpf carries no types


@dataclass(frozen=True, eq=False)
class PreciseRational:
    r"""``r(x) = d^odd P(u)/Q(u)``, ``u = (d^power - origin)/scale``, ``d = x - centre``.

    power is 2 for even and odd functions, 1 for all others.

    Args:
        numerator, denominator: coefficients of P and Q, constant term first.
        degree: the type (m, n) of r as a rational function of x.
        precision: decimal digits to which values are meant to be right.
        digits: decimal digits with which P and Q are evaluated.

    >>> from mpmath import mp, mpf
    >>> r = PreciseRational((mpf(1),), (mpf(1), mpf(1)), (0, 1), 30, 40)
    >>> print(mp.nstr(r(mpf(2)), 25))
    0.3333333333333333333333333
    """

    numerator: tuple[Real, ...]
    denominator: tuple[Real, ...]
    degree: tuple[int, int]
    precision: int
    digits: int
    power: int = 1
    odd: bool = False
    centre: Real = mp.zero
    origin: Real = mp.zero
    scale: Real = mp.one

    def __call__(self, x: Any) -> Any:
        """Value at a number (an mpf) or an array of numbers (an object array of mpf)."""
        if np.ndim(x):
            flat = [self(value) for value in np.ravel(np.asarray(x, object))]
            return _objects(flat).reshape(np.shape(x))
        with working_digits(self.digits):
            value = self._value(mp.mpf(x))
        with working_digits(self.precision):
            return +value

    def _value(self, x: Real) -> Real:
        if mp.isinf(x):
            return self._at_infinity(x)
        d = x - self.centre
        u = (d**self.power - self.origin) / self.scale
        value = _horner(self.numerator, u) / _horner(self.denominator, u)
        return d * value if self.odd else value

    def _at_infinity(self, x: Real) -> Real:
        m, n = self.degree
        if m < n:
            return mp.zero
        ratio = self.numerator[-1] / self.denominator[-1]
        return ratio if m == n else ratio * (x if (m - n) % 2 else abs(x)) * mp.sign(self.scale)

    def derivative(self) -> Callable[[Any], Any]:
        """The function r'."""

        def slope(x: Any) -> Any:
            if np.ndim(x):
                return _objects([slope(value) for value in np.ravel(np.asarray(x, object))])
            with working_digits(self.digits):
                d = mp.mpf(x) - self.centre
                u = (d**self.power - self.origin) / self.scale
                p, q = _horner(self.numerator, u), _horner(self.denominator, u)
                dp, dq = (_horner(_slope(c), u) for c in (self.numerator, self.denominator))
                inner = (2 * d if self.power == 2 else 1) / self.scale
                value = (dp - p * dq / q) / q * inner
                value = d * value + p / q if self.odd else value
            with working_digits(self.precision):
                return +value

        return slope

    def poles(self) -> np.ndarray:
        """The zeros of Q in x, an object array of mpc sorted by real then imaginary part."""
        return self._in_x(self.denominator)

    def zeros(self) -> np.ndarray:
        """The zeros of r in x, in the same form."""
        found = list(self._in_x(self.numerator))
        return _sorted([*found, mp.mpc(self.centre)] if self.odd else found)

    def residues(self) -> np.ndarray:
        """The residue at each of `poles()`, in that order; the poles must be simple."""
        with working_digits(self.digits):
            out = []
            for pole in self.poles():
                d = pole - self.centre
                u = (d**self.power - self.origin) / self.scale
                slope = _horner(_slope(self.denominator), u)
                inner = (2 * d if self.power == 2 else 1) / self.scale
                out.append(_horner(self.numerator, u) * (d if self.odd else 1) / (slope * inner))
        return _objects(out)

    def partial_fractions(self) -> tuple[np.ndarray, np.ndarray, Chebyshev]:
        """``(poles, residues, polynomial part)``; the polynomial part in double precision."""
        poles, residues = self.poles(), self.residues()
        m, n = self.degree
        grid = np.cos(np.pi * (np.arange(max(m - n, 0) + 2) + 0.5) / (max(m - n, 0) + 2))
        grid = float(self.centre) + grid * abs(float(self.scale)) ** (1 / self.power)
        rest = [
            float(
                mp.re(self(x) - mp.fsum(c / (x - z) for c, z in zip(residues, poles, strict=True)))
            )
            for x in grid
        ]
        return poles, residues, Chebyshev.fit(grid, np.array(rest), max(m - n, 0))

    def polynomials(self, hull: tuple[float, float] | None = None) -> tuple[Chebyshev, Chebyshev]:
        """``(p, q)`` rounded to double in the Chebyshev basis of ``hull``, max |q| = 1."""
        low, high = hull or (-1.0, 1.0)
        size = max(self.degree) + 1
        nodes = np.cos(np.pi * (np.arange(size) + 0.5) / size)
        grid = 0.5 * (low + high) + 0.5 * (high - low) * nodes
        with working_digits(self.digits):
            d = [mp.mpf(x) - self.centre for x in grid]
            u = [(v**self.power - self.origin) / self.scale for v in d]
            q = [_horner(self.denominator, v) for v in u]
            p = [
                _horner(self.numerator, v) * (w if self.odd else 1)
                for v, w in zip(u, d, strict=True)
            ]
            top = max(q, key=abs)
            fits = [
                Chebyshev.fit(
                    grid, np.array([float(y / top) for y in values]), size - 1, domain=[low, high]
                )
                for values in (p, q)
            ]
        return fits[0].truncate(self.degree[0] + 1), fits[1].truncate(self.degree[1] + 1)

    def _in_x(self, coefficients: Sequence[Real]) -> np.ndarray:
        with working_digits(self.digits):
            out = []
            for u in _roots(coefficients):
                t = self.origin + self.scale * u
                if self.power == 1:
                    out.append(mp.mpc(self.centre + t))
                else:
                    root = mp.sqrt(mp.mpc(t))
                    out += [self.centre + root, self.centre - root]
        return _sorted(out)

    def to_dict(self) -> dict[str, Any]:
        """Plain types; numbers as hexadecimal text, exactly."""
        return {
            "numerator": [write_number(c) for c in self.numerator],
            "denominator": [write_number(c) for c in self.denominator],
            "degree": list(self.degree),
            "precision": self.precision,
            "digits": self.digits,
            "power": self.power,
            "odd": self.odd,
            "centre": write_number(self.centre),
            "origin": write_number(self.origin),
            "scale": write_number(self.scale),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> PreciseRational:
        """Read what `to_dict` wrote."""
        return cls(
            tuple(map(read_number, data["numerator"])),
            tuple(map(read_number, data["denominator"])),
            tuple(data["degree"]),
            data["precision"],
            data["digits"],
            data["power"],
            data["odd"],
            *(read_number(data[key]) for key in ("centre", "origin", "scale")),
        )


def write_number(x: Real) -> str:
    """An mpf as ``mantissa p exponent`` in hexadecimal and decimal, exactly: ``-0x3p-1``."""
    if not mp.isfinite(x):
        return str(float(x))
    sign, mantissa, exponent, _ = mp.mpf(x)._mpf_ if not hasattr(x, "_mpf_") else x._mpf_
    return f"{'-' if sign else ''}{int(mantissa):#x}p{int(exponent)}"


def read_number(text: str) -> Real:
    """Read what `write_number` wrote."""
    if "p" not in text:
        return mp.mpf(text)
    mantissa, _, exponent = text.partition("p")
    return mp.make_mpf(mp.mpf((int(mantissa, 16), int(exponent)), prec=_bits(mantissa))._mpf_)


def _bits(mantissa: str) -> int:
    return max(4 * len(mantissa), 53)


def _horner(coefficients: Sequence[Real], u: Real) -> Real:
    value = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        value = value * u + c
    return value


def _slope(coefficients: Sequence[Real]) -> list[Real]:
    return [k * c for k, c in enumerate(coefficients)][1:] or [mp.zero]


def _roots(coefficients: Sequence[Real]) -> list[Real]:
    """The zeros of a polynomial at mpmath's working precision."""
    trimmed = list(coefficients)
    while len(trimmed) > 1 and trimmed[-1] == 0:
        trimmed.pop()
    if len(trimmed) == 1:
        return []
    return fastest().roots(trimmed)


def _objects(values: Sequence[Any]) -> np.ndarray:
    out = np.empty(len(values), object)
    out[:] = values
    return out


def _sorted(values: Sequence[Any]) -> np.ndarray:
    return _objects(sorted(values, key=lambda z: (z.real, z.imag)))
