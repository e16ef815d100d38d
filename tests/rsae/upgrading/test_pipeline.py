import json
import resource
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sae_lens import SAE
from tests.rsae.saes import (
    FAMILIES,
    families,
    inputs,
    seeds,
    sparse_world,
    teacher,
    world_teacher,
)

import rsae
from rsae import RSAE, RationalConfig, Teacher, UpgradeConfig
from rsae.data import Activations
from rsae.errors import ConfigError, CorruptFileError, LockedError, OutputError, TeacherError
from rsae.files import RunLock
from rsae.metrics import match_l0, measure
from rsae.train import TrainConfig
from rsae.upgrading import fit_rational, preset, sample_of
from rsae.upgrading.calibrate import calibrate, with_trainable_thresholds
from rsae.upgrading.sample import PARTS

CONFIG = UpgradeConfig(
    keep="nothing",
    rational=RationalConfig(trained=True),
    train=TrainConfig(steps=60, batch_size=128, checkpoint_every=20),
    calibration_tokens=400,
)
X, _ = sparse_world()


def assert_same(a: RSAE, b: RSAE) -> None:
    for (name, p), q in zip(a.named_parameters(), b.parameters(), strict=True):
        torch.testing.assert_close(p, q, msg=name, rtol=1e-4, atol=1e-5)


@given(families, seeds, st.floats(0.01, 100))
def test_an_upgrade_starts_as_its_teacher(family, seed, scale):
    origin = teacher(family, seed, scale=scale)
    x = inputs(60, seed=seed, scale=scale)
    sae = calibrate(origin, fit_rational(RationalConfig()), x)
    assert torch.equal(sae.encode(x), origin.encode(x))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layers", [2, 3])
def test_a_certified_gate_starts_within_a_tenth_of_a_percent(family, layers):
    origin = world_teacher(family)
    config = RationalConfig(form="gate", layers=layers, delta=1e-4 if layers == 3 else 3e-3)
    sae = calibrate(origin, fit_rational(config), X)
    measured = measure(sae, X)
    z = origin.encode(X)
    assert measured.l0 == pytest.approx((z != 0).sum(dim=1).float().mean().item(), rel=1e-3)
    mse = (X - origin.reconstruct(X)).square().sum(dim=1).mean().item()
    assert measured.mse == pytest.approx(mse, rel=1e-3)


@settings(max_examples=10)
@given(families, seeds)
def test_trainable_thresholds_keep_the_mean_l0(family, seed):
    origin = teacher(family, seed)
    x = inputs(500, seed=seed)
    start = calibrate(origin, fit_rational(RationalConfig()), x)
    lifted = with_trainable_thresholds(start, origin, x)
    assert measure(lifted, x).l0 == pytest.approx(measure(start, x).l0, rel=0.01, abs=0.02)
    assert (lifted.threshold >= 0).all()


def test_lifting_undoes_the_shrinkage_of_a_relu():
    """With an orthonormal dictionary and a bias of -0.4 the lift that undoes it is 0.4."""
    codes = (torch.rand(800, 16) < 0.1) * (1 + torch.rand(800, 16))
    shrunken = Teacher(
        "relu", torch.eye(16), torch.full((16,), -0.4), torch.eye(16), torch.zeros(16)
    )
    start = calibrate(shrunken, fit_rational(RationalConfig()), codes)
    lifted = with_trainable_thresholds(start, shrunken, codes)
    torch.testing.assert_close(lifted.threshold, torch.full((16,), 0.4))
    assert measure(lifted, codes).mse < 1e-9 < measure(start, codes).mse


@pytest.mark.parametrize("family", FAMILIES)
def test_an_upgrade_from_end_to_end(family):
    result = rsae.upgrade(world_teacher(family), X, CONFIG)
    assert result.metrics["rsae"].mse < result.metrics["teacher"].mse
    assert not result.worse
    for name in (*result.plan.trained, "rsae"):
        sae = result.variants[name]
        x = sample_of(X).calibration.tensor()
        if sae.cfg.support != "topk" and name != "rsae":  # at most k per token, or refined
            assert measure(sae, x).l0 == pytest.approx(measure(result.rsae_init, x).l0, rel=0.01)
        h, z = sae.encode_pre_act(x), sae.encode(x)
        assert (z[~sae.support(h, sae.threshold, sae.feature_scale, h)] == 0).all()
    assert result.rsae.cfg.support == "threshold"
    assert ("control" in result.variants) == (family != "jumprelu")
    assert result.variants["threshold_only"].rational.degree == (0, 0)
    assert next(iter(result.variants)) == "teacher"
    assert list(result.variants)[-1] == "rsae"


