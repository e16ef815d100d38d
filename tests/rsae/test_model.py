import json

import pytest
import sae_lens
import torch
from hypothesis import given
from hypothesis import strategies as st
from sae_lens import SAE
from sae_lens.registry import SAE_CLASS_REGISTRY
from tests.rsae.saes import FAMILIES, families, inputs, seeds, teacher

from rsae import RSAE, RationalActivation, RSAEConfig
from rsae.errors import ConfigError, OutputError

CURVED = RationalActivation([[1.0, 0.4, -0.2, 0.1]], [[0.3, 0.2, 0.5]], 2.0, 1.1)


def sae_of(family: str, rational=None, **settings) -> RSAE:
    rational = rational or RationalActivation.constant((3, 2), 3.0)
    support = "topk" if family == "topk" else "threshold"
    return RSAE.from_teacher(teacher(family, **settings), rational, support=support)


@given(families, seeds, st.integers(1, 20), st.integers(7, 60), st.floats(0.01, 100))
def test_an_untuned_upgrade_is_its_teacher(family, seed, d_in, d_sae, scale):
    origin = teacher(family, seed, d_in, d_sae, scale)
    sae = RSAE.from_teacher(
        origin,
        RationalActivation.constant((3, 2), scale),
        support="topk" if family == "topk" else "threshold",
    )
    x = inputs(30, d_in, seed, scale)
    assert torch.equal(sae.encode(x), origin.encode(x))
    torch.testing.assert_close(sae(x), origin.reconstruct(x))


@pytest.mark.parametrize("normalization", ["layer_norm", "constant_norm_rescale"])
def test_input_normalisation_is_the_teachers(normalization):
    origin = teacher("jumprelu", normalize_activations=normalization)
    sae = RSAE.from_teacher(origin, RationalActivation.constant((3, 2)))
    x = inputs(20) + 2
    torch.testing.assert_close(sae.encode(x), origin.encode(x))
    torch.testing.assert_close(sae(x), origin.reconstruct(x))


@given(families, seeds)
def test_codes_are_exactly_zero_outside_the_support(family, seed):
    sae = sae_of(family, CURVED, seed=seed)
    x = inputs(40, seed=seed)
    h = sae.encode_pre_act(x)
    outside = ~sae.support(h, sae.threshold, sae.feature_scale, h)
    assert (sae.encode(x)[outside] == 0).all()
    assert outside.any()


def test_the_level_of_a_gate_is_a_support():
    gate = RationalActivation([[0.5, 1.5, 0.5, 0.5]], [[0.0, 0.0, 1.0]], 4.0)
    sae = RSAE.from_teacher(teacher("jumprelu"), gate, form="gate", support="level")
    x = inputs(50)
    h, z = sae.encode_pre_act(x), sae.encode(x)
    phi = gate(h - sae.threshold)
    assert torch.equal(z != 0, (phi > 0.5) & (h != 0))
    torch.testing.assert_close(z[z != 0], (h * phi)[z != 0])


@given(families, seeds, st.floats(0.1, 10))
def test_scaling_the_world_scales_the_codes(family, seed, factor):
    """Scale covariance: x, biases, thresholds and C_in by c means codes by c."""
    sae, scaled = sae_of(family, CURVED, seed=seed), sae_of(family, CURVED, seed=seed)
    with torch.no_grad():
        for name in ("b_enc", "b_dec", "threshold"):
            getattr(scaled, name).mul_(factor)
        scaled.feature_scale.mul_(factor)
    x = inputs(20, seed=seed)
    torch.testing.assert_close(
        scaled.encode(factor * x), factor * sae.encode(x), rtol=1e-3, atol=1e-4 * factor
    )


