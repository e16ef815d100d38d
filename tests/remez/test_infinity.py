"""Half-lines and the line: what has a best approximation there, and what has none."""

from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import remez
from remez.problem import Problem
from remez.verification.judge import judge


def test_unbounded_domains():
    # 1/9.28903..., Gonchar and Rakhmanov 1989: errors fall by about 9.29 per degree
    errors = [remez.fit(lambda x: np.exp(-x), (n, n), (0, np.inf)).error for n in (3, 4, 5)]
    assert errors[0] / errors[1] == pytest.approx(9.29, rel=0.02)
    assert errors[1] / errors[2] == pytest.approx(9.29, rel=0.02)
    odd = remez.fit(lambda x: x / (1 + np.abs(x) ** 3), (7, 8), (-np.inf, np.inf))
    assert odd.converged
    assert abs(odd(1e30)) < 1e-20
    with pytest.raises(remez.DegreeError, match="infinity"):
        remez.fit(np.exp, (3, 2), (-np.inf, 0))


@given(st.floats(0, 2 * np.pi), st.sampled_from([(2, 2), (4, 4), (6, 6), (8, 8)]))
@settings(max_examples=20, deadline=None)
def test_the_line_is_a_circle(turn, degree):
    """With x = tan(t/2) turning t is a real Moebius map of x, which keeps the type (n, n)."""

    def turned(by):
        def fn(x):
            t = 2 * np.arctan(x) + by
            return np.exp(np.cos(t) + 0.5 * np.sin(2 * t))

        return fn

    fixed = remez.fit(turned(0.4), degree, (-np.inf, np.inf))
    fit = remez.fit(turned(turn), degree, (-np.inf, np.inf))
    assert fit.error == pytest.approx(fixed.error, rel=2e-3)
    assert fit.reference.size == 2 * degree[0] + 2


@given(st.floats(-5, 5), st.floats(0.1, 10))
@settings(max_examples=20, deadline=None)
def test_shifts_and_scales_on_the_line(shift, scale):
    fit = remez.fit(lambda x: np.exp(-(((x - shift) / scale) ** 2)), (4, 6), (-np.inf, np.inf))
    even = remez.fit(lambda x: np.exp(-(x**2)), (4, 6), (-np.inf, np.inf))
    assert fit.error == pytest.approx(even.error, rel=2e-3)


@given(st.floats(0.1, 10), st.sampled_from([(3, 2), (4, 3), (5, 3)]))
@settings(max_examples=20, deadline=None)
def test_growth_under_a_weight(scale, degree):
    """In t = x/(1 + x) it is an ordinary problem on [0, 1], divided by (1 - t)^(m - n)."""
    excess = degree[0] - degree[1]

    def growing(x):
        return (scale + x) ** excess * np.exp(-scale / (scale + x))

    fit = remez.fit(growing, degree, (0, np.inf), weight=lambda x: (scale + x) ** -float(excess))
    same = remez.fit(lambda t: np.exp(t - 1), degree, (0, 1))
    assert fit.error == pytest.approx(same.error, rel=2e-3)
    far = scale * np.geomspace(1e-3, 1e12, 200)
    assert (np.abs(growing(far) - fit(far)) * (scale + far) ** -excess).max() < 1.01 * fit.error


def test_a_tolerance_on_the_line():
    fit = remez.fit(bump, tol=1e-2, domain=LINE)
    assert fit.degree == (4, 4)
    assert remez.fit(bump, (0, 1), tol=1e-2, domain=LINE).degree == (3, 4)


LINE = (-np.inf, np.inf)
HALF = (0, np.inf)


def bump(x):
    return np.exp(-((x - 1) ** 2))


@given(st.floats(1e-3, 1e3), st.floats(0, 2 * np.pi))
@example(0.2112, 0.0)
@settings(max_examples=50)
def test_waves_have_no_limit_on_the_line(frequency, phase):
    with pytest.raises(remez.TargetError, match="no limit"):
        remez.fit(lambda x: np.cos(frequency * x + phase), (4, 4), LINE)


@pytest.mark.parametrize("frequency", [0.2112, 1.0])
def test_the_judge_ends_on_waves(frequency):
    """Each point that it adds uncovers new maxima of the error, without end."""
    other = remez.fit(lambda x: 1 / (1 + x * x) ** 2, (2, 2), LINE)
    problem = Problem.of(lambda x: np.cos(frequency * x), (4, 5), LINE)
    verdict = judge(problem, other.rational, other.reference)
    assert verdict.status is remez.Status.NOISY


