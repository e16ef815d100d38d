"""Primitive functions in mpmath at its current precision; NaN outside the real domain."""

import operator
from collections.abc import Callable
from typing import Any

from mpmath import mp


def _cbrt(x: Any) -> Any:
    return mp.sign(x) * mp.cbrt(abs(x))


def _softplus(x: Any) -> Any:
    """log(1 + e^x) without cancellation, as max(0, x) + log(1 + e^-|x|)."""
    return max(x, mp.zero) + mp.log1p(mp.exp(-abs(x)))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": lambda a, b: mp.mpf(a) / b,
    "pow": lambda a, b: mp.mpf(a) ** b,
    "neg": operator.neg,
    "exp": mp.exp,
    "expm1": mp.expm1,
    "log": mp.log,
    "log1p": mp.log1p,
    "sqrt": mp.sqrt,
    "cbrt": _cbrt,
    "xlogx": lambda x: x * mp.log(x) if x else mp.zero,
    "sin": mp.sin,
    "cos": mp.cos,
    "tan": mp.tan,
    "asin": mp.asin,
    "acos": mp.acos,
    "atan": mp.atan,
    "sinh": mp.sinh,
    "cosh": mp.cosh,
    "tanh": mp.tanh,
    "asinh": mp.asinh,
    "acosh": mp.acosh,
    "atanh": mp.atanh,
    "gamma": mp.gamma,
    "lgamma": mp.loggamma,
    "erf": mp.erf,
    "erfc": mp.erfc,
    "j0": mp.j0,
    "j1": mp.j1,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "softplus": _softplus,
    "abs": abs,
    "sign": mp.sign,
    "step": lambda x: mp.one if x > 0 else mp.zero,
    "max": max,
    "min": min,
}


def rational(numerator: int, denominator: int) -> Any:
    """An exact rational constant, rounded to the working precision."""
    return mp.mpf(numerator) / denominator


def constant(name: str) -> Any:
    """``pi`` or ``e`` at the working precision."""
    return +{"pi": mp.pi, "e": mp.e}[name]
