"""Relative error of targets with zeros, checked in mpmath against the true function."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from mpmath import mp
from scipy import special

import remez

# fn, the same in mpmath, a zero and its order, domain, type, whether fn keeps its relative accuracy
CASES = {
    "sin": (np.sin, mp.sin, lambda: mp.mpf(0), 1, (0, np.pi / 4), (5, 0), True),
    "log": (np.log, mp.log, lambda: mp.mpf(1), 1, (1, 2), (4, 4), True),
    "log2": (np.log2, lambda x: mp.log(x, 2), lambda: mp.mpf(1), 1, (1, 2), (4, 4), True),
    "cos": (np.cos, mp.cos, lambda: mp.pi / 2, 1, (0, np.pi / 2), (4, 4), True),
    "expm1": (np.expm1, mp.expm1, lambda: mp.mpf(0), 1, (-0.4, 0.4), (4, 3), True),
    "asin": (np.arcsin, mp.asin, lambda: mp.mpf(0), 1, (0, 0.5), (4, 4), True),
    "digamma": (
        special.digamma,
        mp.digamma,
        lambda: mp.findroot(mp.digamma, 1.46),
        1,
        (1, 2),
        (4, 4),
        True,
    ),
    "x^2 exp": (
        lambda x: x * x * np.exp(x),
        lambda x: x * x * mp.exp(x),
        lambda: mp.mpf(0),
        2,
        (-1, 1),
        (4, 4),
        True,
    ),
    "1 - cos": (
        lambda x: 1 - np.cos(x),
        lambda x: 1 - mp.cos(x),
        lambda: mp.mpf(0),
        2,
        (0, 1),
        (4, 4),
        False,
    ),
    "x - sin": (
        lambda x: x - np.sin(x),
        lambda x: x - mp.sin(x),
        lambda: mp.mpf(0),
        3,
        (-1, 1),
        (5, 2),
        False,
    ),
    "expm1 - x": (
        lambda x: np.expm1(x) - x,
        lambda x: mp.expm1(x) - x,
        lambda: mp.mpf(0),
        2,
        (-1, 1),
        (4, 3),
        False,
    ),
    "cos(pi x)": (
        lambda x: np.cos(np.pi * x),
        lambda x: mp.cos(mp.pi * x),
        lambda: mp.mpf(0.5),
        1,
        (0, 1),
        (4, 3),
        False,
    ),
}


def relative_errors(fit, exact, points):
    with mp.workdps(40):
        pairs = zip(points.tolist(), np.atleast_1d(fit(points)).tolist(), strict=True)
        return np.array([float(1 - mp.mpf(r) / exact(mp.mpf(x))) for x, r in pairs])


@pytest.mark.parametrize("said", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_relative_error_holds_up_to_a_zero_and_alternates(name, said):
    fn, exact, place, order, (low, high), degree, accurate = CASES[name]
    with mp.workdps(40):
        zero = float(place())
    condition = [(zero, 0)] if said else None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = remez.fit(fn, degree, (low, high), weight="relative", interpolate=condition)
    near = np.geomspace(1e-17 if accurate else 1e-6, 0.3, 60)
    x = np.concatenate([np.linspace(low, high, 301), zero + near, zero - near])
    x = x[(x >= low) & (x <= high) & (np.abs(x - zero) > (0 if zero > 1 else 1e-300))]
    assert np.abs(relative_errors(fit, exact, x)).max() <= 1.001 * fit.error
    # de la Vallée Poussin: no r that vanishes as f does has a smaller error than the least of these
    reference = fit.reference
    if not accurate:  # next to the zero fn is rounding: the error is compared at 1e-6 from it
        gap = reference - zero
        reference = np.where(np.abs(gap) < 1e-6, zero + np.copysign(1e-6, gap), reference)
    error = relative_errors(fit, exact, reference)
    assert error.size == sum(degree) + 2 - fit.defect - order
    assert (np.diff(np.sign(error)) != 0).all()
    assert np.abs(error).min() >= 0.99 * fit.error
    if zero in (0, 1) and accurate:
        assert fit(zero) == 0


def test_a_quintic_for_the_sine_is_better_than_the_odd_one():
    fit = remez.fit(np.sin, (5, 0), (0, np.pi / 4), weight="relative")
    assert fit.error <= 1.507e-6


def test_several_zeros():
    fit = remez.fit(np.sin, (7, 4), (-1, 7), weight="relative")
    assert fit.reference.size == 7 + 4 + 2 - 3
    x = np.concatenate([np.pi + np.array([-1e-12, 1e-12]), 2 * np.pi + np.array([-1e-9, 1e-9])])
    assert np.abs(relative_errors(fit, mp.sin, x)).max() <= 1.001 * fit.error
    assert sorted(np.round(fit.zeros().real, 9))[-1] >= round(2 * np.pi, 9)


def test_a_zero_in_one_interval_of_a_union():
    fit = remez.fit(np.sin, (4, 3), [(-2, -1), (2.5, 4)], weight="relative")
    x = np.concatenate([np.linspace(-2, -1, 200), np.linspace(2.5, 4, 201), [np.pi - 1e-12]])
    assert np.abs(relative_errors(fit, mp.sin, x)).max() <= 1.001 * fit.error
    assert fit.reference.size == 4 + 3 + 2 - 1


def test_symmetry_is_used_with_zeros():
    fit = remez.fit(np.cos, (6, 4), (-2, 2), weight="relative")
    x = np.linspace(0.01, 2, 50)
    np.testing.assert_array_equal(fit(x), fit(-x))


def test_files_keep_the_zeros():
    fit = remez.fit(np.cos, (4, 4), (0, np.pi / 2), weight="relative")
    back = remez.Fit.from_dict(fit.to_dict())
    x = np.append(np.linspace(0, np.pi / 2, 50), np.pi / 2 - 1e-13)
    np.testing.assert_array_equal(back(x), fit(x))
    slope = (fit(1 + 1e-6) - fit(1 - 1e-6)) / 2e-6
    assert fit.derivative()(1.0) == pytest.approx(slope, rel=1e-8)


@pytest.mark.parametrize("fn", [np.sqrt, np.abs, lambda x: x * np.abs(x), np.cbrt])
def test_a_zero_that_no_rational_has_is_refused(fn):
    with pytest.raises(remez.TargetError, match="power"):
        remez.fit(fn, (3, 3), (0, 1) if fn is np.sqrt else (-1, 1), weight="relative")


def test_more_zeros_than_the_numerator_can_have():
    with pytest.raises(remez.DegreeError, match="3 zeros"):
        remez.fit(np.sin, (2, 5), (-1, 7), weight="relative")


@pytest.mark.parametrize(
    ("fn", "degree", "domain", "order"),
    [
        (mp.sin, (5, 0), (0, "0.7853981633974483096"), 1),
        (lambda x: 1 - mp.cos(x), (4, 1), (0, 1), 2),
        (mp.cos, (4, 2), (-2, 2), 2),
        (mp.log, (2, 2), (1, 2), 1),
    ],
)
def test_relative_error_at_a_zero_in_any_precision(fn, degree, domain, order):
    fit = remez.fit(fn, degree, domain, weight="relative", precision=20)
    assert fit.status is remez.Status.CONVERGED
    with mp.workdps(60):
        error = [1 - fit(x) / fn(x) for x in fit.reference]
        near = [mp.mpf(x) for x in np.linspace(*map(float, domain), 101)[1:-1]]
        worst = max(abs(1 - fit(x) / fn(x)) for x in near)
    assert len(error) >= sum(degree) + 2 - fit.defect - order
    assert all(a * b < 0 for a, b in pairwise(error))
    assert min(map(abs, error)) >= fit.error * (1 - mp.mpf(10) ** -12)
    assert worst <= fit.error * (1 + mp.mpf(10) ** -12)


def test_the_error_at_the_zero_itself_is_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = remez.fit(np.sin, (5, 0), (0, 1), weight="relative")
        assert fit.error_at(np.array([0.0]))[0] == 0


@pytest.mark.parametrize("domain", [(0.7, 3.0), (1.5, 3.0), (0.5, 1.5)])
def test_noisy_zero_at_an_integer_is_exact(domain):
    """scipy's gammaln is 0 at 1 and 2 exactly, but noisy next to them: r has the exact zero."""
    fit = remez.fit(special.gammaln, (5, 5), domain, weight="relative")
    with mp.workdps(40):
        for zero in (1.0, 2.0):
            if not domain[0] < zero < domain[1]:
                continue
            assert fit(zero) == 0
            for x in zero + np.outer([1, -1], 10.0 ** -np.arange(1, 13)).ravel():
                if domain[0] <= x <= domain[1]:
                    f = mp.loggamma(x)
                    assert abs((fit(x) - f) / f) <= 1.001 * fit.error + 1e-14


@pytest.mark.parametrize("degree", [(3, 3), (5, 0), (12, 9)])
def test_a_function_that_underflows_has_no_order_there(degree):
    """log(1 + e^x) is 0 in float64 from some x on, and the quotients beside that are infinite."""
    with pytest.raises(remez.TargetError, match="not like a power"):
        remez.fit(lambda x: np.logaddexp(0, 0.37 * x), degree, (-np.inf, np.inf), weight="relative")
