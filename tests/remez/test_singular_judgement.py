"""Nothing false is accepted where fn is singular, unbounded or lost in rounding.

Each accepted answer is compared with fn on a grid that clusters at the singular points down to
1e-300 about 0 and to neighbouring numbers elsewhere.
"""

import numpy as np
import pytest
from scipy import special

import remez
from remez import Status


def seen(fit, fn, domain, centres=(0.0,)):
    """The largest error on such a grid."""
    a, b = domain
    near = np.geomspace(1e-18, 1, 2000)
    parts = [np.linspace(a, b, 20_001), a + (b - a) * near, b - (b - a) * near]
    for c in centres:
        tiny = np.geomspace(1e-300, 1, 3000) if c == 0 else (b - a) * near
        parts += [c + tiny, c - tiny, [c, np.nextafter(c, 9), np.nextafter(c, -9)]]
    x = np.unique(np.concatenate(parts))
    x = x[(a <= x) & (x <= b)]
    return float(np.abs(fn(x) - fit(x)).max())


def inverse_log(c=0.0, scale=1.0, power=1.0):
    def fn(x):
        with np.errstate(divide="ignore"):
            return np.where(x == c, 0.0, np.abs(np.log(np.abs(x - c) / scale)) ** -power)

    return fn


@pytest.mark.parametrize(
    ("fn", "degree", "domain"),
    [
        (inverse_log(), (8, 8), (-0.1, 0.7)),
        (inverse_log(scale=8, power=0.5), (5, 3), (-0.3, 0.4)),
        (inverse_log(scale=26.7), (0, 1), (-0.4, 0.4)),
    ],
)
def test_an_inverse_logarithm_at_0(fn, degree, domain):
    fit = remez.fit(fn, degree, domain, throw=False)
    if fit.converged:
        assert seen(fit, fn, domain) <= fit.error * (1 + 1e-3)


@pytest.mark.parametrize("c", [0.3, -0.131, 0.482])
@pytest.mark.parametrize("power", [1.0, 3.0])
def test_an_inverse_logarithm_elsewhere(c, power):
    fn, domain = inverse_log(c, 7.0, power), (c - 0.4, c + 0.5)
    fit = remez.fit(fn, (5, 5), domain, throw=False)
    if fit.converged:
        assert seen(fit, fn, domain, (c,)) <= fit.error * (1 + 1e-3)


@pytest.mark.parametrize(
    ("fn", "degree", "domain", "options"),
    [
        (np.exp, (2, 2), (-1, 1), {"weight": lambda x: 1 / np.abs(x)}),
        (np.tan, (4, 4), (0, np.pi / 2), {}),
        (lambda x: 1 / (1 - x + 1e-300), (4, 4), (0, 1), {}),
        (lambda x: 1 / (1 - x + 1e-300), (1, 1), (0, 1), {}),
    ],
)
def test_what_is_unbounded_is_refused(fn, degree, domain, options):
    """The best error is infinite, or no float64 near the end tells it."""
    with pytest.raises(remez.RemezError):
        remez.fit(fn, degree, domain, **options)


SMOOTH = {
    "exp": np.exp,
    "expit": special.expit,
    "sqrt": lambda x: np.sqrt(x + 1.2),
    "wave": lambda x: np.sin(5 * x) * np.exp(x),
}


@pytest.mark.parametrize("degree", [(22, 0), (14, 0), (12, 3), (9, 9), (6, 5)])
@pytest.mark.parametrize("domain", [(0, 0.5), (-1, 1)])
@pytest.mark.parametrize("name", SMOOTH)
def test_at_the_noise_floor_no_grid_shows_a_larger_error(name, degree, domain):
    fit = remez.fit(SMOOTH[name], degree, domain, throw=False)
    if fit.status is Status.NOISE_FLOOR:
        rng = np.random.default_rng(0)
        x = np.concatenate([np.linspace(*domain, 100_001), rng.uniform(*domain, 400_000)])
        assert np.abs(SMOOTH[name](x) - fit(x)).max() <= fit.error


def test_a_narrow_peak_is_met_to_rounding():
    """1/(x² + 1e-12) is of type (0, 2); its rounding is eps 1e12 at the top."""
    fit = remez.fit(lambda x: 1 / (x * x + 1e-12), (0, 2))
    assert fit.error < 64 * np.finfo(float).eps * 1e12


@pytest.mark.parametrize(
    ("fn", "degree", "domain", "c"),
    [
        (inverse_log(-0.132, 42.3, 0.5), (0, 1), (-0.59, 0.31), -0.132),
        (inverse_log(0.267, 49.9), (4, 4), (0.09, 0.65), 0.267),
        (inverse_log(1.16, 2.29, 2.0), (9, 9), (1.16, 1.23), 1.16),
        (inverse_log(0.0, 14.6), (8, 8), (-0.047, 0.33), 0.0),
        (lambda x: np.abs(x - 0.3) ** 0.1, (4, 4), (-1, 1), 0.3),
        (lambda x: np.abs(x - 0.3) ** 0.05, (3, 2), (-1, 1), 0.3),
    ],
)
def test_an_infinite_slope_is_no_jump(fn, degree, domain, c):
    fit = remez.fit(fn, degree, domain)
    assert fit.status is Status.CONVERGED
    assert seen(fit, fn, domain, (c,)) <= fit.error * (1 + 1e-3)
    error = fn(fit.reference) - fit(fit.reference)
    assert fit.reference.size >= sum(degree) + 2
    assert (np.diff(np.sign(error)) != 0).all()
    assert np.abs(error).min() >= 0.998 * fit.error


@pytest.mark.parametrize("c", [0.0, 0.3, -0.777])
@pytest.mark.parametrize(
    "smooth",
    [np.zeros_like, np.cos, lambda t: np.sqrt(np.abs(t)), lambda t: np.abs(t) ** 0.2],
)
def test_a_jump_is_one_beside_a_steep_function(c, smooth):
    with pytest.raises(remez.RemezError):
        remez.fit(lambda x: smooth(x - c) + (x >= c), (4, 4))
