"""Best errors known from the literature or from 60-digit computation."""

import math

import numpy as np
import pytest
from scipy import special

import remez
from remez import Status

# (fn, degree, domain, E): the 20 solvable reference problems
PROBLEMS = {
    "exp": (np.exp, (5, 4), (-1, 1), 4.29262171217857e-12),
    "sin": (np.sin, (5, 4), (-3.14159265, 3.14159265), 6.63327158186676e-06),
    "gamma": (special.gamma, (4, 4), (1, 2), 4.14817590204889e-10),
    "log": (np.log, (4, 4), (1, 2), 6.24804485892407e-12),
    "runge": (lambda x: np.exp(x) / (x * x + 1e-4), (4, 4), (-1, 1), 8.11864462093979e-07),
    "abs": (np.abs, (8, 8), (-1, 1), 0.000736563614030703),
    "sqrt": (np.sqrt, (6, 6), (0, 1), 0.000107471162294512),
    "relu": (lambda x: np.maximum(x, 0), (8, 8), (-1, 1), 0.000482155579253716),
    "gelu": (lambda x: x * special.ndtr(x), (8, 8), (-6, 6), 1.52675197364115e-05),
    "softplus": (lambda x: np.log1p(np.exp(x)), (8, 8), (-10, 10), 1.69356745447358e-06),
    "sign": (np.sign, (9, 8), [(-1, -0.01), (0.01, 1)], 0.00241396049208207),
    "abs odd": (np.abs, (3, 3), (-1, 1), 0.0436890126920763),
    "cos": (np.cos, (5, 5), (-1, 1), 7.55451869617519e-10),
    "exp (8, 2)": (np.exp, (8, 2), (-3, 3), 1.13422269875667e-07),
    "exp (12, 0)": (np.exp, (12, 0), (-5, 5), 7.66074727147829e-05),
    "log1p": (np.log1p, (6, 6), (0, 1e6), 0.00528821349334729),
    "exp narrow": (np.exp, (1, 1), (-0.001, 0.001), 2.08333333333335e-11),
    "abs 20": (np.abs, (20, 20), (-1, 1), 4.875957512631913e-06),
    # Varga, Ruttan, Carpenter 1991; Chebfun's test_minimax gives 2.1739878e-7
    "abs 30": (np.abs, (30, 30), (-1, 1), 2.173987816979432e-07),
    "abs 40": (np.abs, (40, 40), (-1, 1), 1.561328856994866e-08),
    "root 4": (lambda x: x**0.25, (4, 4), (0, 1), 0.005566162293410498),
    "exp(-x), half-line": (lambda x: np.exp(-x), (8, 8), (0, np.inf), 1.172265211633490e-08),
    # Cody, Meinardus, Varga 1969
    "exp, other half-line": (np.exp, (4, 4), (-np.inf, 0), 8.652240695288852e-05),
    "gauss on the line": (lambda x: np.exp(-x * x), (6, 6), (-np.inf, np.inf), 7.99380635633e-04),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_best_error(name):
    fn, degree, domain, error = PROBLEMS[name]
    fit = remez.fit(fn, degree, domain)
    assert fit.status is Status.CONVERGED
    assert fit.error == pytest.approx(error, rel=2e-3)
    assert fit.lower_bound <= fit.error
    assert fit.reference.size >= sum(degree) + 2 - fit.defect


# no value is known; accepted means that the alternation was checked
HARD = {
    "hat": (lambda x: np.maximum(1 - np.abs(x), 0), (8, 8), (-2, 2)),
    "two lengths": (np.sign, (3, 3), [(-1, -0.1), (1e3, 2e3)]),
    "steep end": (special.zeta, (6, 6), (1.01, 10)),
    "narrow bump": (lambda x: np.exp(-1e5 * (x - 0.1) ** 2), (8, 8), (-1, 1)),
    "odd but where it bends": (lambda x: np.tanh(1000 * x - 3), (8, 8), (-1, 1)),
    "several kinks": (lambda x: np.clip(x, -1, 1), (5, 5), (-3, 3)),
    "kink off the middle": (lambda x: np.abs(x - 1 / np.pi) + np.sin(x), (10, 9), (-1, 1)),
    "four intervals": (
        lambda x: 1.0 * (np.abs(x) < 2.7),
        (8, 8),
        [(-4, -3), (-2, -1), (1, 2.5), (3, 4)],
    ),
}


@pytest.mark.parametrize("name", HARD)
def test_hard_ones_are_solved(name):
    assert remez.fit(*HARD[name]).converged


@pytest.mark.parametrize(("degree", "least"), [(60, 0.999), (80, 0.999)])
def test_high_degrees_are_level(degree, least):
    fit = remez.fit(np.abs, (degree, degree))
    assert fit.status is Status.CONVERGED
    assert fit.lower_bound >= least * fit.error
    # Stahl 1993: E_n exp(pi sqrt n) -> 8, from below
    assert 0.8 < fit.error * math.exp(math.pi * math.sqrt(degree)) / 8 < 1


def test_defect_is_stated():
    assert remez.fit(np.abs, (3, 3)).defect == 1
    assert remez.fit(np.cos, (5, 5)).defect == 1
    zero = remez.fit(np.arctan, (0, 2), (-2, 2))  # odd, so the best of type (0, n) is 0
    assert zero.status is Status.CONVERGED
    assert zero.defect == 2
    assert zero.error == pytest.approx(np.arctan(2))
    constant = remez.fit(lambda x: 3.7 + 0 * x, (4, 4))
    assert constant.defect == 4
    assert constant.error < 1e-14


# f of lower type, (m, n), exact type (mu, nu) of f: d = min(m - mu, n - nu)
EXACT = {
    "rational": (lambda x: (x + 2) / (x * x + 2), (5, 5), 3),
    "zero": (lambda x: 0 * x, (3, 3), 3),  # its exact type is (-inf, 0)
    "zero, m > n": (lambda x: 0 * x, (5, 2), 2),
    "line": (lambda x: x, (3, 2), 2),
    "quartic": (lambda x: 3 * x**4 - 2 * x + 1, (6, 3), 2),
    "quintic": (lambda x: x**5 + x, (5, 5), 0),
    "square": (lambda x: x * x, (3, 6), 1),
    "cube": (lambda x: x**3, (7, 2), 2),
    "even": (lambda x: 1 / (1 + 25 * x * x), (4, 4), 2),
    "even, in the way": (lambda x: 1 / (1 + 25 * x * x), (5, 2), 0),
    "odd": (lambda x: x / (x * x + 1), (6, 6), 4),
    "reciprocal": (lambda x: 1e6 / (x + 3), (2, 4), 2),
    "triple pole": (lambda x: (x + 3) ** -3, (4, 6), 3),
    "both": (lambda x: (x * x + x + 3) / (x * x - x + 5), (6, 7), 4),
}


@pytest.mark.parametrize("name", EXACT)
def test_the_defect_of_an_exact_rational(name):
    fn, degree, defect = EXACT[name]
    fit = remez.fit(fn, degree)
    assert fit.status is Status.NOISE_FLOOR
    assert fit.error <= 2e-14 * np.abs(fn(np.linspace(-1, 1, 101))).max()
    assert fit.defect == defect


def test_the_defect_of_an_exact_rational_with_a_condition():
    """(1 + x)/(2 + x^2) is of type (1, 2) also where it is prescribed at a Chebyshev point."""
    fit = remez.fit(
        lambda x: (1 + x) / (2 + x * x), (7, 7), (0, 1), interpolate=[(0.5, 1.5 / 2.25)]
    )
    assert (fit.status, fit.defect) == (Status.NOISE_FLOOR, 5)


def test_the_defect_on_a_half_line():
    fit = remez.fit(lambda x: (x + 2) / (x * x + 2), (4, 4), (0, np.inf))
    assert fit.status is Status.NOISE_FLOOR
    assert fit.defect == 2


def test_an_error_near_rounding_is_not_given_up_for_a_lower_type():
    lower, full = remez.fit(np.exp, (5, 5)), remez.fit(np.exp, (7, 6))
    assert full.error < 0.1 * lower.error
    assert full.defect <= 1


MUST_FAIL = {
    "step": (lambda x: 1.0 * (x >= 0), (-1, 1), remez.TargetError, "jump"),
    "small step": (lambda x: np.exp(x) + 1e-4 * (x > 0.3), (-1, 1), remez.TargetError, "jump"),
    "tan": (np.tan, (0, 3), remez.TargetError, "pole"),
    "reciprocal": (lambda x: 1 / x, (-1, 1), remez.TargetError, "inf"),
    "nan": (np.sqrt, (-1, 1), remez.TargetError, "nan"),
    "noise": (
        lambda x: np.exp(x) + 1e-6 * np.sin(1e9 * np.asarray(x) ** 2),
        (-1, 1),
        remez.TargetError,
        "noise",
    ),
    "degenerate": (np.exp, (1, 1), remez.DomainError, "degenerate"),
    "overlap": (np.exp, [(0, 1), (0.5, 2)], remez.DomainError, "merge"),
    "unreadable": (np.exp, "ab", remez.DomainError, "read"),
}


@pytest.mark.parametrize("name", MUST_FAIL)
def test_failures_are_typed_and_say_why(name):
    fn, domain, error, word = MUST_FAIL[name]
    with pytest.raises(error, match=word):
        remez.fit(fn, (6, 6), domain)


@pytest.mark.parametrize("degree", [(-1, 2), (1.5, 2), (3,), None])
def test_impossible_degrees(degree):
    with pytest.raises(remez.DegreeError):
        remez.fit(np.exp, degree)


def test_a_function_with_more_humps_than_the_type_has_alternations_is_best_met_by_a_constant():
    fit = remez.fit(lambda x: np.maximum(np.sin(20 * x), 0), (3, 3))
    assert (fit.defect, fit.error) == (3, pytest.approx(0.5, rel=1e-6))


def test_what_alternates_by_itself_is_best_met_by_zero_whatever_n():
    """0 = 0/1 has defect n, so that m + 2 extrema are enough: here 5, at multiples of pi."""
    fit = remez.fit(np.cos, (3, 4), (-7.5, 7.5))
    assert (fit.defect, fit.error) == (4, pytest.approx(1, rel=1e-6))
    assert (fit(np.linspace(-7.5, 7.5)) == 0).all()
    assert np.isfinite(fit.rational.weights).all()


def test_convergence_error_carries_the_best_fit():
    with pytest.raises(remez.ConvergenceError) as caught:
        remez.fit(lambda x: np.maximum(np.sin(20 * x), 0), (12, 12), max_iterations=1)
    assert not caught.value.fit.converged
    fit = remez.fit(
        lambda x: np.maximum(np.sin(20 * x), 0), (12, 12), max_iterations=1, throw=False
    )
    assert not fit.converged
    assert "NOT" in repr(fit)


@pytest.mark.parametrize("degree", [(2, 1), (4, 1), (4, 3), (6, 5)])
def test_a_constant_plus_an_odd_function_is_degenerate_in_type_even_over_odd(degree):
    """The best is a constant plus the best of the odd part, of type (m - 1, n - 1)."""

    def logistic(x):
        return 1 / (1 + np.exp(-x))

    fit = remez.fit(logistic, degree, (-3, 3))
    odd = remez.fit(lambda x: logistic(x) - 0.5, degree, (-3, 3))
    assert fit.defect == 1
    assert fit.error == pytest.approx(odd.error, rel=1e-3)
