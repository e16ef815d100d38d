"""Half-lines and the line: what has a best approximation there, and what has none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import remez


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


IMPOSSIBLE = {
    "growth": (np.sqrt, (4, 4), HALF, None, remez.TargetError, "no limit"),
    "r grows": (lambda x: np.exp(-x), (5, 4), HALF, None, remez.DegreeError, "m <= n"),
    "two limits": (np.tanh, (6, 6), LINE, None, remez.TargetError, "tends to -1"),
    "odd n": (bump, (2, 3), LINE, None, remez.DegreeError, "n even"),
    "m > n on the line": (bump, (3, 2), LINE, None, remez.DegreeError, "half-lines"),
    "weight grows": (bump, (2, 4), HALF, lambda x: 1 + x**4, remez.TargetError, "weight grows"),
    "underflow": (lambda x: np.exp(-x), (2, 4), HALF, "relative", remez.TargetError, "is 0 on"),
    "whatever r": (lambda x: 1 + x, (3, 3), HALF, "relative", remez.TargetError, "every r"),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_infinity_forbids_is_said(name):
    fn, degree, domain, weight, error, word = IMPOSSIBLE[name]
    with pytest.raises(error, match=word):
        remez.fit(fn, degree, domain, weight=weight)
