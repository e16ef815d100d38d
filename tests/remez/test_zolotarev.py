"""Closed forms against values computed to 40 digits elsewhere, and against their own theory."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import remez
from remez import DegreeError, DomainError
from remez.rational import zolotarev

# 40-digit evaluation of the elliptic closed form, delta = 0.01
KNOWN = {
    (7, 6): 0.012534881110440485667644307268562724063,
    (7, 8): 0.005500861997442973508559131825915992076164,
    (9, 8): 0.002413960492082071132744109040809585729101,
    (15, 16): 0.000007564985135429477104953050219890534972581,
    (17, 16): 0.0000033197458333896853456668051945121379341,
}


@pytest.mark.parametrize(("degree", "error"), KNOWN.items())
def test_error_is_the_published_one(degree, error):
    assert zolotarev.best_sign(degree, 0.01).error == pytest.approx(error, rel=1e-14)


@given(st.integers(0, 6), st.floats(-5, -0.05), st.booleans())
def test_error_alternates_on_the_gapped_set(r, exponent, low):
    if low and r == 0:
        return
    degree = (2 * r - 1, 2 * r) if low else (2 * r + 1, 2 * r)
    s = zolotarev.best_sign(degree, 10.0**exponent)
    x = np.geomspace(s.delta, 1, 4000)
    error = s(x) - 1
    assert np.abs(error).max() <= s.error * (1 + 1e-9) + 1e-14
    if s.error > 1e-9:
        # as odd functions have it: max(m, n) + 1 points of alternation on either side
        extreme = np.abs(error) > 0.98 * s.error
        runs = 1 + np.count_nonzero(np.diff(np.sign(error[extreme])))
        assert runs == max(degree) + 1
        places = zolotarev.alternation(max(degree), s.delta)
        at = s(places) - 1
        np.testing.assert_allclose(np.abs(at), s.error, rtol=1e-6)
        assert (at[1:] * at[:-1] < 0).all()
        assert (places[0], places[-1]) == (s.delta, 1)


def of_order(count, delta):
    """The error of the best to sign that has count + 1 extrema on either side."""
    return zolotarev.best_sign((count, count - 1) if count % 2 else (count - 1, count), delta).error


def met_at_once(fit, error):
    assert fit.method == "zolotarev"
    assert fit.iterations == 1
    assert fit.error == pytest.approx(error, rel=1e-4)


@given(st.integers(1, 9), st.floats(-3, -0.2), st.booleans(), st.booleans())
def test_square_roots_in_relative_error_are_met_at_once(count, exponent, reciprocal, turned):
    delta = 10.0**exponent
    error = of_order(count, delta)
    assume(error > 1e-8)
    low, high = (-3.0, -2.0) if turned else (2 * delta**2, 2.0)

    def square(x):
        return delta**2 + (1 - delta**2) * (high - x) if turned else x

    def fn(x):
        return 1 / np.sqrt(square(x)) if reciprocal else np.sqrt(square(x))

    m, n = count // 2, (count - 1) // 2
    degree = (n, m) if reciprocal else (m, n)
    met_at_once(remez.fit(fn, degree, (low, high), weight="relative"), error)


@given(st.integers(1, 9), st.lists(st.floats(0.02, 3), min_size=3, max_size=3), st.floats(-5, 5))
def test_steps_between_any_two_intervals_are_met_at_once(count, lengths, start):
    a, b, c, d = np.cumsum([start, *lengths]).tolist()
    gap = (c - b) * (d - a)
    ratio = gap / (c - a) / (d - b)
    error = 1.5 * of_order(count, ratio / (1 + np.sqrt(1 - ratio)) ** 2)
    assume(error > 1e-8)
    met_at_once(remez.fit(lambda x: 2 - 3.0 * (x > b), (count, count), [(a, b), (c, d)]), error)


@pytest.mark.parametrize("delta", [0.1, 1e-3, 1e-8])
@pytest.mark.parametrize("degree", [(5, 4), (5, 5), (4, 4)])
def test_sign_and_step_on_a_symmetric_gapped_set_are_met_at_once(degree, delta):
    domain = [(-1, -delta), (delta, 1)]
    met_at_once(remez.fit(np.sign, degree, domain), of_order(degree[0], delta))
    step = remez.fit(lambda x: np.heaviside(x, 0.5), degree, domain)
    met_at_once(step, of_order(degree[0], delta) / 2)


@given(st.floats(-4, -0.3), st.integers(1, 3))
def test_composition_has_the_error_of_the_whole_type(exponent, layers):
    whole = zolotarev.composite(layers, 10.0**exponent)
    same = zolotarev.best_sign(whole.degree, 10.0**exponent)
    assert whole.error == pytest.approx(same.error, rel=1e-12)
    x = np.geomspace(whole.delta, 1, 1000)
    assert np.abs(whole(x) - 1).max() <= whole.error * (1 + 1e-9) + 1e-13
    np.testing.assert_allclose(whole(x), same(x), atol=1e-10)


@given(st.floats(-3, -0.3), st.floats(-1, 1), st.booleans())
def test_coefficients_are_the_function(exponent, x, gate):
    s = zolotarev.best_sign((5, 4), 10.0**exponent)
    p, q = s.coefficients(gate)
    value = np.polyval(p[::-1], x) / np.polyval(q[::-1], x)
    assert value == pytest.approx(s.gate(x) if gate else s(x), abs=1e-9)
    assert s.poles().size == 4
    assert np.abs(s.poles().real).max() == 0
    assert s.zeros().size == 5


def test_gate_errors_of_the_method():
    # two and three layers of type (3, 2), gate (s + 1)/2
    assert zolotarev.composite(2, 1e-2).gate_error == pytest.approx(1.2e-3, rel=0.01)
    assert zolotarev.composite(2, 1e-3).gate_error == pytest.approx(9.4e-3, rel=0.01)
    assert zolotarev.composite(3, 1e-3).gate_error == pytest.approx(2.1e-7, rel=0.01)
    assert zolotarev.composite(3, 1e-4).gate_error == pytest.approx(6.9e-6, rel=0.01)


def test_what_has_no_closed_form_is_refused():
    with pytest.raises(DegreeError):
        zolotarev.best_sign((4, 4), 0.1)
    with pytest.raises(DomainError):
        zolotarev.best_sign((3, 2), 0.0)
    with pytest.raises(DegreeError):
        zolotarev.composite(0, 0.1)
    with pytest.raises(DegreeError):
        zolotarev.alternation(0, 0.1)
