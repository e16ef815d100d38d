"""Primitive functions in ball arithmetic, with python-flint's ``arb`` and ``arb_series`` (Arb).

A function takes a ball or a truncated power series of balls. Applied to a series ``s(h)`` whose
constant term encloses a whole panel it returns enclosures of the Taylor coefficients of ``f(s(h))``
at every point of the panel, which is what Taylor models need. At a point where a function is not
smooth the constant coefficient is still an enclosure of its range (over the part of the panel where
it is real). The first one encloses Clarke's generalised derivative where the function is Lipschitz,
so that the mean value form remains valid; the others are NaN.

References:
    F. Johansson, "Arb: efficient arbitrary-precision midpoint-radius interval arithmetic",
    IEEE Trans. Comput. 66(8), 2017. doi:10.1109/TC.2017.2690633
"""

import operator
from collections.abc import Callable
from math import comb, factorial
from typing import Any

from flint import arb, arb_series

Ball = Any  # an arb or an arb_series: python-flint carries no types

_NAN = arb.nan()


def _with_constant(series: arb_series, constant: arb) -> arb_series:
    """The series with a tighter enclosure of its constant coefficient."""
    return arb_series([constant, *series.coeffs()[1:]], prec=series.prec)


def _lift(
    at: Callable[[arb], arb], along: Callable[[arb_series], arb_series]
) -> Callable[..., Ball]:
    """A function of both types: ``at`` for a ball, ``along`` for the higher coefficients."""

    def form(x: Ball) -> Ball:
        return _with_constant(along(x), at(x[0])) if isinstance(x, arb_series) else at(x)

    return form


def _method(name: str) -> Callable[..., Ball]:
    """A function that Arb provides for both types."""
    return _lift(operator.methodcaller(name), operator.methodcaller(name))


def _integrated(name: str, derivative: Callable[[Ball], Ball]) -> Callable[..., Ball]:
    """A function that Arb provides for balls; its series is the integral of f'(s) s'."""
    return _lift(operator.methodcaller(name), lambda s: (derivative(s) * s.derivative()).integral())


def _hull(low: arb, high: arb) -> arb:
    return low.union(high)


def _rough(value: arb, slope: arb, s: arb_series) -> arb_series:
    """The series at a point without derivatives: a range, a Clarke derivative, then NaN."""
    coefficients = [value, slope * s[1]] + [_NAN] * max(s.prec - 2, 0)
    return arb_series(coefficients[: s.prec], prec=s.prec)


def _piecewise(
    below: int, above: int, at: Callable[[arb], arb], lipschitz: bool
) -> Callable[..., Ball]:
    """``below * x`` for x < 0 and ``above * x`` for x > 0; a step function has these as values."""
    slope = _hull(arb(below), arb(above)) if lipschitz else _NAN

    def form(x: Ball) -> Ball:
        if not isinstance(x, arb_series):
            return at(x)
        if x[0] > 0 or x[0] < 0:
            smooth = x * (above if x[0] > 0 else below) if lipschitz else x * 0
            return _with_constant(smooth, at(x[0]))
        return _rough(at(x[0]), slope, x)

    return form


def _step_at(x: arb) -> arb:
    return arb(1) if x > 0 else arb(0) if x <= 0 else _hull(arb(0), arb(1))


def _power_at(base: arb, exponent: arb) -> arb:
    """``base ** exponent`` over the nonnegative part of ``base``."""
    if base > 0 or not (exponent > 0 and base.upper() >= 0):
        return base**exponent
    return _hull(arb(0), base.upper() ** exponent)


def _integer_power(base: Ball, exponent: int) -> Ball:
    if exponent < 0:
        return 1 / _integer_power(base, -exponent)
    if isinstance(base, arb_series) or base > 0 or base < 0:
        return base**exponent
    if exponent % 2:
        return _hull(base.lower() ** exponent, base.upper() ** exponent)
    return _hull(
        arb(0), base.abs_upper() ** exponent
    )  # arb's power is NaN for balls that contain 0


def _power(base: Ball, exponent: Ball) -> Ball:
    if isinstance(exponent, int):
        return _integer_power(base, exponent)
    if isinstance(exponent, arb_series):
        return (exponent * FUNCTIONS["log"](arb_series([base]) if _is_ball(base) else base)).exp()
    if _is_ball(base):
        return _power_at(arb(base), arb(exponent))
    value = _power_at(base[0], exponent)
    if base[0] > 0:
        return _with_constant(base**exponent, value)
    return _rough(value, exponent * _power_at(base[0], exponent - 1), base)


def _is_ball(x: Ball) -> bool:
    return not isinstance(x, arb_series)


def _cbrt_at(x: arb) -> arb:
    if x > 0 or x < 0:
        return x.root(3) if x > 0 else -(-x).root(3)
    low, high = x.lower(), x.upper()
    return _hull(_cbrt_at(low) if low < 0 else arb(0), _cbrt_at(high) if high > 0 else arb(0))


def _cbrt(x: Ball) -> Ball:
    if _is_ball(x):
        return _cbrt_at(x)
    if x[0] > 0 or x[0] < 0:
        outer = x ** (arb(1) / 3) if x[0] > 0 else -((-x) ** (arb(1) / 3))
        return _with_constant(outer, _cbrt_at(x[0]))
    return _rough(_cbrt_at(x[0]), _NAN, x)


