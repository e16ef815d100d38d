"""Poles and residues against theory and against mpmath's zeros of exact polynomials."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

import remez
from remez import BarycentricRational, RemezError
from remez.rational.arithmetic import FlintArithmetic, MpmathArithmetic
from remez.rational.exact_roots import exact_roots


def test_poles_of_a_root_lie_on_the_negative_axis():
    """x^a is a Stieltjes function: so are poles and zeros of its best, and they alternate."""
    fit = remez.fit(lambda x: x**0.125, (20, 20), (0, 1))
    poles, zeros = fit.poles(), fit.zeros()
    assert poles.size == zeros.size == 20
    assert not poles.imag.any()
    assert poles.real.max() < 0
    assert zeros.real.max() < 0
    both = np.concatenate([poles.real, zeros.real])
    kind = np.repeat([0, 1], 20)[np.argsort(both)]
    assert (np.diff(kind) != 0).all()


@pytest.mark.parametrize("n", [8, 20, 50])
def test_poles_of_abs_lie_on_the_imaginary_axis(n):
    """H.-P. Blatt, A. Iserles, E. B. Saff, Remarks on the behaviour of zeros of best approximating
    polynomials and rational functions, Algorithms for Approximation, 1987."""
    fit = remez.fit(np.abs, (n, n))
    poles, residues = fit.poles(), fit.residues()
    assert poles.size == n
    assert not poles.real.any()
    assert np.unique(poles).size == n
    x = np.linspace(-1, 1, 1001)
    where, amounts, rest = fit.partial_fractions()
    split = (amounts / (x[:, None] - where)).sum(1).real + rest(x)
    assert np.abs(split - fit(x)).max() < 1e-11
    assert residues.size == n


def test_poles_agree_with_a_multiprecision_fit():
    double = remez.fit(remez.targets.sqrt, (10, 10), (0, 1))
    exact = remez.fit(remez.targets.sqrt, (10, 10), (0, 1), precision=30)
    expected = np.array([complex(z) for z in exact.poles()])
    np.testing.assert_allclose(double.poles(), expected, rtol=1e-4)


@pytest.mark.parametrize("degree", [(1, 30), (30, 3), (9, 9), (4, 20)])
@pytest.mark.parametrize("fn", [np.exp, np.cos, lambda x: 1 / (1 + 25 * x * x)])
def test_no_pole_is_invented(fn, degree):
    """exp and cos have no pole: those of a best approximation stay away from the domain."""
    fit = remez.fit(fn, degree, throw=False)
    poles = fit.poles()
    assert len(poles) <= degree[1]
    assert fit.residues().shape == poles.shape
    if not fit.converged:
        return
    near = poles[np.abs(poles) < 1.1]
    known = np.array([]) if fn in (np.exp, np.cos) else np.array([-0.2j, 0.2j])
    np.testing.assert_allclose(near, known, rtol=1e-7)


def test_a_lower_degree_has_fewer_poles():
    fit = remez.fit(lambda x: 1 / (x * x + 2), (6, 6), throw=False)
    np.testing.assert_allclose(fit.poles(), np.sqrt(2) * np.array([-1j, 1j]), rtol=1e-12)
    polynomial = remez.fit(lambda x: x**3 + x + 1, (5, 3), throw=False)
    assert polynomial.poles().size == 0


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(-30, 0), min_size=2, max_size=8, unique_by=lambda e: round(e)), st.data())
def test_clustered_poles_are_accurate_relative_to_their_size(exponents, data):
    nodes = 10.0 ** np.array(sorted(exponents))
    weights = np.array([data.draw(st.floats(0.1, 1)) * z * (-1) ** k for k, z in enumerate(nodes)])
    values = np.ones_like(nodes)
    n = nodes.size - 1
    r = BarycentricRational(nodes, values * np.arange(1, n + 2), weights, (n, n))
    with mp.workdps(400):
        total = [mpf(0)]
        for k, w in enumerate(weights):
            term = [mpf(w)]
            for z in np.delete(nodes, k):
                term = [a - mpf(z) * b for a, b in zip([*term, 0], [0, *term], strict=True)]
            total = term if k == 0 else [a + b for a, b in zip(total, term, strict=True)]
        if abs(total[0]) < 1e-10 * abs(max(weights, key=abs)):
            return
        expected = sorted(
            (complex(z) for z in mp.polyroots(total, maxsteps=2000, extraprec=2000)),
            key=lambda z: (z.real, z.imag),
        )
    found = [complex(z) for z in r.exact_roots()[1]]
    assert len(found) == n
    for z in expected:
        near = min(found, key=lambda one: abs(one - z))
        assert abs(near - z) <= 1e-14 * abs(z)


def test_both_arithmetics_find_the_same(monkeypatch):
    nodes = np.array([1e-20, 1e-10, 1e-3, 1.0])
    weights = np.array([1e-18, -2e-9, 1e-3, -1.0])
    found = []
    for arithmetic in (FlintArithmetic, MpmathArithmetic):
        monkeypatch.setattr("remez.rational.exact_roots.fastest", arithmetic)
        roots = exact_roots(nodes, np.arange(1.0, 5.0), weights, (3, 3))
        found.append(sorted((complex(z) for z in roots.poles), key=abs))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-15)


def test_inseparable_zeros_are_a_typed_error():
    with mp.workdps(30), pytest.raises(RemezError, match="told apart"):
        FlintArithmetic().roots([mpf(1), mpf(2), mpf(1)])


def test_no_untyped_error_at_the_noise_floor():
    fit = remez.fit(np.abs, (90, 90), throw=False, max_iterations=5)
    assert np.isfinite(fit.poles()).all()
    assert np.isfinite(fit.residues()).all()
