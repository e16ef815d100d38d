"""``precision=`` with callables of every kind: a right answer, or one line about the cause."""

import mpmath
import numpy as np
import pytest
from mpmath import mp

import remez

FUNCTIONS = {
    "divides by zero": (lambda x: 1 / x, "inf at x = 0"),
    "has a pole beside 0": (lambda x: 1 / (x - mp.mpf(1) / 3), "inf at x = 0.333"),
    "is complex": (lambda x: mp.mpc(1, x), "complex at x"),
    "is complex left of 0": (mp.sqrt, "complex at x = -"),
    "returns text": (lambda x: "1.5", "returns '1.5'"),
    "returns None": (lambda x: None, "fn fails at x"),
    "returns a list": (lambda x: [x], "fn fails at x"),
    "raises KeyError": (lambda x: {}[1], "fn fails at x = .*KeyError"),
    "raises at 0": (mp.gamma, "fn fails at x = 0"),
    "is NaN": (lambda x: mp.nan, "nan at x"),
    "returns floats": (lambda x: np.exp(float(x)), "no more than 16 digits"),
    "jumps at 0": (mp.sign, "alternat|level"),
    "jumps at 0.3": (lambda x: mp.mpf(x > mp.mpf("0.3")), "alternat|level|pole"),
    "jumps between zeros": (lambda x: x - mp.floor(x), "alternat|level|pole"),
}
WEIGHTS = {
    "is infinite": (lambda x: 1 / abs(x), "weight is .*inf at x = 0"),
    "is infinite at the end": (lambda x: 1 / (1 - x), "weight is .*inf at x = 1"),
    "is complex": (lambda x: mp.mpc(1, x), "weight is complex"),
    "returns text": (lambda x: "a", "weight returns 'a'"),
    "raises KeyError": (lambda x: {}[1], "weight fails at x"),
    "is negative": (lambda x: -1, "weight is -1"),
    "is 0": (lambda x: 0 * x, "weight is 0"),
}


@pytest.mark.no_cover
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("degree", [(2, 2), (3, 0), (1, 2), (4, 3)])
def test_a_function_that_cannot_be_approximated_is_told_in_one_line(name, degree):
    fn, said = FUNCTIONS[name]
    with pytest.raises(remez.RemezError, match=said) as caught:
        remez.fit(fn, degree, precision=15)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_weight_that_cannot_be_used_is_told_in_one_line(name):
    weight, said = WEIGHTS[name]
    with pytest.raises(remez.TargetError, match=said):
        remez.fit("exp(x)", (2, 2), weight=weight, precision=15)


@pytest.mark.parametrize("precision", [None, 15])
@pytest.mark.parametrize("domain", [(-1, 1), (0, np.inf), [(-2, -1), (1, 2)]])
def test_a_weight_of_zero_everywhere_is_refused(domain, precision):
    with pytest.raises(remez.TargetError, match="weight is 0"):
        remez.fit("exp(-x**2)", (2, 2), domain, weight=lambda x: 0 * x, precision=precision)


def test_a_weight_that_is_zero_on_half_of_the_domain_counts_on_the_other_half():
    def weight(x):
        return np.maximum(x, 0) if isinstance(x, np.ndarray) else max(x, 0 * x)

    double = remez.fit("exp(x)", (2, 2), weight=weight)
    precise = remez.fit("exp(x)", (2, 2), weight=weight, precision=20)
    half = remez.fit("exp(x)", (2, 2), (0, 1), weight=lambda x: x, precision=20)
    assert precise.error == pytest.approx(float(half.error), rel=1e-15)
    assert double.error == pytest.approx(float(half.error), rel=1e-6)


def test_the_problem_of_the_answer_has_the_callables_that_were_given():
    def weight(x):
        return 1 + x * x

    fit = remez.fit(mp.exp, (2, 2), weight=weight, precision=15)
    assert fit.problem.fn == mp.exp
    assert fit.problem.weight is weight


def test_a_complex_number_without_imaginary_part_is_a_real_number():
    fit = remez.fit(lambda x: mp.mpc(mp.exp(x), 0), (2, 2), precision=15)
    assert float(fit.error) == pytest.approx(8.689991075e-05, rel=1e-9)  # as for exp


@pytest.mark.parametrize("width", ["0.0003", "0.0005", "0.003"])
@pytest.mark.parametrize("degree", [(2, 2), (3, 0)])
def test_a_narrow_feature_is_not_overlooked(width, degree):
    """The best error of a bump of height 0.1 is nearly 0.05, and at the bump in any case."""
    text = f"exp(x) + 0.1*exp(-((x - 0.1234567)/{width})**2)"
    try:
        fit = remez.fit(text, degree, precision=15)
    except remez.ConvergenceError:
        return
    with mpmath.workdps(30):
        place = mp.mpf("0.1234567")
        seen = abs(mp.exp(place) + mp.mpf("0.1") - fit(place))
        assert seen <= fit.error * (1 + mp.mpf(10) ** -12)


@pytest.mark.parametrize(("text", "domain"), [("sin(9*x)", (-np.inf, -1)), ("x", (0, np.inf))])
def test_a_function_without_a_limit_at_infinity_is_refused_at_once(text, domain):
    with pytest.raises(remez.TargetError, match="no limit at"):
        remez.fit(text, (6, 6), domain, precision=15)


@pytest.mark.parametrize(("x", "y"), [(-3.0, 0.05), (3.0, 20.0)])
def test_a_condition_outside_the_domain_is_met(x, y):
    fit = remez.fit("exp(x)", (3, 3), (0, 1), interpolate=[(x, y)], precision=15)
    double = remez.fit("exp(x)", (3, 3), (0, 1), interpolate=[(x, y)])
    assert float(fit(mp.mpf(x))) == pytest.approx(y, rel=1e-14)
    assert float(fit.error) == pytest.approx(double.error, rel=1e-4)