def _xlogx_at(x: arb) -> arb:
    """x log x, monotone on [0, 1/e]; its range over the nonnegative part of ``x``."""
    if x > 0:
        return x * x.log()
    high = x.upper()
    if not high > 0:
        return arb(0) if high >= 0 else _NAN
    lowest = high * high.log() if high < arb("0.36") else -(arb(-1).exp())
    return _hull(_hull(lowest, arb(0)), high * high.log())


def _xlogx(x: Ball) -> Ball:
    if _is_ball(x):
        return _xlogx_at(x)
    if x[0] > 0:
        return _with_constant(x * x.log(), _xlogx_at(x[0]))
    return _rough(_xlogx_at(x[0]), _NAN, x)


def _bessel_order(x: arb, order: int) -> arb:
    value = x.bessel_j(abs(order))
    return -value if order < 0 and order % 2 else value


def _bessel(order: int) -> Callable[..., Ball]:
    """J_n, its Taylor coefficients from DLMF 10.6.7: J' = (J_{n-1} - J_{n+1}) / 2, repeated."""

    def coefficient(x: arb, k: int) -> arb:
        terms = [(-1) ** i * comb(k, i) * _bessel_order(x, order - k + 2 * i) for i in range(k + 1)]
        value: arb = sum(terms, arb(0)) / (2**k * factorial(k))
        return value

    def along(s: arb_series) -> arb_series:
        outer = arb_series([coefficient(s[0], k) for k in range(s.prec)], prec=s.prec)
        return outer(_with_constant(s, arb(0)))

    return _lift(lambda x: _bessel_order(x, order), along)


def _as_series(x: Ball) -> arb_series:
    return x if isinstance(x, arb_series) else arb_series([x])


def _both(a: Ball, b: Ball) -> tuple[Ball, Ball]:
    if isinstance(a, arb_series) or isinstance(b, arb_series):
        return _as_series(a), _as_series(b)
    return arb(a), arb(b)


def _maximum(a: Ball, b: Ball) -> Ball:
    """The maximum; where the arguments may be equal, its derivative is the hull of both slopes."""
    a, b = _both(a, b)
    if _is_ball(a):
        return a.max(b)
    if a[0] >= b[0] or b[0] >= a[0]:
        return a if a[0] >= b[0] else b
    length = min(a.prec, b.prec)
    coefficients = [a[0].max(b[0]), _hull(a[1], b[1])] + [_NAN] * max(length - 2, 0)
    return arb_series(coefficients[:length], prec=length)


_exp = _method("exp")
_sigmoid = _lift(
    lambda x: x.exp() / (1 + x.exp()) if x < 0 else 1 / (1 + (-x).exp()),
    lambda s: s.exp() / (1 + s.exp()) if s[0] < 0 else 1 / (1 + (-s).exp()),
)

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": _power,
    "neg": operator.neg,
    "exp": _exp,
    "expm1": _lift(arb.expm1, lambda s: s.exp()),
    "log": _method("log"),
    "log1p": _lift(arb.log1p, lambda s: (1 + s).log()),
    "sqrt": lambda x: _power(x, arb(0.5)),
    "cbrt": _cbrt,
    "xlogx": _xlogx,
    "sin": _method("sin"),
    "cos": _method("cos"),
    "tan": _method("tan"),
    "asin": _method("asin"),
    "acos": _method("acos"),
    "atan": _method("atan"),
    "sinh": _lift(arb.sinh, lambda s: (s.exp() - (-s).exp()) / 2),
    "cosh": _lift(arb.cosh, lambda s: (s.exp() + (-s).exp()) / 2),
    "tanh": _lift(arb.tanh, lambda s: 2 * _sigmoid(2 * s)),
    "asinh": _integrated("asinh", lambda s: (1 + s * s).rsqrt()),
    "acosh": _integrated("acosh", lambda s: (s * s - 1).rsqrt()),
    "atanh": _integrated("atanh", lambda s: 1 / (1 - s * s)),
    "gamma": _method("gamma"),
    "lgamma": _method("lgamma"),
    "erf": _method("erf"),
    "erfc": _method("erfc"),
    "j0": _bessel(0),
    "j1": _bessel(1),
    "sigmoid": _sigmoid,
    "softplus": _lift(
        lambda x: (1 + x.exp()).log(), lambda s: (_sigmoid(s) * s.derivative()).integral()
    ),
    "abs": _piecewise(-1, 1, abs, lipschitz=True),
    "sign": _piecewise(-1, 1, arb.sgn, lipschitz=False),
    "step": _piecewise(0, 1, _step_at, lipschitz=False),
    "max": _maximum,
    "min": lambda a, b: -_maximum(-a, -b),
}


def rational(numerator: int, denominator: int) -> arb:
    """A ball around an exact rational constant."""
    return arb(numerator) / denominator


def constant(name: str) -> arb:
    """A ball around ``pi`` or ``e``."""
    return {"pi": arb.pi, "e": arb.const_e}[name]()
