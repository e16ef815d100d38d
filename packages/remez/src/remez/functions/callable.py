"""A plain Python callable as a vectorised, counted and checked function of a float array."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from remez.errors import RemezError, TargetError

__all__ = ["Function", "Target"]

Function = Callable[..., Any]  # maps a number or an array to as many numbers

AGREE = 1e-12  # relative difference between array and scalar evaluation due to rounding


class Target:
    """A plain callable as a vectorised, counted, checked function of a float array.

    The callable receives a copy of the points, which it may overwrite; its result is copied. It
    may take and return NumPy arrays, PyTorch tensors, lists, or single numbers. Vectorisation is
    detected on the first call with two or more points: a callable that raises, or whose result has
    another size or other values than for arrays of one point, is called point by point.

    Args:
        fn: A real function of a real variable.
        name: The name of the function in messages.

    Raises:
        TargetError: ``fn`` raises, or returns NaN, infinity, a complex number or no number.
    """

    def __init__(self, fn: Function, name: str = "fn") -> None:
        self.fn = fn
        self.name = name
        self.evaluations = 0
        self.dtype: np.dtype[Any] | None = None  # dtype of the values of fn for an array
        self._vectorised: bool | None = None
        self._tensors = False

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Values at the points, shape (K,); raises TargetError unless all are finite."""
        values = self.raw(x)
        finite = np.isfinite(values)
        if not finite.all():
            first = int(np.argmin(finite))
            raise TargetError(self._not_finite(float(x[first]), float(values[first])))
        return values

    def raw(self, x: np.ndarray) -> np.ndarray:
        """Values at the points, shape (K,), which may be NaN or infinite."""
        self.evaluations += x.size
        with np.errstate(all="ignore"):
            if self._vectorised is None and x.size >= 2:
                self._vectorised = self._takes_arrays(x)
            if self._vectorised:
                try:
                    return self._together(x)
                except RemezError:
                    raise
                except Exception:  # noqa: BLE001 - evaluate one by one to find the point
                    pass
            return np.array([self._scalar(v) for v in x.tolist()])

    @property
    def takes_arrays(self) -> bool:
        """Whether fn is evaluated at all points of an array at once, as far as is known."""
        return bool(self._vectorised)

    @property
    def is_coarse(self) -> bool:
        """Whether fn returns values of lower precision than float64."""
        return self.dtype is not None and self.dtype.kind == "f" and self.dtype.itemsize < 8

    def _together(self, x: np.ndarray) -> np.ndarray:
        """The values of one vectorised call, as a new array of the shape of x."""
        found = self._called(x.copy())
        if type(found) is np.ndarray and found.dtype == float and found.shape == x.shape:
            return found.copy()
        if isinstance(found, np.ma.MaskedArray):
            found = np.ma.filled(found.astype(float), np.nan)
        found = np.asarray(found)
        self._check_kind(found)
        if found.size != x.size:
            raise TargetError(
                f"{self.name} returns {found.size} values for {x.size} points: return one each"
            )
        self.dtype = found.dtype
        return np.array(found, dtype=float).reshape(x.shape)

    def _called(self, x: Any) -> Any:
        found = self.fn(sys.modules["torch"].from_numpy(x) if self._tensors else x)
        return found.detach() if hasattr(found, "detach") else found

    def _check_kind(self, found: np.ndarray) -> None:
        """Check that the values are real numbers, which `numpy.asarray` alone does not ensure.

        Raises:
            TargetError: The values are complex, strings, None or other objects.
        """
        kinds = {type(value) for value in found.ravel().tolist()} if found.dtype == object else ()
        if found.dtype.kind == "c" or any(map(_complex, kinds)):
            raise TargetError(
                f"{self.name} returns complex numbers: approximate its real and imaginary parts "
                "separately"
            )
        if found.dtype.kind not in "fiubO" or {str, bytes, type(None)} & set(kinds):
            raise TargetError(f"{self.name} returns {found.dtype} values: return real numbers")

    def _scalar(self, x: float) -> float:
        try:
            found = self._called(np.array([x]) if self._tensors else x)
            found = np.asarray(found)
            self._check_kind(found)
            return float(found.reshape(()) if found.size == 1 else found)
        except ZeroDivisionError:
            return np.inf
        except OverflowError as cause:
            raise TargetError(
                f"{self.name} overflows at x = {x:.17g}: shrink the domain, or scale {self.name}"
            ) from cause
        except RemezError:
            raise
        except Exception as cause:
            raise TargetError(
                f"{self.name} fails at x = {x:.17g} ({type(cause).__name__}: {_line(cause)})"
            ) from cause

    def _takes_arrays(self, x: np.ndarray) -> bool:
        """Whether fn of an array agrees with fn of arrays of one point."""
        probe = x[[0, x.size // 2, -1]]
        for tensors in (False, True) if "torch" in sys.modules else (False,):
            self._tensors = tensors
            try:
                together = self._together(probe)
                alone = np.concatenate([self._together(probe[i : i + 1]) for i in range(3)])
            except Exception:  # noqa: BLE001 - whatever a scalar-only callable raises on an array
                continue
            close = np.abs(together - alone) <= AGREE * np.abs(alone)
            both_nan = (together != together) & (alone != alone)
            return bool((close | (together == alone) | both_nan).all())
        self._tensors = False
        return False

    def _not_finite(self, x: float, value: float) -> str:
        """The message for a value that is not finite: overflow, 0/0 with a limit, or a pole."""
        near = [np.nextafter(x, -np.inf), np.nextafter(x, np.inf)]
        if x == 0:
            near = [-1e-9, 1e-9]
        if np.isnan(value):
            with np.errstate(all="ignore"):
                sides = [self._quiet(v) for v in near]
            limits = [v for v in sides if np.isfinite(v)]
            if limits and max(limits) - min(limits) <= 1e-6 * (1 + max(map(abs, limits))):
                return (
                    f"{self.name} is nan at x = {x:.17g}, where its limit is about "
                    f"{limits[0]:.6g}: return the limit there (numpy.sinc(x/pi) is sin(x)/x)"
                )
            return f"{self.name} is nan at x = {x:.17g}: leave that point out of the domain"
        if self._overflows(x):
            return f"{self.name} overflows at x = {x:.17g}: shrink the domain, or scale {self.name}"
        return f"{self.name} is {value} at x = {x:.17g}: leave that point out of the domain"

    def _quiet(self, x: float) -> float:
        try:
            return float(self.raw(np.array([x]))[0])
        except TargetError:
            return np.nan

    def _overflows(self, x: float) -> bool:
        """Whether NumPy reports an overflow, and no division by zero, at x."""
        flags: list[str] = []
        with np.errstate(all="call", call=lambda kind, _: flags.append(kind)):
            try:
                self.fn(np.array([x]))
            except Exception:  # noqa: BLE001 - it returned infinity before: a callable with a state
                return False
        return "overflow" in flags and "divide by zero" not in flags


def _complex(kind: type) -> bool:
    """Whether this is a complex type of Python, NumPy, mpmath or python-flint."""
    return issubclass(kind, complex) or kind.__name__ in ("mpc", "acb")


def _line(cause: BaseException) -> str:
    """The first line of an exception's message."""
    return (str(cause).splitlines() or [""])[0][:200]
