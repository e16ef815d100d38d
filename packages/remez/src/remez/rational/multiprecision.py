"""A rational function with coefficients of any precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from mpmath import mp
from numpy.polynomial import Chebyshev

from remez.functions.working_precision import working_digits
from remez.number_types import horner, read_number, write_number
from remez.rational.arithmetic import fastest
from remez.rational.combination import Combinable
from remez.rational.protocol import Real, Record, Values

__all__ = ["MultiprecisionRational"]


@dataclass(frozen=True, eq=False)
class MultiprecisionRational(Combinable):
    r"""``r(x) = d^odd P(u)/Q(u)``, ``u = (d^power - origin)/scale``, ``d = x - centre``.

    power is 2 for even and odd functions, 1 for all others.

    Args:
        numerator, denominator: The coefficients of P and Q, constant term first.
        degree: The type (m, n) of r as a rational function of x.
        digits: The decimal digits to which values of r are accurate.
        working_digits: The decimal digits with which P and Q are evaluated.
        power, odd, centre, origin, scale: The constants of the equation above, scale not 0.

    >>> from mpmath import mp, mpf
    >>> r = MultiprecisionRational((mpf(1),), (mpf(1), mpf(1)), (0, 1), 30, 40)
    >>> print(mp.nstr(r(mpf(2)), 25))
    0.3333333333333333333333333
    """

    numerator: tuple[Real, ...]
    denominator: tuple[Real, ...]
    degree: tuple[int, int]
    digits: int
    working_digits: int
    power: int = 1
    odd: bool = False
    centre: Real = mp.zero
    origin: Real = mp.zero
    scale: Real = mp.one

    def __call__(self, x: Values) -> Values:
        """r(x) for a real or complex number or an array of them, as mpf or mpc.

        NaN at NaN, the limit at infinity, infinity at a pole.
        """
        if np.ndim(x):
            flat = [self(value) for value in np.ravel(np.asarray(x, object))]
            return _objects(flat).reshape(np.shape(x))
        return self._rounded(self._value, x)

    def with_sign(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """r and the sign of q at real points of shape (K,); the sign is 0 at infinity."""
        with working_digits(self.working_digits):
            sign = [
                0 if mp.isinf(v) else int(mp.sign(horner(self.denominator, self._inner(v)[1])))
                for v in map(mp.mpf, x)
            ]
        return self(x), np.array(sign)

    def _rounded(self, fn: Callable[[Real], Real], x: Values) -> Real:
        """``fn(x)`` computed with the working digits and rounded to ``digits``."""
        with working_digits(self.working_digits):
            value = fn(mp.mpmathify(x))
        with working_digits(self.digits):
            return +value

    def _inner(self, x: Real) -> tuple[Real, Real]:
        """``d`` and ``u`` of the equation above."""
        d = x - self.centre
        return d, (d**self.power - self.origin) / self.scale

    def _value(self, x: Real) -> Real:
        if mp.isnan(x):
            return x
        if mp.isinf(x):
            return self._at_infinity(x)
        p, q = self.parts_at(x)
        return p / q if q else mp.inf

    def _at_infinity(self, x: Real) -> Real:
        m, n = self.degree
        if m < n:
            return mp.zero
        ratio = self.numerator[-1] / self.denominator[-1]
        return ratio if m == n else ratio * (x if (m - n) % 2 else abs(x)) * mp.sign(self.scale)

    @property
    def parity(self) -> str | None:
        """ "even" or "odd" about the centre for ``power = 2``."""
        return None if self.power == 1 else "odd" if self.odd else "even"

    @property
    def focus(self) -> float:
        """The centre of a symmetry; the point u = 0 without one."""
        return float(self.centre if self.power == 2 else self.centre + self.origin)

    @property
    def size(self) -> int:
        """One more than the larger degree."""
        return max(self.degree) + 1

    def parts_at(self, x: Real) -> tuple[Real, Real]:
        """p(x) and q(x) as mpmath numbers at the current precision."""
        d, u = self._inner(x)
        p, q = horner(self.numerator, u), horner(self.denominator, u)
        return d * p if self.odd else p, q

    def derivative(self) -> Callable[[Values], Values]:
        """The function r'."""
        slopes = _slope(self.numerator), _slope(self.denominator)

        def exact(x: Real) -> Real:
            d, u = self._inner(x)
            p, q = horner(self.numerator, u), horner(self.denominator, u)
            dp, dq = (horner(c, u) for c in slopes)
            inner = (2 * d if self.power == 2 else 1) / self.scale
            value = (dp - p * dq / q) / q * inner
            return d * value + p / q if self.odd else value

        def slope(x: Values) -> Values:
            if np.ndim(x):
                flat = [slope(value) for value in np.ravel(np.asarray(x, object))]
                return _objects(flat).reshape(np.shape(x))
            return self._rounded(exact, x)

        return slope

    def poles(self) -> np.ndarray:
        """The zeros of Q in x, an object array of mpc sorted by real then imaginary part."""
        return self._in_x(self.denominator)

    def estimated_poles(self) -> np.ndarray:
        """The same as `poles`."""
        return self.poles()

    def zeros(self) -> np.ndarray:
        """The zeros of r in x, an object array of mpc sorted by real then imaginary part."""
        found = list(self._in_x(self.numerator))
        return _sorted([*found, mp.mpc(self.centre)] if self.odd else found)

    def exact_roots(self) -> tuple[list[Real], list[Real]]:
        """The zeros and the poles as mpmath numbers."""
        return list(self.zeros()), list(self.poles())

    def residues(self) -> np.ndarray:
        """The residue at each of `poles()`, in that order; the poles must be simple."""
        slope = _slope(self.denominator)
        with working_digits(self.working_digits):
            out = []
            for pole in self.poles():
                d, u = self._inner(pole)
                inner = (2 * d if self.power == 2 else 1) / self.scale
                out.append(self.parts_at(pole)[0] / (horner(slope, u) * inner))
        return _objects(out)

    def partial_fractions(self) -> tuple[np.ndarray, np.ndarray, Chebyshev]:
        """``(poles, residues, polynomial part)``; the polynomial part in double precision."""
        poles, residues = self.poles(), self.residues()
        excess = max(self.degree[0] - self.degree[1], 0)
        nodes = np.cos(np.pi * (np.arange(excess + 2) + 0.5) / (excess + 2))
        grid = self.focus + nodes * abs(float(self.scale)) ** (1 / self.power)
        with working_digits(self.working_digits):
            rest = [
                float(mp.re(self._value(x) - mp.fsum(c / (x - z) for c, z in pairs)))
                for x, pairs in ((mp.mpf(v), zip(residues, poles, strict=True)) for v in grid)
            ]
        return poles, residues, Chebyshev.fit(grid, np.array(rest), excess)

    def polynomials(self, hull: tuple[float, float] | None = None) -> tuple[Chebyshev, Chebyshev]:
        """``(p, q)`` rounded to double in the Chebyshev basis of ``hull``, max |q| = 1, q > 0."""
        low, high = hull or (-1.0, 1.0)
        nodes = np.cos(np.pi * (np.arange(self.size) + 0.5) / self.size)
        grid = 0.5 * (low + high) + 0.5 * (high - low) * nodes
        with working_digits(self.working_digits):
            pairs = [self.parts_at(mp.mpf(x)) for x in grid]
            top = max((q for _, q in pairs), key=abs)
            fits = [
                Chebyshev.fit(
                    grid, [float(y / top) for y in values], self.size - 1, domain=[low, high]
                )
                for values in zip(*pairs, strict=True)
            ]
        return fits[0].truncate(self.degree[0] + 1), fits[1].truncate(self.degree[1] + 1)

    def _in_x(self, coefficients: Sequence[Real]) -> np.ndarray:
        with working_digits(self.working_digits):
            out = []
            for u in _roots(coefficients):
                t = self.origin + self.scale * u
                if self.power == 1:
                    out.append(mp.mpc(self.centre + t))
                else:
                    root = mp.sqrt(mp.mpc(t))
                    out += [self.centre + root, self.centre - root]
        return _sorted(out)

    def to_dict(self) -> Record:
        """Plain types; numbers as hexadecimal text, exactly."""
        return {
            "numerator": [write_number(c) for c in self.numerator],
            "denominator": [write_number(c) for c in self.denominator],
            "degree": list(self.degree),
            "digits": self.digits,
            "working_digits": self.working_digits,
            "power": self.power,
            "odd": self.odd,
            "centre": write_number(self.centre),
            "origin": write_number(self.origin),
            "scale": write_number(self.scale),
        }

    @classmethod
    def from_dict(cls, data: Record) -> MultiprecisionRational:
        """Restore the object from the dictionary that `to_dict` returned."""
        return cls(
            tuple(map(read_number, data["numerator"])),
            tuple(map(read_number, data["denominator"])),
            tuple(data["degree"]),
            data["digits"],
            data["working_digits"],
            data["power"],
            data["odd"],
            *(read_number(data[key]) for key in ("centre", "origin", "scale")),
        )


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


def _objects(values: Sequence[Real]) -> np.ndarray:
    out = np.empty(len(values), object)
    out[:] = values
    return out


def _sorted(values: Sequence[Real]) -> np.ndarray:
    return _objects(sorted(values, key=lambda z: (z.real, z.imag)))
