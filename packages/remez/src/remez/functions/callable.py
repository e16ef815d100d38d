"""A plain Python callable as a vectorised, counted and checked function of a float array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from remez.errors import TargetError

__all__ = ["Target"]


class Target:
    """A plain callable as a vectorised, counted, checked function of a float array.

    Whether ``fn`` takes arrays is found out on the first call of at least two points: a
    callable that raises, or answers with another shape or other values than pointwise calls
    do, is called point by point from then on.

    Raises:
        TargetError: ``fn`` returns NaN, infinity or something that is no number.
    """

    def __init__(self, fn: Callable[..., Any], name: str = "fn") -> None:
        self.fn = fn
        self.name = name
        self.evaluations = 0
        self._vectorised: bool | None = None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Values at the points, all of them finite."""
        values = self.raw(x)
        if not np.isfinite(values).all():
            where = x[~np.isfinite(values)][0]
            what = values[~np.isfinite(values)][0]
            raise TargetError(
                f"{self.name} is {what} at x = {where:.17g}: leave that point out of the domain"
            )
        return values

    def raw(self, x: np.ndarray) -> np.ndarray:
        """Values as they come, NaN and infinity included."""
        self.evaluations += x.size
        if self._vectorised is None and x.size >= 2:
            self._vectorised = self._takes_arrays(x)
        with np.errstate(all="ignore"):
            if self._vectorised:
                return np.asarray(self.fn(x), float)
            return np.array([self._scalar(v) for v in x.tolist()])

    def _scalar(self, x: float) -> float:
        try:
            return float(self.fn(x))
        except ZeroDivisionError:
            return np.inf
        except (TypeError, ValueError, ArithmeticError) as cause:
            raise TargetError(
                f"{self.name} fails at x = {x:.17g} ({type(cause).__name__}: {cause})"
            ) from cause

    def _takes_arrays(self, x: np.ndarray) -> bool:
        probe = x[[0, x.size // 2, -1]]
        try:
            with np.errstate(all="ignore"):
                together = np.asarray(self.fn(probe.copy()), float)
            if together.shape != probe.shape:
                return False
        except Exception:  # noqa: BLE001 - whatever a scalar-only callable raises on an array
            return False
        alone = np.array([self._scalar(v) for v in probe.tolist()])
        with np.errstate(invalid="ignore"):
            close = np.abs(together - alone) <= 1e-12 * np.abs(alone)
        return bool(
            (close | (together == alone) | ((together != together) & (alone != alone))).all()
        )
