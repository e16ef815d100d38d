"""Polynomials and reciprocals of polynomials: rounding, high degree, the symmetry that helps.

A value is checked by de la Vallée Poussin's theorem, on a grid of the test's own: where the error
alternates on m + n + 2 points at no less than L, no other r of the type has an error below L.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal
from scipy.special import expit

import remez

EPS = float(np.finfo(float).eps)


def runge(x):
    return 1 / (1 + 25 * x * x)


def bracket(fit, fn, low, high):
    """De la Vallée Poussin's bound, and the largest error on a grid dense at the ends."""
    size = sum(fit.degree) + 2
    x = 0.5 * (low + high) - 0.5 * (high - low) * np.cos(np.linspace(0, np.pi, 40 * size))
    x = np.clip(np.unique(np.concatenate([x, fit.reference])), low, high)
    at = fn(fit.reference) - fit(fit.reference)
    assert fit.reference.size >= size
    assert (np.diff(np.sign(at)) != 0).all()
    return np.abs(at).min(), np.abs(fn(x) - fit(x)).max()


@pytest.mark.parametrize("degree", [(14, 0), (19, 0), (32, 0), (150, 0), (0, 14), (0, 19), (0, 60)])
def test_rounding_is_reached_and_no_more_is_asked(degree):
    """Taylor's remainder of exp is far below rounding at each of these degrees."""
    fit = remez.fit(np.exp, degree, (0, 0.5))
    x = np.linspace(0, 0.5, 1001)
    assert np.abs(np.exp(x) - fit(x)).max() <= 16 * EPS
    assert fit.status is remez.Status.NOISE_FLOOR
    assert sum(fit.rational.degree) < 15


@pytest.mark.parametrize(
    ("fn", "degree", "domain"),
    [
        (expit, 63, (-8, 8)),
        (lambda x: np.abs(x - 0.3), 500, (-1, 1)),
        (lambda x: np.abs(x - 0.3), 1000, (-1, 1)),
        (lambda x: np.sin(40 * x) * np.exp(x), 60, (-1, 1)),
        (runge, 100, (-1, 1)),
    ],
)
def test_high_degrees_alternate(fn, degree, domain):
    fit = remez.fit(fn, (degree, 0), domain)
    lower, upper = bracket(fit, fn, *domain)
    assert lower >= 0.999 * upper
    assert fit.error == pytest.approx(upper, rel=1e-3)


def test_sigmoid_of_degree_63():
    """9.00897e-12: the error levelled on 33 points of the odd part, in mpmath with 50 digits."""
    fit = remez.fit(expit, (63, 0), (-8, 8))
    assert fit.error == pytest.approx(9.00897e-12, rel=1e-3)
    assert fit(3.0) + fit(-3.0) == pytest.approx(1.0, abs=4 * EPS)


@pytest.mark.parametrize("degree", [500, 1000, 2000])
def test_degrees_beyond_rounding(degree):
    """The error of Runge's function falls by (1 + sqrt 26)/5 a degree: rounding from 180 on."""
    fit = remez.fit(runge, (degree, 0))
    x = np.linspace(-1, 1, 2001)
    assert np.abs(runge(x) - fit(x)).max() <= 64 * EPS


def test_oscillation_beyond_the_degree():
    """The best of degree 60 is the partial sum up to T_27: what is left, 2^-4 T_81 + 2^-5 T_243 +
    2^-6 T_729, alternates at 82 points where its terms agree: 7/64 = .109375.
    """

    def lacunary(x):
        return sum(2.0**-k * np.cos(3**k * np.arccos(np.clip(x, -1, 1))) for k in range(7))

    fit = remez.fit(lacunary, (60, 0))
    assert fit.error == pytest.approx(0.109375, rel=1e-3)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 40),
    st.booleans(),
    st.sampled_from([np.exp, np.cos, lambda x: np.sqrt(x + 1.3), runge, lambda x: np.abs(x) + 1]),
    st.floats(-1, 0.8),
    st.floats(0.05, 1),
)
def test_no_smooth_target_is_refused(d, reciprocal, fn, low, width):
    degree = (0, d) if reciprocal else (d, 0)
    domain = (low, min(low + width, 1.0))
    fit = remez.fit(fn, degree, domain)
    x = np.linspace(*domain, 2001)
    assert np.abs(fn(x) - fit(x)).max() <= 1.001 * fit.error + 16 * EPS * np.abs(fn(x)).max()


@pytest.mark.parametrize("degree", [(7, 0), (3, 2), (4, 4), (8, 0)])
def test_a_constant_and_an_odd_function(degree):
    """r - 1/2 is the best odd one to expit - 1/2, by uniqueness."""
    shifted = remez.fit(expit, degree, (-4, 4))
    odd = remez.fit(lambda x: expit(x) - 0.5, degree, (-4, 4), parity="odd")
    x = np.linspace(-4, 4, 501)
    assert shifted.error == pytest.approx(odd.error, rel=1e-6)
    assert np.abs(shifted(x) - 0.5 - odd(x)).max() <= 16 * EPS


