"""What holds for every precise fit and every certificate."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mpmath import mp

import remez
from remez import Status
from remez.functions.expression import parse
from remez.verification.certificate import Certificate, verify

pytest.importorskip("flint")
pytestmark = pytest.mark.no_cover

INF = math.inf
SMOOTH = st.sampled_from(
    [
        ("exp(x)", (-1, 1)),
        ("log(x)", (1, 3)),
        ("1/(1 + 4*x**2)", (-1, 2)),
        ("sin(2*x) + x", (-1, 1.5)),
        ("gelu(x)", (-3, 2)),
        ("gamma(x)", (1, 3)),
    ]
)
ROUGH = st.sampled_from(
    [("sqrt(x)", (0, 1)), ("abs(x)", (-1, 1)), ("abs(x - 1/4)", (-1, 1)), ("relu(x)", (-1, 2))]
)
FAR = st.sampled_from([("exp(-x)", (0, INF)), ("1/(2 + x**2 - x)**2", (-INF, INF))])
DEGREES = st.tuples(st.integers(0, 4), st.integers(0, 4)).filter(lambda d: d[0] >= d[1] - 1)


def fitted(case, degree, precision):
    text, domain = case
    fit = remez.fit(parse(text), degree, domain, precision=precision)
    assume(fit.error > 1e-12)
    return fit


@settings(max_examples=25, deadline=None)
@given(SMOOTH | ROUGH, DEGREES, st.floats(0, 1))
def test_double_and_multiprecision_agree(case, degree, share):
    text, (low, high) = case
    coarse = remez.fit(parse(text), degree, (low, high), throw=False)
    assume(coarse.status is Status.CONVERGED and coarse.error > 1e-9)
    fine = remez.fit(parse(text), degree, (low, high), precision=20)
    assert float(fine.error) == pytest.approx(coarse.error, rel=2e-3)
    x = low + share * (high - low)
    assert abs(float(fine(mp.mpf(x))) - coarse(x)) <= 0.1 * coarse.error


@settings(max_examples=12, deadline=None)
@given(SMOOTH | ROUGH, DEGREES, st.integers(-8, 8), st.sampled_from([0.5, 2.0, 8.0]))
def test_affine_maps_and_factors_change_nothing(case, degree, eighths, stretch):
    first = fitted(case, degree, 20)
    text, (low, high) = case
    f, shift = parse(text), eighths / 8
    ends = (low * stretch + shift, high * stretch + shift)
    second = remez.fit(lambda x: 3 * f((x - shift) / stretch), degree, ends, precision=20)
    with mp.workdps(30):
        assert abs(second.error / (3 * first.error) - 1) < mp.mpf(10) ** -19


@settings(max_examples=12, deadline=None)
@given(SMOOTH, st.tuples(st.integers(1, 3), st.integers(0, 3)))
def test_more_room_is_no_worse_and_conditions_are_no_better(case, degree):
    text, (low, _) = case
    free = fitted(case, degree, 20)
    more = remez.fit(parse(text), (degree[0] + 1, degree[1]), case[1], precision=20)
    assert more.error <= free.error
    pin = [(low + 0.5, float(parse(text)(low + 0.5)))]
    bound = remez.fit(parse(text), degree, case[1], precision=20, interpolate=pin, throw=False)
    assume(bound.converged)
    assert free.error <= bound.error * (1 + mp.mpf(10) ** -15)


@settings(max_examples=20, deadline=None)
@given(
    SMOOTH | ROUGH | FAR,
    DEGREES,
    st.lists(st.floats(0, 1, exclude_min=True, exclude_max=True), min_size=5, max_size=5),
)
def test_the_bracket_holds_at_random_points(case, degree, shares):
    assume(degree[0] <= degree[1] or math.isfinite(case[1][1]))
    fit = fitted(case, degree, 20)
    certificate = fit.certify()
    assume(certificate.rigorous)
    assert certificate.lower <= fit.error * (1 + mp.mpf(10) ** -14)
    assert certificate.gap <= 1e-5
    low, high = case[1]
    for share in shares:
        if math.isfinite(high):
            x = mp.mpf(low + share * (high - low))
        else:
            x = mp.mpf(share / (1 - share) if math.isfinite(low) else math.tan(3 * share - 1.5))
        with mp.workdps(60):
            error = abs(parse(case[0])(x) - fit.rational._value(x))
        assert error <= certificate.upper


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from([("exp(x)", (3, 2), (-1, 1)), ("exp(-x)", (3, 3), (0, INF))]),
    st.integers(0, 3),
    st.floats(-3, 3),
    st.floats(0, 1),
)
def test_a_perturbed_fit_widens_or_fails(problem, index, size, share):
    text, degree, domain = problem
    fit = remez.fit(parse(text), degree, domain)
    honest = fit.certify()
    values = np.array(fit.rational.values)
    values[index] += size * fit.error
    worse = replace(fit, rational=replace(fit.rational, values=values)).certify()
    assert honest.rigorous
    if not worse.rigorous:
        return
    assert worse.upper >= honest.lower
    x = float(fit.rational.origin + fit.rational.nodes[index] * (1 + share * 1e-3))
    if fit.domain.contains(x):
        error = abs(float(parse(text)(x)) - float(replace(fit.rational, values=values)(x)))
        assert error <= worse.upper * (1 + 1e-9)
    stolen = {**worse.to_dict(), "upper": honest.upper.hex(), "lower": honest.lower.hex()}
    if worse.upper > honest.upper * (1 + 1e-5):  # the good bounds for the bad rational
        assert not verify(Certificate.from_dict(stolen).to_dict())


@settings(max_examples=15, deadline=None)
@given(SMOOTH | ROUGH | FAR, DEGREES, st.floats(0, 5))
def test_json_keeps_every_digit(case, degree, x):
    assume(degree[0] <= degree[1] or math.isfinite(case[1][1]))
    fit = fitted(case, degree, 25)
    again = remez.Fit.from_dict(json.loads(json.dumps(fit.to_dict())), fit.problem.fn)
    assert again.to_dict() == fit.to_dict()
    assert again.error == fit.error
    assert again(mp.mpf(x)) == fit(mp.mpf(x))
    assert list(again.reference) == list(fit.reference)
