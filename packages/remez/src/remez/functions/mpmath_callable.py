"""A plain callable as a checked function of mpmath numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mpmath import mp

from remez.errors import RemezError, TargetError, shown
from remez.functions.expression import as_expression

__all__ = ["checked"]


def checked(fn: Callable[[Any], Any], name: str = "fn") -> Callable[[Any], Any]:
    """The callable, which raises a TargetError where its value is no finite real number.

    Expressions and catalogue targets are returned as they are. Arguments other than mpmath numbers,
    such as arrays, are passed on without a check.

    Args:
        fn: A real function of a real variable.
        name: Its name in messages.
    """
    if as_expression(fn) is not None:
        return fn

    def value(x: Any) -> Any:
        return _real(fn, name, x) if isinstance(x, mp.mpf) else fn(x)

    return value


def _real(fn: Callable[[Any], Any], name: str, x: Any) -> Any:
    """The value at an mpmath number, as one.

    Raises:
        TargetError: fn raises, or returns NaN, infinity, a complex number or no number.
    """
    place = f"x = {mp.nstr(x, 17)}"
    try:
        y = fn(x)
        if not isinstance(y, (str, bytes)):
            y = mp.mpmathify(y)
    except ZeroDivisionError:
        y = mp.inf
    except RemezError:
        raise
    except Exception as cause:
        raise TargetError(
            f"{name} fails at {place} ({type(cause).__name__}: {shown(str(cause))})"
        ) from cause
    if isinstance(y, mp.mpc) and y.imag == 0:
        y = y.real
    if isinstance(y, mp.mpc):
        raise TargetError(
            f"{name} is complex at {place}: approximate its real and imaginary parts separately"
        )
    if not isinstance(y, mp.mpf):
        raise TargetError(f"{name} returns {shown(y)} at {place}: return a real number")
    if not mp.isfinite(y):
        raise TargetError(f"{name} is {mp.nstr(y)} at {place}: leave that point out of the domain")
    return y