@pytest.mark.parametrize(
    ("fn", "degree", "domain"),
    [(np.cos, 10, (-1, 1)), (np.exp, 9, (0, 1)), (np.arctan, 9, (-1, 1)), (expit, 9, (-3, 3))],
)
def test_beyond_its_domain_a_polynomial_is_its_chebyshev_series(fn, degree, domain):
    """The series is summed by Clenshaw's recurrence from coefficients good to rounding."""
    fit = remez.fit(fn, (degree, 0), domain)
    x = domain[1] * np.array([1.0 + 1e-9, 1.2, 2.0])
    assert fit(x) == pytest.approx(fit.numerator(x) / fit.denominator(x), rel=1e-7)


def filters():
    """Pass bands as edges in units of pi, desired gains, weights, and the taps of a filter."""
    yield 201, (0, 0.3, 0.33, 0.5, 0.53, 1), (0, 1, 0), (1, 1, 1)
    yield 201, (0, 0.2, 0.22, 1), (1, 0), (1, 10)
    yield 1025, (0, 0.3, 0.312, 0.5, 0.512, 1), (0, 1, 0), (1, 1, 1)
    yield 1025, (0, 0.2, 0.21, 1), (1, 0), (1, 100)


@pytest.mark.parametrize(("taps", "edges", "gains", "weights"), filters())
def test_filters_of_linear_phase(taps, edges, gains, weights):
    """A filter of 2n + 1 taps is a polynomial of degree n in cos(omega); scipy.signal.remez, on
    its own grid, is never better and, on ours, at most a little worse.
    """
    order = taps // 2
    bands = [
        (np.cos(np.pi * b), np.cos(np.pi * a)) for a, b in zip(*[iter(edges)] * 2, strict=True)
    ]
    middles = [0.5 * (low[0] + high[1]) for low, high in pairwise(bands)][::-1]
    gain, weight = np.array(gains, float)[::-1], np.array(weights, float)[::-1]

    fit = remez.fit(
        lambda x: gain[np.searchsorted(middles, x)],
        (order, 0),
        bands,
        weight=lambda x: weight[np.searchsorted(middles, x)],
    )
    taps_found = signal.remez(taps, edges, gains, weight=weights, fs=2, maxiter=100)
    near = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, 8001))
    x = np.concatenate([a + (b - a) * near for a, b in sorted(bands)])
    k = np.searchsorted(middles, x)
    phase = np.arccos(np.clip(x, -1, 1))
    filtered = taps_found[order] + 2 * sum(
        taps_found[order - i] * np.cos(i * phase) for i in range(1, order + 1)
    )
    theirs = (weight[k] * np.abs(filtered - gain[k])).max()
    assert (weight[k] * np.abs(fit(x) - gain[k])).max() == pytest.approx(fit.error, rel=1e-3)
    assert fit.lower_bound >= 0.999 * fit.error
    assert 0.97 * theirs < fit.error < 1.0001 * theirs


def test_a_slow_exchange_goes_on_while_its_lower_bound_rises():
    """Three bands, the gaps between two of them narrow: the largest error rises at first."""
    bands = [(-0.531, -0.0726), (-0.0672, 0.0905), (0.364, 0.4308)]
    middles = [-0.07, 0.2]
    fit = remez.fit(
        lambda x: np.array([0.0, 1.0, 0.0])[np.searchsorted(middles, x)],
        (655, 0),
        bands,
        weight=lambda x: np.array([1.0, 2.0, 5.0])[np.searchsorted(middles, x)],
    )
    assert fit.lower_bound >= 0.999 * fit.error


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("fn", "bound"),
    [
        (lambda x: np.log(x + 1.2), np.log(2.2)),
        (lambda x: x**3 - 0.5, 0.5),
        (lambda x: np.exp(x) - 1.5, 1.5 - np.exp(-1)),
        (lambda x: 0.5 - x**3, 0.5),
    ],
)
@pytest.mark.parametrize("n", [4, 6, 7, 12, 15, 21])
def test_a_reciprocal_of_a_function_that_changes_sign(fn, bound, n):
    """An r of one sign misses the largest value of the other sign, and comes near that bound."""
    fit = remez.fit(fn, (0, n))
    x = np.linspace(-1, 1, 4001)
    assert bound * (1 - 1e-12) <= fit.error <= 1.001 * bound
    assert np.abs(fn(x) - fit(x)).max() <= fit.error * (1 + 1e-6)


@pytest.mark.parametrize("degree", [(4, 20), (1, 30), (12, 40), (30, 12), (3, 25), (20, 4)])
@pytest.mark.parametrize("fn", [lambda x: 1 / (1 + 25 * x * x), lambda x: 1 / (2 + x)])
def test_a_rational_of_far_lower_degree_is_reproduced(fn, degree):
    fit = remez.fit(fn, degree)
    x = np.linspace(-1, 1, 2001)
    assert np.abs(fn(x) - fit(x)).max() <= fit.error < 1e-14


@pytest.mark.parametrize(
    "fn", [lambda x: np.abs(x) + 1, lambda x: np.abs(x) + 1 + (x - 0.5625) ** 3]
)
@pytest.mark.parametrize("m", [1, 3, 5])
def test_an_odd_polynomial_up_to_a_constant(fn, m):
    """The middle of the domain is a point of the reference, up to rounding."""
    fit = remez.fit(fn, (m, 0), (0.5, 0.625))
    x = np.linspace(0.5, 0.625, 2001)
    assert np.abs(fn(x) - fit(x)).max() <= fit.error * (1 + 1e-3)
    assert m == 1 or fit.error < 1e-14
