import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sae_lens import SAE
from tests.rsae.saes import FAMILIES, inputs, sparse_world, teacher, world_teacher

import rsae
from rsae import RSAE, Pursuit, RationalActivation, Refinement
from rsae.errors import ConfigError
from rsae.metrics import measure
from rsae.sae.refinement_steps import refine as steps
from rsae.upgrading.minimax_steps import contraction, step_sizes

FIXED = Refinement("minimax", step_sizes=(0.5, 0.8, 1.6))
METHODS = {"cg": Refinement(), "minimax": FIXED, "exact": Refinement("exact")}
methods = st.sampled_from(list(METHODS.values()))


def refined(family: str, **settings) -> RSAE:
    return rsae.refine(teacher(family), **settings)


@st.composite
def problems(draw, max_d=110):
    """(z, target, decoder): any shape, any number of active features, degenerate decoder rows."""
    shape = draw(st.sampled_from([(1,), (7,), (2, 3), (0,), (3, 0, 2), (20,)]))
    d, d_sae = draw(st.integers(1, max_d)), draw(st.integers(1, 70))
    g = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    decoder = torch.randn(d_sae, d, generator=g) * torch.rand(d_sae, 1, generator=g) * 3
    if draw(st.booleans()):
        decoder[::3] = decoder[0].clone()  # G is singular
    if draw(st.booleans()):
        decoder[::5] = 0.0
    share = draw(st.sampled_from([0.0, 0.02, 0.3, 1.0]))
    on = torch.rand(*shape, d_sae, generator=g) < share
    z = on * (torch.rand(*shape, d_sae, generator=g) + 0.1)
    scale = draw(st.sampled_from([1e-3, 1.0, 1e3]))
    target = z * 1.3 @ decoder + torch.randn(*shape, d, generator=g)
    return scale * z, scale * target, decoder


def errors(z, target, decoder):
    return (target.double() - z.double() @ decoder.double()).square().sum(dim=-1)


@given(problems(), methods)
def test_no_feature_appears_only_negatives_leave_and_no_error_rises(problem, refinement):
    z, target, decoder = problem
    out = refinement(z, target, decoder)
    assert out.shape == z.shape
    assert torch.isfinite(out).all()
    assert not ((out != 0) & (z == 0)).any()
    before, after = errors(z, target, decoder), errors(out, target, decoder)
    assert (after <= before * (1 + 1e-5) + 1e-9 * target.double().square().sum(dim=-1)).all()
    changed = (after != before)[..., None].expand_as(out)
    assert (out[changed] >= 0).all()


@given(problems())
def test_the_compiled_loops_and_the_batched_products_are_one_algorithm(problem):
    z, target, decoder = problem
    ours, theirs = (
        Refinement()(z.to(dtype), target.to(dtype), decoder.to(dtype))
        for dtype in (torch.float32, torch.float64)
    )
    slack = 1e-4 * target.double().square().sum(dim=-1)
    assert (errors(ours, target, decoder) <= errors(theirs, target, decoder) + slack).all()


@pytest.mark.parametrize("name", ["cg", "minimax"])
@pytest.mark.parametrize("d", [5, 96, 97, 300])
@pytest.mark.parametrize("tokens", [9, 300])  # of 400 features: by rows, by their Gram matrix
def test_compiled_and_batched_activations_agree_to_rounding(name, d, tokens):
    g = torch.Generator().manual_seed(d)
    decoder = torch.nn.functional.normalize(torch.randn(400, d, generator=g), dim=1)
    z = torch.rand(tokens, 400, generator=g) + 0.2
    z = z * (torch.rand(tokens, 400, generator=g) < 0.02)
    target = z * 1.2 @ decoder + 0.3 * torch.randn(tokens, d, generator=g) / d**0.5
    ours = METHODS[name](z, target, decoder)
    theirs = METHODS[name](z.double(), target.double(), decoder.double())
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-3, atol=1e-4)


def test_weights_that_change_without_a_trace_are_seen():
    g = torch.Generator().manual_seed(3)
    decoder = torch.randn(40, 60, generator=g)
    z = torch.rand(80, 40, generator=g) * (torch.rand(80, 40, generator=g) < 0.1)
    target = torch.randn(80, 60, generator=g)
    Refinement()(z, target, decoder)
    version = decoder._version
    decoder.data[:, :30] *= 2
    assert decoder._version == version
    ours = Refinement()(z, target, decoder)
    theirs = Refinement()(z.double(), target.double(), decoder.double())
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-3, atol=1e-4)


