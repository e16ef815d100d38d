"""A pole in a gap of the domain: the best rational may have one."""

import numpy as np
import pytest

import remez
from remez.problem import Problem
from remez.solver import driver
from remez.solver.exchange import ExchangeOptions
from remez.solver.sign_patterns import Search, patterns
from remez.solver.starts import linear_programming
from remez.solver.starts.references import base_grid, dense_grid
from remez.solver.survey import survey

GAPPED = [(-1, -0.1), (0.1, 1)]


def test_a_pole_in_the_gap_is_found_where_it_does_better():
    """Type (2, 1) has room for sign's jump only as a pole between the intervals."""
    fit = remez.fit(np.sign, (2, 1), [(-2, -0.1), (0.2, 1)])
    assert fit.error == pytest.approx(0.3296853, rel=1e-6)
    (pole,) = fit.poles()
    assert -0.1 < pole.real < 0.2


def test_the_reciprocal_of_zolotarevs_approximant_is_best_in_type_even_over_odd():
    """1/r has the error of r when both are scaled: (E - 1, E + 1) are turned into each other."""
    straight = remez.fit(np.sign, (3, 2), GAPPED)
    turned = remez.fit(np.sign, (2, 3), GAPPED)
    assert turned.error == pytest.approx(straight.error, rel=1e-5)
    assert np.abs(turned.poles()).min() < 1e-8
    assert np.abs(straight.poles().imag).min() > 0


def test_a_rational_with_a_pole_in_a_gap_is_recovered():
    fit = remez.fit(lambda x: (x + 2) / (x * x - 0.0025), (2, 3), GAPPED)
    assert fit.converged
    largest = 2.1 / 0.0075  # |f(0.1)|
    assert fit.error < 32 * np.finfo(float).eps * largest
    assert np.sort(fit.poles().real) == pytest.approx([-0.05, 0.05])


def test_patterns_that_are_no_symmetric_ones_are_searched():
    """An even function on four intervals, with the pole of its best rational in one of two gaps."""
    domain = [(-3, -2.2), (-1.8, -0.5), (0.5, 1.8), (2.2, 3)]

    def step(x):
        return np.where(np.abs(x) > 2, 1.0, 0.0)

    fits = [remez.fit(step, (1, n), domain) for n in (1, 2)]
    assert fits[1].error < fits[0].error <= 0.5 * (1 + 1e-9)


@pytest.mark.parametrize("fn", [np.sign, np.exp, lambda x: np.abs(x - 0.3)])
def test_no_rational_with_random_poles_in_the_gaps_does_better(fn):
    """Interpolants at random points, of type (1, 1), with a pole in the gap of our choice."""
    fit = remez.fit(fn, (1, 1), GAPPED)
    x = np.concatenate([np.linspace(a, b, 400) for a, b in GAPPED])
    for pole in np.linspace(-0.09, 0.09, 13):
        basis = np.stack([np.ones_like(x), 1 / (x - pole)], 1)
        coefficients = np.linalg.lstsq(basis, fn(x), rcond=None)[0]
        assert np.abs(basis @ coefficients - fn(x)).max() >= fit.lower_bound * (1 - 1e-9)


def test_what_was_not_excluded_is_not_claimed(monkeypatch):
    domain = [(-3, -2), (-1, 0.3), (2, 3)]
    assert remez.fit(np.exp, (2, 2), domain).converged
    monkeypatch.setattr("remez.solver.driver.PATTERNS", 2)  # there are three besides the first
    fit = remez.fit(np.exp, (2, 2), domain, throw=False)
    assert fit.status is remez.Status.OPEN
    assert not fit.converged


@pytest.mark.parametrize("degree", [(2, 1), (4, 3), (5, 4)])
def test_a_warm_start_keeps_the_signs_of_the_former_denominator(degree):
    """The best of these has a pole in the gap, so that q has two signs."""

    def fn(x, c=0.0):
        return 1 / (x - c) + np.exp(x)

    domain = [(-1, -0.3), (0.2, 1)]
    start = remez.fit(fn, degree, domain)
    assert start.rational.with_sign(np.array([-0.6, 0.6]))[1].prod() < 0
    cold = remez.fit(lambda x: fn(x, 0.002), degree, domain)
    warm = remez.fit(lambda x: fn(x, 0.002), degree, domain, start=start)
    assert warm.method == "warm start"
    assert warm.iterations <= 3
    assert warm.error == pytest.approx(cold.error, rel=1e-3)


