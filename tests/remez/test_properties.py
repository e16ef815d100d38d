"""What holds for every best rational approximation."""

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tests.remez.strategies import cases, smooth_cases

import remez
from remez import Status
from remez.problem import Problem
from remez.solver.survey import survey

EPS = np.finfo(float).eps


def noise(case):
    return 300 * EPS * np.abs(case.fn(case.grid())).max()


@given(cases())
@settings(max_examples=60)
def test_accepted_means_best(case):
    """Alternation on enough points, nothing larger on a clustered grid, no pole."""
    fit = remez.fit(case.fn, case.degree, case.domain, throw=False)
    assume(fit.converged)
    x = case.grid()
    assert np.abs(case.fn(x) - fit(x)).max() <= 1.01 * fit.error + noise(case)
    if fit.status is Status.CONVERGED:
        error = case.fn(fit.reference) - fit(fit.reference)
        assert fit.reference.size >= sum(case.degree) + 2 - fit.defect
        assert (np.diff(np.sign(error)) != 0).all()
        assert np.abs(error).min() >= 0.99 * fit.error - noise(case)
        assert fit.lower_bound <= fit.error
    else:
        assert fit.error <= 2e4 * noise(case) / 300


@given(smooth_cases())
def test_most_are_solved_and_errors_fall_with_the_degree(case):
    low = remez.fit(case.fn, case.degree, case.domain, throw=False)
    m, n = case.degree
    high = remez.fit(case.fn, (m + 1, n + 1), case.domain, throw=False)
    assert low.converged
    assert high.error <= low.error * (1 + 2e-3) + noise(case)


@given(smooth_cases(), st.floats(-3, 3), st.floats(0.1, 10), st.floats(-5, 5))
def test_affine_maps_scaling_and_constants_change_nothing(case, shift, stretch, constant):
    first = remez.fit(case.fn, case.degree, case.domain, throw=False)
    assume(first.status is Status.CONVERGED and first.error > 1e3 * noise(case))
    ((a, b),) = case.domain
    c, d = a * stretch + shift, b * stretch + shift
    add = constant if case.degree[0] >= case.degree[1] else 0.0
    second = remez.fit(
        lambda x: 3 * case.fn((x - shift) / stretch) + add, case.degree, (c, d), throw=False
    )
    assume(abs(shift) < 1e3 * (d - c))
    assert second.error == pytest.approx(3 * first.error, rel=4e-3)


@given(st.lists(st.floats(-2, 2), min_size=4, max_size=4), st.floats(1.3, 4), st.integers(0, 2))
def test_rationals_are_recovered(coefficients, pole, extra):
    def fn(x):
        return np.polyval(coefficients, x) / ((x - pole) * (x + pole + 1))

    size = np.abs(fn(np.linspace(-1, 1, 99))).max()
    assume(size > 1e-3)
    fit = remez.fit(fn, (3 + extra, 2 + extra))
    assert fit.status is Status.NOISE_FLOOR
    assert fit.error <= 100 * EPS * size


@given(st.sampled_from([np.cosh, np.abs, lambda x: 1 / (1 + 9 * x * x)]), st.integers(1, 5))
def test_even_targets_have_even_answers(fn, n):
    fit = remez.fit(fn, (2 * n, 2 * n))
    x = np.linspace(0, 1, 50)
    np.testing.assert_array_equal(fit(x), fit(-x))
    assert fit.rational.degree == (2 * n, 2 * n) or fit.defect > 0


@given(st.floats(0.005, 0.5), st.integers(1, 4))
def test_intervals_agree_with_zolotarev(delta, r):
    degree = (2 * r + 1, 2 * r)
    exact = remez.zolotarev.best_sign(degree, delta).error
    fit = remez.fit(np.sign, degree, [(-1, -delta), (delta, 1)])
    assert fit.error == pytest.approx(exact, rel=2e-3, abs=1e-14)


@given(st.integers(1, 3), st.floats(0.5, 2))
def test_relative_error_is_weighted(n, half):
    fit = remez.fit(np.exp, (n, n), (-half, half), weight="relative")
    x = np.linspace(-half, half, 2001)
    assert np.abs(1 - fit(x) / np.exp(x)).max() <= fit.error * (1 + 1e-3) + 1e-14
    assert fit.error < remez.fit(np.exp, (n, n), (-half, half)).error * np.exp(half)


