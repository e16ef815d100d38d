"""What each `keep` promises, for every family."""

from dataclasses import replace

import pytest
import torch
from tests.rsae.saes import FAMILIES, sparse_world, world_teacher

import rsae
from rsae import RationalConfig, UpgradeConfig
from rsae.errors import ConfigError
from rsae.metrics import Measured, measure, spread
from rsae.train import TrainConfig
from rsae.upgrading import plan
from rsae.upgrading.plan import is_nested
from rsae.upgrading.variants import worse_than_teacher

CONFIG = UpgradeConfig(train=TrainConfig(steps=10, batch_size=128), calibration_tokens=600)
X, _ = sparse_world(6000)
WEIGHTS = ("W_enc", "b_enc", "W_dec", "b_dec")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("keep", ["features", "directions", "nothing"])
def test_what_is_kept_is_kept_to_the_bit(family, keep):
    origin = world_teacher(family)
    result = rsae.upgrade(origin, X, replace(CONFIG, keep=keep))
    same = {
        name: torch.equal(getattr(result.rsae, name), getattr(origin, name)) for name in WEIGHTS
    }
    frozen = {"features": WEIGHTS, "directions": ("W_dec", "b_dec"), "nothing": ()}[keep]
    assert same == {name: name in frozen for name in WEIGHTS}
    assert result.rsae.refinement is not None
    pursues = family != "relu" and keep != "nothing"
    assert (result.rsae.refinement.pursuit is not None) == pursues
    assert list(result.variants)[-1] == "rsae"
    chain = result.plan.made_of(tuple(result.variants))
    assert {name for _, name in chain} <= set(result.variants)
    assert result.plan.baseline in result.variants


def test_the_default_is_by_family():
    kept = {family: plan(world_teacher(family), UpgradeConfig()).keep for family in FAMILIES}
    assert kept == {"relu": "nothing", "jumprelu": "features", "topk": "features"}
    assert "default for topk" in plan(world_teacher("topk"), UpgradeConfig()).sentence


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("keep", ["directions", "nothing"])
def test_the_baseline_of_a_trained_sae_is_refined_as_the_result_is(family, keep):
    made = plan(world_teacher(family), replace(CONFIG, keep=keep))
    # Training a JumpReLU SAE by its own objective is the result itself, so what it is worth
    # beyond refinement is seen beside the refined teacher.
    base = "teacher" if family == "jumprelu" else "control"
    assert made.baseline == f"{base}_{made.step}"


@pytest.mark.parametrize("family", ["relu", "jumprelu"])
def test_trained_and_refined_variants_have_the_teachers_l0(family):
    config = replace(CONFIG, keep="nothing", baselines=True)
    result = rsae.upgrade(world_teacher(family), X, config)
    sample = rsae.upgrading.sample_of(X)
    x = spread(sample.calibration.tensor(), config.calibration_tokens)
    target = measure(result.variants["teacher"], x).l0
    trained = [n for n in result.variants if n == "rsae" or n[:7] in ("control", "rationa")]
    assert len(trained) == (5 if family == "relu" else 3)
    for name in trained:
        assert measure(result.variants[name], x).l0 == pytest.approx(target, rel=2e-3), name
    # The teacher's own copy only loses activations.
    assert measure(result.variants["teacher_refined"], x).l0 <= target


def test_baselines_are_added_to_a_finished_run(tmp_path):
    origin = world_teacher("topk")
    first = rsae.upgrade(origin, X, CONFIG, out=tmp_path)
    both = rsae.upgrade(origin, X, replace(CONFIG, baselines=True), out=tmp_path, resume=True)
    assert {"control", "control_pursued", "rational_pursued"} <= set(both.variants)
    assert torch.equal(first.rsae.encode(X[:50]), both.rsae.encode(X[:50]))


def test_features_are_not_kept_by_another_activation():
    with pytest.raises(ConfigError, match="trains nothing"):
        UpgradeConfig(keep="features", rational=RationalConfig(form="gate"))
    with pytest.raises(ConfigError, match="keep is one of"):
        UpgradeConfig(keep="everything")


def test_a_nested_teacher_is_known_by_its_metadata():
    origin = world_teacher("jumprelu")
    assert not is_nested(origin)
    nested = replace(origin, metadata={"training_architecture": "matryoshka_batchtopk"})
    assert is_nested(nested)
    assert "Matryoshka" in rsae.upgrade(nested, X, replace(CONFIG, keep="nothing")).notes[0]


@pytest.mark.parametrize("mse", [1.1, 1e29, float("nan"), float("inf")])
def test_a_higher_or_undefined_error_is_told(mse):
    before = Measured(1.0, 5.0, 1.0, 100)
    after = replace(before, mse=mse)
    planned = plan(world_teacher("relu"), UpgradeConfig())
    said = worse_than_teacher({"teacher": before, "rsae": after}, planned)
    assert said.startswith("worse than")
    assert "--keep features" in said
    assert not worse_than_teacher({"teacher": before, "rsae": before}, planned)
    planned = replace(planned, transcodes=True)
    assert "--keep" not in worse_than_teacher({"teacher": before, "rsae": after}, planned)