@given(families, seeds)
def test_folding_decoder_norms_changes_no_reconstruction(family, seed):
    sae = sae_of(family, CURVED, seed=seed)
    x = inputs(30, seed=seed)
    before = sae(x)
    sae.fold_W_dec_norm()
    torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(40))
    torch.testing.assert_close(sae(x), before, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_both_loaders_give_the_codes_that_were_saved(family, dtype, tmp_path):
    sae = sae_of(family, CURVED)
    sae.save_model(tmp_path)
    mine = RSAE.load_from_disk(tmp_path, dtype=dtype)
    theirs = SAE.load_from_disk(tmp_path, dtype=dtype)
    x = inputs(30)
    assert torch.equal(mine.encode(x), theirs.encode(x))
    assert torch.equal(mine.encode(x), sae.to(getattr(torch, dtype)).encode(x))
    assert mine.rational.to_dict() == sae.rational.to_dict()
    assert mine.encode(x).dtype == getattr(torch, dtype)


def test_the_teachers_metadata_is_kept(tmp_path):
    origin = teacher("relu", metadata={"model_name": "m", "hook_name": "blocks.1.hook_resid_post"})
    RSAE.from_teacher(origin, CURVED).save_model(tmp_path)
    metadata = json.loads((tmp_path / "cfg.json").read_text())["metadata"]
    assert metadata["model_name"] == "m"
    assert metadata["hook_name"] == "blocks.1.hook_resid_post"
    assert metadata["sae_lens_version"] == sae_lens.__version__


def test_without_this_package_saelens_refuses_the_file(tmp_path, monkeypatch):
    sae_of("relu").save_model(tmp_path)
    monkeypatch.delitem(SAE_CLASS_REGISTRY, "rational")  # as if rsae had not been imported
    with pytest.raises(KeyError, match="rational"):
        SAE.load_from_disk(tmp_path)


def test_all_hooks_and_the_error_term():
    sae = sae_of("jumprelu", CURVED)
    x = inputs(5)
    _, cache = sae.run_with_cache(x)
    names = {"input", "acts_pre", "acts_post", "recons", "output"}
    assert {f"hook_sae_{name}" for name in names} <= set(cache)
    with pytest.warns(DeprecationWarning, match="error_term"):
        sae.use_error_term = True
    out, cache = sae.run_with_cache(x)
    torch.testing.assert_close(out, x)
    assert "hook_sae_error" in cache


def test_saelens_splices_it_into_a_model():
    from transformer_lens import HookedTransformerConfig

    config = HookedTransformerConfig(
        n_layers=2, d_model=12, n_ctx=16, d_head=6, d_vocab=30, act_fn="relu", seed=0
    )
    model = sae_lens.HookedSAETransformer(config)
    sae = sae_of("jumprelu", CURVED)
    sae.cfg.metadata.hook_name = "blocks.1.hook_resid_pre"
    _, cache = model.run_with_cache_with_saes(torch.arange(8)[None], saes=[sae])
    codes = cache["blocks.1.hook_resid_pre.hook_sae_acts_post"]
    assert codes.shape == (1, 8, 40)
    assert (codes == 0).any()


def test_it_compiles():
    sae = sae_of("jumprelu", CURVED)
    x = inputs(6)
    compiled = torch.compile(sae.activate, backend="aot_eager", fullgraph=True)
    h = sae.encode_pre_act(x).detach()
    torch.testing.assert_close(compiled(h), sae.activate(h))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_it_moves_to_a_gpu():
    sae = sae_of("jumprelu", CURVED)
    x = inputs(6)
    torch.testing.assert_close(sae.to("cuda").encode(x.cuda()).cpu(), sae.to("cpu").encode(x))


@pytest.mark.parametrize(
    "settings",
    [{"form": "square"}, {"support": "none"}, {"support": "level"}, {"support": "topk"}, {"k": 3}],
)
def test_contradictions_are_refused(settings):
    with pytest.raises(ConfigError):
        RSAEConfig(d_in=2, d_sae=3, **settings)


def test_a_folder_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError) as caught:
        sae_of("relu").save_model(tmp_path / "taken")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["magnitude", "gate", "direct"])
def test_activations_without_gradients_are_those_with_them(form):
    rational = RationalActivation.constant((3, 2)).to_dict()
    sae = RSAE(RSAEConfig(d_in=4, d_sae=37, form=form, rational=rational))
    with torch.no_grad():
        sae.threshold.uniform_(0, 1)
        sae.feature_scale.uniform_(0.5, 2)
    h = torch.randn(2, 3, 37)
    expected = sae.activate(h).detach()
    with torch.no_grad():
        found = sae.activate(h)
    torch.testing.assert_close(found, expected)
    assert torch.equal(found != 0, expected != 0)