def test_rates_that_are_too_high_do_not_make_a_weak_control():
    """It is trained sixteen times slower too, and the better of both is kept."""
    origin = world_teacher("topk")
    wild = replace(CONFIG, train=replace(CONFIG.train, lr=4.0, bias_lr=4.0))
    seen = []
    control = rsae.upgrade(origin, X, wild, on_step=seen.append).variants["control"]
    assert {r["rates"] for r in seen if r["variant"] == "control"} == {1.0, 1 / 16}
    x = sample_of(X).calibration.tensor()
    fast = next(r for r in reversed(seen) if r["variant"] == "control" and r["rates"] == 1)
    assert measure(control, x).mse < fast["mse"] / 2


def test_the_papers_setting_trains_and_keeps_exact_zeros():
    for family in FAMILIES:
        config = preset("paper", family)
        train = replace(config.train, steps=20, batch_size=128)
        config = replace(config, train=train, calibration_tokens=400)
        result = rsae.upgrade(world_teacher(family), X, config)
        assert result.certificate.form == ("direct" if family == "relu" else "gate")
        assert result.rsae.refinement is None
        assert "rational_refined" in result.variants
        assert 0 < (result.rsae.encode(X) == 0).float().mean() < 1


class Killed(BaseException):
    """As good as kill -9: no stage has a handler for it."""


@pytest.mark.parametrize("variant", ["control", "threshold_only", "rational"])
def test_a_run_killed_in_any_variant_goes_on(tmp_path, variant):
    whole = rsae.upgrade(world_teacher("topk"), X, CONFIG, out=tmp_path / "whole")

    def die(record):
        if (record["variant"], record["step"]) == (variant, 33):
            raise Killed

    with pytest.raises(Killed):
        rsae.upgrade(world_teacher("topk"), X, CONFIG, out=tmp_path / "cut", on_step=die)
    seen = []
    again = rsae.upgrade(
        world_teacher("topk"), X, CONFIG, out=tmp_path / "cut", resume=True, on_step=seen.append
    )
    assert (seen[0]["variant"], seen[0]["step"]) == (variant, 21)
    assert list(again.variants) == list(whole.variants)
    for name in whole.variants:
        assert_same(again.variants[name], whole.variants[name])


@pytest.mark.parametrize("file", ["rational.json", "rsae_init/sae_weights.safetensors"])
def test_a_kill_between_two_files_of_a_stage_loses_nothing(tmp_path, file, monkeypatch):
    from rsae.sae import model

    def die(path, *args, **kwargs):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(model, "write_json", die)
        with pytest.raises(Killed):
            rsae.upgrade(world_teacher("relu"), X, CONFIG, out=tmp_path)
    assert (tmp_path / file).exists()
    result = rsae.upgrade(world_teacher("relu"), X, CONFIG, out=tmp_path, resume=True)
    assert_same(result.rsae, rsae.upgrade(world_teacher("relu"), X, CONFIG).rsae)


def test_the_folder_is_a_saelens_sae_and_is_read_back(tmp_path):
    result = rsae.upgrade(world_teacher("relu"), X, CONFIG, out=tmp_path)
    theirs = SAE.load_from_disk(tmp_path)
    assert torch.equal(theirs.encode(X), result.rsae.encode(X))
    again = rsae.upgrade(world_teacher("relu"), X, CONFIG, out=tmp_path, resume=True)
    assert torch.equal(again.rsae.encode(X), result.rsae.encode(X))
    assert not list(tmp_path.glob("*.checkpoint"))


def refused(kind, *args, **settings) -> str:
    with pytest.raises(kind) as caught:
        rsae.upgrade(*args, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_in_use_or_of_another_run_is_refused(tmp_path):
    origin = world_teacher("jumprelu")
    short = replace(CONFIG, train=replace(CONFIG.train, steps=1))
    rsae.upgrade(origin, X, short, out=tmp_path)
    assert "--resume" in refused(ConfigError, origin, X, short, out=tmp_path)
    assert "config" in refused(ConfigError, origin, X, CONFIG, out=tmp_path, resume=True)
    other = world_teacher("topk")
    assert "teacher" in refused(ConfigError, other, X, short, out=tmp_path, resume=True)
    with RunLock(tmp_path):
        refused(LockedError, origin, X, short, out=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("form", "gate"),
        ("form", []),
        ("source", {}),
        ("error", "0"),
        ("error", 1e999),
        ("delta", None),
        ("rational", []),
        ("rational", {"numerator": [["a"]], "denominator": [[1]]}),
        ("rational", {"numerator": [[1e999]], "denominator": [[1.0]]}),
        ("rational", {"numerator": 3, "denominator": [[1.0]]}),
        ("stray", 1),
    ],
)
def test_a_changed_rational_is_refused(tmp_path, name, value):
    origin, short = world_teacher("relu"), replace(CONFIG, train=replace(CONFIG.train, steps=0))
    rsae.upgrade(origin, X, short, out=tmp_path)
    file = tmp_path / "rational.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {name: value}))
    said = refused(CorruptFileError, origin, X, short, out=tmp_path, resume=True)
    assert "rational.json" in said
    for content in ("{}", "[]", "3", ""):
        file.write_text(content)
        refused(CorruptFileError, origin, X, short, out=tmp_path, resume=True)


