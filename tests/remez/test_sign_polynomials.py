"""Compositions of odd polynomials: within their bound, and of the published accuracy."""

import numpy as np
import pytest

import remez
from remez import DegreeError, DomainError, composite_polynomial


@pytest.mark.parametrize("degrees", [(3,), (3, 5), (7, 15, 27), (15, 15, 15)])
def test_within_the_certified_error(degrees):
    delta = 2.0**-6
    s = composite_polynomial(degrees, delta)
    x = np.geomspace(delta, 1, 20_001)
    assert np.abs(s(x) - 1).max() <= s.error * (1 + 1e-9) + 1e-14
    np.testing.assert_array_equal(s(-x), -s(x))
    assert s.certified
    assert s.degrees == degrees


def test_one_layer_is_the_best_odd_polynomial():
    best = remez.fit("sign", (7, 0), [(-1, -0.1), (0.1, 1)])
    assert composite_polynomial((7,), 0.1).error == pytest.approx(best.error, rel=1e-6)


def test_linear_by_hand():
    """The best a x to 1 on [d, 1] has a d = 1 - E, a = 1 + E: E = (1 - d)/(1 + d)."""
    assert composite_polynomial((1,), 0.5).error == pytest.approx(1 / 3, rel=1e-9)


def test_layers_keep_to_the_next_gap():
    s = composite_polynomial((7, 15, 27), 2.0**-8)
    x = np.geomspace(s.delta, 1, 20_001)
    for layer, after in zip(s.polynomials()[:-1], s.deltas[1:], strict=True):
        x = layer(x)
        assert x.max() <= 1
        assert x.min() >= after * (1 - 1e-12)


@pytest.mark.parametrize(
    ("degrees", "delta", "error"),
    [((), 0.1, DegreeError), ((4,), 0.1, DegreeError), ((3,), 0, DomainError),
     ((3,), 1.5, DomainError), ((3, -1), 0.1, DegreeError)],
)  # fmt: skip
def test_impossible_requests(degrees, delta, error):
    with pytest.raises(error):
        composite_polynomial(degrees, delta)