@given(problems(max_d=30))
def test_many_steps_reach_least_squares(problem):
    """Against NumPy's lstsq on the support, where that has no negative and the rows are free."""
    z, target, decoder = (t.double() for t in problem)
    out = Refinement(steps=60)(z, target, decoder)
    flat = zip(z.flatten(0, -2), target.flatten(0, -2), out.flatten(0, -2), strict=True)
    for one, goal, found in flat:
        support = one != 0
        rows = decoder[support]
        if not support.any() or np.linalg.matrix_rank(rows.numpy()) < len(rows):
            continue
        best, *_ = np.linalg.lstsq(rows.T.numpy(), goal.numpy(), rcond=None)
        if (best <= 0).any() or np.linalg.cond(rows.numpy()) > 30:
            continue
        np.testing.assert_allclose(found[support].numpy(), best, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("family", FAMILIES)
def test_three_steps_reach_nine_tenths_of_the_limit(family):
    """The limit is the exact solution on the same support."""
    x, _ = sparse_world(2000)
    before, three, limit = (
        measure(rsae.refine(world_teacher(family)).set_refinement(r), x).mse
        for r in (None, Refinement(steps=3), Refinement("exact"))
    )
    assert before - three >= 0.9 * (before - limit) > 0


@pytest.mark.parametrize("name", METHODS)
def test_gradients_through_the_steps_are_those_of_float64_differences(name):
    g = torch.Generator().manual_seed(1)
    decoder = torch.randn(30, 15, generator=g, dtype=torch.float64)
    on = torch.zeros(4, 30, dtype=torch.float64)
    on.scatter_(1, torch.rand(4, 30, generator=g).topk(6, dim=1).indices, 1.0)
    on[3] = 0  # a token without a feature
    z = on * (torch.rand(4, 30, generator=g) + 0.3)
    goal = 1.4 * z - 0.8 * on  # below 0 for some
    target = goal @ decoder + 0.3 * torch.randn(4, 15, generator=g, dtype=torch.float64)
    leaves = [t.clone().requires_grad_() for t in (z, target, decoder)]
    refinement = METHODS[name]
    assert torch.autograd.gradcheck(lambda a, b, c: refinement(a * on, b, c), leaves)
    left = (refinement(z, target, decoder) == 0) & (z != 0)
    assert left.any()  # the gradient of dropping is among what was checked
    single = [t.float().detach().requires_grad_() for t in leaves]
    ours = torch.autograd.grad(
        refinement(*(single := [t.float().detach().requires_grad_() for t in leaves]))
        .square()
        .sum(),
        single,
    )
    theirs = torch.autograd.grad(refinement(*leaves).square().sum(), leaves)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-3, atol=1e-3)


def test_gradients_of_the_first_pass_are_the_encoders():
    sae = refined("jumprelu", gradient="first_pass")
    plain = copy.deepcopy(sae).set_refinement(None)
    x = inputs(6)
    grads = []
    for one in (sae, plain):
        leaf = x.clone().requires_grad_()
        one.encode(leaf).sum().backward()
        grads.append(leaf.grad)
    torch.testing.assert_close(*grads)
    assert not torch.equal(sae.encode(x), plain.encode(x))


def test_the_operator_keeps_pytorchs_contract():
    g = torch.Generator().manual_seed(0)
    decoder = torch.randn(20, 8, generator=g, requires_grad=True)
    z = (torch.rand(5, 20, generator=g) - 0.7).relu().requires_grad_()
    target = torch.randn(5, 8, generator=g, requires_grad=True)
    torch.library.opcheck(torch.ops.rsae.refine, (z, target, decoder, "cg", 3, []))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_both_loaders_give_the_refined_activations_that_were_saved(family, dtype, tmp_path):
    sae = refined(family)
    sae.save_model(tmp_path)
    mine = RSAE.load_from_disk(tmp_path, dtype=dtype)
    theirs = SAE.load_from_disk(tmp_path, dtype=dtype)
    x = inputs(30)
    assert torch.equal(mine.encode(x), theirs.encode(x))
    assert torch.equal(mine.encode(x), sae.to(getattr(torch, dtype)).encode(x))
    assert mine.refinement == sae.refinement == Refinement()
    assert mine.encode(x).dtype == getattr(torch, dtype)


def pursued(family: str = "jumprelu", exact_k: bool = False) -> RSAE:
    x, _ = sparse_world()
    return rsae.refine(world_teacher(family), x, pursuit=True, exact_k=exact_k)