def test_a_warm_start_from_another_pattern_finds_the_better_one():
    """The neighbour's best has no pole in the gap: the sign pattern of the start must not stay."""
    domain = [(-1, -0.3), (0.2, 1)]
    start = remez.fit(lambda x: 1 / x + np.exp(x), (3, 2), domain)
    cold = remez.fit(np.exp, (3, 2), domain)
    warm = remez.fit(np.exp, (3, 2), domain, start=start)
    assert warm.error == pytest.approx(cold.error, rel=1e-3)


@pytest.mark.parametrize(
    ("fn", "degree", "domain"),
    [
        (lambda x: np.sin(5 * x), (0, 4), [(-1, -0.5), (-0.1, 0.1), (0.6, 1)]),
        (lambda x: np.abs(np.sin(7 * x)), (11, 3), [(-1, -0.3), (0.2, 1)]),
        (lambda x: 1 / (1 + np.exp(-300 * x)), (0, 5), [(-1, -0.3), (0.2, 1)]),
    ],
)
def test_a_union_without_an_accepted_first_pattern_goes_on_with_the_others(fn, degree, domain):
    """No pattern has an error to improve on then, which is no input of a linear program."""
    try:
        fit = remez.fit(fn, degree, domain)
    except remez.ConvergenceError:
        return
    x = np.concatenate([np.linspace(a, b, 20_001) for a, b in domain])
    assert np.abs(fn(x) - fit(x)).max() <= fit.error * (1 + 1e-3)


def test_a_lower_type_at_rounding_is_found_on_narrow_intervals():
    """Here one step from each start leaves an error of 3e-15 to 1e-10; a few steps are enough."""
    domain = [(1.2832981452897023, 1.3130727726001707), (1.7132259077251635, 1.9059069915279767)]
    fit = remez.fit(lambda x: np.tanh(0.11432671554589093 * x), (12, 4), domain)
    assert fit.status is remez.Status.NOISE_FLOOR
    x = np.concatenate([np.linspace(a, b, 20_001) for a, b in domain])
    assert np.abs(np.tanh(0.11432671554589093 * x) - fit(x)).max() <= fit.error < 1e-13


@pytest.mark.parametrize(
    ("fn", "degree", "domain"),
    [
        (np.exp, (3, 3), [(-1, -0.3), (0.2, 1)]),  # 1e-9, which one program took for impossible
        (np.abs, (4, 4), [(-1, -0.3), (-0.1, 0.5), (0.7, 1)]),
        (lambda x: np.tanh(3 * x), (5, 4), [(-1.8, -0.5), (-0.3, 0.8), (1.3, 1.6)]),
    ],
)
@np.errstate(all="ignore")
def test_linear_programs_decide_what_a_sign_pattern_can_reach(fn, degree, domain):
    """A share less than the best error of a pattern is impossible, a share more is possible."""
    problem = Problem.of(fn, degree, domain)
    target = problem.target()
    decided = 0
    for reduced in patterns(problem, target, survey(problem, target)):
        search = Search(reduced, np.inf, ExchangeOptions())
        states = [one.state for one in search.outcomes(problem.domain.spread(sum(degree) + 2))]
        level = [one for one in states if one.extrema.sound and one.gap < 1e-3]
        if not level:
            continue
        best = min(one.extrema.largest for one in level)
        dense = dense_grid(reduced, base_grid(reduced))
        points = dense[dense.w > 0]
        assert linear_programming.improved(reduced, points, 0.95 * best) == (None, True)
        better, none = linear_programming.improved(reduced, points, 1.05 * best)
        assert not none
        assert better is None or np.abs(points.w * better.error).max() < 1.05 * best
        decided += better is not None
    assert decided


def test_the_linear_programs_of_a_refusal_are_limited(monkeypatch):
    """None of the eight sign patterns is solved: programs for all of them would take 30 s."""
    monkeypatch.setattr(driver, "PROGRAMS", 20_000)
    monkeypatch.setattr(driver, "OTHERS", 10_000)
    work = []
    spend = linear_programming.Allowance.spend

    def counted(self, points, degree):
        spend(self, points, degree)
        work.append(points * (sum(degree) + 2))

    monkeypatch.setattr(linear_programming.Allowance, "spend", counted)
    domain = [(-1.91, -1.87), (-1.71, -1.66), (-1.14, 0.61), (0.94, 1.21)]
    fit = remez.fit(lambda x: np.sin(20 * x), (12, 6), domain, throw=False)
    assert not fit.converged
    assert 0 < sum(work) <= 30_000 + 2 * max(work)
