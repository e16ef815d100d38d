"""The packaged synthetic world, and how well SAEs recover its features."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sae_lens import SAE
from sae_lens.synthetic import eval_sae_on_synthetic_data

import rsae_evals
from rsae_evals import EvaluationError, known_features
from rsae_evals.report import html, markdown
from rsae_evals.synthetic import load_world

N = 2048


@pytest.fixture(scope="module")
def world():
    return load_world()


class Replay:
    """SAELens' generator interface over firings that are there."""

    def __init__(self, activations):
        self.activations, self.position = activations, 0

    def sample(self, n):
        rows = self.activations[self.position : self.position + n]
        self.position += n
        return rows


@pytest.fixture(scope="module")
def found(world):
    return known_features({f: world.teacher(f) for f in world.families}, world, n_samples=N)


def test_the_package_stays_small(world):
    size = sum(f.stat().st_size for f in Path(world.folder).rglob("*") if f.is_file())
    assert size < 2_000_000
    assert {"relu", "topk", "jumprelu", "batchtopk"} <= set(world.families)


def test_samples_are_sparse_sums_of_the_features(world):
    x, firing = world.sample(64, seed=3)
    again, _ = world.sample(64, seed=3)
    other, _ = world.sample(64, seed=4)
    assert torch.equal(x, again)
    assert not torch.equal(x, other)
    assert firing.shape == (64, len(world.features))
    rest = x - world.model.feature_dict.bias
    for row, on in zip(rest[:8], firing[:8], strict=True):
        used = world.features[on]
        fit = torch.linalg.lstsq(used.T, row[:, None]).solution
        assert torch.allclose(used.T @ fit, row[:, None], atol=1e-3)


def test_sampling_leaves_the_global_random_state_alone(world):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    world.sample(8, seed=1)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("family", ["relu", "topk"])
def test_figures_are_those_of_saelens(world, found, family):
    """SAELens' own evaluation of the same SAE on the same samples."""
    sae = SAE.load_from_disk(Path(world.folder) / "teachers" / family)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(20_260)
        acts = torch.cat([world.model.activation_generator.sample(N)])
    theirs = eval_sae_on_synthetic_data(sae, world.model.feature_dict, Replay(acts), N, 512)
    ours = found.variant(family).metrics
    assert ours["mcc"] == pytest.approx(theirs.mcc, abs=1e-5)
    assert ours["uniqueness"] == pytest.approx(theirs.uniqueness, abs=1e-9)
    assert ours["f1"] == pytest.approx(theirs.classification.f1_score, abs=2e-3)
    assert ours["precision"] == pytest.approx(theirs.classification.precision, abs=2e-3)
    assert ours["recall"] == pytest.approx(theirs.classification.recall, abs=2e-3)
    assert ours["shrinkage"] == pytest.approx(theirs.shrinkage, abs=1e-4)
    assert ours["l0"] == pytest.approx(theirs.sae_l0, abs=1e-2)


def test_the_true_dictionary_finds_itself(world):
    """Rows of the true features recover themselves; random ones do not."""
    draw = torch.Generator().manual_seed(0)
    random = torch.nn.functional.normalize(torch.randn(256, 128, generator=draw), dim=1)

    def reads(rows):
        return {"W_enc": rows.T.contiguous(), "b_enc": torch.full((256,), -2.0), "W_dec": rows,
                "b_dec": world.model.feature_dict.bias.detach()}  # fmt: skip

    found = known_features(
        {"random": reads(random), "true": reads(world.features[:256].clone())}, world, n_samples=N
    )
    true, chance = found.variant("true").metrics, found.variant("random").metrics
    assert true["mcc"] == pytest.approx(1, abs=1e-4)
    assert true["uniqueness"] == 1
    assert true["true_features_found"] >= 256
    assert true["f1"] > chance["f1"] + 0.2
    difference = found.difference("f1", "true", "random")
    assert 0 < difference.low < difference.value < difference.high


def test_the_report_says_what_it_was_measured_on(found):
    text = markdown(found)
    assert "samples of a synthetic world of 1" in text
    assert "independent samples" in text
    assert "<h1" in html(found)
    assert np.isclose(found.tokens["true_l0"], 7.9, atol=0.4)


def test_seeds_of_a_variant_give_mcc_an_interval(world):
    topk, relu = world.teacher("topk"), world.teacher("relu")
    found = known_features({"a": [topk, relu], "b": [relu, topk]}, world, n_samples=512)
    assert found.difference("mcc", "b", "a").low is not None


def test_another_width_is_one_sentence(world):
    eye = {"W_enc": torch.eye(8), "b_enc": torch.zeros(8), "W_dec": torch.eye(8),
           "b_dec": torch.zeros(8)}  # fmt: skip
    with pytest.raises(EvaluationError, match="width 128"):
        known_features({"narrow": eye}, world, n_samples=128)
    with pytest.raises(EvaluationError, match="no SAE called"):
        world.teacher("nobody")


def test_a_folder_without_a_world_is_one_line(tmp_path):
    from rsae.errors import RsaeError

    with pytest.raises(RsaeError) as caught:
        known_features({}, tmp_path)
    assert "\n" not in str(caught.value)


def test_it_is_public():
    assert {"known_features", "feature_identity"} <= set(rsae_evals.__all__)
