"""Errors to 30 digits, against published values and values of an independent program."""

import itertools
import math

import numpy as np
import pytest
from mpmath import mp

import remez
from remez.functions.expression import parse
from remez.rational.arithmetic import MpmathArithmetic
from remez.solver.precise.driver import finish, fit_precise
from remez.solver.precise.problem_reduction import reduce
from remez.solver.precise.search import Search

# m + n + 2 alternating extrema levelled to 1e-39 at 60 to 480 digits by a separate program;
# type (14, 14) on the half-line also is CRAM's alpha_0, Pusa, arXiv:1206.2880
ERRORS = {
    "abs": ("abs(x)", (8, 8), (-1, 1), "0.0007365636140307030561624912632956438020794"),
    "sqrt": ("sqrt(x)", (6, 6), (0, 1), "0.0001074711622945128494860823512957293558471"),
    "exp": ("exp(x)", (3, 3), (-1, 1), "0.0000001550669053971168594318694650774320536622"),
    "root 4": ("x**0.25", (2, 2), (0, 1), "0.03111649133195702973911674864344386808321"),
    "half-line": ("exp(-x)", (4, 4), (0, math.inf), "8.652240695288852348224345825414673525007e-5"),
    "CRAM": ("exp(-x)", (14, 14), (0, math.inf), "1.832174378254041275155501756513156530559e-14"),
    "sign": (
        "sign(x)",
        (9, 8),
        [(-1, "-0.01"), ("0.01", 1)],
        "0.002413960492082071132744109040809585729101",
    ),
}  # fmt: skip


def relative(a, b):
    with mp.workdps(60):
        return abs(mp.mpf(a) / mp.mpf(b) - 1)


@pytest.mark.parametrize("name", ERRORS)
def test_thirty_digits(name):
    text, degree, domain, error = ERRORS[name]
    fit = remez.fit(parse(text), degree, domain, precision=32)
    assert fit.converged
    assert relative(fit.error, error) < mp.mpf(10) ** -30


def test_a_callable_of_mpmath_numbers_gives_the_same():
    one = remez.fit(lambda x: mp.exp(x), (2, 2), precision=40)
    two = remez.fit(remez.targets.exp, (2, 2), precision=40)
    assert isinstance(one.error, mp.mpf)
    assert relative(one.error, two.error) < mp.mpf(10) ** -38


def test_double_agrees_to_its_noise():
    coarse = remez.fit(np.exp, (3, 3))
    fine = remez.fit(remez.targets.exp, (3, 3), precision=30)
    x = np.linspace(-1, 1, 101)
    got = np.array([float(fine(v)) for v in x])
    # the rationals differ by what the double one lacks to the level
    assert np.abs(got - coarse(x)).max() < 1e-6 * coarse.error
    assert float(fine.error) == pytest.approx(coarse.error, rel=1e-6)


def test_the_error_is_attained_and_alternates():
    fit = remez.fit(parse("sqrt(x)"), (4, 4), (0, 1), precision=30)
    with mp.workdps(50):
        errors = [mp.sqrt(x) - fit(mp.mpf(x)) for x in fit.reference]
        assert len(errors) == 10
        assert all(a * b < 0 for a, b in itertools.pairwise(errors))
        assert all(abs(abs(e) / fit.error - 1) < mp.mpf(10) ** -22 for e in errors)


def test_poles_come_in_that_precision():
    fit = remez.fit(remez.targets.exp, (2, 2), precision=30)
    poles = fit.poles()
    assert len(poles) == 2
    with mp.workdps(30):  # a pole: 1/r vanishes there, to first order in the distance
        step = mp.mpf(10) ** -20
        near, nearer = (abs(1 / fit.rational._value(poles[0] + h)) for h in (step, step / 10))
        assert near / nearer == pytest.approx(10, rel=1e-6)


def test_a_round_trip_keeps_every_digit():
    fit = remez.fit(remez.targets.exp, (2, 2), precision=30)
    again = remez.Fit.from_dict(fit.to_dict())
    assert again.error == fit.error
    assert again(mp.mpf("0.3")) == fit(mp.mpf("0.3"))


def test_both_arithmetics_agree():
    problem = remez.Problem.of(parse("sign(x)"), (3, 4), [(-1, "-0.1"), ("0.1", 1)])
    one = fit_precise(problem, 30, arithmetic=MpmathArithmetic())
    two = fit_precise(problem, 30)
    assert one.converged
    assert relative(one.error, two.error) < mp.mpf(10) ** -29


@pytest.mark.parametrize(
    ("f", "degree"),
    [
        (lambda x: mp.mpf(0), (2, 2)),
        (lambda x: mp.mpf("3.7"), (4, 4)),
        (lambda x: (x + 2) / (x * x + 3), (4, 4)),
        (lambda x: x**3 - x, (5, 0)),
    ],
)
def test_a_rational_of_lower_degree_is_found_exactly(f, degree):
    fit = remez.fit(f, degree, precision=30)
    assert fit.converged
    assert fit.error < mp.mpf(10) ** -35


