"""The judge must refuse what is not best, whatever its maker says."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import remez
from remez import BarycentricRational, Status, curve_kernels
from remez.problem import Problem
from remez.verification.judge import judge


def best():
    return remez.fit(np.exp, (3, 3))


def changed(rational, **parts):
    kept = {"nodes": rational.nodes, "values": rational.values, "weights": rational.weights}
    return BarycentricRational(**{**kept, **parts}, degree=rational.degree, origin=rational.origin)


def test_the_best_is_accepted():
    fit = best()
    assert judge(fit.problem, fit.rational, fit.reference).status is Status.CONVERGED


@given(st.integers(0, 3), st.floats(0.02, 0.5), st.sampled_from([-1, 1]))
def test_a_changed_value_is_refused(index, size, sign):
    fit = best()
    values = fit.rational.values.copy()
    values[index] += sign * size * fit.error
    verdict = judge(fit.problem, changed(fit.rational, values=values), fit.reference)
    assert verdict.status is Status.NOT_LEVELLED
    # de la Vallée Poussin: what it says about the best error stays true
    assert verdict.lower <= fit.error <= verdict.error


@given(st.integers(0, 3), st.floats(1e-3, 0.5))
def test_lower_bounds_are_below_the_best_error(index, size):
    fit = best()
    weights = fit.rational.weights.copy()
    weights[index] *= 1 + size
    verdict = judge(fit.problem, changed(fit.rational, weights=weights), fit.reference)
    assert verdict.lower <= fit.error * (1 + 1e-9)
    assert verdict.error >= fit.error * (1 - 1e-3)


def test_useless_hints_do_not_help_or_harm():
    fit = best()
    assert judge(fit.problem, fit.rational, np.empty(0)).error == pytest.approx(fit.error, rel=1e-2)


def test_a_pole_is_found_even_between_samples():
    """r = exp's best + 1e-13/(x - 0.3), in barycentric form: a pole that no grid would show."""
    fit = best()
    nodes = np.append(fit.rational.nodes, 0.7654321)
    pole, size = 0.3, 1e-13
    q = np.array([np.prod([(x - z) for z in nodes if z != x]) for x in nodes])
    weights = (nodes - pole) / q
    values = fit(nodes) + size / (nodes - pole)
    spiked = BarycentricRational(nodes, values, weights, (4, 4))
    problem = Problem.of(np.exp, (4, 4))
    assert judge(problem, spiked, fit.reference).status is Status.POLE


def test_a_jump_and_noise_are_named():
    fit = remez.fit(np.exp, (2, 2))
    jump = Problem.of(lambda x: np.exp(x) + 1e-3 * (x > 0.123), (2, 2))
    assert judge(jump, fit.rational, fit.reference).status is Status.JUMP
    noisy = Problem.of(lambda x: np.exp(x) + 1e-3 * np.sin(1e9 * np.asarray(x) ** 2), (2, 2))
    assert judge(noisy, fit.rational, fit.reference).status is not Status.CONVERGED


def test_a_kink_between_samples_is_climbed():
    """The maximum of the error sits in the cusp of |x - c|, which no parabola finds."""
    c = 0.123456789
    fit = remez.fit(lambda x: np.abs(x - c), (5, 5))
    near = c + np.geomspace(1e-15, 1e-3, 500)
    x = np.concatenate([[c], near, 2 * c - near])
    assert np.abs(np.abs(x - c) - fit(x)).max() <= fit.error * (1 + 1e-4)


@pytest.mark.parametrize(
    ("fn", "degree", "domain"),
    [
        (np.sign, (5, 4), [(-1, -0.1), (0.1, 1)]),
        (np.sign, (7, 6), [(-1, -0.05), (0.05, 1)]),
        (np.exp, (3, 3), (-1, 1)),
        (np.abs, (8, 8), (-1, 1)),
        (np.sin, (6, 3), (0, 9)),
    ],
)
def test_no_dense_grid_finds_a_larger_error_than_the_reported_one(fn, degree, domain):
    fit = remez.fit(fn, degree, domain)
    for low, high in fit.domain.intervals:
        x = np.linspace(low, high, 400_001)
        assert np.abs(fn(x) - fit(x)).max() <= fit.error * (1 + 1e-6)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=9), st.integers(0, 6))
def test_runs_alternate_and_keep_what_is_large(error, count):
    """Against all alternating choices: none has a larger smallest error."""
    error = np.array(error, float) + 1e-3 * np.sin(np.arange(len(error)))  # no ties
    chosen = curve_kernels.alternating(error, count)
    signs = np.sign(error[chosen])
    assert (signs[1:] == -signs[:-1]).all()
    choices = [
        c
        for c in combinations(range(error.size), chosen.size)
        if all(error[i] * error[j] < 0 for i, j in pairwise(c))
    ]
    assert np.abs(error[chosen]).min(initial=np.inf) == max(
        np.abs(error[list(c)]).min(initial=np.inf) for c in choices
    )
    if count:
        assert chosen.size <= count