@pytest.mark.parametrize("family", FAMILIES)
def test_pursuit_is_saved_with_its_thresholds(family, tmp_path):
    sae = pursued(family)
    sae.save_model(tmp_path)
    x, _ = sparse_world(300)
    for again in (RSAE.load_from_disk(tmp_path), SAE.load_from_disk(tmp_path)):
        assert torch.equal(again.encode(x), sae.encode(x))
    json.loads((tmp_path / "cfg.json").read_text())


@pytest.mark.parametrize("make", [lambda: refined("relu"), lambda: pursued("topk")])
def test_folding_decoder_norms_changes_no_reconstruction(make):
    sae = make()
    x = sparse_world(50)[0] if sae.cfg.d_in == 16 else inputs(50)
    with torch.no_grad():
        sae.W_dec.mul_(torch.linspace(0.5, 2.0, sae.cfg.d_sae)[:, None])
    before = sae(x)
    sae.fold_W_dec_norm()
    torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(sae.cfg.d_sae))
    torch.testing.assert_close(sae(x), before, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("normalization", ["none", "layer_norm", "constant_norm_rescale"])
@pytest.mark.parametrize("subtract", [True, False])
def test_the_target_is_the_normalised_input_less_b_dec(normalization, subtract):
    origin = teacher("jumprelu", normalize_activations=normalization, apply_b_dec_to_input=subtract)
    sae = rsae.refine(origin)
    plain = copy.deepcopy(sae).set_refinement(None)
    x = inputs(60) + 1
    u = plain.run_time_activation_norm_fn_in(x)
    z = plain.encode(x)
    torch.testing.assert_close(sae.encode(x), Refinement()(z, u - sae.b_dec, sae.W_dec))
    assert (x - sae(x)).square().sum() < (x - plain(x)).square().sum()


def test_hooks_see_the_refined_activations():
    sae = refined("jumprelu")
    x = inputs(5)
    _, cache = sae.run_with_cache(x)
    assert torch.equal(cache["hook_sae_acts_post"], sae.encode(x))
    with pytest.warns(DeprecationWarning, match="error_term"):
        sae.use_error_term = True
    torch.testing.assert_close(sae(x), x)


def test_saelens_splices_it_into_a_model_with_its_error_term():
    from sae_lens import HookedSAETransformer
    from transformer_lens import HookedTransformerConfig

    config = HookedTransformerConfig(
        n_layers=2, d_model=12, n_ctx=16, d_head=6, d_vocab=30, act_fn="relu", seed=0
    )
    model = HookedSAETransformer(config)
    sae = refined("jumprelu")
    sae.cfg.metadata.hook_name = "blocks.1.hook_resid_pre"
    ids = torch.arange(8)[None]
    _, plain = model.run_with_cache(ids)
    logits, cache = model.run_with_cache_with_saes(ids, saes=[sae], use_error_term=True)
    found = cache["blocks.1.hook_resid_pre.hook_sae_acts_post"]
    torch.testing.assert_close(found, sae.encode(plain["blocks.1.hook_resid_pre"]))
    torch.testing.assert_close(logits, model(ids), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", [lambda: refined("jumprelu"), lambda: pursued("topk")])
def test_encode_compiles_as_one_graph(make):
    sae = make().requires_grad_(True)
    x = inputs(6, sae.cfg.d_in)
    compiled = torch.compile(sae.encode, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), sae.encode(x))
    grads = [torch.autograd.grad(f(x).sum(), sae.W_dec)[0] for f in (compiled, sae.encode)]
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("family", FAMILIES)
def test_pursuit_keeps_rates_and_l0_and_lowers_the_error(family):
    x, _ = sparse_world()
    sae = pursued(family)
    plain = copy.deepcopy(sae).set_refinement(None)
    refined_only = copy.deepcopy(sae).set_refinement(Refinement())
    before, after = measure(plain, x), measure(sae, x)
    assert abs(after.l0 / before.l0 - 1) < 0.01
    assert after.mse < measure(refined_only, x).mse
    rates = [(one.encode(x) != 0).float().mean(dim=0) for one in (plain, sae)]
    assert (
        rates[0] - rates[1]
    ).abs().mean() < 0.03  # of u > t they are equal; the last steps drop some


def test_exactly_k_features_where_that_is_a_contract():
    x, _ = sparse_world()
    counts = (pursued("topk", exact_k=True).encode(x) != 0).sum(dim=1)
    assert counts.max() == 4
    assert counts.float().mean() > 3.9


def test_a_feature_unseen_in_calibration_fires_where_the_encoder_makes_it():
    x, _ = sparse_world()
    origin = world_teacher("jumprelu")
    threshold = origin.threshold.clone()
    threshold[5] = 1e3
    sae = rsae.refine(replace(origin, threshold=threshold), x, pursuit=True)
    assert sae.pursuit_threshold[5] == -1
    assert (sae.encode(x)[:, 5] == 0).all()
    with torch.no_grad():
        sae.threshold[5] = 0.5
    fires = sae.encode(x)[:, 5] != 0
    encoder = copy.deepcopy(sae).set_refinement(None).encode(x)[:, 5] != 0
    assert fires.any()
    assert not (fires & ~encoder).any()


@pytest.mark.parametrize("steps_", range(1, 9))
@pytest.mark.parametrize("low", [1e-2, 0.2, 0.9])
def test_fixed_steps_are_chebyshevs(low, steps_):
    """Closed form: the zeros of T_K mapped to [low, high], in any order; its error 1 / T_K."""
    high = 4.0
    sizes = step_sizes(low, high, steps_)
    nodes = np.cos((2 * np.arange(1, steps_ + 1) - 1) * np.pi / (2 * steps_))
    points = (high + low) / 2 + (high - low) / 2 * nodes
    np.testing.assert_allclose(np.sort(sizes), np.sort(1 / points), rtol=1e-4)
    t = np.linspace(low, high, 2001)
    factor = np.prod([1 - size * t for size in sizes], axis=0)
    assert np.abs(factor).max() <= contraction(low, high, steps_) * (1 + 1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_fixed_steps_lower_the_error_within_their_bound(family):
    x, _ = sparse_world(1500)
    sae = rsae.refine(world_teacher(family), x, method="minimax", steps=3)
    plain = copy.deepcopy(sae).set_refinement(None)
    conjugate = copy.deepcopy(sae).set_refinement(Refinement(steps=3))
    ours, before, best = (measure(one, x).mse for one in (sae, plain, conjugate))
    assert best * 0.999 <= ours < before


def test_too_few_calibration_tokens_are_told_with_their_number():
    x, _ = sparse_world(3999)
    with pytest.raises(ConfigError, match="3,999"):
        rsae.refine(world_teacher("relu"), x, pursuit=True)


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "newton"},
        {"steps": 0},
        {"method": "minimax"},
        {"step_sizes": [1.0]},
        {"method": "minimax", "step_sizes": [float("nan")]},
        {"gradient": "none"},
        {"pursuit": {"step": 0.0}},
        {"pursuit": {"step": 1.0, "k": 0}},
        {"colour": "red"},
    ],
)
def test_contradictions_are_refused(settings):
    with pytest.raises(ConfigError):
        rsae.RSAEConfig(d_in=2, d_sae=3, refinement=settings)


