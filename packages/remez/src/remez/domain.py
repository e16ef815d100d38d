"""The domain of approximation: an interval, a union of intervals, a half-line or the line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from remez.errors import DomainError, shown
from remez.number_types import mantissa_and_exponent

__all__ = ["Domain"]

LARGEST, SMALLEST = 1e140, 1e-140  # their squares, which even functions need, are float64
DIGITS = 400  # largest decimal exponent of an end given as text; float64 ends at 308


@dataclass(frozen=True)
class Domain:
    """A finite union of disjoint closed intervals, in increasing order.

    Args:
        intervals: Pairs ``(a, b)`` with ``a < b``; ``-inf`` and ``inf`` may be the outer ends.
        exact: The same ends as fractions, if some are not representable in float64 (``"0.01"``,
            mpmath numbers); a fit with ``precision=`` uses these.

    Raises:
        DomainError: An interval is degenerate or reversed, or two of them touch or overlap.

    >>> Domain.of([(0.01, 1), (-1, -0.01)]).hull
    (-1.0, 1.0)
    """

    intervals: tuple[tuple[float, float], ...]
    exact: tuple[tuple[Fraction | float, Fraction | float], ...] | None = None

    def __post_init__(self) -> None:
        if not self.intervals:
            raise DomainError("the domain is empty: give at least one interval (a, b) with a < b")
        for a, b in self.intervals:
            if math.isnan(a) or math.isnan(b):
                raise DomainError(f"the interval ({a}, {b}) has a NaN end: give numbers")
            if not a < b:
                raise DomainError(f"the interval ({a}, {b}) is degenerate: give a < b")
            if math.nextafter(a, b) == b:
                raise DomainError(f"the interval ({a}, {b}) holds no number between its ends")
            if max(abs(x) for x in (a, b, 0.0) if math.isfinite(x)) > LARGEST or b - a < SMALLEST:
                raise DomainError(
                    f"the interval ({a}, {b}) is so {'short' if b - a < 1 else 'long'} that powers "
                    "of x leave the range of float64: substitute x = scale * t"
                )
        for (_, b), (c, _) in zip(self.intervals, self.intervals[1:], strict=False):
            if not b < c:
                raise DomainError(f"two intervals meet at {c}: merge them or leave a gap")

    @classmethod
    def of(cls, domain: Domain | Sequence[Any]) -> Domain:
        """Create a domain from ``(a, b)``, ``[(a, b), (c, d), ...]`` or a `Domain`."""
        if isinstance(domain, Domain):
            return domain
        try:
            parts = list(domain)
            pairs = [parts] if parts and np.ndim(parts[0]) == 0 else parts
            exact = sorted((_exact(a), _exact(b)) for a, b in pairs)
            intervals = tuple((float(a), float(b)) for a, b in exact)
        except (TypeError, ValueError, ArithmeticError) as cause:
            raise DomainError(
                f"cannot read the domain {shown(domain)}: give (a, b) or a list of such pairs"
            ) from cause
        return cls(intervals, None if exact == list(intervals) else tuple(exact))

    @property
    def hull(self) -> tuple[float, float]:
        """The smallest interval that contains the domain."""
        return self.intervals[0][0], self.intervals[-1][1]

    @property
    def is_finite(self) -> bool:
        """Whether both ends of the hull are finite."""
        return all(map(math.isfinite, self.hull))

    def contains(self, x: np.ndarray | float) -> np.ndarray:
        """Which of the points lie in the domain (ends included)."""
        x = np.asarray(x, float)
        inside: np.ndarray = (self.intervals[0][0] <= x) & (x <= self.intervals[0][1])
        for a, b in self.intervals[1:]:
            inside = inside | ((a <= x) & (x <= b))
        return inside

    def spread(self, count: int, shift: float = 0.5) -> np.ndarray:
        """Points of every interval that cluster at its ends, like Chebyshev points.

        An unbounded interval is mapped to (0, 1) by a rational function.

        Args:
            count: The number of points in every interval.
            shift: Offset in the cosine grid, in (0, 1); 1/2 gives Chebyshev points.

        Returns:
            The points, increasing, shape (count * number of intervals,).
        """
        t = _chebyshev(count, shift)
        parts = []
        for a, b in self.intervals:
            if math.isfinite(a) and math.isfinite(b):
                parts.append((1 - t) * a + t * b)
            elif math.isfinite(a):
                parts.append(a + t / (1 - t))
            elif math.isfinite(b):
                parts.append(b - t / (1 - t))
            else:
                parts.append((t - 0.5) / (t * (1 - t)))
        return np.concatenate(parts)

    def is_symmetric(self, centre: float) -> bool:
        """Whether the domain is its own mirror image about ``centre``."""
        mirrored = [(2 * centre - b, 2 * centre - a) for a, b in reversed(self.intervals)]
        return mirrored == list(self.intervals)

    def decimal(self) -> Domain:
        """The same domain with each float read as its shortest decimal form: 0.1 is 1/10."""
        if self.exact is not None:
            return self
        return Domain.of([(repr(float(a)), repr(float(b))) for a, b in self.intervals])

    def to_list(self) -> list[list[Any]]:
        """Nested lists for JSON; ends that are not representable in float64 are strings."""
        plain = self.exact or self.intervals
        return [[str(x) if isinstance(x, Fraction) else x for x in pair] for pair in plain]

    def __str__(self) -> str:
        return " ∪ ".join(f"[{low:.6g}, {high:.6g}]" for low, high in self.intervals)

    def __iter__(self) -> Iterator[tuple[float, float]]:
        return iter(self.intervals)


@lru_cache(maxsize=64)
def _chebyshev(count: int, shift: float) -> np.ndarray:
    """Points of (0, 1) that cluster at its ends."""
    return 0.5 - 0.5 * np.cos(np.pi * (np.arange(count) + shift) / count)


def _exact(x: Any) -> Fraction | float:
    """A number or numeric string as a float if that is exact, otherwise as a fraction."""
    if isinstance(x, float | int):
        return float(x)
    if isinstance(x, str | Decimal):
        if isinstance(x, Decimal) or "/" not in x:
            x = Decimal(x)
            if not x.is_finite():
                return float(x)
            if x and abs(x.adjusted()) > DIGITS:
                raise ValueError("an end is out of the range of float64")
        x = Fraction(x)
    elif x is np.ma.masked or isinstance(x, bytes | bytearray | complex) or np.ndim(x):
        raise TypeError("an end is a real number")
    elif hasattr(x, "_mpf_") and math.isfinite(float(x)):
        mantissa, exponent = mantissa_and_exponent(x)
        if abs(exponent) > 1e5:
            raise ValueError("an end is out of the range of float64")
        x = Fraction(mantissa) * Fraction(2) ** exponent
    if isinstance(x, Fraction) and float(x) != x:
        return x
    return float(x)