@given(st.floats(0.9, 1.1), st.integers(2, 4))  # at n = 5 rounding decides what is accepted
def test_warm_start_gives_the_same_answer(factor, n):
    near = remez.fit(np.exp, (n, n - 1))
    cold = remez.fit(lambda x: np.exp(factor * x), (n, n - 1))
    warm = remez.fit(lambda x: np.exp(factor * x), (n, n - 1), start=near)
    assert warm.method == "warm start"
    assert warm.iterations <= 3
    assert warm.error == pytest.approx(cold.error, rel=2e-3)


@pytest.mark.parametrize("degree", [(6, 6), (8, 7), (5, 4)])
@pytest.mark.parametrize("ends", [(-0.985, 0.99), (-1.02, 1.01)])
def test_a_start_is_carried_to_other_ends(degree, ends):
    """Its points keep their proportions: two steps less than from the old places."""

    def fn(x):
        return np.exp(np.sin(3 * x))

    warm = remez.fit(fn, degree, ends, start=remez.fit(fn, degree))
    assert warm.method == "warm start"
    assert warm.iterations <= 2
    assert warm.error == pytest.approx(remez.fit(fn, degree, ends).error, rel=2e-3)


@pytest.mark.parametrize("degree", [(5, 4), (6, 5), (7, 6)])
def test_a_start_is_completed_by_symmetry(degree):
    """The error of an odd function alternates once more than a best one must.

    The end that a solution leaves out is an alternation point of the neighbour, too.
    """
    start = remez.fit(lambda x: np.arctan(4 * x), degree)
    assert start.reference.size == sum(degree) + 2 - start.defect
    warm = remez.fit(lambda x: np.arctan(3.95 * x), degree, start=start)
    assert warm.method == "warm start"
    assert warm.iterations <= 2


@pytest.mark.parametrize(
    ("fn", "degree"),
    [
        (lambda x: x / (1 + np.exp(-4 * x)), (7, 5)),  # x/2 and an even function
        (lambda x: np.sin(3 * x), (6, 5)),
        (lambda x: np.exp(-4 * x * x) + x, (5, 3)),
        (lambda x: np.tanh(3 * x), (4, 3)),
    ],
)
@pytest.mark.parametrize("ends", [(-0.994, 0.999), (-0.998, 0.985), (-1.01, 1.001), (-1, 1)])
def test_a_degenerate_start_serves_a_domain_that_is_not_symmetric(fn, degree, ends):
    """The best one on the larger symmetric part, and a pole beside its zero near the other end.

    Where the ends are symmetric the neighbour is degenerate as well.
    """
    start = remez.fit(fn, degree)
    assert start.defect == 1
    warm = remez.fit(lambda x: fn(0.99 * x), degree, ends, start=start)
    assert warm.method == "warm start"
    assert warm.defect == (1 if ends == (-1, 1) else 0)
    assert warm.iterations <= 3
    largest = max(-ends[0], ends[1])
    inner, outer = (
        remez.fit(lambda x: fn(0.99 * x), degree, (-half, half)).error
        for half in (min(-ends[0], ends[1]), largest)
    )
    assert inner * (1 - 1e-3) <= warm.error <= outer * (1 + 1e-3)


@pytest.mark.parametrize("n", [3, 5, 7])
def test_agrees_with_brasil(n):
    """C. Hofreither, Numer. Algorithms 88 (2021): an independent program."""
    baryrat = pytest.importorskip("baryrat")
    other = baryrat.brasil(np.sqrt, (0, 1), n)
    x = np.append(np.linspace(0, 1, 4001), np.geomspace(1e-14, 1, 4000))
    theirs = np.abs(other(x) - np.sqrt(x)).max()
    ours = remez.fit(np.sqrt, (n, n), (0, 1)).error
    assert ours == pytest.approx(theirs, rel=1e-2)
    assert ours <= theirs * (1 + 1e-6)


@given(st.floats(-0.9, 0.9), st.sampled_from([0.3, 0.5, 1.0, 1.5]))
@example(0.3958368903156474, 0.5)  # in some panel it lies where the middle is on the line
@example(-0.6317135579327174, 0.3)  # where slopes at two distances look like one jump
def test_a_kink_is_found_and_is_no_jump(centre, power):
    problem = Problem.of(lambda x: np.abs(x - centre) ** power + np.sin(x), (4, 4))
    seen = survey(problem, problem.target())
    assert seen.fault is None
    assert np.abs(seen.singular - centre).min() < 1e-7


@given(st.floats(-0.9, 0.9), st.floats(-3, 0))
def test_a_jump_is_found(place, size):
    problem = Problem.of(lambda x: np.sin(x) + 10**size * (x > place), (4, 4))
    assert survey(problem, problem.target()).fault is Status.JUMP
