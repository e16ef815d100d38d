"""Transcoders by command: figures of their predictions, from both hooks of one pass."""

import json

import pytest
import torch
from sae_lens import StandardSAE, StandardSAEConfig
from sae_lens.saes.sae import SAEMetadata
from tests.rsae.test_transcoder import IN, OUT, plain
from tests.rsae.tiny_model import save_tiny_model

from rsae import Refinement, Transcoder, load_teacher
from rsae.errors import RsaeError
from rsae.language_model.host import SINK_POSITIONS, load_host
from rsae_cli import main
from rsae_evals import (
    ComparisonRefused,
    EvaluationError,
    Reconstruction,
    as_coder,
    compare,
    evaluation_set,
    feature_identity,
)
from rsae_evals.data.materials import Setting, load_coder, prepare
from rsae_evals.integrations.saebench import SAEBenchCoder
from rsae_evals.metrics.probing.pooling import pooled_codes


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a language model, a text, and transcoders of it."""
    folder = tmp_path_factory.mktemp("transcoders")
    save_tiny_model(folder / "model")
    (folder / "text").mkdir()
    for document in range(40):
        words = (f"w{(document * i + i // 3) % 20}" for i in range(60))
        (folder / "text" / f"{document}.txt").write_text(" ".join(words))
    for name, seed in (("a", 0), ("b", 1)):
        Transcoder(plain("jumprelu_skip_transcoder", seed=seed)).save(folder / name)
    load_coder(folder / "a")
    Transcoder(plain("jumprelu_skip_transcoder"), Refinement()).save(folder / "refined")
    return folder


def setting(place, n_tokens=400):
    return Setting(str(place / "model"), None, place / "text", n_tokens, 32)


def run(place, command, *names, more=()):
    paths = [f"{name}={place / name}" if command == "compare" else place / name for name in names]
    words = [command, *paths, "--model", place / "model", "--text", place / "text"]
    words += ["--tokens", 400, "--context-size", 32, "--cache", place / "cache", *more]
    return main([str(word) for word in words])


def test_both_hooks_are_cached_in_one_pass_and_told_from_an_sae(place, tmp_path):
    transcoder = load_coder(place / "a")
    heldout = prepare(setting(place), [transcoder], tmp_path)
    host = load_host(place / "model")
    ordinary = ~heldout.tokens.special
    found = host.residuals(heldout.tokens.ids, [IN, OUT])
    x, y = heldout.activations, heldout.targets
    assert (heldout.input_hook, heldout.hook_name) == (IN, OUT)
    for rows, hook in ((x, IN), (y, OUT)):
        torch.testing.assert_close(rows.tensor(), found[hook][ordinary], rtol=1e-3, atol=1e-3)
    assert heldout.sha256 != evaluation_set(x, heldout.tokens).sha256
    sae = {"W_enc": torch.eye(8), "b_enc": torch.zeros(8), "W_dec": torch.eye(8)}
    sae |= {"b_dec": torch.zeros(8)}
    prepare(Setting(str(place / "model"), IN, place / "text", 400, 32), [sae], tmp_path)
    assert len(list((tmp_path / "activations").iterdir())) == 2


def test_eval_gives_the_figures_of_the_prediction(place, capsys, tmp_path):
    assert run(place, "eval", "a", more=["--json"]) == 0
    (variant,) = json.loads(capsys.readouterr().out)["variants"]
    heldout = prepare(setting(place), [load_coder(place / "a")], place / "cache")
    x, y = heldout.activations.tensor(), heldout.targets.tensor()
    sae = plain("jumprelu_skip_transcoder")
    error = (y - sae(x)).square().sum(dim=1).mean()
    variance = (y - y.mean(dim=0)).square().sum(dim=1).mean()
    assert variant["metrics"]["mse"] == pytest.approx(error.item(), rel=1e-5)
    assert variant["metrics"]["fvu"] == pytest.approx((error / variance).item(), rel=1e-4)
    assert variant["metrics"]["l0"] == pytest.approx(
        (sae.encode(x) != 0).sum().item() / len(x), rel=1e-6
    )
    host, ids = heldout.host, heldout.tokens.ids
    counted = ~heldout.tokens.special[:, :-1] & ~heldout.tokens.special[:, 1:]
    losses = []
    for logits in (host.logits(ids, OUT, lambda x, y: sae(x), IN), host.logits(ids)):
        log_p = torch.log_softmax(logits[:, :-1].double(), dim=-1)
        losses.append(-log_p.gather(-1, ids[:, 1:, None])[..., 0][counted].mean().item())
    assert variant["metrics"]["delta_ce"] == pytest.approx(losses[0] - losses[1], abs=1e-5)


def test_compare_names_both_hooks_and_refines_against_the_output(place, capsys, tmp_path):
    assert run(place, "compare", "a", "refined", more=["--out", tmp_path]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    plain_one, refined = report["variants"]
    assert refined["metrics"]["mse"] < plain_one["metrics"]["mse"]
    assert refined["identity"]["matched_by"] == "index"
    assert report["provenance"]["hook_name"] == f"{IN} → {OUT}"
    assert f"{IN} → {OUT}" in (tmp_path / "report.html").read_text()
    assert f"predict {OUT}" in " ".join(capsys.readouterr().out.split())


def test_an_sae_and_a_transcoder_are_not_compared(place, capsys, tmp_path):
    assert main(["compare", "demo:topk", str(place / "a"), "--out", str(tmp_path)]) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert "compare SAEs and transcoders apart" in line
    x = torch.randn(64, 8)
    for heldout in (evaluation_set(x), evaluation_set(x, targets=torch.randn(64, 8))):
        both = {"sae": sae_of(8), "transcoder": load_coder(place / "a")}
        with pytest.raises(ComparisonRefused, match="apart"):
            compare(both, heldout)
        with pytest.raises(ComparisonRefused, match="apart"):
            feature_identity(*both.values(), heldout)
        with pytest.raises(ComparisonRefused, match="apart"):
            Reconstruction().measure([as_coder(one) for one in both.values()], heldout)
    with pytest.raises(EvaluationError, match="64 activations and 63 targets"):
        evaluation_set(x, targets=x[1:])
    with pytest.raises(EvaluationError, match="d_out = 8, its targets have width 5"):
        compare({"a": both["transcoder"]}, evaluation_set(x, targets=x[:, :5]))
    with pytest.raises(EvaluationError, match="SAEBench"):
        SAEBenchCoder(both["transcoder"], "tiny", OUT)


def sae_of(d):
    eye = torch.eye(d)
    return {"W_enc": eye, "b_enc": torch.zeros(d), "W_dec": eye, "b_dec": torch.zeros(d)}


def test_a_transcoder_without_an_output_hook_is_refused(place, tmp_path):
    sae = plain()
    sae.cfg.metadata.hook_name_out = None
    Transcoder(sae).save(tmp_path / "transcoder")
    with pytest.raises(EvaluationError, match="write it as hook_name_out"):
        prepare(setting(place), [load_coder(tmp_path / "transcoder")], tmp_path)
    sae.cfg.metadata.hook_name_out = "blocks.0.hook_mlp_out"
    Transcoder(sae).save(tmp_path / "transcoder")
    both = [load_coder(tmp_path / "transcoder"), load_coder(place / "a")]
    with pytest.raises(EvaluationError, match="predict different hooks"):
        prepare(setting(place), both, tmp_path)


def test_probing_reads_what_the_transcoder_reads(place, capsys, tmp_path):
    lines = [f"{'w1 w2 w3' if i % 2 else 'w7 w8 w9'} w{i % 5} w4 w5,{i % 2}" for i in range(160)]
    (tmp_path / "texts.csv").write_text("\n".join(["text,side", *lines]))
    labels = ["--labels", tmp_path / "texts.csv", "--json"]
    for name in ("a", "refined"):
        assert run(place, "probe", name, more=labels) == 0
        (variant,) = json.loads(capsys.readouterr().out)["variants"]
        assert 0 <= variant["metrics"]["sae_top_1_test_accuracy"] <= 1
    host, text = load_host(place / "model"), "w1 w2 w3 w4 w5 w6"
    (codes,) = pooled_codes([as_coder(load_coder(place / "a"))], host, IN, [text])
    x = host.residual(torch.tensor([host.encode(text)]), IN)[0, SINK_POSITIONS:]
    wanted = plain("jumprelu_skip_transcoder").encode(x).mean(dim=0)
    torch.testing.assert_close(torch.from_numpy(codes.toarray()[0]), wanted)


def test_the_curve_of_a_transcoder_is_that_of_what_its_features_explain(place):
    teacher = load_teacher(place / "a")
    x, y = torch.randn(400, 8), torch.randn(400, 8)
    found = compare({"a": teacher}, evaluation_set(x, targets=y)).variants[0]
    # With its own magnitude 1 the quadratic of the bins is the squared error itself.
    assert found.activation.metrics["gate_mse"] == pytest.approx(found.metrics["mse"], rel=1e-4)


def test_a_saved_refinement_is_evaluated_with_the_weights(place):
    assert load_coder(place / "refined").refinement == Refinement()
    assert not hasattr(load_coder(place / "a"), "refinement")
    with pytest.raises(RsaeError):
        load_coder(place / "text")


def test_a_sweep_reads_both_hooks_of_transcoders_and_those_of_saes_in_one_pass(place, tmp_path):
    out = tmp_path / "out"
    (tmp_path / "sae").mkdir()
    sae = StandardSAE(StandardSAEConfig(d_in=8, d_sae=24, metadata=SAEMetadata(hook_name=OUT)))
    with torch.no_grad():
        sae.W_enc.copy_(torch.randn(8, 24, generator=torch.Generator().manual_seed(0)))
    sae.save_model(tmp_path / "sae")
    words = ["sweep", place / "a", place / "b", tmp_path / "sae", "--out", out]
    words += ["--model", place / "model", "--text", place / "text", "--tokens", 900]
    words += ["--steps", 10]
    assert main([str(word) for word in words]) == 0
    rows = {row["name"]: row for row in json.loads((out / "sweep.json").read_text())["rows"]}
    assert {row["hook"] for row in rows.values()} == {f"{IN} → {OUT}", OUT}
    assert all(row["after"]["delta_ce"] is not None for row in rows.values())
    assert len(list((out / "activations").iterdir())) == 1
