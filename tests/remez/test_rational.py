"""The barycentric form against the rational that it was made from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import remez
from remez import BarycentricRational


def made(poles, residues, constant, nodes):
    """``constant + sum residues/(x - poles)`` in barycentric form on the given nodes."""
    values = constant + sum(r / (nodes - p) for p, r in zip(poles, residues, strict=True))
    weights = np.array([np.prod(z - poles) / np.prod(z - nodes[nodes != z]) for z in nodes])
    return BarycentricRational(nodes, values, weights, (len(poles), len(poles)))


@given(
    st.lists(st.floats(1.2, 5), min_size=1, max_size=4, unique_by=lambda p: round(p, 1)),
    st.floats(-2, 2),
)
def test_everything_is_read_off_correctly(poles, constant):
    poles = np.array(sorted(poles))
    residues = 1 + np.arange(poles.size)
    nodes = np.cos(np.linspace(np.pi, 0, poles.size + 1))
    r = made(poles, residues, constant, nodes)
    x = np.append(np.linspace(-1, 1, 33), nodes)
    expected = constant + (residues / (x[:, None] - poles)).sum(1)
    slope = -(residues / (x[:, None] - poles) ** 2).sum(1)
    np.testing.assert_allclose(r(x), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(r.derivative()(x), slope, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(np.sort(r.poles().real), poles, rtol=1e-6)
    np.testing.assert_allclose(r.residues()[r.poles().real.argsort()].real, residues, rtol=1e-4)
    p, q = r.polynomials((-1, 1))
    np.testing.assert_allclose(p(x) / q(x), expected, rtol=1e-8, atol=1e-8)
    where, amounts, rest = r.partial_fractions()
    split = (amounts / (x[:, None] - where)).sum(1).real + rest(x)
    np.testing.assert_allclose(split, expected, rtol=1e-6, atol=1e-6)


def test_shapes_limits_and_nan():
    r = made(np.array([2.0]), np.array([1]), 0.5, np.array([-1.0, 1.0]))
    assert isinstance(r(0.3), float)
    assert r(np.zeros((2, 3))).shape == (2, 3)
    assert r(np.inf) == pytest.approx(0.5)
    assert np.isnan(r(np.nan))
    assert r(np.zeros(10000)).size == 10000


@pytest.mark.parametrize("fn", [np.tanh, np.cosh, np.cbrt])
def test_folded_answers_are_consistent(fn):
    fit = remez.fit(fn, (6, 5), (-2, 2))
    flat = BarycentricRational(
        fit.rational.nodes, fit.rational.values, fit.rational.weights, (6, 5)
    )
    x = np.linspace(-2, 2, 101)
    np.testing.assert_allclose(flat(x), fit(x), atol=1e-11)
    h = 1e-6
    np.testing.assert_allclose(
        fit.derivative()(x), (fit(x + h) - fit(x - h)) / (2 * h), rtol=1e-4, atol=1e-4
    )
    assert np.abs(fit(fit.zeros().real[np.abs(fit.zeros().imag) < 1e-12])).max(initial=0) < 1e-9
