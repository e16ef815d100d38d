"""Minimax on samples: symmetric data, defects, order, duplicates, few points and many."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

import remez
from remez import Status
from remez.problem import Problem

GRID = np.linspace(-1, 1, 1001)


def best_polynomial(x, y, degree, weight=1.0):
    """The best error of a polynomial on samples, by one linear program in Chebyshev's basis."""
    basis = np.polynomial.chebyshev.chebvander(x, degree) * np.reshape(weight, (-1, 1))
    one = np.ones((x.size, 1))
    rows = np.vstack([np.hstack([basis, -one]), np.hstack([-basis, -one])])
    target = y * weight
    cost = np.append(np.zeros(degree + 1), 1.0)
    found = linprog(cost, A_ub=rows, b_ub=np.append(target, -target), bounds=(None, None))
    return found.fun


@pytest.mark.parametrize(
    ("fn", "degree", "error", "defect"),
    [
        # best errors on the interval, of tables; on 1001 samples they are a little smaller
        (np.cos, (3, 3), 6.4864e-05, 1),
        (np.abs, (5, 5), 8.5015e-3, 1),
        (np.abs, (4, 4), 8.5015e-3, 0),
        (lambda x: x**3, (0, 3), 1.0, 3),  # the best odd r of type (0, n) is 0
        (np.exp, (3, 3), 1.55066905e-7, 0),
    ],
)
def test_even_and_odd_data(fn, degree, error, defect):
    fit = remez.fit_samples(GRID, fn(GRID), degree)
    assert fit.status is Status.CONVERGED
    assert fit.error == pytest.approx(error, rel=1e-4)
    assert fit.error <= error * (1 + 1e-4)
    assert fit.defect == defect
    assert np.abs(fn(GRID) - fit(GRID)).max() == pytest.approx(fit.error, rel=1e-9)


@pytest.mark.parametrize(
    ("fn", "degree"),
    [
        (lambda x: 3.7 + 0 * x, (2, 2)),
        (lambda x: 0 * x, (2, 1)),
        (lambda x: 1 / (x + 3), (4, 4)),
        (lambda x: x**3, (3, 0)),
        (lambda x: x / (x**2 + 2), (5, 4)),
    ],
)
def test_exact_data(fn, degree):
    fit = remez.fit_samples(GRID, fn(GRID), degree)
    assert fit.error < 1e-14
    assert np.abs(fn(GRID) - fit(GRID)).max() < 1e-14


def test_order_and_duplicates():
    rng = np.random.default_rng(1)
    x = rng.permutation(np.append(GRID, GRID[:7]))
    fit = remez.fit_samples(x, np.exp(x), (3, 3))
    assert fit.error == remez.fit_samples(GRID, np.exp(GRID), (3, 3)).error
    weight = np.where(x < 0, 2.0, 1.0)
    once = remez.fit_samples(GRID, np.exp(GRID), (3, 3), weight=np.where(GRID < 0, 2.0, 1.0))
    assert remez.fit_samples(x, np.exp(x), (3, 3), weight=weight).error == once.error
    with pytest.raises(remez.TargetError, match="different values"):
        remez.fit_samples([0, 0, 1, 2, 3], [1, 2, 3, 4, 6], (1, 0))


def test_few_samples():
    with pytest.raises(remez.DegreeError, match="interpolated"):
        remez.fit_samples([0, 1, 2, 3], [1, 2, 0, 4], (2, 1))
    # a line through (0, 0), (1, 1), (2, 0): 1/2 from each by symmetry
    assert remez.fit_samples([0, 1, 2], [0, 1, 0], (1, 0)).error == pytest.approx(0.5)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 6),
    st.integers(10, 200),
    st.sampled_from(["noise", "even", "odd", "smooth"]),
    st.booleans(),
)
def test_polynomials_agree_with_a_linear_program(seed, degree, count, kind, weighted):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(-1, 1, count))
    x = np.append(x, -x)
    noise = rng.standard_normal(count)
    y = {
        "noise": rng.standard_normal(2 * count),
        "even": np.append(noise, noise),
        "odd": np.append(noise, -noise),
        "smooth": np.exp(x) + x**5,
    }[kind]
    weight = rng.uniform(0.5, 2, 2 * count) if weighted else np.ones(2 * count)
    fit = remez.fit_samples(x, y, (degree, 0), weight=weight)
    best = best_polynomial(x, y, degree, weight)
    assert fit.error == pytest.approx(best, rel=2e-3, abs=1e-7)  # what the program resolves


def test_a_million_samples():
    """The error of exp, type (3, 3), on the interval: 1.5506690539712e-7 (60 digits)."""
    x = np.linspace(-1, 1, 1_000_000)
    fit = remez.fit_samples(x, np.exp(x), (3, 3))
    assert fit.error == pytest.approx(1.5506690539712e-7, rel=1e-6)


def test_samples_survive_a_file():
    fit = remez.fit_samples(GRID, np.abs(GRID), (4, 4), weight=1 + GRID**2)
    read = Problem.from_dict(json.loads(json.dumps(fit.problem.to_dict())))
    assert read == fit.problem
    assert hash(read.samples) == hash(fit.problem.samples)
    assert read.samples.weight.tolist() == (1 + GRID**2).tolist()


def test_a_pole_between_two_samples_is_no_answer():
    """Six numbers without pattern: the best of type (2, 2) on the set has real poles."""
    fit = remez.fit_samples(np.arange(6.0), [1, 2, 0, 4, 1, 1], (2, 2), throw=False)
    assert not fit.converged or np.abs(fit.poles().imag).min() > 0
