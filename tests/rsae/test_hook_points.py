"""Attention and MLP outputs, and the heads' outputs, beside the residual stream."""

import einops
import pytest
import torch
from sae_lens import SAE, HookedSAETransformer, JumpReLUSAE
from tests.rsae.saes import teacher
from tests.rsae.tiny_model import save_tiny_model
from transformer_lens import HookedTransformerConfig

from rsae import RSAE
from rsae.data import Activations, harvest
from rsae.data.document import Document
from rsae.data.text import tokenize
from rsae.errors import HookError, StoreError
from rsae.language_model.host import hook_width, load_host
from rsae.sae.activation import RationalActivation
from rsae.sae.export import export_jumprelu
from rsae.sae.load import load_rsae

HOOKS = ("hook_resid_mid", "hook_attn_out", "hook_mlp_out", "attn.hook_z")
Z = "blocks.1.attn.hook_z"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return load_host(save_tiny_model(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def ids():
    return torch.randint(3, 20, (3, 12), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("hook", HOOKS)
def test_activations_are_those_of_a_full_run_heads_beside_one_another(tiny, ids, hook):
    name = f"blocks.1.{hook}"
    with torch.inference_mode():
        _, cache = tiny.bridge.run_with_cache(ids, names_filter=[name])
    expected = cache[name]
    if hook == "attn.hook_z":
        assert expected.shape[2:] == (2, 4)
        expected = einops.rearrange(expected, "b p head d -> b p (head d)")
    found = tiny.residual(ids, name)
    torch.testing.assert_close(found, expected)
    assert found.shape[-1] == hook_width(tiny, name)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_splice_changes_what_it_replaces_and_nothing_else(tiny, ids, hook):
    name = f"blocks.1.{hook}"
    plain = tiny.logits(ids)
    torch.testing.assert_close(tiny.logits(ids, name, lambda x: x), plain)
    seen = []
    spliced = tiny.logits(ids, name, lambda x: seen.append(x.shape) or torch.zeros_like(x))
    assert seen == [(int((~tiny.is_special(ids)).sum()), 8)]
    ordinary = ~tiny.is_special(ids)
    assert not torch.allclose(spliced[ordinary], plain[ordinary], atol=1e-5)
    torch.testing.assert_close(spliced[:, :4], plain[:, :4])


@pytest.mark.parametrize(
    "hook", ["blocks.1.hook_mlp_in", "blocks.7.hook_attn_out", "blocks.1.attn.hook_q", "x" * 900]
)
def test_a_hook_that_cannot_be_read_is_one_line(tiny, hook):
    with pytest.raises(HookError, match="for example") as refusal:
        tiny.check_hook(hook)
    assert len(str(refusal.value)) < 500


def test_harvest_reads_attention_outputs_and_refuses_several_widths(tiny, tmp_path, monkeypatch):
    text = [Document("a", " ".join(f"w{i % 20}" for i in range(60)))]
    tokens = {"train": tokenize(tiny, text, 12)}
    hooks = ["blocks.0.attn.hook_z", "blocks.1.hook_mlp_out"]
    store = harvest(tiny, tokens, hooks, tmp_path / "store")
    found = store.split("train", hooks[0]).tensor()
    expected = tiny.residual(tokens["train"].ids, hooks[0])[~tokens["train"].special]
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    monkeypatch.setattr(tiny.bridge.cfg, "d_head", 5)
    with pytest.raises(StoreError, match="several widths"):
        harvest(tiny, tokens, hooks, tmp_path / "other")


def hook_z_rsae(family="relu", d_in=12):
    origin = teacher(family, d_in=d_in, metadata={"hook_name": "blocks.1.attn.hook_z"})
    return RSAE.from_teacher(origin, RationalActivation.constant((3, 2), input_scale=3.0))


@pytest.mark.parametrize("d_head", [1, 3, 4, 12])
def test_an_rsae_of_heads_takes_them_apart_and_together(tmp_path, d_head):
    sae = hook_z_rsae()
    sae.save_model(tmp_path)
    x = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(1))
    for one in (sae, load_rsae(tmp_path), SAE.load_from_disk(tmp_path)):
        assert one.cfg.reshape_activations == "hook_z"
        apart = x.unflatten(-1, (-1, d_head))
        together = one(x)
        assert together.shape == x.shape
        torch.testing.assert_close(one(apart), together.reshape(apart.shape))
        torch.testing.assert_close(one(x), together)


def test_saelens_runs_an_rsae_at_its_own_hook_z():
    config = HookedTransformerConfig(
        n_layers=2, d_model=12, n_ctx=16, d_head=6, d_vocab=30, act_fn="relu", seed=0
    )
    model = HookedSAETransformer(config)
    sae = hook_z_rsae()
    ids = torch.randint(0, 30, (2, 8), generator=torch.Generator().manual_seed(2))
    _, cache = model.run_with_cache(ids)
    logits, seen = model.run_with_cache_with_saes(ids, saes=[sae])
    z = sae.encode(cache[Z].flatten(2))
    torch.testing.assert_close(seen[f"{Z}.hook_sae_acts_post"], z)
    assert torch.isfinite(logits).all()


def test_an_export_of_heads_is_measured_and_runs_at_its_hook():
    evals = pytest.importorskip("rsae_evals")
    x = torch.randn(200, 12, generator=torch.Generator().manual_seed(3))
    export = export_jumprelu(hook_z_rsae(), Activations.from_tensor(x))
    assert export.sae.cfg.reshape_activations == "hook_z"
    apart = x.unflatten(-1, (2, 6))[None]
    assert export.sae(apart).shape == apart.shape
    seen = evals.as_coder(export.sae)
    torch.testing.assert_close(seen.reconstruct(x), export.sae(apart).flatten(2)[0])
    assert isinstance(export.sae, JumpReLUSAE)
    assert export.sae.hook_z_reshaping_mode