@pytest.mark.parametrize("text", ["gamma(x)", "abs(x - 3/2)"])
def test_equal_values_at_both_ends_are_no_exact_fit(text):
    # the first reference, the two ends, has no error at all: f(1) = f(2)
    fit = remez.fit(parse(text), (4, 4), (1, 2), precision=25)
    assert fit.error > mp.mpf(10) ** -12


def test_a_pole_of_the_target_is_an_error():
    with pytest.raises(remez.RemezError):
        remez.fit(lambda x: mp.tan(x), (5, 5), (0, 3), precision=20)


def test_high_degrees_approach_the_law_of_stahl():
    # E_nn(|x|) exp(pi sqrt n) -> 8, H. Stahl, Math. USSR Sb. 183 (1992); extrapolated in 1/sqrt(n)
    ratios, steps = [], []
    for n in (40, 60):
        fit = remez.fit(remez.targets.abs, (n, n), precision=20)
        assert fit.lower_bound <= fit.error <= fit.lower_bound * (1 + mp.mpf(10) ** -20)
        ratios.append(fit.error * mp.exp(mp.pi * mp.sqrt(n)))
        steps.append(1 / mp.sqrt(n))
    slope = (ratios[1] - ratios[0]) / (steps[1] - steps[0])
    assert float(ratios[1] - slope * steps[1]) == pytest.approx(8, rel=0.02)


def test_two_prescribed_values_are_kept():
    # type (0, 0), where the search for a reference begins, has no room for two conditions
    pins = [("-0.5", "0.6065"), ("0.25", "1.284")]
    fit = remez.fit(remez.targets.exp, (2, 2), precision=20, interpolate=pins)
    with mp.workdps(30):
        assert all(abs(fit(mp.mpf(x)) - mp.mpf(y)) < mp.mpf(10) ** -18 for x, y in pins)


def test_a_symmetric_target_with_one_sided_conditions_is_not_even():
    # r(1/2) is demanded, r(-1/2) is not: the even answer would be worse
    pin = [(0.5, 0.877581)]
    free = remez.fit(remez.targets.cos, (2, 2), (-1, 1), precision=20, interpolate=pin)
    even = remez.fit(
        remez.targets.cos, (2, 2), (-1, 1), precision=20, interpolate=pin, parity="even"
    )
    assert free.error < even.error * (1 - mp.mpf(10) ** -6)


def test_a_line_with_two_limits_ends_in_a_typed_error():
    # every r of this type has one limit at both ends, the sigmoid has two
    with pytest.raises(remez.RemezError):
        remez.fit(remez.targets.sigmoid, (5, 5), (-math.inf, math.inf), precision=20)


@pytest.mark.parametrize(
    ("text", "degree", "domain"),
    [
        ("sign(x)", (3, 3), [(-2, "-0.1"), ("0.2", 1)]),
        ("sign(x)", (6, 6), [(-2, "-0.1"), ("0.2", 1)]),
        ("step(x)", (8, 8), [(-1, "-0.05"), ("0.05", 3)]),
    ],
)
def test_gaps_without_symmetry(text, degree, domain):
    coarse = remez.fit(parse(text), degree, domain)
    fine = remez.fit(parse(text), degree, domain, precision=20)
    assert float(fine.error) == pytest.approx(coarse.error, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "degree", "domain"),
    [
        ("hard_tanh(x)", (7, 6), (-2, 2)),
        ("hard_sigmoid(x)", (6, 6), (-4, 4)),
        ("exp(-abs(x - 1))", (8, 8), (-math.inf, math.inf)),
    ],
)
def test_kinks_anywhere_are_reference_points(text, degree, domain):
    fit = remez.fit(parse(text), degree, domain, precision=20)
    kinks = parse(text).singular_points(-10, 10)
    assert any(abs(x - kink) < 1e-18 for x in fit.reference for kink in kinks)


def test_the_line_without_symmetry():
    # exp(-(x - 3)^2) is exp(-t) in t = (x - 3)^2: type (8, 8) has the error of CRAM's (4, 4)
    fit = remez.fit(parse("exp(-(x - 3)**2)"), (8, 8), (-math.inf, math.inf), precision=32)
    assert relative(fit.error, ERRORS["half-line"][3]) < mp.mpf(10) ** -30
    # without a zero on the line q is of even degree: (9, 9) is no better
    odd = remez.fit(parse("exp(-(x - 3)**2)"), (9, 9), (-math.inf, math.inf), precision=32)
    assert odd.defect == 1
    assert relative(fit.error, odd.error) < mp.mpf(10) ** -30


@pytest.mark.parametrize("degree", [(16, 8), (5, 25), (20, 10)])
def test_types_far_from_the_diagonal(degree):
    # full steps diverge from a few per cent above the best
    fit = remez.fit(remez.targets.sqrt, degree, (0, 1), precision=20)
    assert relative(fit.error, fit.lower_bound) < mp.mpf(10) ** -19


