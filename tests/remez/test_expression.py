"""The parser accepts the catalogue's language and nothing else; the three arithmetics agree."""

import ast
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from remez.errors import ExpressionError
from remez.functions.expression import Expression, as_expression, parse
from remez.functions.primitives import ARITY, OPERATORS

FUNCTIONS = sorted(ARITY.keys() - OPERATORS.keys())
ONE_ARGUMENT = [name for name in FUNCTIONS if ARITY[name] == 1]


@st.composite
def expressions(draw, depth=3):
    """Texts of the language."""
    if depth == 0:
        return draw(st.sampled_from(["x", "pi", "e", "2", "0.1", "3e-2"]))
    inner = expressions(depth=depth - 1)
    match draw(st.integers(0, 3)):
        case 0:
            return draw(inner)
        case 1:
            operator = draw(st.sampled_from(["+", "-", "*", "/"]))
            return f"({draw(inner)} {operator} {draw(inner)})"
        case 2:
            return f"({draw(inner)})**{draw(st.integers(0, 3))}"
        case _:
            return f"{draw(st.sampled_from(ONE_ARGUMENT))}({draw(inner)})"


HOSTILE = [
    "__import__('os').system('echo hacked')",
    "().__class__.__mro__[1].__subclasses__()",
    "(lambda: 1)()",
    "[x for x in (1,)]",
    "exp.__globals__",
    "exp(*x)",
    "exp(x=1)",
    "exp(**{})",
    "x if x else 1",
    "x := 3",
    "f'{x}'",
    "'a' * 3",
    "x[0]",
    "x @ x",
    "x % 2",
    "x // 2",
    "~x",
    "not x",
    "x < 1",
    "x and 1",
    "True",
    "None",
    "...",
    "1j",
    "open('f')",
    "eval('1')",
    "add(x, x)",
    "x; x",
    "import os",
    "",
    "\0",
    "0x10",
    "1e999999999",
    "nan",
    "inf",
    "x" * 5000,
    "(" * 400 + "x" + ")" * 400,
    "-" * 999 + "x",
    "gelu(" * 60 + "x" + ")" * 60,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_not_in_the_language_is_refused_in_one_line(text):
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=60) | st.from_regex(r"[x0-9a-z_().,'*+/\[\]:= -]{0,40}", fullmatch=True))
@example("__builtins__")
@settings(max_examples=300, deadline=None)
def test_any_text_parses_or_is_refused_and_nothing_runs(text):
    """The result holds only the four node types over the listed functions: there is no other
    value that evaluating it could reach."""
    try:
        expression = parse(text)
    except ExpressionError:
        return
    stack = [expression.tree]
    while stack:
        node = stack.pop()
        assert type(node).__name__ in {"Variable", "Number", "Constant", "Apply"}
        if type(node).__name__ == "Apply":
            assert node.function in ARITY
            stack.extend(node.arguments)


def test_parsing_never_evaluates(monkeypatch):
    def refuse(*arguments, **keywords):
        raise AssertionError("executed")

    monkeypatch.setattr("builtins.eval", refuse)
    monkeypatch.setattr("builtins.exec", refuse)
    for text in ["eval('1')", "exec('1')", "exp(x)", *HOSTILE]:
        try:
            parse(text + " ")
        except ExpressionError:
            continue


@given(expressions(), st.floats(-3, 3))
@settings(max_examples=150, deadline=None)
def test_float_values_are_those_of_python(text, x):
    """Against Python's own arithmetic on the same text, with NumPy's functions."""
    from remez.functions.float64 import FUNCTIONS as forms

    names = {name: forms[name] for name in ONE_ARGUMENT} | {"pi": np.pi, "e": np.e}
    with np.errstate(all="ignore"):
        code = compile(ast.parse(text, mode="eval"), "test", "eval")
        try:
            expected = eval(code, {"__builtins__": {}}, names | {"x": np.float64(x)})
        except ZeroDivisionError:
            return
    np.testing.assert_allclose(parse(text)(x), expected, rtol=1e-12)


@given(expressions(), st.floats(-2, 2))
@settings(max_examples=150, deadline=None)
def test_balls_contain_the_multiprecision_value(text, x):
    flint = pytest.importorskip("flint")
    expression = parse(text)
    ball = expression(flint.arb(x))
    with mp.workdps(40):
        value = expression(mpf(x))
        if ball.is_finite() and mp.isfinite(value):
            low, high = (
                mpf(str(end.str(30, radius=False))) for end in (ball.lower(), ball.upper())
            )
            slack = mpf(10) ** -25 * (1 + abs(value))
            assert low - slack <= value <= high + slack


def test_numbers_are_exact_in_every_arithmetic():
    with mp.workdps(40):
        assert parse("0.1")(mpf(0)) == mpf(1) / 10
    assert parse("1/3").tree.value == Fraction(1, 3)
    assert parse("-1/8")(0.0) == -0.125


def test_shapes_are_kept_and_constants_broadcast():
    assert parse("exp(x)")(np.zeros((2, 3))).shape == (2, 3)
    assert parse("2")(np.zeros(4)).tolist() == [2.0] * 4
    assert np.ndim(parse("x")(1)) == 0


def test_outside_the_real_domain_every_form_says_nan():
    for text in ["sqrt(x)", "log(x)", "x**0.5", "acosh(x)"]:
        assert np.isnan(parse(text)(-2.0))
        assert mp.isnan(parse(text)(mpf(-2)))
    assert mp.isnan(parse("1/x")(mpf(0)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abs(x)", (0.0,)),
        ("exp(x)", ()),
        ("max(x, 0.25)", (0.25,)),
        ("relu(x - 1/3)", (1 / 3,)),
        ("sqrt(x) + abs(x - 0.5)", (0.0, 0.5)),
        ("jumprelu(x, 0.7)", (0.7,)),
    ],
)
def test_singular_points_are_found(text, expected):
    assert parse(text).singular_points(-1, 1) == pytest.approx(expected, abs=1e-15)


def test_expressions_are_values():
    one, other = parse("x + 1"), parse("x  +  1")
    assert one == other
    assert hash(one) == hash(other)
    assert pickle.loads(pickle.dumps(one)) == one
    assert pickle.loads(pickle.dumps(one))(2.0) == 3.0
    assert as_expression(one) is one
    assert as_expression(np.exp) is None


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("x^2", r"\*\*"),
        ("foo(x)", "foo"),
        ("y", "'y'"),
        ("exp(x, x)", "1 argument"),
        ("x +", "read"),
    ],
)
def test_messages_name_the_cause(text, word):
    with pytest.raises(ExpressionError, match=word):
        parse(text)


@given(st.sampled_from(["exp", "tanh", "gamma", "erfc", "j0", "j1", "asinh", "softplus", "mish"]))
@settings(max_examples=20, deadline=None)
def test_series_of_a_ball_are_taylor_coefficients(name):
    flint = pytest.importorskip("flint")
    flint.ctx.cap = 6
    expression = parse(f"{name}(x)")
    series = expression(flint.arb_series([flint.arb(1.25), 1]))
    with mp.workdps(60):
        taylor = mp.taylor(lambda x: Expression.multiprecision(expression, x), mpf("1.25"), 5)
    for ball, value in zip(series.coeffs(), taylor, strict=True):
        assert abs(float(ball.mid()) - float(value)) <= 1e-11 * (1 + abs(float(value)))
