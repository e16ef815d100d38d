"""SAEs trained on scaled activations: the factor is told, or estimated and said, never left out."""

import json

import pytest
import torch
from sae_lens import SAE
from tests.rsae import saes

import rsae
from rsae.errors import TeacherError
from rsae.pretrained import load_teacher
from rsae.pretrained.scale import with_estimated_scale
from rsae.train import TrainConfig
from rsae.upgrading import UpgradeConfig

from . import formats
from .formats import Parts

PARTS = Parts.random(6, 17, k=4)
X = 40 * torch.randn(4000, 6, generator=torch.Generator().manual_seed(0)) + 3
FACTOR = 6**0.5 / X.norm(dim=1).mean().item()


@pytest.mark.parametrize("by_norm", [False, True])
@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "topk"])
def test_an_estimated_factor_is_what_saelens_folds(tmp_path, architecture, by_norm):
    config = {"normalize_activations": "expected_average_only_in"}
    if architecture == "topk":
        config["rescale_acts_by_decoder_norm"] = by_norm
    elif by_norm:
        return
    folder = formats.saelens(tmp_path, PARTS, architecture, **config)
    theirs = SAE.load_from_disk(folder)
    theirs.fold_activation_norm_scaling_factor(FACTOR)
    teacher = load_teacher(folder)
    assert any("estimated from activations" in note for note in teacher.notes)
    scaled = with_estimated_scale(teacher, X.split(512))
    torch.testing.assert_close(scaled.reconstruct(X), theirs(X), rtol=1e-4, atol=1e-3)
    assert scaled.normalize_activations == "none"
    assert any(f"{FACTOR:.4g} was estimated" in note for note in scaled.notes)
    assert with_estimated_scale(scaled, []) is scaled


@pytest.mark.parametrize("x", [torch.zeros(5, 6), torch.zeros(0, 6), torch.full((5, 6), 1e-38)])
def test_a_factor_that_cannot_be_told_is_refused(tmp_path, x):
    config = {"normalize_activations": "expected_average_only_in"}
    teacher = load_teacher(formats.saelens(tmp_path, PARTS, "standard", **config))
    with pytest.raises(TeacherError, match="no factor"):
        with_estimated_scale(teacher, [x])


def test_an_upgrade_and_a_comparison_estimate_it(tmp_path):
    evals = pytest.importorskip("rsae_evals")

    config = {"normalize_activations": "expected_average_only_in"}
    folder = formats.saelens(tmp_path / "a", PARTS, "standard", **config)
    teacher = load_teacher(folder)
    train = TrainConfig(steps=0)
    result = rsae.upgrade(folder, X, UpgradeConfig(train=train, calibration_tokens=400))
    scaled = with_estimated_scale(teacher, [X])
    torch.testing.assert_close(
        result.rsae_init.decode(result.rsae_init.encode(X)), scaled.reconstruct(X), rtol=0.2, atol=1
    )
    found = evals.compare({"a": teacher, "b": scaled}, evals.evaluation_set(X))
    assert found.variants[0].metrics["mse"] == pytest.approx(
        found.variants[1].metrics["mse"], rel=1e-4
    )
    assert any("was estimated" in warning for warning in found.warnings)


@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "topk"])
def test_an_object_of_saelens_is_scaled_in_a_copy(tmp_path, architecture):
    """What SAELens itself folds, given the factor, is the expected value."""
    evals = pytest.importorskip("rsae_evals")

    config = {"normalize_activations": "expected_average_only_in"}
    folder = formats.saelens(tmp_path, PARTS, architecture, **config)
    plain, folded = SAE.load_from_disk(folder), SAE.load_from_disk(folder)
    folded.fold_activation_norm_scaling_factor(FACTOR)
    x, before = evals.evaluation_set(X), plain.W_enc.clone()
    found = evals.compare({"plain": plain, "folded": folded, "sae": evals.as_coder(plain)}, x)
    mse = [variant.metrics["mse"] for variant in found.variants]
    assert mse == pytest.approx([(X - folded(X)).square().sum().item() / len(X)] * 3, rel=1e-4)
    assert [w.partition(":")[0] for w in found.warnings if "estimated" in w] == ["plain", "sae"]
    assert torch.equal(plain.W_enc, before)
    for given in (plain, load_teacher(folder)):
        (one,) = evals.evaluate([given], x, [evals.Reconstruction()])
        (measured,) = one.measurements.values()
        totals = measured.totals()
        assert totals["error"] / totals["n"] == pytest.approx(mse[0], rel=1e-4)


def test_a_run_is_of_one_whole_teacher(tmp_path):
    """Other weights, another k, and the settings beside them are each another teacher."""
    from dataclasses import replace

    from rsae.errors import ConfigError

    x = saes.inputs(400)
    origin = saes.teacher("relu", seed=1)
    config = UpgradeConfig(train=TrainConfig(steps=0), calibration_tokens=40)
    rsae.upgrade(origin, x, config, out=tmp_path)
    for change in (
        {"apply_b_dec_to_input": False},
        {"normalize_activations": "layer_norm"},
        {"normalize_activations": "constant_norm_rescale"},
        {"b_dec": origin.b_dec + 1e-3},
        {"W_enc": origin.W_enc.flip(0)},
        {"family": "jumprelu", "threshold": torch.zeros(40)},
        {"family": "topk", "k": 3},
    ):
        with pytest.raises(ConfigError, match="another teacher"):
            rsae.upgrade(replace(origin, **change), x, config, out=tmp_path, resume=True)
    (tmp_path / "upgrade.json").write_text(json.dumps([]))
    with pytest.raises(rsae.errors.CorruptFileError):
        rsae.upgrade(origin, x, config, out=tmp_path, resume=True)


def test_what_is_measured_is_not_measured_again(tmp_path, monkeypatch):
    from rsae.upgrading import pipeline

    x, origin = saes.inputs(400), saes.teacher("relu", seed=1)
    config = UpgradeConfig(train=TrainConfig(steps=2, batch_size=64), calibration_tokens=40)
    first = rsae.upgrade(origin, x, config, out=tmp_path)
    calls = []
    kept = pipeline.measure
    monkeypatch.setattr(pipeline, "measure", lambda *given: calls.append(1) or kept(*given))
    again = rsae.upgrade(origin, x, config, out=tmp_path, resume=True)
    assert again.metrics == first.metrics
    assert not calls
    (tmp_path / "metrics.json").write_text('{"rsae": {"mse": 0}}')
    assert rsae.upgrade(origin, x, config, out=tmp_path, resume=True).metrics == first.metrics