@pytest.mark.parametrize(
    ("text", "domain"), [("tan(x)", ("-0.7", "0.7")), ("1/(1 + sqrt(x))", (0, math.inf))]
)
def test_ends_are_the_best_to_all_digits(text, domain):
    # 0.49 is no dyadic number; at 10^digits the second still is 10^(-digits/2) off its limit
    fit = remez.fit(parse(text), (4, 4), domain, precision=30)
    with mp.workdps(400):
        errors = [abs(parse(text)(x) - fit.rational._value(x)) for x in fit.reference]
        assert max(errors) / min(errors) < 1 + mp.mpf(10) ** -30


@pytest.mark.parametrize(
    ("text", "degree", "domain"),
    [("gelu(x)", (3, 1), (-3, 3)), ("silu(x)", (5, 3), (-1, 1)), ("softplus(x)", (5, 1), (-3, 3))],
)
def test_a_degenerate_best_is_found_at_its_lower_type(text, degree, domain):
    # f - x/2 is even, so the best of type (m, n), both odd, m > n, is x/2 + one of (m - 1, n - 1)
    m, n = degree
    fit = remez.fit(parse(text), degree, domain, precision=30)
    even = remez.fit(parse(f"{text} - x/2"), (m - 1, n - 1), domain, precision=30)
    assert (fit.converged, fit.defect, even.defect) == (True, 1, 0)
    assert relative(fit.error, even.error) < mp.mpf(10) ** -28
    with mp.workdps(50):
        errors = [parse(text)(x) - fit(mp.mpf(x)) for x in fit.reference]
        assert min(map(abs, errors)) > fit.error * (1 - mp.mpf(10) ** -20)
    assert len(errors) == m + n + 1
    assert all(a * b < 0 for a, b in itertools.pairwise(errors))


@pytest.mark.parametrize(
    ("text", "degree", "defect"),
    [
        ("x/(1 + x**2)", (5, 5), 3),
        ("(x + 2)/(x**2 + 3)", (4, 4), 2),
        ("(x + 2)/(x**2 + 3)", (7, 3), 1),
        ("37/10 + 0*x", (4, 6), 4),
        ("0*x", (1, 3), 3),
    ],
)
def test_an_exact_fit_states_its_lowest_type(text, degree, defect):
    fit = remez.fit(parse(text), degree, precision=30)
    assert (fit.converged, fit.defect) == (True, defect)
    assert fit.error < mp.mpf(10) ** -40
    assert fit.defect == remez.fit(parse(text), degree).defect


@pytest.mark.parametrize("degree", [(0, 4), (1, 7), (6, 7)])
def test_an_exact_fit_on_the_line_has_the_coefficients_of_f(degree):
    f = parse("1/(2 + x**2 - x)**2")
    fit = remez.fit(f, degree, (-math.inf, math.inf), precision=30)
    with mp.workdps(40):
        assert all(abs(fit(mp.mpf(x)) - f(mp.mpf(x))) < mp.mpf(10) ** -30 for x in (-2, 0, 0.5, 9))


@pytest.mark.parametrize(("degree", "domain"), [((0, 3), (-1, 1)), ((1, 3), (-5, 5))])
def test_zero_may_be_the_best(degree, domain):
    # sin is m + 2 times as large as it gets, with alternating sign; the defect of 0 is n
    fit = remez.fit(remez.targets.sin, degree, domain, precision=30)
    assert (fit.converged, fit.defect) == (True, 3)
    with mp.workdps(40):
        assert relative(fit.error, mp.sin(min(domain[1], mp.pi / 2))) < mp.mpf(10) ** -28
        assert max(abs(fit(mp.mpf(x))) for x in fit.reference) < mp.mpf(10) ** -25


def test_a_lower_type_that_alternates_too_seldom_is_not_the_best():
    problem = remez.Problem.of(remez.targets.exp, (3, 3), (-1, 1))
    arithmetic = MpmathArithmetic()
    search = Search(reduce(problem, arithmetic), arithmetic, 40, None)
    fit = finish(search, search.climb((2, 2)), 20, "lower type")
    assert fit.status is remez.Status.NO_ALTERNATION


@pytest.mark.parametrize(
    ("text", "fn", "degree", "digits"),
    [
        ("exp(x)", mp.exp, (5, 5), 5),
        ("exp(x)", mp.exp, (8, 8), 15),
        ("cos(x)", mp.cos, (8, 8), 10),
        ("sin(x)", mp.sin, (9, 4), 10),
    ],
)
@pytest.mark.parametrize("weight", [None, "relative"])
def test_values_are_accurate_enough_for_the_error(text, fn, degree, digits, weight):
    """An error below ten to the minus digits shows in the values of r, not only in its limit."""
    fit = remez.fit(text, degree, (-0.9, 1), precision=digits, weight=weight)
    with mp.workdps(60):
        x = [mp.mpf(k) / 100 for k in range(-90, 101) if k]
        error = max(abs(fn(v) - fit(v)) / (abs(fn(v)) if weight else 1) for v in x)
        assert 0.9 * fit.error < error < fit.error * (1 + mp.mpf(10) ** (2 - digits))
