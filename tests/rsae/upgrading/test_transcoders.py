"""Transcoders are trained by the loop that trains SAEs: y is x for an SAE."""

import json
from dataclasses import replace
from itertools import islice

import pytest
import torch
from sae_lens import SAE
from tests.rsae.fake_host import HOOKS, FakeHost, tokens
from tests.rsae.saes import FAMILIES, sparse_world, teacher, world_teacher
from tests.rsae.test_devices import DeviceIsSaid
from tests.rsae.test_transcoder import IN, OUT, plain
from tests.rsae.tiny_model import save_texts, save_tiny_model

import rsae
from rsae import Teacher, Transcoder, UpgradeConfig, load_rsae, load_teacher
from rsae.data import Activations, ActivationStream, harvest
from rsae.data.sample import Pairs
from rsae.errors import ConfigError, StoreError, TeacherError
from rsae.metrics import measure
from rsae.train import TrainConfig, train_together
from rsae.train.forward import forward
from rsae.train.losses import mse
from rsae.upgrading.finetune import candidates
from rsae.upgrading.plan import plan
from rsae.upgrading.refining import as_rsae
from rsae.upgrading.sample import sample_of
from rsae_cli import main
from rsae_evals import Reconstruction, as_coder, evaluation_set, feature_identity

D_OUT = 10
QUICK = UpgradeConfig(train=TrainConfig(steps=60, batch_size=256), calibration_tokens=1000)


def transcoder_world(family, skip=True):
    """x of a sparse world, an output y that a transcoder of it makes, and a rough copy of that.

    No upgrade of a TopK transcoder keeps k per token, so its y has thresholds.
    """
    x, _ = sparse_world()
    reads = world_teacher(family)
    true = world_teacher("jumprelu") if family == "topk" else reads
    g = torch.Generator().manual_seed(5)
    W_dec = torch.nn.functional.normalize(torch.randn(reads.d_sae, D_OUT, generator=g), dim=1)
    W_skip = 0.2 * torch.randn(D_OUT, reads.d_in, generator=g) if skip else None
    y = true.encode(x) @ W_dec + (x @ W_skip.T if skip else 0.0)
    rough = Teacher(
        family,
        reads.W_enc,
        reads.b_enc,
        W_dec + 0.1 * torch.randn(W_dec.shape, generator=g),
        0.1 * torch.randn(D_OUT, generator=g),
        threshold=reads.threshold,
        k=reads.k,
        apply_b_dec_to_input=False,
        transcodes=True,
        W_skip=None if W_skip is None else W_skip + 0.05 * torch.randn(W_skip.shape, generator=g),
    )
    return torch.cat([x, y], dim=1), rough


