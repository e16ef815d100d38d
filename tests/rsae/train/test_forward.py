import pytest
import torch
from tests.rsae.saes import FAMILIES, inputs, teacher

from rsae import RSAE, RationalActivation
from rsae.train.forward import forward
from rsae.train.losses import mse, penalty

CURVED = RationalActivation([[1.0, 0.4, -0.2, 0.1]], [[0.3, 0.2, 0.5]], 2.0, 1.1)


def sae_of(family: str) -> RSAE:
    support = "topk" if family == "topk" else "threshold"
    return RSAE.from_teacher(teacher(family), CURVED, support=support)


@pytest.mark.parametrize("family", FAMILIES)
def test_training_sees_the_codes_of_use(family):
    sae, x = sae_of(family), inputs(25)
    step = forward(sae, x, bandwidth=0.4)
    z = sae.encode(x)
    dense = torch.zeros_like(z)
    dense[step.entries.rows, step.entries.cols] = step.codes
    torch.testing.assert_close(dense, z)
    assert torch.equal(dense != 0, z != 0)
    torch.testing.assert_close(step.x_hat, sae(x))
    assert step.l0.item() == pytest.approx((z != 0).sum(dim=1).float().mean().item())


def test_training_sees_the_codes_of_use_where_a_gates_level_is_the_support():
    gate = RationalActivation([[0.5, 1.5, 0.5, 0.5]], [[0.0, 0.0, 1.0]], 4.0)
    sae = RSAE.from_teacher(teacher("jumprelu"), gate, form="gate", support="level")
    with torch.no_grad():
        sae.rational.numerator[0, 0] = 0.4  # the level is no longer at the threshold
    x = inputs(25)
    step, z = forward(sae, x, bandwidth=0.1), sae.encode(x)
    dense = torch.zeros_like(z)
    dense[step.entries.rows, step.entries.cols] = step.codes
    torch.testing.assert_close(dense, z)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_those_of_the_dense_network(family):
    """Where no threshold is near, the surrogate is silent and autograd on `encode` is right."""
    sae, x = sae_of(family).double(), inputs(25).double()
    sae.dtype = torch.float64
    loss = mse(forward(sae, x, bandwidth=0.0), x)
    names, parameters = zip(
        *[(n, p) for n, p in sae.named_parameters() if n != "threshold"], strict=True
    )
    mine = torch.autograd.grad(loss, parameters)
    theirs = torch.autograd.grad((x - sae(x)).square().sum(dim=1).mean(), parameters)
    for name, a, b in zip(names, mine, theirs, strict=True):
        torch.testing.assert_close(a, b, msg=name, rtol=1e-6, atol=1e-9)


def test_the_thresholds_gradient_is_the_estimator_of_rajamanoharan():
    """d L0/d tau_j = - #(|h - tau| < b/2) / (b n); arXiv 2407.14435, eq. 11."""
    sae, x, b = sae_of("jumprelu"), inputs(200), 0.3
    step = forward(sae, x, b)
    (grad,) = torch.autograd.grad(penalty("l0", step, sae), sae.threshold)
    h = sae.encode_pre_act(x)
    near = ((h - sae.threshold).abs() < b / 2) & (h > 0)
    torch.testing.assert_close(grad, -near.sum(dim=0).float() / (b * len(x)))


def test_the_l1_penalty_weighs_decoder_norms():
    sae, x = sae_of("relu"), inputs(30)
    z = sae.encode(x)
    expected = (z.abs() * sae.W_dec.norm(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(penalty("l1", forward(sae, x, 0.0), sae), expected)


def test_mixed_precision_rounds_the_product_and_nothing_else():
    sae, x = sae_of("jumprelu"), inputs(50)
    exact, rounded = forward(sae, x, 0.2), forward(sae, x, 0.2, mixed_precision=True)
    assert rounded.x_hat.dtype == torch.float32
    torch.testing.assert_close(rounded.x_hat, exact.x_hat, rtol=0.1, atol=0.5)
    assert not torch.equal(rounded.x_hat, exact.x_hat)
