"""Certificates: the bracket holds, and nothing false is proved."""

import copy
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp

import remez
from remez.functions.expression import parse
from remez.verification.certificate import Certificate, verify

pytest.importorskip("flint")

CASES = {
    "exp": ("exp(x)", (3, 3), (-1, 1)),
    "abs": ("abs(x)", (4, 4), (-1, 1)),
    "gelu": ("gelu(x)", (4, 4), (-6, 6)),
    "sign": ("sign(x)", (5, 4), [(-1, -0.1), (0.1, 1)]),
}


@pytest.fixture(scope="module")
def certified():
    out = {}
    for name, (text, degree, domain) in CASES.items():
        fit = remez.fit(parse(text), degree, domain)
        out[name] = fit, fit.certify()
    return out


@pytest.mark.parametrize("name", CASES)
def test_the_bracket_is_tight_and_rigorous(certified, name):
    fit, certificate = certified[name]
    assert certificate.rigorous
    assert certificate.pole_free
    assert 0 < certificate.lower <= certificate.upper
    # what the double fit lacks to the best one is seen, and little is added
    assert certificate.gap <= fit.error / fit.lower_bound - 1 + 1e-5
    assert certificate.lower <= fit.error * (1 + 1e-6)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(CASES)), st.floats(0, 1))
def test_no_error_exceeds_the_upper_bound(certified, name, share):
    fit, certificate = certified[name]
    low, high = fit.domain.intervals[-1]
    x = low + share * (high - low)
    with mp.workdps(50):
        error = abs(parse(CASES[name][0])(mp.mpf(x)) - barycentric(fit.rational, mp.mpf(x)))
    assert error <= certificate.upper


def barycentric(r, x):
    """r(x) in mpmath from the very floats."""
    u = x - mp.mpf(r.origin)
    table = [tuple(map(mp.mpf, row)) for row in zip(r.nodes, r.values, r.weights, strict=True)]
    for z, v, _ in table:
        if u == z:
            return v
    return sum(w * v / (u - z) for z, v, w in table) / sum(w / (u - z) for z, _, w in table)


def test_the_best_error_lies_between(certified):
    # (3, 3) for exp to 40 digits by a separate program
    _, certificate = certified["exp"]
    best = mp.mpf("0.0000001550669053971168594318694650774320536622")
    assert certificate.lower <= best <= certificate.upper


def test_a_precise_fit_is_enclosed_to_six_digits():
    certificate = remez.fit(parse("exp(x)"), (5, 4), precision=25).certify()
    assert certificate.rigorous
    assert certificate.gap <= 1e-5
    assert verify(certificate.to_dict())


def test_a_perturbed_fit_widens(certified):
    fit, certificate = certified["exp"]
    values = np.array(fit.rational.values)
    values[0] += 1e-6
    worse = replace(fit, rational=replace(fit.rational, values=values)).certify()
    assert worse.upper > 1.5 * certificate.upper


def test_a_callable_is_not_proved():
    certificate = remez.fit(np.exp, (2, 2)).certify()
    assert not certificate.rigorous
    assert "fn is no expression" in certificate.method


def test_a_file_is_proved_again(certified, tmp_path):
    _, certificate = certified["exp"]
    certificate.save(tmp_path / "exp.json")
    verdict = verify(tmp_path / "exp.json")
    assert verdict.ok
    assert verdict.lower >= certificate.lower
    assert verdict.upper <= certificate.upper
    assert Certificate.from_dict(json.loads((tmp_path / "exp.json").read_text())) == certificate


@pytest.mark.parametrize("key", ["lower", "upper", "expression", "rational", "degree"])
def test_a_changed_file_is_refused(certified, key):
    _, certificate = certified["exp"]
    data = copy.deepcopy(certificate.to_dict())
    if key == "lower":
        data["lower"] = (certificate.lower * 1.1).hex()
    elif key == "upper":
        data["upper"] = (certificate.upper * 0.9).hex()
    elif key == "expression":
        data["claim"]["expression"] = "exp(x) + x/1000000"
    elif key == "rational":
        data["claim"]["rational"]["values"][0] += 1e-6
    else:
        data["claim"]["degree"] = [4, 4]
    assert "changed" in verify(data).reason
    forged = Certificate.from_dict(data).to_dict()  # with a digest that matches
    assert not verify(forged)


@pytest.mark.parametrize("data", [{}, {"format": "remez certificate 2"}])
def test_what_is_no_certificate_is_refused(data):
    assert "not a certificate" in verify(data).reason


@pytest.mark.parametrize(
    ("text", "degree", "domain", "weight"),
    [
        ("sqrt(x)", (6, 6), (0, 1), None),
        ("x**0.25", (4, 4), (0, 1), None),
        ("relu(x)", (8, 8), (-1, 1), None),
        ("sign(x)", (7, 8), [(-1, "-0.01"), ("0.01", 1)], None),
        ("exp(x)", (4, 4), (-1, 1), "relative"),
        ("exp(x)", (4, 4), (-1, 1), parse("1 + x")),
    ],
)
def test_singular_ends_kinks_gaps_and_weights_are_proved(text, degree, domain, weight):
    fit = remez.fit(parse(text), degree, domain, precision=20, weight=weight)
    certificate = fit.certify()
    assert certificate.rigorous
    assert certificate.lower <= fit.error * (1 + mp.mpf(10) ** -15)
    assert certificate.gap <= 1e-5
    assert verify(certificate.to_dict())


