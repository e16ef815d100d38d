"""Every kind of SAE × what the README and the docstrings of rsae promise of it."""

import json
from dataclasses import replace

import pytest
import torch
from sae_lens import SAE
from tests.rsae import saes
from tests.rsae.pretrained import formats
from tests.rsae.pretrained.formats import Parts

import rsae
from rsae import RSAE, RationalActivation, Refinement
from rsae.data import Activations
from rsae.errors import ConfigError, RsaeError
from rsae.pretrained import load_teacher
from rsae.sae.export import export_jumprelu
from rsae.sae.load import describe, load_rsae
from rsae.train import TrainConfig
from rsae.upgrading import UpgradeConfig

D_IN, D_SAE = 12, 40
PARTS = Parts.random(D_IN, D_SAE, k=5)
SHAPES = ((D_IN,), (0, D_IN), (7, D_IN), (2, 3, D_IN))


def an_rsae(family="relu", form="magnitude", support="threshold", **settings):
    rational = RationalActivation.constant((3, 2), input_scale=3.0)
    return RSAE.from_teacher(saes.teacher(family, seed=2, **settings), rational, form, support)


def folded():
    sae = an_rsae("jumprelu", "gate")
    sae.fold_W_dec_norm()
    return sae


def refined(family="relu", **how):
    return rsae.refine(an_rsae(family), saes.inputs(4_000), **how)


RSAES = {
    **{
        f"{form} {support} of {family}": lambda family=family, form=form, support=support: an_rsae(
            family, form, support
        )
        for family, form, support in (
            *((family, form, "threshold") for family in ("relu", "jumprelu")
              for form in ("magnitude", "gate", "direct")),
            *(("topk", form, "topk") for form in ("magnitude", "gate", "direct")),
            ("jumprelu", "gate", "level"),
        )
    },
    **{how: lambda how=how: an_rsae(normalize_activations=how)
       for how in ("layer_norm", "constant_norm_rescale")},
    "b_dec only added": lambda: an_rsae(apply_b_dec_to_input=False),
    "folded": folded,
    "refined by cg": lambda: refined(),
    "refined by fixed steps": lambda: refined(method="minimax"),
    "refined exactly": lambda: refined(method="exact"),
    "pursued": lambda: refined("jumprelu", pursuit=True),
    "bfloat16": lambda: an_rsae("jumprelu").to(torch.bfloat16),
}  # fmt: skip


@pytest.fixture(scope="module", params=RSAES)
def sae(request) -> RSAE:
    return RSAES[request.param]().eval()


def x_of(sae, *shape):
    draw = torch.Generator().manual_seed(5)
    return torch.randn(*shape, generator=draw).to(sae.dtype)


def close(a, b):
    rough = a.dtype == torch.bfloat16
    torch.testing.assert_close(a, b, rtol=0.1 if rough else 1e-4, atol=0.1 if rough else 1e-4)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@torch.no_grad()
def test_any_leading_shape(sae, shape):
    if 0 in shape and sae.cfg.normalize_activations == "layer_norm":
        pytest.skip("SAELens takes the mean of nothing")
    x = x_of(sae, *shape)
    z = sae.encode(x)
    assert z.shape == (*shape[:-1], D_SAE)
    x_hat = sae.decode(z)
    assert x_hat.shape == x.shape
    assert torch.isfinite(z).all()
    assert torch.isfinite(x_hat).all()
    close(sae(x), x_hat)
    if x.numel():
        assert sae.cfg.support == "level" or (z == 0).any()  # a gate of 1 is open everywhere
        rows = x.reshape(-1, D_IN)
        one = torch.stack([sae.decode(sae.encode(row)) for row in rows])
        close(one.reshape(shape), x_hat)


@torch.no_grad()
def test_what_is_saved_loads_equal_here_and_in_saelens(sae, tmp_path):
    sae.save_model(tmp_path)
    x = saes.inputs(50).to(sae.dtype)
    before = sae.encode(x)
    again = load_rsae(tmp_path)
    for found in (again, RSAE.load_from_disk(tmp_path), SAE.load_from_disk(tmp_path)):
        assert type(found) is RSAE
        close(found.to(sae.dtype).encode(x), before)
    assert again.cfg.refinement == sae.cfg.refinement
    said = describe(tmp_path)
    json.dumps(said, allow_nan=False)
    shown = (said["kind"], said["form"], said["support"], said["d_in"], said["d_sae"])
    assert shown == ("rsae", sae.cfg.form, sae.cfg.support, D_IN, D_SAE)
    assert said["refinement"] == sae.cfg.refinement
    again.save_model(tmp_path / "again")
    for name in ("cfg.json", "README.md"):
        assert (tmp_path / "again" / name).read_text() == (tmp_path / name).read_text()


@torch.no_grad()
def test_saelens_hooks_see_the_feature_activations(sae):
    x = saes.inputs(9).to(sae.dtype)
    x_hat, cache = sae.run_with_cache(x)
    assert torch.equal(cache["hook_sae_acts_post"], sae.encode(x))
    close(x_hat, sae.decode(sae.encode(x)))
    assert {"hook_sae_input", "hook_sae_acts_pre", "hook_sae_recons"} <= cache.keys()
    zeroed = sae.run_with_hooks(
        x, fwd_hooks=[("hook_sae_acts_post", lambda z, hook: torch.zeros_like(z))]
    )
    assert not torch.equal(zeroed, x_hat)


