"""What a target may do with its argument and return, without changing the answer."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from mpmath import mp

import remez


def relu_in_place(x):
    x[x < 0] = 0
    return x


def shifted_in_place(x):
    x -= 0.3
    np.abs(x, out=x)
    return x


class Buffered:
    """Returns a view of one buffer that it overwrites on the next call."""

    def __init__(self):
        self.buffer = np.empty(100_000)

    def __call__(self, x):
        out = self.buffer[: x.size]
        np.abs(x, out=out)
        return out


def same_object(x):
    np.abs(x, out=x)
    return x


@pytest.mark.parametrize(
    ("fn", "reference"),
    [
        (relu_in_place, lambda x: np.maximum(x, 0)),
        (shifted_in_place, lambda x: np.abs(x - 0.3)),
        (Buffered(), np.abs),
        (same_object, np.abs),
        (lambda x: np.abs(x)[:, None], np.abs),
        (lambda x: np.abs(x).tolist(), np.abs),
        (lambda x: np.abs(x).astype(object), np.abs),
        (lambda x: np.ma.asarray(np.abs(x)), np.abs),
        (lambda x: abs(Decimal(x)), np.abs),
        (lambda x: abs(Fraction(x)), np.abs),
        (lambda x: mp.fabs(x), np.abs),
        (lambda x: np.float64(abs(x)), np.abs),
        (np.vectorize(lambda x: x if x > 0 else 0), lambda x: np.maximum(x, 0)),
    ],
)
def test_the_answer_is_that_of_the_plain_function(fn, reference):
    x = np.linspace(-1, 1, 20_001)
    expected = remez.fit(reference, (4, 4))
    fit = remez.fit(fn, (4, 4))
    assert fit.error == pytest.approx(expected.error, rel=1e-6)
    assert np.abs(reference(x) - fit(x)).max() <= fit.error * (1 + 1e-5)


@pytest.mark.parametrize("weight", [lambda x: np.multiply(x, 0, out=x) + 1, lambda x: [1] * len(x)])
def test_a_weight_may_do_so_too(weight):
    assert remez.fit(np.abs, (4, 4), weight=weight).error == pytest.approx(
        remez.fit(np.abs, (4, 4)).error, rel=1e-6
    )


def test_torch_callables():
    torch = pytest.importorskip("torch")
    expected = remez.fit(np.tanh, (3, 2)).error
    for fn in (torch.tanh, lambda x: torch.tanh(torch.as_tensor(x))):
        assert remez.fit(fn, (3, 2)).error == pytest.approx(expected, rel=1e-6)
    layer = torch.nn.PReLU(init=0.25, dtype=torch.float64)  # its output requires a gradient
    leaky = remez.fit(lambda x: np.maximum(x, 0.25 * x), (4, 4)).error
    assert remez.fit(layer, (4, 4)).error == pytest.approx(leaky, rel=1e-6)


@pytest.mark.parametrize(
    "fn", [lambda x: np.exp(1j * x), lambda x: complex(x), lambda x: mp.mpc(x, 1), np.emath.sqrt]
)
def test_complex_values_are_refused(fn):
    with pytest.raises(remez.TargetError, match="complex"):
        remez.fit(fn, (2, 2))


def test_float32_is_named():
    """exp in float32 has noise of 1e-7, above the best error of type (6, 6)."""
    with pytest.raises(remez.RemezError, match="float32"):
        remez.fit(lambda x: np.exp(x.astype(np.float32)), (6, 6))
