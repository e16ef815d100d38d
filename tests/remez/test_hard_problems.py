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
