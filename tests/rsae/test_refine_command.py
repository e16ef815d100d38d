"""`rsae refine` from the command line, on a language model of a few numbers."""

import importlib
import json
import types

import pytest
import torch
from sae_lens import SAE
from tests.rsae.fake_host import HOOKS, FakeHost, write_text
from tests.rsae.saes import teacher

import rsae
from rsae.sae.load import load_rsae
from rsae_cli import main

command = importlib.import_module("rsae.commands.refine")
inputs = importlib.import_module("rsae.commands.inputs")
report = importlib.import_module("rsae.commands.report")


@pytest.fixture
def refine(tmp_path, monkeypatch):
    """`refine(*flags)` of an SAE in a folder, and the variants that were handed to the report."""
    metadata = {"hook_name": HOOKS[0], "context_size": 16}
    origin = teacher("jumprelu", d_in=6, d_sae=24, metadata=metadata)
    rsae.upgrading.refining.as_rsae(origin).save_model(tmp_path / "sae")
    write_text(tmp_path, [800] * 30)
    monkeypatch.setattr(inputs, "load_host", lambda name, **_: FakeHost())
    handed = {}

    def write_report(variants, out, **_):
        handed.update(variants)
        (out / "report.html").write_text("")

    monkeypatch.setattr(command, "write_report", write_report)

    def run(*flags: str, sae: str | None = None) -> int:
        fixed = ["--out", str(tmp_path / "out"), "--text", str(tmp_path / "text.jsonl")]
        return main(["refine", sae or str(tmp_path / "sae"), *fixed, *flags])

    run.folder, run.handed = tmp_path, handed
    return run


def error(capsys) -> str:
    text = capsys.readouterr().err
    (line,) = [line for line in text.splitlines() if line.startswith("rsae:")]
    assert "Traceback" not in text
    return line


def test_it_leaves_a_refined_sae_that_saelens_loads(refine, capsys):
    assert refine("--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["refinement"]["steps"] == 3
    assert list(refine.handed) == ["teacher", "refined"]
    sae = SAE.load_from_disk(refine.folder / "out")
    assert sae.refinement == rsae.Refinement()
    assert sae.cfg.metadata.get("calibration_sketches") is None
    plain = load_rsae(refine.folder / "sae")
    x = torch.randn(20, 6)
    assert torch.equal(sae.first_pass(x)[0], plain.encode(x))
    assert main(["info", str(refine.folder / "out"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["refinement"]["method"] == "cg"


def test_the_report_is_not_told_where_its_folder_lies(refine, monkeypatch):
    told = {}

    def evaluate(variants, *, provenance, **_):
        told.update(provenance)

    monkeypatch.setattr(command, "write_report", report.write_report)
    entry = types.SimpleNamespace(load=lambda: evaluate)
    monkeypatch.setattr(report, "entry_points", lambda group: [entry])
    assert refine() == 0
    assert told["refinement"]["steps"] == 3
    assert str(refine.folder) not in json.dumps(told)
    assert str(refine.folder) not in (refine.folder / "out" / "summary.json").read_text()


def test_pursuit_is_calibrated_on_documents_that_are_not_evaluated(refine):
    assert refine("--pursuit", "--tokens", "4100") == 0
    assert list(refine.handed) == ["teacher", "refined", "pursued"]
    sae = load_rsae(refine.folder / "out")
    assert sae.refinement.pursuit is not None
    assert len(sae.cfg.metadata["calibration_sketches"]) == 1
    store = rsae.data.ActivationStore.open(refine.folder / "out" / "activations")
    assert set(store.splits) == {"calibration", "heldout"}


@pytest.mark.parametrize("method", ["minimax", "exact"])
def test_other_methods(refine, method):
    assert refine("--method", method, "--tokens", "1000", "--steps", "2") == 0
    assert load_rsae(refine.folder / "out").refinement.method == method


def test_a_dry_run_writes_nothing(refine, capsys):
    assert refine("--dry-run", "--pursuit", "--json") == 0
    assert json.loads(capsys.readouterr().out)["calibration_tokens"] == 8192
    assert refine("--dry-run", "--pursuit") == 0
    assert "calibration_tokens  8192" in capsys.readouterr().out
    assert not (refine.folder / "out").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--steps", "0"], "3 are usual"),
        (["--exact-k"], "--pursuit"),
        (["--pursuit", "--tokens", "300"], "at least 4,000"),
        (["--pursuit", "--exact-k"], "topk"),
        (["--eval-tokens", "0"], "at least 1"),
        (["--eval-tokens", "90000"], "fewer with --eval-tokens"),
    ],
)
def test_what_cannot_be_is_one_line(refine, capsys, flags, said):
    assert refine(*flags) == 2
    assert said in error(capsys)


def test_held_out_tokens_are_as_many_as_wanted_and_all_are_spliced(refine, monkeypatch):
    told = []

    def write_report(variants, out, *, store, **options):
        told.append((store.split("heldout", HOOKS[0]).n_tokens, options.get("sequences", 24)))

    monkeypatch.setattr(command, "write_report", write_report)
    assert refine() == 0
    assert refine("--eval-tokens", "100", "--out", str(refine.folder / "few")) == 0
    (usual, some), (few, everything) = told
    assert 100 <= few < 116 < usual
    assert (some, everything) == (24, None)


def test_a_folder_of_another_run_is_refused_before_the_model_is_loaded(refine, monkeypatch, capsys):
    """The run was stopped after its folder was claimed: there is a record and no SAE."""
    stopped = pytest.MonkeyPatch()
    stopped.setattr(command, "_variants", lambda *_: exec("raise KeyboardInterrupt"))
    assert refine() == 130
    stopped.undo()
    capsys.readouterr()

    def load(*_, **__):
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(inputs, "load_host", load)
    assert refine("--steps", "2") == 2
    assert "another settings" in error(capsys)
    for record in ("refine.json", "upgrade.json"):
        (refine.folder / "out" / record).rename(refine.folder / "out" / "upgrade.json")
        assert refine() == 2
        assert "another command" in error(capsys)
    monkeypatch.setattr(inputs, "load_host", lambda name, **_: FakeHost())
    (refine.folder / "out" / "upgrade.json").rename(refine.folder / "out" / "refine.json")
    assert refine() == 0


def test_a_folder_with_an_sae_is_not_overwritten(refine, capsys):
    assert refine() == 0
    assert refine() == 2
    assert "another folder" in error(capsys)


def test_an_sae_that_is_none(refine, capsys):
    assert refine(sae="nowhere/at/all") == 2
    assert error(capsys)
