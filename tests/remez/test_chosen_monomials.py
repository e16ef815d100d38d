"""Polynomials over chosen powers, against linear programs on fixed grids and ordinary fits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

import remez
from remez import DegreeError, DomainError, fit_monomials

QUARTER = np.pi / 4


def on_a_grid(f, powers, low, high, count=1501):
    x = np.linspace(low, high, count)
    a = x[:, None] ** np.array(powers)
    one = np.ones((count, 1))
    rows = np.block([[a, -one], [-a, -one]])
    bounds = [(None, None)] * len(powers) + [(0, None)]
    return linprog(
        np.append(np.zeros(len(powers)), 1), rows, np.append(f(x), -f(x)), bounds=bounds
    ).fun


def test_odd_powers_are_the_odd_fit():
    p = fit_monomials("sin(x)", [1, 3, 5], (-QUARTER, QUARTER))
    assert p.error == pytest.approx(remez.fit("sin", (5, 0), (-QUARTER, QUARTER)).error, rel=1e-5)
    assert list(p.coefficients) == [1, 3, 5]


def test_the_relative_error_of_sine():
    """1.507e-6 is what libm writers' tools give for sine by three odd terms on (0, π/4)."""
    p = fit_monomials("sin(x)", [1, 3, 5], (0, QUARTER), weight="relative")
    assert p.error == pytest.approx(1.507e-6, rel=1e-3)


def test_a_fixed_coefficient_is_exact():
    p = fit_monomials("sin(x)", [1, 3, 5], (-QUARTER, QUARTER), fixed={1: 1.0})
    assert p.coefficients[1] == 1.0
    rest = fit_monomials(lambda x: np.sin(x) - x, [3, 5], (-QUARTER, QUARTER))
    assert p.error == pytest.approx(rest.error, rel=1e-6)
    assert p.coefficients[3] == pytest.approx(rest.coefficients[3], rel=1e-6)


def test_without_haars_condition():
    """x and x² on [-1, 1]: the best to |x| is a x² with a² + 4 a = 4, error a - 1 + ... by hand:
    max(1/(4a), |1 - a|) is least where 1/(4a) = a - 1, a = (1 + √2)/2."""
    p = fit_monomials(np.abs, [1, 2], (-1, 1))
    assert p.error == pytest.approx((np.sqrt(2) - 1) / 2, rel=1e-6)
    assert p.coefficients[1] == pytest.approx(0, abs=1e-6)
    assert p.coefficients[2] == pytest.approx((1 + np.sqrt(2)) / 2, rel=1e-6)


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.integers(0, 8), min_size=1, max_size=5, unique=True),
    st.floats(-2, 1.5),
    st.sampled_from([np.exp, np.cos, np.abs]),
)
def test_no_worse_than_a_linear_program(powers, low, fn):
    p = fit_monomials(fn, powers, (low, low + 1.5))
    least = on_a_grid(fn, sorted(powers), low, low + 1.5)
    assert p.lower_bound <= p.error * (1 + 1e-12)
    assert p.error >= least * (1 - 1e-6) - 1e-9
    assert p.error <= least * (1 + 1e-2) + 1e-7
    x = np.linspace(low, low + 1.5, 20_001)
    assert np.abs(fn(x) - p(x)).max() <= p.error * (1 + 1e-4) + 1e-14


def test_a_union_and_a_weight():
    p = fit_monomials("sign", [1, 3, 5], weight=lambda x: np.abs(x))
    x = np.geomspace(0.01, 1, 10_001)
    assert (x * np.abs(1 - p(x))).max() <= p.error * (1 + 1e-6)


@pytest.mark.parametrize(
    ("basis", "fixed"),
    [([], None), ([1, 1], None), ([-1], None), ([1.5], None), ([1], {1: 1.0}), ("x", None),
     (3, None), ([1], {2: np.nan}), ([1000], None)],
)  # fmt: skip
def test_impossible_powers(basis, fixed):
    with pytest.raises(DegreeError):
        fit_monomials(np.exp, basis, fixed=fixed)


def test_an_unbounded_domain():
    with pytest.raises(DomainError):
        fit_monomials("exp(-x)", [0, 1], (0, np.inf))


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize(
    ("fn", "basis", "fixed"),
    [
        ("sin(x)", [1, 3, 5], {1: 1.0}),
        ("cos(x)", [0, 2, 4], None),
        (lambda x: np.exp(x), [0, 1, 4], None),
        ("exp(x)", [0, 1, 2, 3], {0: 1.0, 1: 1.0}),
    ],
)
def test_code_keeps_the_chosen_powers_and_its_bound(fn, basis, fixed, dtype):
    fit = fit_monomials(fn, basis, (-0.75, 0.75), fixed=fixed)
    code = fit.to_code("python", dtype)
    assert code.certified == isinstance(fn, str)
    assert code.error >= fit.lower_bound
    single = dtype != "float64"
    x = np.linspace(-0.75, 0.75, 5001).astype(np.float32 if single else float)
    value = code.program(x, np.float32 if single else np.float64).astype(float)
    exact = fit.problem.target()(x.astype(float))
    assert np.abs(value - exact).max() <= code.bound
    if dtype == "float64":
        assert code.bound <= fit.error * (1 + 1e-5)
        assert set(fit.coefficients.values()) <= set(code.program.constants()) | {1.0}


def test_code_of_a_weighted_fit_is_bounded():
    fit = fit_monomials("sin(x)", [1, 3, 5], (-0.75, 0.75), weight="relative")
    code = fit.to_code("c")
    assert code.bound == pytest.approx(fit.error, rel=1e-3)
