"""A feature of fn between the points of the judge's grid must not be overlooked.

Expectations: a fit that is accepted has no larger error at the feature than it states.
"""

import math
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import remez
from remez import curve_kernels
from remez.problem import Problem
from remez.verification.judge import judge
from remez.verification.narrow_features import FINE, SLOW

SHAPES = {
    "Gaussian": lambda t: np.exp(-t * t),
    "hat": lambda t: np.maximum(1 - np.abs(t), 0),
    "sinc": lambda t: np.sinc(t) / (1 + t * t),
}


def no_larger_error_near(fit, centre, width):
    x = centre + width * np.linspace(-4, 4, 801)
    x = x[(x >= -1) & (x <= 1)]
    f = np.array([fit.problem.fn(v) for v in x])
    return bool((np.abs(f - fit(x)) <= 1.01 * fit.error + 1e-14).all())


UNDER = {"cos": np.cos, "exp": np.exp, "0": np.zeros_like, "x/(4 - x)": lambda x: x / (4 - x)}
narrow = st.floats(np.log(2.5 / FINE), np.log(1e-2)).map(np.exp)


@lru_cache
def best(name, n):
    return remez.fit(UNDER[name], (n, n))


@given(
    st.sampled_from(sorted(SHAPES)),
    st.floats(-0.99, 0.99),
    narrow,
    st.sampled_from(sorted(UNDER)),
    st.integers(1, 7),
)
def test_a_feature_wider_than_a_gap_of_the_fine_grid_is_seen(shape, centre, width, under, n):
    smooth = best(under, n)
    problem = Problem.of(
        lambda x: UNDER[under](x) + 0.1 * SHAPES[shape]((x - centre) / width), (n, n)
    )
    verdict = judge(problem, smooth.rational, smooth.reference)
    assert verdict.error > 0.08


@given(st.floats(-0.99, 0.99))
def test_a_feature_of_a_constant_is_seen_where_it_is_narrower_still(centre):
    problem = Problem.of(lambda x: np.exp(-(((x - centre) / 1e-5) ** 2)), (10, 10))
    zero = remez.fit(np.zeros_like, (10, 10))
    assert judge(problem, zero.rational, zero.reference).error > 0.99


@pytest.mark.parametrize("centre", [0.3, 0.1, -0.77, 0.00912])
def test_the_spike_that_the_judge_meets_is_then_resolved(centre):
    fit = remez.fit(lambda x: np.exp(-(((x - centre) / 1e-5) ** 2)), (10, 10))
    assert 9e-6 < fit.error < 1e-5  # exp(-t²) of type (10, 10) on the line: 9.3e-6


def test_a_callable_for_single_numbers_is_sampled_more_coarsely():
    calls = []

    def fn(x):
        calls.append(x)
        return math.cos(x) + math.exp(-(((x - 0.7123) * SLOW / 4) ** 2))

    fit = remez.fit(fn, (6, 6), throw=False)
    assert not fit.converged or no_larger_error_near(fit, 0.7123, 4 / SLOW)
    calls.clear()
    fit = remez.fit(lambda x: calls.append(x) or math.cos(x), (5, 4))
    assert len(calls) < 4000


def test_a_weighted_feature_counts_as_its_product_with_the_weight():
    def fn(x):
        return np.exp(x) + 1e-6 * np.exp(-(((x - 0.4) / 2e-4) ** 2))

    problem = Problem.of(fn, (5, 4), weight=lambda x: np.where(np.abs(x - 0.4) < 1e-2, 1e-9, 1.0))
    smooth = remez.fit(np.exp, (5, 4))
    assert judge(problem, smooth.rational, smooth.reference).error < 1.001 * smooth.error
    problem = Problem.of(fn, (5, 4), weight=lambda x: np.ones_like(x))
    assert judge(problem, smooth.rational, smooth.reference).error > 0.9e-6


def test_sixth_differences_are_those_of_numpy():
    f = np.random.default_rng(0).normal(size=60)
    sixth = np.abs(np.diff(f, 6))
    limit = float(np.median(sixth))
    assert curve_kernels.bends(f, 1, limit) == (sixth > limit).sum()
    marks = np.zeros(60, bool)
    curve_kernels.mark_bends(f, np.ones(60), 1, limit, marks)
    assert (np.flatnonzero(marks) == 3 + np.flatnonzero(sixth > limit)).all()
    wide = np.abs(np.diff(f[::3], 6))
    marks[:] = False
    curve_kernels.mark_bends(f, np.full(60, 2.0), 3, 2 * limit, marks)
    assert marks[9::3][: wide.size].tolist() == (wide > limit).tolist()
    f[30] = np.nan
    assert curve_kernels.bends(f, 1, np.inf) == 7
