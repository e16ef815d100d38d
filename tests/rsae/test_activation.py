import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck

import remez
from rsae import RationalActivation
from rsae.errors import ConfigError

coefficient = st.floats(-2, 2).map(lambda c: round(c, 3))


@st.composite
def activations(draw) -> RationalActivation:
    layers, m, n = draw(st.integers(1, 3)), draw(st.integers(0, 4)), draw(st.integers(0, 4))
    rows = [[draw(coefficient) for _ in range(m + 1)] for _ in range(layers)]
    inner = [[draw(coefficient) for _ in range(n + 1)] for _ in range(layers)]
    return RationalActivation(rows, inner, draw(st.floats(0.1, 9)), draw(st.floats(0.1, 9)))


def by_numpy(activation: RationalActivation, h: np.ndarray) -> np.ndarray:
    """The definition, from the numbers that `to_dict` gives, in float64."""
    d = activation.to_dict()
    t = np.clip((h - d["center"]) / d["input_scale"], -1, 1)
    for p, b in zip(d["numerator"], d["denominator"], strict=True):
        t = np.polynomial.polynomial.polyval(t, p) / (
            1 + np.abs(np.polynomial.polynomial.polyval(t, b))
        )
    return d["output_scale"] * t


@given(activations())
def test_it_is_the_formula(activation):
    h = torch.linspace(-12, 12, 101, dtype=torch.float64)
    got = activation.double()(h).detach().numpy()
    np.testing.assert_allclose(got, by_numpy(activation, h.numpy()), rtol=1e-9, atol=1e-9)


@given(activations())
def test_its_numbers_survive_json_exactly(activation):
    again = RationalActivation.from_dict(activation.to_dict())
    for name in ("numerator", "denominator"):
        assert torch.equal(getattr(again, name), getattr(activation, name))
    h = torch.linspace(-12, 12, 50)
    torch.testing.assert_close(again(h), activation(h), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_gradients_are_those_of_finite_differences(layers):
    activation = RationalActivation(
        [[0.1, 1.0, -0.3, 0.4]] * layers, [[0.2, -0.7, 0.5]] * layers, 1.7, 0.8
    ).double()
    h = torch.linspace(-1.6, 1.6, 9, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda h, *_: activation(h), (h, *activation.parameters()))


@pytest.mark.parametrize(("layers", "degree"), [(1, (3, 2)), (2, (9, 8)), (3, (27, 26))])
def test_composed_layers_have_the_product_degree(layers, degree):
    assert RationalActivation([[0, 1, 0, 1]] * layers, [[0, 0, 1]] * layers).degree == degree


@given(st.tuples(st.integers(0, 5), st.integers(0, 5)), st.floats(0.1, 100))
def test_the_constant_is_exactly_one(degree, scale):
    activation = RationalActivation.constant(degree, scale)
    assert (activation(torch.linspace(-300, 300, 99)) == 1).all()


def test_the_constant_can_learn_every_coefficient():
    activation = RationalActivation.constant((3, 2))
    (activation(torch.linspace(0.1, 0.9, 7)) - 2).square().sum().backward()
    assert (activation.numerator.grad != 0).all()
    assert (activation.denominator.grad != 0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_its_parameters_stay_in_float32(dtype):
    activation = RationalActivation([[0.1, 1 / 3]], [[0.7]], 3.3)
    before = {name: p.clone() for name, p in activation.named_parameters()}
    outer = torch.nn.Sequential(activation).to(dtype)
    for name, parameter in outer[0].named_parameters():
        assert parameter.dtype == torch.float32
        assert torch.equal(parameter, before[name])


@pytest.mark.parametrize(
    ("fn", "degree", "domain"),
    [
        (np.tanh, (3, 2), (-2.0, 2.0)),
        (np.exp, (3, 3), (0.5, 3.0)),
        (lambda x: np.maximum(x, 0), (3, 2), (-1.0, 1.0)),
    ],
)
def test_it_loads_a_fit_of_remez_without_loss(fn, degree, domain):
    fit = remez.fit(fn, degree, domain)
    activation = RationalActivation.from_fit(fit)
    x = torch.linspace(*domain, 201)
    with torch.no_grad():
        assert np.abs(activation(x).numpy() - fit(x.double().numpy())).max() < 1e-5


@pytest.mark.parametrize(
    "settings",
    [
        {"numerator": [], "denominator": []},
        {"numerator": [[1.0]], "denominator": [[1.0], [1.0]]},
        {"numerator": [[1.0], [1.0, 2.0]], "denominator": [[1.0], [1.0]]},
        {"numerator": [[1.0]], "denominator": [[1.0]], "input_scale": 0.0},
    ],
)
def test_nonsense_is_refused(settings):
    with pytest.raises(ConfigError):
        RationalActivation(**settings)