def test_a_relative_error_of_changing_sign_is_proved():
    """1/f changes its sign between the intervals, 1/|f| does not."""
    fit = remez.fit("x*exp(x)", (3, 2), [(-2, -1), (1, 2)], weight="relative")
    certificate = fit.certify()
    assert certificate.rigorous
    assert certificate.lower <= fit.error * (1 + 1e-6)
    assert certificate.gap <= 1e-5


def test_nothing_is_proved_with_a_negative_weight(certified):
    """With weight x the errors of exp would alternate elsewhere, and bound nothing."""
    data = certified["exp"][1].to_dict()
    for weight in ("x", "-1 - x**2"):
        claim = {**data["claim"], "weight": weight}
        forged = Certificate.from_dict({**data, "claim": claim}).to_dict()
        assert "weight is not positive" in verify(forged).reason


INF = math.inf
UNBOUNDED = [
    ("exp(-x)", (4, 4), (0, INF)),
    ("exp(-x)", (2, 4), (0, INF)),
    ("erfc(x)", (3, 3), (0, INF)),
    ("sigmoid(x)", (3, 3), (-INF, 0)),
    ("gelu(x)", (3, 4), (-INF, 0)),
    ("log(1 + x)/(1 + x)", (3, 3), (0, INF)),
    ("1/(1 + abs(x))", (4, 4), (-INF, INF)),
    ("exp(-x**2)", (4, 4), (-INF, INF)),
    ("exp(x/(1 + x**2))/(1 + x**2)", (3, 3), (-INF, INF)),
]


@pytest.mark.parametrize(("text", "degree", "domain"), UNBOUNDED)
def test_unbounded_domains_are_proved(text, degree, domain):
    fit = remez.fit(parse(text), degree, domain, precision=20)
    certificate = fit.certify()
    assert certificate.rigorous
    assert certificate.gap <= 1e-5
    assert certificate.lower <= fit.error * (1 + mp.mpf(10) ** -15)
    assert verify(json.loads(json.dumps(certificate.to_dict())))


def test_a_double_fit_on_a_half_line_is_proved():
    # the error of type (4, 4) to 40 digits by a separate program
    certificate = remez.fit(parse("exp(-x)"), (4, 4), (0, INF)).certify()
    assert certificate.rigorous
    best = mp.mpf("8.652240695288852348224345825414673525007e-5")
    assert certificate.lower <= best <= certificate.upper
    assert certificate.gap <= 1e-5


def test_no_limit_no_proof():
    # the values of gamma at infinity are not known to the tail forms
    certificate = remez.fit(parse("1/gamma(x)"), (3, 3), (1, INF), precision=20).certify()
    assert not certificate.rigorous
    assert "infinity" in certificate.method


CONDITIONS = [
    ("exp(x)", (3, 3), (-1, 1), [(0, 1)]),
    ("exp(x)", (2, 2), (-1, 1), [(-0.5, 0.6065), (0.25, 1.284)]),
    ("sin(x)", (5, 0), (0, 1.5), [(0, 0)]),
    ("tanh(x)", (3, 2), (-2, 2), [(0, 0)]),
    ("exp(-x)", (3, 3), (0, INF), [(0, 1)]),
]


@pytest.mark.parametrize("precision", [None, 20])
@pytest.mark.parametrize(("text", "degree", "domain", "pins"), CONDITIONS)
def test_prescribed_values_are_part_of_the_proof(text, degree, domain, pins, precision):
    fit = remez.fit(parse(text), degree, domain, interpolate=pins, precision=precision)
    certificate = fit.certify()
    assert certificate.rigorous
    assert certificate.gap <= 1e-5
    assert certificate.lower <= fit.error * (1 + mp.mpf(10) ** -5)
    data = json.loads(json.dumps(certificate.to_dict()))
    assert verify(data)
    data["claim"]["interpolate"][0][1] = "1/3"
    assert not verify(Certificate.from_dict(data).to_dict())


def test_conditions_cost_what_they_must():
    free = remez.fit(parse("exp(x)"), (2, 2), precision=20).certify()
    bound = remez.fit(parse("exp(x)"), (2, 2), precision=20, interpolate=[(0, 1)]).certify()
    assert free.upper < bound.lower


def test_more_conditions_than_the_numerator_has_room_for_are_not_proved():
    pins = [(0, 1), (0.5, 1.6)]
    certificate = remez.fit(parse("exp(x)"), (0, 3), interpolate=pins, precision=20).certify()
    assert not certificate.rigorous
    assert "type" in certificate.method
