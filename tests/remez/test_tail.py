"""Enclosures over all large x: no value lies outside, and limits are found."""

from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mpmath import mp

from remez.functions.expression import parse

flint = pytest.importorskip("flint")

from remez.functions.tails import (  # noqa: E402
    FUNCTIONS,
    TailEnclosure,
)
from remez.verification.balls import exact  # noqa: E402 - needs python-flint

TEXTS = (
    *("exp(-x)", "exp(x)", "x**3*exp(-x)", "exp(-x**2)/(1 + x)", "exp(1/x)", "expm1(-x)"),
    *("log(x)", "log(x)/x", "log1p(x)/(1 + x)", "xlogx(x)", "x*log(1 + 1/x)"),
    *("1/(1 + x**2)", "x/(1 + abs(x))", "(x**2 - 3*x)/(2*x**2 + 7)", "1/(x - 2)**3", "x - x**2"),
    *("sqrt(1 + x**2)", "1/sqrt(2 + x)", "x**0.25", "cbrt(x)", "x**(1/3)/(1 + x)", "2**(-x)"),
    *("sin(x)/x", "cos(x)*exp(-x)", "atan(x)", "1/cosh(x)", "sinh(x)", "asinh(x)", "acosh(2 + x)"),
    *("tanh(x)", "erf(x)", "erfc(x)", "x*erfc(-x)", "sigmoid(x)", "softplus(x)", "softplus(x) - x"),
    *("gelu(x)", "gelu_tanh(x)", "silu(x)", "mish(x)", "elu(x)", "relu(x)", "softsign(x)"),
    *("hard_sigmoid(x)", "soft_shrink(x)", "gate(x)", "sign(-x)", "max(x, 3)", "min(1/x, 2)"),
    *("max(sin(x), 1/2)", "j0(x)/x", "gamma(1 + 1/x)", "lgamma(2 + 1/x)", "tan(1/x)", "acos(1/x)"),
    *("asin(1/x)", "atanh(1/x)", "j1(1/x)", "pi + e/x", "x**e*exp(-x)"),
)


def tail(reach, sign):
    return TailEnclosure(exact(reach), Fraction(1), exact(sign), exact(sign))


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(TEXTS),
    st.integers(0, 40).map(lambda k: 2.0 ** (k / 2)),
    st.floats(0, 30).map(lambda u: 2.0**u),
    st.sampled_from([1, -1]),
)
def test_no_value_lies_outside(text, reach, factor, sign):
    f, x = parse(text), sign * reach * factor
    bound = f.tail(tail(reach, sign))
    with mp.workdps(40):
        value = f(mp.mpf(x))
        assume(mp.isfinite(value) and abs(value) < mp.mpf(10) ** 100)
        g = exact(
            value / mp.mpf(abs(x)) ** (mp.mpf(bound.power.numerator) / bound.power.denominator)
        )
    slack = abs(g) * 1e-30  # mpmath's own rounding
    assert not g + slack < bound.low
    assert not g - slack > bound.high


@pytest.mark.parametrize(
    ("text", "sign", "limit"),
    [
        ("exp(-x)", 1, 0),
        ("x**3*exp(-x)", 1, 0),
        ("1/(1 + x**2)", -1, 0),
        ("x/(1 + abs(x))", -1, -1),
        ("tanh(x)", 1, 1),
        ("erf(x)", -1, -1),
        ("gelu(x)", -1, 0),
        ("1/cosh(x)", 1, 0),
        ("(x**2 - 3*x)/(2*x**2 + 7)", 1, 0.5),
        ("log(x)/x", 1, 0),
        ("softplus(x) - max(x, 0)", -1, 0),
    ],
)
def test_limits_are_found(text, sign, limit):
    values = parse(text).tail(tail(1e12, sign)).values
    assert values.contains(exact(limit))
    assert values.rad() < 1e-9


def test_what_grows_or_is_unknown_has_no_values():
    for text in ("x", "exp(x)", "gamma(x)", "tan(x)", "1/sin(x)"):
        assert not parse(text).tail(tail(100.0, 1)).values.is_finite()


def test_every_function_has_a_tail_form():
    from remez.functions.primitives import ARITY

    assert FUNCTIONS.keys() == ARITY.keys()
