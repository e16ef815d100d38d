r"""Tail enclosures: bounds on a function for all ``x >= X`` (or ``x <= -X``), X >= 1.

A `TailEnclosure` says ``f(x) = |x|^power g(x)`` with g(x) in a fixed interval wherever
``|x| >= X``. Sums, products and quotients of tail enclosures are tail enclosures, so that
1/(1 + x²) is known to decay like x^-2, whereas interval arithmetic only gives 1/[X², inf]. An
exponential that vanishes is represented by ``|x|^-32 [0, X^32 exp(-c X^p)]``, valid once
``|x|^32 exp(-c |x|^p)`` decreases; products such as ``x exp(-x)`` therefore vanish as well. A
function without a known bound is enclosed by the whole real line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from flint import arb

from remez.functions import arb as ball

DECAY = 32  # exponentials are bounded by x to this negative power
SLOW = Fraction(1, 8)  # logarithms are bounded by x to this power

Operand = Any  # a TailEnclosure, or a constant: an arb, a fraction or an integer


@dataclass(frozen=True)
class TailEnclosure:
    """``f(x) = |x|**power g(x)``, ``low <= g(x) <= high`` wherever ``|x| >= reach``.

    ``TailEnclosure(reach, Fraction(1), sign, sign)`` is x itself, with sign 1 towards infinity
    and -1 towards minus infinity.

    >>> x = TailEnclosure(arb(1000), Fraction(1), arb(1), arb(1))
    >>> f = 1 / (1 + x * x)
    >>> int(f.power), f.high <= 1, f.low > 0.999998
    (-2, True, True)
    """

    reach: arb
    power: Fraction
    low: arb
    high: arb

    @property
    def sign(self) -> int:
        """The sign of g if its enclosure excludes zero, otherwise 0."""
        return 1 if self.low > 0 else -1 if self.high < 0 else 0

    @property
    def _zero(self) -> bool:
        return bool(self.low == 0 and self.high == 0)

    @property
    def values(self) -> arb:
        """A ball around all values of f; not finite if f may be unbounded."""
        inner = self._at(Fraction(0)) if self.power <= 0 else self._unknown()
        return inner.low.union(inner.high)

    def _unknown(self) -> TailEnclosure:
        return TailEnclosure(self.reach, Fraction(0), -arb.pos_inf(), arb.pos_inf())

    def _constant(self, value: Operand) -> TailEnclosure:
        """A constant, or the range of a function over the tail."""
        value = _ball(value)
        return self._spanned(Fraction(0), value.lower(), value.upper())

    def _spanned(self, power: Fraction, *ends: arb) -> TailEnclosure:
        """A tail enclosure of that power, g between the least and greatest of ``ends``."""
        if any(end.is_nan() for end in ends):
            return self._unknown()
        low, high = ends[0].lower(), ends[0].upper()
        for end in ends[1:]:
            low, high = low.min(end.lower()).lower(), high.max(end.upper()).upper()
        return TailEnclosure(self.reach, power, low, high)

    def of(self, other: Operand) -> TailEnclosure:
        """The operand as an enclosure over the same tail, constants included."""
        return other if isinstance(other, TailEnclosure) else self._constant(other)

    def _at(self, power: Fraction) -> TailEnclosure:
        """The same function represented with a larger power."""
        if power == self.power:
            return self
        factor = self.size(self.power - power)
        return self._spanned(power, arb(0), _times(self.low, factor), _times(self.high, factor))

    def size(self, power: Fraction) -> arb:
        """``reach ** power``."""
        return self.reach ** (arb(power.numerator) / power.denominator)

    def __neg__(self) -> TailEnclosure:
        return replace(self, low=-self.high, high=-self.low)

    def __add__(self, other: Operand) -> TailEnclosure:
        b = self.of(other)
        if self._zero or b._zero:
            return b if self._zero else self
        power = max(self.power, b.power)
        a, b = self._at(power), b._at(power)
        return self._spanned(power, a.low + b.low, a.high + b.high)

    def __sub__(self, other: Operand) -> TailEnclosure:
        return self + -self.of(other)

    def __rsub__(self, other: Operand) -> TailEnclosure:
        return self.of(other) + -self

    def __mul__(self, other: Operand) -> TailEnclosure:
        b = self.of(other)
        ends = [_times(x, y) for x in (self.low, self.high) for y in (b.low, b.high)]
        return self._spanned(self.power + b.power, *ends)

    def __truediv__(self, other: Operand) -> TailEnclosure:
        b = self.of(other)
        if not b.sign:
            return self._unknown()
        return self * self._spanned(-b.power, _inverse(b.low), _inverse(b.high))

    def __rtruediv__(self, other: Operand) -> TailEnclosure:
        return self.of(other) / self

    __radd__, __rmul__ = __add__, __mul__


def _ball(value: Operand) -> arb:
    if isinstance(value, Fraction):
        return arb(value.numerator) / value.denominator
    return arb(value)


def _times(x: arb, y: arb) -> arb:
    return arb(0) if x == 0 or y == 0 else x * y  # 0 times infinity is 0 here: one factor vanishes


def _inverse(x: arb) -> arb:
    return 1 / x if x.is_finite() else arb(0)


def _positive(x: TailEnclosure) -> TailEnclosure:
    """The nonnegative part of an enclosure."""
    return x._spanned(x.power, x.low.max(arb(0)), x.high.max(arb(0)))


def _below(x: TailEnclosure) -> TailEnclosure:
    """The interval from 0 to x."""
    return x._spanned(x.power, arb(0), x.high)


def _power(x: Operand, exponent: Operand) -> TailEnclosure:
    if isinstance(exponent, int):
        return _integer_power(x, exponent)
    if not isinstance(exponent, Fraction):
        return _exp(exponent * (_log(x) if isinstance(x, TailEnclosure) else _ball(x).log()))
    return _fractional_power(x, exponent)


def _fractional_power(x: TailEnclosure, exponent: Fraction) -> TailEnclosure:
    if not x.low >= 0:
        return x._unknown()
    if exponent < 0:
        return 1 / _fractional_power(x, -exponent)
    a = _ball(exponent)
    return x._spanned(x.power * exponent, *(end**a if end > 0 else end for end in (x.low, x.high)))


def _integer_power(x: TailEnclosure, exponent: int) -> TailEnclosure:
    if exponent < 0:
        return 1 / _integer_power(x, -exponent)
    out = x._constant(1)
    for _ in range(exponent):
        out = out * x
    return out if exponent % 2 else _positive(out)


def _exp(x: TailEnclosure) -> TailEnclosure:
    """exp of a function that tends to plus or minus infinity."""
    if not (x.power > 0 and x.sign):
        return _values("exp")(x)
    slow, one = (x.high if x.sign < 0 else x.low), arb(1)
    if not abs(slow) * _ball(x.power) * x.size(x.power) >= DECAY:  # not yet monotone
        return x._spanned(Fraction(0), *((arb(0), one) if x.sign < 0 else (one, arb.pos_inf())))
    power = Fraction(x.sign * DECAY)
    edge = x.size(-power) * (slow * x.size(x.power)).exp()
    return x._spanned(power, edge, arb(0) if x.sign < 0 else arb.pos_inf())


def _log(x: TailEnclosure) -> TailEnclosure:
    """``power log|x| + log g``."""
    if not x.sign > 0:
        return x._unknown()
    constant = x._spanned(Fraction(0), x.low.log(), x.high.log())
    slow = x.reach > (1 / _ball(SLOW)).exp()  # from there on log|x| / |x|^SLOW decreases
    growth = x.reach.log() * x.size(-SLOW) if slow else arb(1)
    whole = x._spanned(SLOW if slow else Fraction(1), arb(0), growth)
    return constant + whole * x.power if x.power else constant


def _values(name: str) -> Callable[[TailEnclosure], TailEnclosure]:
    """The function in ball arithmetic over the range of a bounded tail."""

    def form(x: TailEnclosure) -> TailEnclosure:
        values = x.values
        return x._constant(ball.FUNCTIONS[name](values)) if values.is_finite() else x._unknown()

    return form


def _grown(
    name: str,
    right: Callable[[TailEnclosure], TailEnclosure],
    left: Callable[[TailEnclosure], TailEnclosure],
) -> Callable[[TailEnclosure], TailEnclosure]:
    """``right`` if the argument tends to infinity, ``left`` if it tends to minus infinity."""
    plain = _values(name)

    def form(x: TailEnclosure) -> TailEnclosure:
        if not (x.power > 0 and x.sign):
            return plain(x)
        return right(x) if x.sign > 0 else left(x)

    return form


def _bounded(name: str) -> Callable[[TailEnclosure], TailEnclosure]:
    plain = _values(name)
    return lambda x: plain(x) if x.values.is_finite() else x._spanned(Fraction(0), arb(-1), arb(1))


def _odd(
    name: str, right: Callable[[TailEnclosure], TailEnclosure]
) -> Callable[[TailEnclosure], TailEnclosure]:
    return _grown(name, right, lambda x: -right(-x))


def _abs(x: TailEnclosure) -> TailEnclosure:
    largest = abs(x.low).max(abs(x.high))
    return (x if x.sign > 0 else -x) if x.sign else x._spanned(x.power, arb(0), largest)


def _step(x: TailEnclosure, below: int) -> TailEnclosure:
    ends = (arb(below),) if x.high <= 0 else (arb(1),) if x.low > 0 else (arb(below), arb(1))
    return x._spanned(Fraction(0), *ends)


def _maximum(a: Operand, b: Operand) -> TailEnclosure:
    gap: TailEnclosure = a - b
    a, b = gap.of(a), gap.of(b)
    if gap.low >= 0 or gap.high <= 0:
        return a if gap.low >= 0 else b
    power = max(a.power, b.power)
    a, b = a._at(power), b._at(power)
    return TailEnclosure(a.reach, power, a.low.max(b.low).lower(), a.high.max(b.high).upper())


# erfc(v) <= exp(-v²) for v >= 0: NIST DLMF 7.8.3 and its limit at 0
_erfc = _grown("erfc", lambda v: _below(_exp(-(v * v))), lambda v: 2 - _below(_exp(-(v * v))))
_sigmoid = _grown("sigmoid", lambda v: 1 - _below(_exp(-v)), lambda v: _below(_exp(v)))

_RULES: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": _power,
    "neg": lambda a: -a,
    "exp": _exp,
    "expm1": lambda x: _exp(x) - 1,
    "log": _log,
    "log1p": lambda x: _log(1 + x),
    "sqrt": lambda x: _power(x, Fraction(1, 2)),
    "cbrt": lambda x: _power(x, Fraction(1, 3)) if x.low >= 0 else -_power(-x, Fraction(1, 3)),
    "xlogx": lambda x: x * _log(x),
    "sin": _bounded("sin"),
    "cos": _bounded("cos"),
    "tan": _values("tan"),
    "asin": _values("asin"),
    "acos": _values("acos"),
    "atan": _odd("atan", lambda v: arb.pi() / 2 - _values("atan")(1 / v)),
    "sinh": lambda x: (_exp(x) - _exp(-x)) / 2,
    "cosh": lambda x: (_exp(x) + _exp(-x)) / 2,
    "tanh": _odd("tanh", lambda v: 1 - 2 * _below(_exp(-2 * v))),
    "asinh": _odd("asinh", lambda v: _log(v + _power(v * v + 1, Fraction(1, 2)))),
    "acosh": lambda v: _log(v + _power(v * v - 1, Fraction(1, 2))),
    "atanh": _values("atanh"),
    "gamma": _values("gamma"),
    "lgamma": _values("lgamma"),
    "erf": lambda x: 1 - _erfc(x),
    "erfc": _erfc,
    "j0": _bounded("j0"),
    "j1": _bounded("j1"),
    "sigmoid": _sigmoid,
    "softplus": _grown("softplus", lambda v: v + _below(_exp(-v)), lambda v: _below(_exp(v))),
    "abs": _abs,
    "sign": lambda x: _step(x, -1) if x.sign else _values("sign")(x),
    "step": lambda x: _step(x, 0),
    "max": _maximum,
    "min": lambda a, b: -_maximum(-a, -b),
}


def _lift(name: str) -> Callable[..., Any]:
    """The function of tail enclosures; of balls if all operands are constants."""

    def form(*operands: Operand) -> Operand:
        if any(isinstance(operand, TailEnclosure) for operand in operands):
            return _RULES[name](*operands)
        return ball.FUNCTIONS[name](*(v if isinstance(v, int) else _ball(v) for v in operands))

    return form


FUNCTIONS: dict[str, Callable[..., Any]] = {name: _lift(name) for name in _RULES}


def rational(numerator: int, denominator: int) -> Fraction:
    """An exact rational constant."""
    return Fraction(numerator, denominator)


constant = ball.constant