def test_thresholds_go_with_pursuit():
    sae = refined("relu")
    for refinement, threshold in (
        (Refinement(pursuit=Pursuit(0.5)), None),
        (Refinement(), torch.zeros(40)),
        (Refinement(pursuit=Pursuit(0.5)), torch.zeros(3)),
    ):
        with pytest.raises(ConfigError):
            sae.set_refinement(refinement, threshold)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_refined_teacher_keeps_its_own_activation_exactly(family):
    origin = teacher(family)
    x = inputs(30)
    sae = rsae.refine(origin)
    assert torch.equal(sae.first_pass(x)[0], origin.encode(x))
    assert sae.rational.to_dict() == RationalActivation.constant((0, 0)).to_dict()


def test_non_finite_input_keeps_the_encoders_activations():
    z, decoder = torch.ones(2, 3), torch.eye(3)
    target = torch.tensor([[float("nan"), 1.0, 1.0], [float("inf"), 1.0, 1.0]])
    assert torch.equal(steps(z, target, decoder, "cg", 3, []), z)


@given(problems(), methods)
def test_activations_that_may_be_overwritten_come_out_the_same(problem, refinement):
    z, target, decoder = problem
    out = refinement(z, target, decoder)
    assert torch.equal(refinement(z.clone(), target, decoder, overwrite_z=True), out)


@pytest.mark.parametrize("gradient", ["steps", "first_pass"])
def test_activations_that_a_gradient_needs_are_not_overwritten(gradient):
    g = torch.Generator().manual_seed(0)
    decoder, target = torch.randn(6, 5, generator=g), torch.randn(3, 5, generator=g)
    z = torch.rand(3, 6, generator=g).requires_grad_(True)
    kept = z.detach().clone()
    out = Refinement(gradient=gradient)(z, target, decoder, overwrite_z=True)
    assert torch.equal(z, kept)
    assert out.requires_grad
