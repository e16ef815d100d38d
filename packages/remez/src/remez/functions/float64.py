"""Primitive functions in float64 (NumPy, SciPy); NaN outside the real domain of a function."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": np.true_divide,
    "pow": np.power,
    "neg": operator.neg,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "cbrt": np.cbrt,
    "xlogx": lambda x: special.xlogy(x, x),
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "gamma": special.gamma,
    "lgamma": special.gammaln,
    "erf": special.erf,
    "erfc": special.erfc,
    "j0": special.j0,
    "j1": special.j1,
    "sigmoid": special.expit,
    "softplus": lambda x: np.logaddexp(0.0, x),
    "abs": np.abs,
    "sign": np.sign,
    "step": lambda x: np.heaviside(x, 0.0),
    "max": np.maximum,
    "min": np.minimum,
}


def rational(numerator: int, denominator: int) -> Any:
    """The float64 nearest to an exact rational constant."""
    try:
        return np.float64(numerator / denominator)
    except OverflowError:
        return np.float64(np.inf if numerator > 0 else -np.inf)


def constant(name: str) -> Any:
    """The float64 nearest to ``pi`` or ``e``."""
    return np.float64({"pi": np.pi, "e": np.e}[name])
