"""A rational function as a product of factors for known real zeros and another rational."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Chebyshev

from remez.rational.barycentric import BarycentricRational
from remez.rational.combination import Combinable
from remez.rational.protocol import RationalFunction, Real, Record, Values

__all__ = ["FactoredRational"]


@dataclass(frozen=True, eq=False)
class FactoredRational(Combinable):
    """``r(x) = prod (x - z)^k s(x)``, with a small relative error near the zeros z.

    Args:
        roots: ``(high, low, k)`` for every known zero ``z = high + low`` of order k, where low is
            the rounding error of high.
        rest: The rational s.

    >>> from remez import BarycentricRational
    >>> one = BarycentricRational(np.array([0.0]), np.array([1.0]), np.array([1.0]), (0, 0))
    >>> FactoredRational(((np.pi, 1.2246467991473532e-16, 1),), one)(np.pi)
    -1.2246467991473532e-16
    """

    roots: tuple[tuple[float, float, int], ...]
    rest: RationalFunction

    @property
    def degree(self) -> tuple[int, int]:
        """The type (m, n)."""
        m, n = self.rest.degree
        return m + self._count, n

    @property
    def _count(self) -> int:
        return sum(order for _, _, order in self.roots)

    @property
    def parity(self) -> str | None:
        """ "even" or "odd" where the rest is so, and the zeros lie symmetrically."""
        places = [(z - self.focus, k) for z, _, k in self.roots]
        if self.rest.parity is None or sorted(places) != sorted((-z, k) for z, k in places):
            return None
        return "odd" if (self.rest.parity == "odd") != (self._count % 2 == 1) else "even"

    @property
    def focus(self) -> float:
        """The point relative to which the rest is evaluated."""
        return self.rest.focus

    @property
    def working_digits(self) -> int:
        """Decimal digits of the numbers of the rest."""
        return self.rest.working_digits

    @property
    def size(self) -> int:
        """How many points determine p and q."""
        return self.rest.size + self._count

    def factor(self, x: Values) -> Values:
        """``prod (x - z)^k``."""
        out = x**0
        for high, low, order in self.roots:
            out = out * ((x - high) - low) ** order
        return out

    def __call__(self, x: Values) -> Values:
        """r(x), x real or complex and of any shape."""
        x = np.asarray(x)
        x = x.astype(complex if np.iscomplexobj(x) else float, copy=False)
        out = self.factor(x) * self.rest(x)
        return out if np.ndim(out) else out.item()

    def with_sign(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values at the points, shape (K,), and the sign of q there, up to a common one."""
        value, sign = self.rest.with_sign(x)
        return self.factor(x) * value, sign

    def derivative(self) -> Callable[[Values], Values]:
        """The function r', by the product rule."""
        slope = self.rest.derivative()

        def derived(x: Values) -> Values:
            x = np.asarray(x, complex if np.iscomplexobj(x) else float)
            out = self.factor(x) * slope(x)
            for i, (high, low, order) in enumerate(self.roots):
                others = FactoredRational(self.roots[:i] + self.roots[i + 1 :], self.rest)
                power = order * ((x - high) - low) ** (order - 1)
                out = out + power * others.factor(x) * self.rest(x)
            return out if np.ndim(out) else out.item()

        return derived

    def poles(self) -> np.ndarray:
        """The zeros of q, complex, sorted by real then imaginary part."""
        return self.rest.poles()

    def estimated_poles(self) -> np.ndarray:
        """Approximations of all zeros of q, computed in float64."""
        return self.rest.estimated_poles()

    def zeros(self) -> np.ndarray:
        """The zeros of p, complex, sorted by real then imaginary part."""
        known = [high + low for high, low, order in self.roots for _ in range(order)]
        found = np.append(self.rest.zeros(), known)
        return found[np.lexsort((found.imag, found.real))]

    def residues(self) -> np.ndarray:
        """The residue of r at each of `poles()`, in that order; the poles must be simple."""
        residues: np.ndarray = self.rest.residues() * self.factor(self.poles())
        return residues

    def partial_fractions(self) -> tuple[np.ndarray, np.ndarray, Chebyshev]:
        """``(poles, residues, polynomial part)``: r is their sum when the poles are simple."""
        poles, residues = self.poles(), self.residues()
        m, n = self.degree
        places = [high for high, _, _ in self.roots]
        low, high = min(places) - 1.0, max(places) + 1.0
        grid = 0.5 * (low + high) + 0.5 * (high - low) * np.cos(
            np.pi * (np.arange(m + 2) + 0.5) / (m + 2)
        )
        rest = self(grid) - (residues / (grid[:, None] - poles)).sum(1).real
        return poles, residues, Chebyshev.fit(grid, rest, max(m - n, 0), domain=[low, high])

    def polynomials(self, hull: tuple[float, float] | None = None) -> tuple[Chebyshev, Chebyshev]:
        """``(p, q)`` in the Chebyshev basis of ``hull``, scaled so that max |q| = 1 there."""
        p, q = self.rest.polynomials(hull)
        for high, low, order in self.roots:
            linear = Chebyshev.fromroots([high + low], domain=p.domain)
            for _ in range(order):
                p = p * linear
        return p, q

    def parts_at(self, x: Real) -> tuple[Real, Real]:
        """p(x) and q(x) up to a common factor, as mpmath numbers at the current precision."""
        p, q = self.rest.parts_at(x)
        return p * self.factor(x), q

    def exact_roots(self) -> tuple[list[Real], list[Real]]:
        """The zeros and the poles as mpmath numbers, accurate relative to their own size."""
        from mpmath import mp

        zeros, poles = self.rest.exact_roots()
        known = [mp.mpf(z) + mp.mpf(low) for z, low, order in self.roots for _ in range(order)]
        return [*zeros, *known], poles

    def to_dict(self) -> Record:
        """The object as plain types that JSON keeps exactly."""
        return {"roots": [list(root) for root in self.roots], "rest": self.rest.to_dict()}

    @classmethod
    def from_dict(cls, data: Record) -> FactoredRational:
        """Restore the object from the dictionary that `to_dict` returned."""
        roots = tuple((float(high), float(low), int(k)) for high, low, k in data["roots"])
        return cls(roots, BarycentricRational.from_dict(data["rest"]))
