"""Samples of a function, the data of `remez.fit_samples`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from remez.errors import TargetError, shown

__all__ = ["SampleSet"]


@dataclass(frozen=True, eq=False)
class SampleSet:
    """Points, values and weights.

    Attributes:
        x: The points, shape (N,), increasing.
        y: The values at the points, shape (N,).
        weight: The positive weights at the points, shape (N,).

    >>> SampleSet.of([1, 0, 1], [5, 4, 5]).x.tolist()
    [0.0, 1.0]
    """

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, x: Any, y: Any, weight: Any = None) -> SampleSet:
        """Sort and check the samples; equal samples are merged and keep their largest weight.

        Raises:
            TargetError: The shapes are not (N,), a value is not finite, a weight is not positive,
                or a point is given with two different values.
        """
        x, y = _column("x", x), _column("y", y)
        w = np.ones_like(x) if weight is None else _column("weight", weight)
        if not x.size == y.size == w.size:
            raise TargetError(
                f"x, y and weight have {x.size}, {y.size} and {w.size} entries: match them"
            )
        if not (w > 0).all():
            first = int(np.argmin(w > 0))
            raise TargetError(
                f"weight is {w[first]:g} at x = {x[first]:.17g}: give a positive number, or leave "
                "that sample out"
            )
        order = np.lexsort((-w, x))
        x, y, w = x[order], y[order], w[order]
        first = np.append(True, x[1:] > x[:-1])[: x.size]
        group = np.cumsum(first) - 1
        differ = y != y[first][group]
        if differ.any():
            raise TargetError(
                f"two samples at x = {x[differ][0]:.17g} have different values: give one of them, "
                "or their mean"
            )
        return cls(x[first], y[first], w[first])

    @cached_property
    def _between(self) -> np.ndarray:
        middles: np.ndarray = 0.5 * (self.x[1:] + self.x[:-1])
        return middles

    def nearest(self, x: np.ndarray) -> np.ndarray:
        """The index of the sample nearest to each point."""
        return np.searchsorted(self._between, x)

    def to_list(self) -> list[list[float]]:
        """Plain lists of points, values and weights; floats survive JSON exactly."""
        return [row.tolist() for row in (self.x, self.y, self.weight)]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SampleSet):
            return NotImplemented
        rows = (self.x, other.x), (self.y, other.y), (self.weight, other.weight)
        return all(np.array_equal(mine, its) for mine, its in rows)

    def __hash__(self) -> int:
        return hash((self.x.tobytes(), self.y.tobytes(), self.weight.tobytes()))


def _column(name: str, values: Any) -> np.ndarray:
    """The values as a vector of finite floats.

    Raises:
        TargetError: The shape is not (N,), or a value is complex, masked, NaN, infinite or not a
            number.
    """
    try:
        if isinstance(values, list | tuple) and any(v is np.ma.masked for v in values):
            raise TypeError("an entry is masked")
        found = np.ma.asarray(values)
        if found.ndim != 1:
            raise TypeError(f"its shape is {found.shape}, not (N,): pass {name}.ravel()")
        if found.dtype.kind not in "fiub":  # neither float, integer nor boolean
            found = np.ma.filled(found.astype(object), np.nan).ravel()
            if any(isinstance(v, str | bytes | complex) or np.iscomplexobj(v) for v in found):
                raise TypeError("complex numbers and texts are no samples")
        column: np.ndarray = np.ma.filled(found.astype(float), np.nan).ravel()
    except (TypeError, ValueError, ArithmeticError) as cause:
        raise TargetError(f"{name} = {shown(values)} must hold real numbers ({cause})") from cause
    if not np.isfinite(column).all():
        raise TargetError(f"{name} has an entry that is NaN, infinite or masked: leave it out")
    return column