IMPOSSIBLE = {
    "growth": (np.sqrt, (4, 4), HALF, None, remez.TargetError, "no limit"),
    "r grows": (lambda x: np.exp(-x), (5, 4), HALF, None, remez.DegreeError, "m <= n"),
    "two limits": (np.tanh, (6, 6), LINE, None, remez.TargetError, "tends to -1"),
    "odd n": (bump, (2, 3), LINE, None, remez.DegreeError, "n even"),
    "m > n on the line": (bump, (3, 2), LINE, None, remez.DegreeError, "half-lines"),
    "weight grows": (bump, (2, 4), HALF, lambda x: 1 + x**5, remez.TargetError, "weight grows"),
    "underflow": (lambda x: np.exp(-x), (2, 4), HALF, "relative", remez.TargetError, "is 0 on"),
    "whatever r": (lambda x: 1 + x, (3, 3), HALF, "relative", remez.TargetError, "every r"),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_infinity_forbids_is_said(name):
    fn, degree, domain, weight, error, word = IMPOSSIBLE[name]
    with pytest.raises(error, match=word):
        remez.fit(fn, degree, domain, weight=weight)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("degree", [(4, 4), (5, 4), (3, 5)])
def test_a_weight_that_grows_at_infinity(order, degree):
    """Under x = t/(1 - t) the product of w = (1 + x)^k with an r of type (n - k, n) is of that
    type in t, on a bounded domain.
    """
    n = degree[1]
    lowered = (min(degree[0], n - order), n)
    fit = remez.fit(lambda x: np.exp(-x), degree, HALF, weight=lambda x: (1 + x) ** order)

    def product(t):
        with np.errstate(all="ignore"):
            return np.where(t == 1, 0.0, np.exp(-t / (1 - t)) / (1 - t) ** order)

    def factor(t):
        return (1 - t) ** (n - lowered[0] - order)

    def quotient(t):
        return np.where(t == 1, 0.0, product(t) / np.where(t == 1, 1.0, factor(t)))

    same = remez.fit(quotient, lowered, (0, 1), weight=factor)
    assert fit.degree == lowered
    assert fit.error == pytest.approx(same.error, rel=2e-3)
    x = np.append(0, np.geomspace(1e-9, 1e25, 3000))
    assert ((1 + x) ** order * np.abs(np.exp(-x) - fit(x))).max() <= 1.001 * fit.error


@pytest.mark.parametrize(
    ("fn", "degree"),
    [
        (np.tanh, (3, 3)),
        (np.arctan, (3, 3)),
        (np.arctan, (5, 5)),
        (lambda x: x / (1 + x * x) ** 1.5, (3, 5)),
        (lambda x: 1 / np.sqrt(1 + x * x), (2, 3)),
        (lambda x: 1 / (1 + x) ** 1.5 / np.sqrt(2 + x), (3, 5)),
    ],
)
def test_relative_error_out_to_infinity(fn, degree):
    fit = remez.fit(fn, degree, HALF, weight="relative")
    x = np.geomspace(1e-9, 1e25, 3000)
    assert np.abs(1 - fit(x) / fn(x)).max() <= 1.001 * fit.error
    error = 1 - fit(fit.reference) / fn(fit.reference)
    assert (np.diff(np.sign(error[np.isfinite(error)])) != 0).all()


@pytest.mark.parametrize(
    ("fn", "degree"),
    [(lambda x: np.exp(-x * x), (4, 4)), (lambda x: x * np.exp(-x * x), (5, 6))],
)
def test_a_weight_that_grows_on_the_line(fn, degree):
    fit = remez.fit(fn, degree, LINE, weight=lambda x: 1 + x * x)
    assert fit.degree[0] == degree[1] - 2
    x = np.geomspace(1e-9, 1e25, 3000)
    x = np.concatenate([-x, x])
    assert ((1 + x * x) * np.abs(fn(x) - fit(x))).max() <= 1.001 * fit.error


@pytest.mark.parametrize("centre", [0.5, 1, 2])
@pytest.mark.parametrize(
    ("weight", "degree"),
    [
        *product(
            [lambda x: 1 + np.abs(x), lambda x: np.sqrt(1 + x * x)],
            [(1, 2), (2, 2), (3, 4), (2, 4), (5, 6)],
        ),
        *product([lambda x: 1 + x * x], [(3, 4), (2, 4), (5, 6)]),
    ],
)
def test_a_weight_that_grows_on_the_line_without_symmetry(weight, degree, centre):
    """Chebyshev's theorem, on a grid that reaches so far that the rest of the line adds nothing."""

    def fn(x):
        return np.exp(-((x - centre) ** 2))

    fit = remez.fit(fn, degree, (-np.inf, np.inf), weight=weight)
    far = np.geomspace(1e-6, 1e12, 40001)
    x = np.concatenate([-far, np.linspace(-20, 20, 40001), far])
    assert np.abs(weight(x) * (fn(x) - fit(x))).max() <= 1.001 * fit.error
    error = weight(fit.reference) * (fn(fit.reference) - fit(fit.reference))
    assert error.size >= sum(fit.degree) + 2 - fit.defect  # m is lowered to n - 1
    assert (np.diff(np.sign(error)) != 0).all()
    assert np.abs(error).min() >= 0.995 * fit.error
