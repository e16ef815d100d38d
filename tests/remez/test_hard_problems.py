"""Rationals that no spacing of the first reference suits: the supremum and the lower bound.

De la Vallée Poussin: if the error of r alternates on m + n + 2 points, no rational of the type has
a smaller error than the least of them.
"""

import numpy as np
import pytest
from scipy import special

import remez


def bump(x):
    """``y/sinh y`` with ``y = 100 pi (x² - 0.36)``.

    S.-I. Filip, Y. Nakatsukasa, L. N. Trefethen, B. Beckermann, SIAM J. Sci. Comput. 40 (2018).
    """
    y = np.clip(100 * np.pi * (x * x - 0.36), -700, 700)
    away = np.abs(y) > 1e-8
    return np.where(away, y / np.sinh(np.where(away, y, 1.0)), 1.0)


@pytest.mark.parametrize(
    ("fn", "degree", "domain"),
    [(special.i0e, (8, 8), (0, np.inf)), (bump, (38, 38), (-1, 1))],
)
def test_a_start_that_needs_a_monotone_exchange_or_lawson(fn, degree, domain):
    fit = remez.fit(fn, degree, domain)
    low, high = max(domain[0], -1), min(domain[1], 1e12)
    x = np.linspace(low, high, 40001) if high == 1 else np.geomspace(1e-6, high, 40001)
    assert np.abs(fn(x) - fit(x)).max() <= 1.001 * fit.error
    error = fn(fit.reference) - fit(fit.reference)
    assert error.size >= sum(degree) + 2 - fit.defect
    assert (np.diff(np.sign(error)) != 0).all()
    assert np.abs(error).min() >= 0.995 * fit.error


@pytest.mark.parametrize("n", [8, 16, 24, 40])
def test_many_waves_are_no_noise(n):
    """``sin(100 x²)`` is ±1 at 63 alternating points, and r = 0 needs n + 2 of them to be best."""
    fit = remez.fit(lambda x: np.sin(100 * x * x), (n, n), (-1, 1))
    assert fit.error == pytest.approx(1, rel=1e-6)
    assert np.abs(fit(np.linspace(-1, 1, 1001))).max() <= 1e-3


@pytest.mark.parametrize("size", [1e-12, 1e-8, 1e-3])
@pytest.mark.parametrize("smooth", [np.exp, lambda x: np.sin(100 * x * x)])
def test_noise_is_found_among_waves(smooth, size):
    def fn(x):
        return smooth(x) + size * np.sin(1e17 * x)

    with pytest.raises(remez.TargetError, match="noisy"):
        remez.fit(fn, (9, 8), (-1, 1))