@pytest.mark.parametrize("skip", [True, False])
def test_the_gradient_is_that_of_the_dense_formula(skip):
    rows, one = transcoder_world("jumprelu", skip)
    sae = as_rsae(one)
    x, y = sae.sides(rows[:200])
    assert (x.shape, y.shape) == ((200, one.d_in), (200, D_OUT))
    mse(forward(sae, x, 0.0), y).backward()
    found = {name: p.grad for name, p in sae.named_parameters() if p.grad is not None}
    names = [name for name in ("W_enc", "b_enc", "W_dec", "b_dec", "W_skip") if name in found]
    assert ("W_skip" in names) == skip
    own = {name: getattr(one, name).clone().requires_grad_() for name in names}
    h = x @ own["W_enc"] + own["b_enc"]
    predicted = (h * (h > one.threshold)) @ own["W_dec"] + own["b_dec"]
    if skip:
        predicted = predicted + x @ own["W_skip"].T
    (y - predicted).square().sum(dim=1).mean().backward()
    for name in names:
        torch.testing.assert_close(found[name], own[name].grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("skip", [True, False])
def test_an_upgrade_lowers_the_error_of_y_at_equal_l0(tmp_path, family, skip):
    rows, one = transcoder_world(family, skip)
    result = rsae.upgrade(one, rows, QUICK, out=tmp_path)
    first, *_, last = result.variants
    assert (first, last) == ("teacher", "rsae")
    assert not any("refined" in name or "pursued" in name for name in result.variants)
    kept = "nothing" if family == "relu" else "directions"
    assert (result.plan.keep, result.plan.step) == (kept, "none")
    assert "a transcoder is not refined" in result.plan.sentence
    before, after = result.metrics["teacher"], result.metrics["rsae"]
    assert after.mse < before.mse
    matched_on = sample_of(rows).calibration
    both = (measure(result.variants[name], matched_on).l0 for name in ("rsae", "teacher"))
    assert next(both) == pytest.approx(next(both), rel=1e-3)
    # What was measured is what SAELens computes from the file.
    held = rows[-400:]
    x, y = held[:, : one.d_in], held[:, one.d_in :]
    theirs = SAE.load_from_disk(tmp_path)
    error = (y - theirs(x)).square().sum(dim=1).mean().item()
    assert after.mse == pytest.approx(error, rel=1e-4)
    assert before.mse == pytest.approx(
        (y - one.reconstruct(x)).square().sum(dim=1).mean().item(), rel=1e-4
    )
    unchanged = [
        torch.equal(getattr(theirs, name), getattr(one, name))
        for name in ("W_dec", "b_dec", "W_skip")
        if getattr(one, name) is not None
    ]
    assert set(unchanged) == {family != "relu"}
    assert (theirs.W_skip is None) == (not skip)


@pytest.mark.parametrize("family", ["relu", "jumprelu"])
def test_a_transcoder_of_x_to_x_is_trained_as_the_sae_that_it_is(family):
    x, _ = sparse_world()
    one = replace(world_teacher(family), apply_b_dec_to_input=False)
    config = replace(QUICK, keep="nothing")
    sae = rsae.upgrade(one, x, config).variants["threshold_only"]
    both = torch.cat([x, x], dim=1)
    transcoder = rsae.upgrade(replace(one, transcodes=True), both, config).rsae
    assert transcoder.transcodes
    for name, value in sae.state_dict().items():
        torch.testing.assert_close(transcoder.state_dict()[name], value, rtol=1e-4, atol=1e-5)


def test_the_features_of_a_transcoder_cannot_be_kept_alone():
    rows, one = transcoder_world("jumprelu")
    with pytest.raises(ConfigError, match="keep directions or nothing"):
        rsae.upgrade(one, rows, replace(QUICK, keep="features"))
    with pytest.raises(TeacherError, match="d_in = 16 and d_out = 10, the activations have width"):
        rsae.upgrade(one, rows[:, :16], QUICK)
    assert plan(one, replace(QUICK, objective="l1")).step == "none"


def test_a_rational_is_trained_for_a_transcoder_too():
    rows, one = transcoder_world("relu")
    config = replace(QUICK, rational=rsae.RationalConfig(trained=True), baselines=True)
    result = rsae.upgrade(one, rows, config)
    assert set(result.variants) == {"teacher", "control", "threshold_only", "rsae"}
    assert result.metrics["rsae"].mse < result.metrics["teacher"].mse


def test_pairs_are_the_rows_of_both():
    x, y = torch.randn(50, 3), torch.randn(50, 2)
    pairs = Pairs.of(*map(Activations.from_tensor, (x, y)))
    both = torch.cat([x, y], dim=1)
    assert (pairs.n_tokens, pairs.d_in) == (50, 5)
    assert torch.equal(pairs.tensor(), both)
    assert torch.equal(pairs.part(7, 30).tensor(), both[7:30])
    rows = Activations.from_tensor(both)
    for mine, theirs in zip(pairs.batches(8, seed=1), rows.batches(8, seed=1), strict=True):
        assert torch.equal(mine, theirs)
    swapped = Pairs.of(*map(Activations.from_tensor, (x, y.flip(0))))
    assert len({pairs.sha256, swapped.sha256, Activations.from_tensor(x).sha256}) == 3
    with pytest.raises(StoreError, match="50 inputs and 49 outputs"):
        Pairs.of(*map(Activations.from_tensor, (x, y[1:])))


def test_a_stream_of_pairs_is_the_store_of_both_hooks(tmp_path):
    host = FakeHost()
    text = tokens(host, 60)
    splits = {"train": text, "calibration": tokens(host, 8, seed=1)}
    store = harvest(host, {**splits, "heldout": tokens(host, 8, seed=2)}, HOOKS, tmp_path)
    sample = sample_of(store, *HOOKS)
    stream = ActivationStream(host, text, HOOKS[0], context_size=12, target_hook=HOOKS[1])
    assert stream.d_in == sample.train.d_in == 12
    assert stream.sha256 != ActivationStream(host, text, HOOKS[0], context_size=12).sha256
    pairs = zip(
        islice(sample.train.batches(32, seed=3), 9), stream.batches(32, seed=3), strict=False
    )
    assert all(torch.equal(mine, theirs) for mine, theirs in pairs)
    plain_one = teacher(
        "jumprelu",
        d_in=6,
        apply_b_dec_to_input=False,
        transcodes=True,
        metadata={"hook_name": HOOKS[0], "hook_name_out": HOOKS[1]},
    )
    found = rsae.upgrade(plain_one, store, QUICK)
    x, y = (store.split("heldout", hook).tensor() for hook in HOOKS)
    error = (y - plain_one.reconstruct(x)).square().sum(dim=1).mean().item()
    assert found.metrics["teacher"].mse == pytest.approx(error, rel=1e-5)
    assert measure(found.rsae, sample.heldout).mse == found.metrics["rsae"].mse


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A small language model, a text, and a transcoder of it."""
    folder = tmp_path_factory.mktemp("transcoders")
    save_tiny_model(folder / "model")
    save_texts(folder / "text.jsonl", 30)
    for name, architecture in (("skip", "skip_transcoder"), ("jump", "jumprelu_transcoder")):
        sae = plain(architecture)
        sae.cfg.metadata.context_size = 16
        Transcoder(sae).save(folder / name)
    return folder


def upgraded(place, name, out, *flags):
    words = ["upgrade", place / name, "--model", place / "model", "--text", place / "text.jsonl"]
    words += ["--out", out, "--steps", 12, "--tokens", 1500, "--json", *flags]
    return main([str(word) for word in words])


@pytest.mark.parametrize(("name", "flags"), [("skip", []), ("jump", ["--stream"])])
def test_by_command_a_transcoder_is_upgraded_reported_and_evaluated(
    place, tmp_path, capsys, name, flags
):
    out = tmp_path / "out"
    assert upgraded(place, name, out, *flags) in (0, 3)  # 12 steps may be too few to gain
    (summary,) = json.loads(capsys.readouterr().out)
    assert summary["hook_name"] == f"{IN} → {OUT}"
    report = json.loads((out / "report.json").read_text())
    assert report["variants"][0]["name"] == "teacher"
    assert report["variants"][-1]["metrics"]["delta_ce"] is not None
    assert f"{IN} → {OUT}" in (out / "report.html").read_text()
    card = (out / "README.md").read_text()
    assert "# Rational transcoder" in card
    assert f"`{IN}` → `{OUT}`" in card
    assert load_rsae(out).cfg.metadata.hook_name_out == OUT
    assert upgraded(place, name, out, "--resume", *flags) in (0, 3)
    capsys.readouterr()
    assert main(["info", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["d_out"] == 8
    other = tmp_path / "other.jsonl"  # the upgrade's own text is refused
    texts = (" ".join(f"w{(i * i + k) % 20}" for i in range(300)) for k in range(9))
    other.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    words = ["eval", out, "--model", place / "model", "--text", other, "--tokens", 200]
    words += ["--context-size", 16, "--cache", tmp_path / "cache", "--json"]
    assert main([str(word) for word in words]) == 0
    (variant,) = json.loads(capsys.readouterr().out)["variants"]
    assert variant["detail"]["hook_name_out"] == OUT
    assert main(["export", str(out), "--as", "jumprelu", "--out", str(tmp_path / "plain")]) == 2
    assert "a transcoder has no plain SAE" in capsys.readouterr().err


def test_by_command_what_cannot_be_is_refused_before_the_model(place, tmp_path, capsys):
    assert upgraded(place, "jump", tmp_path / "out", "--keep", "features") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "keep directions or nothing" in line
    sae = plain()
    sae.cfg.metadata.hook_name_out = None
    Transcoder(sae).save(tmp_path / "nowhere")
    assert upgraded(place, tmp_path / "nowhere", tmp_path / "out") == 2
    assert "write it as hook_name_out" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_saved_refinement_is_not_copied(place, tmp_path):
    one = rsae.load_transcoder(place / "skip").refine(rsae.Refinement())
    one.save(tmp_path)
    assert "rsae_refinement" not in as_rsae(load_teacher(tmp_path)).cfg.metadata.to_dict()


def test_training_and_evaluation_say_the_device_of_every_tensor():
    rows, one = transcoder_world("jumprelu")
    config = replace(QUICK, train=TrainConfig(steps=3, batch_size=64), calibration_tokens=200)
    sample = sample_of(rows)
    heldout = evaluation_set(rows[:300, : one.d_in], targets=rows[:300, one.d_in :])
    with DeviceIsSaid():
        start = as_rsae(one)
        made = candidates("threshold_only", one, start, sample.calibration, config)
        best = made.best([train_together([made.trainings[0]], lambda _: iter(rows.split(64)))[0]])
        (found,) = Reconstruction().measure([as_coder(best.sae)], heldout)
        assert feature_identity(best.sae, one, heldout) is not None
    assert found.totals()["n"] == 300
