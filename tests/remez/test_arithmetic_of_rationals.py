"""Arithmetic of rationals against the same arithmetic of their values."""

import operator

import numpy as np
import pytest
from numpy.polynomial import Chebyshev, Polynomial

import remez

X = np.linspace(-0.9, 0.9, 41)
OPERATIONS = [operator.add, operator.sub, operator.mul, operator.truediv]


@pytest.fixture(scope="module")
def pair():
    return remez.fit(np.exp, (3, 2)), remez.fit(lambda x: 2 + np.tanh(x), (4, 4))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_two_rationals(pair, operation):
    r, s = pair
    both = operation(r, s)
    np.testing.assert_allclose(both(X), operation(r(X), s(X)), rtol=1e-14)
    assert isinstance(both(0.3), float)
    h = 1e-6
    slope = (both(X + h) - both(X - h)) / (2 * h)
    np.testing.assert_allclose(both.derivative()(X), slope, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(both.deriv()(X), slope, rtol=1e-6, atol=1e-8)
    p, q = both.polynomials()
    np.testing.assert_allclose(p(X) / q(X), both(X), rtol=1e-11)
    assert (p.degree(), q.degree()) <= both.degree
    for zero in both.zeros():
        assert abs(both(zero)) < 1e-6 * (1 + abs(zero)) ** 8


@pytest.mark.parametrize("other", [2.5, 3, Polynomial([1, 2, 0.5]), Chebyshev([2, 0.3])])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_scalars_and_polynomials_on_both_sides(pair, operation, other):
    r = pair[0]
    value = other(X) if callable(other) else other
    np.testing.assert_allclose(operation(r, other)(X), operation(r(X), value), rtol=1e-13)
    if not callable(other):
        np.testing.assert_allclose(operation(other, r)(X), operation(value, r(X)), rtol=1e-13)


def test_powers_and_signs(pair):
    r = pair[0]
    np.testing.assert_allclose((-r)(X), -r(X))
    np.testing.assert_allclose((r**3)(X), r(X) ** 3, rtol=1e-14)
    np.testing.assert_allclose((r**-2)(X), r(X) ** -2.0, rtol=1e-14)
    np.testing.assert_allclose((r**0)(X), np.ones_like(X))
    assert (r**3).degree == (9, 6)
    np.testing.assert_allclose(np.unique((r**2).poles().round(9)), np.unique(r.poles().round(9)))
    with pytest.raises(TypeError):
        r**0.5
    with pytest.raises(TypeError):
        r + "text"


def test_degrees_zeros_and_poles(pair):
    r, s = pair
    assert (r + s).degree == (7, 6)
    assert (r * s).degree == (7, 6)
    assert (r / s).degree == (7, 6)
    assert len((r * s).poles()) == 6
    expected = sorted([*r.zeros(), *s.poles()], key=lambda z: (z.real, z.imag))
    np.testing.assert_allclose((r / s).zeros(), expected)
    difference = r - 1.5
    (near,) = [z for z in difference.zeros() if abs(z) < 1]
    assert abs(near - np.log(1.5)) < 1e-4


def test_second_derivative():
    r = remez.fit(np.exp, (5, 4))
    second = r.deriv().deriv()
    np.testing.assert_allclose(second(X), np.exp(X), rtol=1e-6)


def test_multiprecision_stays_so():
    r = remez.fit(remez.targets.exp, (3, 3), precision=30)
    assert abs((r * r - r**2)(0.25)) < 1e-28


def test_a_float_divided_by_a_rational_of_many_digits():
    r = remez.fit("exp", (5, 5), precision=20)
    assert float((1 / r)(0.5) * r(0.5)) == pytest.approx(1, abs=1e-15)
    assert [float(v) for v in (1 / r)([0.5, 0.25])] == pytest.approx(np.exp([-0.5, -0.25]))
    assert float((r**-2)(0.5)) == pytest.approx(np.exp(-1))


@pytest.mark.parametrize("zero", [0, 0.0, -0.0, np.float64(0), Polynomial([0.0, 0.0])])
def test_division_by_zero_is_refused(pair, zero):
    with pytest.raises(remez.TargetError, match="divided by zero"):
        pair[0].rational / zero
    with pytest.raises(remez.TargetError, match="divided by zero"):
        pair[0] / zero


def test_numbers_that_no_float_holds_are_told():
    r = remez.fit("exp(x)", (2, 2), domain=(0, 1))
    with pytest.raises(remez.TargetError, match="scale it first"):
        r + 10**400
    with pytest.raises(remez.DegreeError, match="more than 1,000"):
        r**10**6