@pytest.mark.parametrize("value", ["x", None, [], 1e999, 10**400, True])
def test_changed_figures_are_measured_again(tmp_path, value):
    origin, short = world_teacher("relu"), replace(CONFIG, train=replace(CONFIG.train, steps=0))
    before = rsae.upgrade(origin, X, short, out=tmp_path).metrics
    content = json.loads((tmp_path / "metrics.json").read_text())
    for kept in content.values():
        kept["mse"] = value
    (tmp_path / "metrics.json").write_text(json.dumps(content))
    after = rsae.upgrade(origin, X, short, out=tmp_path, resume=True).metrics
    assert {n: one.mse for n, one in after.items()} == {n: one.mse for n, one in before.items()}


def test_the_folder_of_an_sae_is_no_folder_for_a_run(tmp_path):
    """Such as the teacher's own: it would be overwritten, or taken for a finished stage."""
    (tmp_path / "cfg.json").write_text("{}")
    message = refused(ConfigError, world_teacher("jumprelu"), X, CONFIG, out=tmp_path, resume=True)
    assert "choose another folder" in message
    assert (tmp_path / "cfg.json").read_text() == "{}"


@pytest.mark.parametrize("part", ["rsae_init", "threshold_only", "."])
@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("sae_weights.safetensors", lambda b: b[:-40]),
        ("sae_weights.safetensors", lambda b: b[:-40] + bytes([b[-40] ^ 1]) + b[-39:]),
        ("cfg.json", lambda b: b[:-40]),
    ],
)
def test_a_finished_stage_that_was_damaged_is_one_line(tmp_path, part, name, damage):
    short = replace(CONFIG, train=replace(CONFIG.train, steps=1))
    rsae.upgrade(world_teacher("jumprelu"), X, short, out=tmp_path)
    file = tmp_path / part / name
    file.write_bytes(damage(file.read_bytes()))
    message = refused(
        CorruptFileError, world_teacher("jumprelu"), X, short, out=tmp_path, resume=True
    )
    assert str(file.parent) in message


def test_a_disk_that_is_full_leaves_a_run_that_goes_on(tmp_path):
    """The limit on a file's size stands for the disk's: writing fails in the middle of a file."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)  # Python ignores the signal SIGXFSZ

    def fill(record):
        if record["step"] == 30:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, usual[1]))

    try:
        with pytest.raises(OutputError, match="cannot write"):
            rsae.upgrade(world_teacher("jumprelu"), X, CONFIG, out=tmp_path, on_step=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert not list(tmp_path.rglob("*.partial"))
    seen = []
    origin = world_teacher("jumprelu")
    again = rsae.upgrade(origin, X, CONFIG, out=tmp_path, resume=True, on_step=seen.append)
    assert seen[0]["step"] == 21  # what was done before the disk was full is not done again
    assert_same(again.rsae, rsae.upgrade(origin, X, CONFIG).rsae)


def test_activations_that_do_not_fit_are_refused():
    assert "hook" in refused(TeacherError, world_teacher("relu"), torch.randn(500, 3))
    assert "too few" in refused(ConfigError, world_teacher("relu"), X[:50])


def test_tensor_iterator_and_sample_are_the_same_activations():
    parts = [sample_of(form) for form in (X, iter(X.split(700)))]
    for name in ("train", "calibration", "heldout"):
        assert torch.equal(getattr(parts[0], name).tensor(), getattr(parts[1], name).tensor())


def test_a_sample_of_activations_reads_and_copies_none_of_them():
    whole = Activations(tuple(X.half().split(70)), "checksum")
    found, expected = sample_of(whole), sample_of(X.half())
    for name in PARTS:
        part = getattr(found, name)
        assert torch.equal(part.tensor(), getattr(expected, name).tensor())
        own = {rows.untyped_storage().data_ptr() for rows in part.parts}
        assert own <= {rows.untyped_storage().data_ptr() for rows in whole.parts}
    assert len({getattr(found, name).sha256 for name in PARTS}) == 3


@given(seeds, st.floats(0.8, 1.25))
def test_a_shift_matches_l0_on_any_sae(seed, factor):
    origin = teacher("jumprelu", seed)
    sae = calibrate(origin, fit_rational(RationalConfig()), inputs(50))
    x = inputs(800, seed=seed)
    target = factor * measure(sae, x).l0
    match_l0(sae, x, target)
    assert measure(sae, x).l0 == pytest.approx(target, rel=0.01, abs=2 / 800)
