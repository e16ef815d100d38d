"""What refinement and the defaults promise, on trained SAEs of the packaged synthetic world."""

import pytest
import torch

import rsae
from rsae.metrics import measure
from rsae.upgrading import sample_of
from rsae_evals import known_features
from rsae_evals.synthetic import load_world

FROZEN = ("topk", "jumprelu", "batchtopk", "matryoshka")
FAMILIES = (*FROZEN, "relu")


@pytest.fixture(scope="module")
def world():
    return load_world()


@pytest.fixture(scope="module")
def sample(world):
    return sample_of(world.sample(40_960, seed=123)[0])


@pytest.mark.parametrize("family", FAMILIES)
def test_refinement_adds_no_feature_raises_no_error_and_is_near_its_limit(world, sample, family):
    teacher = rsae.refine(world.teacher(family)).set_refinement(None)
    refined, limit = (
        rsae.refine(teacher, method=method, **settings)
        for method, settings in (("cg", {"steps": 3}), ("exact", {}))
    )
    x = sample.heldout.tensor()
    before, after = teacher.encode(x), refined.encode(x)
    assert not ((after != 0) & (before == 0)).any()
    assert (after >= 0).all()
    # What left the support is what least squares on it has at or below 0.
    errors = [(x - one.decode(z)).square().sum(dim=1) for one, z in
              ((teacher, before), (refined, after))]  # fmt: skip
    assert (errors[1] <= errors[0] * (1 + 1e-5)).all()
    gain, most = (measure(teacher, x).mse - measure(one, x).mse for one in (refined, limit))
    assert gain >= 0.9 * most > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_the_default_gains_what_refinement_gains_and_finds_no_fewer_features(world, sample, family):
    torch.manual_seed(0)
    teacher = world.teacher(family)
    result = rsae.upgrade(teacher, sample)
    found = known_features(
        {"teacher": teacher, "refined": rsae.refine(teacher), "rsae": result.rsae}, world
    )
    mse = {variant.name: variant.metrics["mse"] for variant in found.variants}
    assert mse["rsae"] < mse["refined"] < mse["teacher"]
    l0 = {variant.name: variant.metrics["l0"] for variant in found.variants}
    assert l0["rsae"] == pytest.approx(l0["teacher"], rel=0.03)
    f1 = found.difference("f1", "rsae", "teacher")
    assert f1.high > 0  # not lower: the interval is not below 0
    assert found.variant("rsae").metrics["mcc"] >= found.variant("teacher").metrics["mcc"] - 1e-6
