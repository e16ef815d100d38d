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
    """Six numbers without pattern: among all rationals the best of type (2, 2) has real poles."""
    x, y = np.arange(6.0), np.array([1, 2, 0, 4, 1, 1.0])
    fit = remez.fit_samples(x, y, (2, 2))
    assert np.abs(fit.poles().imag).min() > 0
    assert attainable(x, y, (2, 2), 1.002 * fit.error, np.linspace(0, 5, 1001))
    assert not attainable(x, y, (2, 2), 0.997 * fit.error, np.linspace(0, 5, 1001))


@pytest.mark.parametrize("shape", [(50, 1), (1, 50), (5, 10), ()])
def test_points_and_values_have_one_dimension(shape):
    x = np.linspace(-1, 1, 50)
    wrong = x.reshape(shape) if shape else 1.0
    for one, other in ((wrong, np.exp(x)), (x, wrong)):
        with pytest.raises(remez.TargetError, match=r"shape is .*ravel"):
            remez.fit_samples(one, other, (2, 2))
    with pytest.raises(remez.TargetError, match=r"weight .*shape is"):
        remez.fit_samples(x, np.exp(x), (2, 2), weight=wrong)


def attainable(x, y, degree, error, places):
    """Whether ``|y q - p| <= error q`` and q >= 0 at the places hold for some p/q, q of mean 1.

    One linear program in Chebyshev's basis, solved independently of the package.
    """
    m, n = degree
    t = np.interp(x, [x.min(), x.max()], [-1, 1])
    s = np.interp(places, [x.min(), x.max()], [-1, 1])
    p = np.polynomial.chebyshev.chebvander(t, m)
    q = np.polynomial.chebyshev.chebvander(t, n)
    everywhere = np.polynomial.chebyshev.chebvander(s, n)
    rows = np.vstack(
        [
            np.hstack([p, -(y + error)[:, None] * q]),
            np.hstack([-p, (y - error)[:, None] * q]),
            np.hstack([np.zeros((s.size, m + 1)), -everywhere]),
        ]
    )
    scale = np.abs(rows).max(1)
    one = np.append(np.zeros(m + 1), everywhere.mean(0))[None]
    found = linprog(
        np.zeros(m + n + 2),
        A_ub=rows / scale[:, None],
        b_ub=np.zeros(len(rows)),
        A_eq=one,
        b_eq=[1.0],
        bounds=(None, None),
        options={"primal_feasibility_tolerance": 1e-10},
    )
    return found.status == 0


NOISY = {
    "exp and noise of 1e-3": lambda x, rng: np.exp(x) + 1e-3 * rng.standard_normal(x.size),
    "Runge and noise of 1e-2": lambda x, rng: 1 / (1 + 25 * x * x) + 1e-2 * rng.normal(size=x.size),
    "noise": lambda x, rng: rng.standard_normal(x.size),
    "two decimals of sin 5x": lambda x, rng: np.round(np.sin(5 * x), 2),
    "a step": lambda x, rng: np.sign(x - 0.05),
}


@pytest.mark.no_cover
@pytest.mark.parametrize("kind", NOISY)
@pytest.mark.parametrize("degree", [(1, 1), (2, 2), (3, 2), (2, 4), (4, 4), (0, 3)])
@pytest.mark.parametrize("seed", [0, 1])
def test_noisy_samples_agree_with_a_linear_program(kind, degree, seed):
    """Also where no best approximation exists: the error is then close to the infimum."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(-1, 1, 60))
    y = NOISY[kind](x, rng)
    fit = remez.fit_samples(x, y, degree)
    assert np.abs(y - fit(x)).max() == pytest.approx(fit.error, rel=1e-9)
    dense = np.linspace(x[0], x[-1], 1501)
    assert attainable(x, y, degree, 1.002 * fit.error, dense)
    assert not attainable(x, y, degree, 0.997 * fit.error, dense)
    _, sign = fit.rational.with_sign(dense)
    assert abs(sign.sum()) == dense.size  # no pole between the samples


@pytest.mark.no_cover
@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(14, 60),
    st.sampled_from(["even", "geometric", "random"]),
    st.sampled_from(["noise", "noisy exp", "rounded sine"]),
)
def test_types_agree_with_each_other_and_have_no_poles(seed, count, spacing, kind):
    """A type that contains another has no larger best error; q has one sign between the samples."""
    rng = np.random.default_rng(seed)
    x = {
        "even": np.linspace(0, 1, count),
        "geometric": np.geomspace(1e-6, 1, count),
        "random": np.sort(rng.uniform(0, 1, count)),
    }[spacing]
    y = {
        "noise": rng.standard_normal(count),
        "noisy exp": np.exp(x) + 1e-5 * rng.standard_normal(count),
        "rounded sine": np.round(np.sin(5 * x), 3),
    }[kind]
    types = [(1, 1), (2, 2), (3, 3), (4, 3), (5, 2), (1, 3)]
    fits = [remez.fit_samples(x, y, degree, throw=False) for degree in types]
    fits = [fit for fit in fits if fit.converged]
    dense = np.linspace(x[0], x[-1], 4001)
    for fit in fits:
        _, sign = fit.rational.with_sign(dense)
        assert not (sign.min() < 0 < sign.max())
        for other in fits:
            if all(a >= b for a, b in zip(fit.degree, other.degree, strict=True)):
                assert fit.lower_bound <= other.error * (1 + 1e-9) + 1e-14


def test_a_lower_bound_holds_where_points_cluster():
    """Another r of type (8, 2), whose error of 2.18217 alternates on 12 points, was excluded."""
    x = np.geomspace(1e-6, 1, 50)
    fit = remez.fit_samples(x, np.random.default_rng(3).standard_normal(50), (8, 2), throw=False)
    assert fit.lower_bound <= 2.1822
    assert fit.error == pytest.approx(2.18216, rel=1e-3)


@pytest.mark.no_cover
@pytest.mark.parametrize("degree", [(3, 3), (4, 4), (5, 5), (6, 6), (5, 2), (2, 5)])
@pytest.mark.parametrize("fn", [np.exp, lambda x: np.sin(5 * x), np.abs], ids=["exp", "sin", "abs"])
def test_values_in_float32(fn, degree):
    """Their rounding is noise of at most 1.2e-7, more than which no fit can differ."""
    exact = remez.fit_samples(GRID, fn(GRID), degree).error
    fit = remez.fit_samples(GRID, fn(GRID).astype(np.float32), degree)
    assert fit.error <= exact + 1.2e-7
    assert fit.error >= exact - 1.2e-7


def test_no_better_than_nothing():
    """sin 5x, type (2, 9): r = 0 alternates on four samples, as many as its defect of 9 leaves."""
    x = np.linspace(-1, 1, 401)
    fit = remez.fit_samples(x, np.sin(5 * x), (2, 9))
    assert fit.error == pytest.approx(1, rel=1e-4)
    assert (fit.status, fit.defect) == (Status.CONVERGED, 9)


@pytest.mark.parametrize("degree", [(5, 5), (2, 6)])
def test_a_hundred_thousand_noisy_samples(degree):
    x = np.linspace(-1, 1, 100_000)
    y = np.exp(x) + 1e-3 * np.random.default_rng(0).uniform(-1, 1, x.size)
    fit = remez.fit_samples(x, y, degree)
    assert 0.99e-3 < fit.error < 1.001e-3
