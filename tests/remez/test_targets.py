"""Every target of the catalogue: three forms that agree, and true statements about itself."""

import numpy as np
import pytest
from mpmath import mp, mpf
from scipy import special

from remez import targets
from remez.errors import ExpressionError
from remez.functions.definitions import DEFINITIONS
from remez.functions.expression import parse
from remez.functions.primitives import ARITY, OPERATORS

ALL = list(targets.CATALOGUE.values())


def intervals(target):
    inside = target.interval
    return [inside] if np.isscalar(inside[0]) else list(inside)


def points(target, count=9):
    return np.concatenate([np.linspace(low, high, count) for low, high in intervals(target)])


def every(test):
    return pytest.mark.parametrize("target", ALL, ids=lambda target: target.name)(test)


@every
def test_numpy_and_mpmath_agree(target):
    x = points(target)
    with mp.workdps(40):
        exact = np.array([float(target(mpf(float(value)))) for value in x])
    np.testing.assert_allclose(target(x), exact, rtol=2e-14, atol=2e-15)


@every
def test_balls_enclose_mpmath(target):
    flint = pytest.importorskip("flint")
    for x in map(float, points(target)):
        with mp.workdps(40):
            exact = target(mpf(x))
        wide = target(flint.arb(x, 2.0**-20))
        assert wide.is_finite()
        low, high = (float(end.mid()) for end in (wide.lower(), wide.upper()))
        assert low - 1e-15 * abs(low) <= exact <= high + 1e-15 * abs(high)
        if all(abs(x - singular) > 0.01 for singular in target.singular_points):
            assert high - low < 1e-4


@every
def test_series_enclose_taylor_coefficients(target):
    """At a smooth point the series of a small ball holds mpmath's Taylor coefficients."""
    flint = pytest.importorskip("flint")
    flint.ctx.cap = 5
    low, high = intervals(target)[-1]
    x = low + 0.6180339887 * (high - low)
    series = target(flint.arb_series([flint.arb(x, 2.0**-30), 1]))
    with mp.workdps(60):
        taylor = mp.taylor(target, mpf(x), 4)
    coefficients = series.coeffs() + [flint.arb(0)] * (5 - len(series.coeffs()))
    for ball, value in zip(coefficients, taylor, strict=True):
        middle, radius = float(ball.mid()), float(ball.rad())
        assert abs(middle - float(value)) <= radius + 1e-12 * (1 + abs(middle))
        assert radius < 1e-4 * (1 + abs(middle))


@every
def test_symmetry_is_as_stated(target):
    x = np.abs(points(target))
    left, right = target(-x), target(x)
    if target.symmetry:
        sign = 1 if target.symmetry == "even" else -1
        np.testing.assert_allclose(left, sign * right, rtol=1e-14, atol=1e-16)
    else:
        with np.errstate(invalid="ignore"):
            assert not np.allclose(left, right)
            assert not np.allclose(left, -right)


@every
def test_interval_lies_in_the_natural_domain(target):
    for low, high in intervals(target):
        assert any(a <= low < high <= b for a, b in target.domain)
    assert np.isfinite(target(points(target))).all()


@every
def test_singular_points_agree_with_the_expression(target):
    """Where the expression's critical arguments vanish, the catalogue names the point."""
    found = target.expression.singular_points(-8.0, 8.0)
    assert all(min(abs(p - s) for s in target.singular_points) < 1e-12 for p in found)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("gelu", lambda x: x * special.ndtr(x)),
        (
            "gelu_tanh",
            lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
        ),
        ("silu", lambda x: x / (1 + np.exp(-x))),
        ("mish", lambda x: x * np.tanh(np.log1p(np.exp(x)))),
        ("elu", lambda x: np.where(x > 0, x, np.expm1(x))),
        ("hard_swish", lambda x: x * np.clip(x + 3, 0, 6) / 6),
        ("leaky_relu", lambda x: np.where(x > 0, x, 0.01 * x)),
        ("soft_shrink", lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0)),
        ("jumprelu", lambda x: np.where(x > 1, x, 0)),
        ("softplus", lambda x: np.log1p(np.exp(x))),
    ],
)
def test_activations_are_what_the_literature_calls_them(name, reference):
    x = points(targets.get(name), 50)
    np.testing.assert_allclose(targets.get(name)(x), reference(x), rtol=1e-13, atol=1e-14)


def test_the_catalogue_covers_the_language():
    spelled = set(targets.CATALOGUE) | {"step", "max", "min"}
    assert spelled == (ARITY.keys() - OPERATORS.keys()) | DEFINITIONS.keys()


def test_parameters_move_the_function_and_its_singular_points():
    gate = targets.jumprelu.with_parameters(threshold="0.25")
    assert gate(np.array([0.2, 0.3])).tolist() == [0.0, 0.3]
    assert gate.singular_points == (0.25,)
    assert parse("leaky_relu(x, 0.2)")(-1.0) == -0.2
    with pytest.raises(ExpressionError, match="slope"):
        targets.gelu.with_parameters(slope="1")
    with pytest.raises(ExpressionError, match="nothing"):
        targets.get("nothing")
    with pytest.raises(AttributeError):
        _ = targets.nothing