def test_it_exports_or_says_why_not(sae, tmp_path):
    x = Activations.from_tensor(saes.inputs(300))
    if sae.cfg.support != "threshold":
        with pytest.raises(ConfigError, match="support"):
            export_jumprelu(sae, x)
        return
    found = export_jumprelu(sae, x)
    found.save(tmp_path)
    plain, teacher = SAE.load_from_disk(tmp_path), load_teacher(tmp_path)
    rows = saes.inputs(9)
    close(plain.encode(rows), found.sae.float().encode(rows))
    close(teacher.encode(rows), plain.encode(rows))
    assert found.mse > 0


def test_it_is_evaluated(sae):
    evals = pytest.importorskip("rsae_evals")
    x = saes.inputs(300)
    (found,) = evals.evaluate([sae], evals.evaluation_set(x), [evals.Reconstruction()])
    totals = next(iter(found.measurements.values())).totals()
    with torch.no_grad():
        z = sae.encode(x.to(sae.dtype))
        error = (x - sae.decode(z).float()).square().sum().item()
    assert totals["l0"] == (z != 0).sum().item()
    assert totals["error"] == pytest.approx(error, rel=0.05 if z.dtype != torch.float32 else 1e-4)


@pytest.mark.parametrize("method", ["cg", "minimax", "exact"])
@torch.no_grad()
def test_a_refinement_raises_no_token_s_error(sae, method):
    x = saes.inputs(60).to(sae.dtype)
    plain = rsae.refine(sae)
    plain.set_refinement(None)
    found = rsae.refine(plain, saes.inputs(500).to(sae.dtype), method=method, steps=2)
    assert isinstance(found.refinement, Refinement)

    def errors(sae):
        return (x - sae.decode(sae.encode(x))).float().square().sum(dim=1)

    slack = 0.1 if sae.dtype == torch.bfloat16 else 1e-3
    if sae.cfg.normalize_activations == "none":
        assert (errors(found) <= errors(plain) * (1 + slack) + slack).all()


TEACHERS = {
    **{f"saelens {name}": lambda f, name=name: formats.saelens(f, PARTS, name)
       for name in ("standard", "jumprelu", "topk")},
    **{f"saelens {how}": lambda f, how=how: formats.saelens(
        f, PARTS, "standard", normalize_activations=how)
       for how in ("layer_norm", "constant_norm_rescale", "expected_average_only_in")},
    "saelens without b_dec": lambda f: formats.saelens(
        f, PARTS, "jumprelu", apply_b_dec_to_input=False),
    "gemma_scope": lambda f: formats.gemma_scope(f, PARTS),
    **{f"dictionary_learning {name}": lambda f, name=name: formats.dictionary_learning(
        f, PARTS, name) for name in ("AutoEncoder", "AutoEncoderTopK", "BatchTopKSAE")},
    **{f"openai {name}": lambda f, name=name: formats.openai(f, PARTS, name)
       for name in ("ReLU", "TopK")},
    "sparsify": lambda f: formats.sparsify(f, PARTS),
}  # fmt: skip


@pytest.mark.parametrize("kind", TEACHERS)
def test_a_teacher_of_any_format_goes_through_every_command(kind, tmp_path):
    """Described, upgraded, read back, refined and evaluated; the start is the teacher itself."""
    folder = TEACHERS[kind](tmp_path / "teacher")
    json.dumps(describe(folder), allow_nan=False)
    x = saes.inputs(600)
    config = UpgradeConfig(train=TrainConfig(steps=1, batch_size=64), calibration_tokens=60)
    found = rsae.upgrade(folder, x, config, out=tmp_path / "out")
    again = rsae.upgrade(folder, x, config, out=tmp_path / "out", resume=True)
    assert again.metrics == found.metrics
    rows = saes.inputs(9, seed=3)
    with torch.no_grad():
        close(again.rsae.encode(rows), found.rsae.encode(rows))
        teacher = load_teacher(folder)
        if teacher.normalize_activations != "expected_average_only_in":
            z = teacher.encode(rows)
            close(found.rsae_init.encode(rows), z)
            refined = rsae.refine(folder)
            assert (refined.encode(rows).count_nonzero(1) <= z.count_nonzero(1)).all()
    evals = pytest.importorskip("rsae_evals")
    metrics = [evals.Reconstruction()]
    assert evals.evaluate([teacher, found.rsae], evals.evaluation_set(x), metrics)


def changes():
    """Another value for every field of a teacher that decides what it computes."""
    t = saes.teacher("relu", seed=1)
    for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
        yield replace(t, **{name: getattr(t, name) * 1.01})
    yield replace(t, family="jumprelu", threshold=torch.zeros(t.d_sae))
    yield replace(t, family="topk", k=3)
    yield replace(t, apply_b_dec_to_input=False)
    yield replace(t, normalize_activations="layer_norm")


def test_a_resumed_run_is_of_the_whole_teacher(tmp_path):
    x = saes.inputs(400)
    config = UpgradeConfig(train=TrainConfig(steps=0), calibration_tokens=40)
    rsae.upgrade(saes.teacher("relu", seed=1), x, config, out=tmp_path)
    for other in changes():
        with pytest.raises(RsaeError, match="another teacher"):
            rsae.upgrade(other, x, config, out=tmp_path, resume=True)
