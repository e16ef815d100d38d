"""`rsae upgrade` from the command line, on a host of a few numbers."""

import importlib
import json

import pytest
import torch
from sae_lens import SAE
from safetensors.torch import load_file, save_file
from tests.rsae.coders import teacher
from tests.rsae.fake_host import HOOKS, FakeHost, write_text

from rsae import RSAE, RationalActivation
from rsae_cli import main

command = importlib.import_module("rsae.commands.upgrade")
inputs = importlib.import_module("rsae.commands.inputs")


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A folder with a teacher of the fake host, a text, and `upgrade(*flags)`."""
    origin = teacher(
        "jumprelu", d_in=6, d_sae=24, metadata={"hook_name": HOOKS[0], "context_size": 16}
    )
    coder = RSAE.from_teacher(origin, RationalActivation.constant((0, 0)))
    save_as_jumprelu(coder, tmp_path / "teacher")
    write_text(tmp_path, [14 * (9 + i) for i in range(30)])
    monkeypatch.setattr(inputs, "load_host", lambda name, **_: FakeHost())
    monkeypatch.setattr(command, "write_report", lambda *_, **__: None)

    def upgrade(*flags: str) -> int:
        fixed = ["--out", str(tmp_path / "out"), "--text", str(tmp_path / "text.jsonl")]
        few = ["--steps", "12", "--tokens", "2000"]
        return main(["upgrade", str(tmp_path / "teacher"), *fixed, *few, *flags])

    return tmp_path, upgrade


def save_as_jumprelu(coder, folder):
    coder.save_model(folder)
    config = json.loads((folder / "cfg.json").read_text())
    for key in ("form", "support", "k", "rational", "refinement"):
        del config[key]
    (folder / "cfg.json").write_text(json.dumps({**config, "architecture": "jumprelu"}))
    weights = load_file(folder / "sae_weights.safetensors")
    del weights["feature_scale"]
    save_file(weights, folder / "sae_weights.safetensors")


def error(capsys) -> str:
    text = capsys.readouterr().err
    (line,) = [line for line in text.splitlines() if line.startswith("rsae:")]
    assert "Traceback" not in text
    return line


def test_it_leaves_a_folder_that_saelens_loads(world, capsys):
    folder, upgrade = world
    assert upgrade("--json") == 0
    (summary,) = json.loads(capsys.readouterr().out)
    assert summary["family"] == "jumprelu"
    out = folder / "out"
    for part in (".", "rsae_init"):
        assert SAE.load_from_disk(out / part).cfg.metadata.hook_name == HOOKS[0]
    assert summary["keep"] == "features"
    assert set(summary["alive"]) == {"teacher", "rsae"}
    assert upgrade("--resume") == 0


def test_a_result_worse_than_its_teacher_has_its_own_exit_code(world, capsys):
    folder, upgrade = world
    (folder / "wild.toml").write_text("[train]\nlr = 1e6\nbias_lr = 0.0")
    assert upgrade("--keep", "directions", "--json", "--config", str(folder / "wild.toml")) == 3
    told = capsys.readouterr()
    assert "came out worse than its teacher" in told.err
    (summary,) = json.loads(told.out)
    assert "MSE" in summary["worse"]


def test_a_second_run_needs_resume(world, capsys):
    _, upgrade = world
    upgrade()
    assert upgrade() == 2
    assert "--resume" in error(capsys)


def test_a_dry_run_estimates_and_writes_nothing(world, capsys):
    folder, upgrade = world
    assert upgrade("--dry-run") == 0
    assert "peak_memory_gib" in capsys.readouterr().out
    assert upgrade("--dry-run", "--json") == 0
    (estimate,) = json.loads(capsys.readouterr().out)
    assert estimate["keep"] == "features"
    assert estimate["trained"] == []
    assert upgrade("--dry-run", "--keep", "nothing", "--baselines", "--json") == 0
    (estimate,) = json.loads(capsys.readouterr().out)
    assert estimate["trained"] == ["threshold_only", "rational"]
    assert estimate["peak_memory_gib"] > 0
    assert not (folder / "out").exists()


def test_ctrl_c_leaves_a_run_that_goes_on(world, capsys, monkeypatch):
    folder, upgrade = world
    whole = folder / "whole"
    assert upgrade("--keep", "nothing", "--out", str(whole)) in (0, 3)  # 12 steps may be too few
    loop = importlib.import_module("rsae.train.loop")
    step = loop._Run.step

    def interrupted(self, x):
        if self.progress.step == 7:
            raise KeyboardInterrupt
        return step(self, x)

    with monkeypatch.context() as patch:
        patch.setattr(loop._Run, "step", interrupted)
        assert upgrade("--keep", "nothing") == 130
    assert "--resume" in error(capsys)
    assert upgrade("--keep", "nothing", "--resume") in (0, 3)
    x = torch.randn(50, 6)
    a, b = RSAE.load_from_disk(whole), RSAE.load_from_disk(folder / "out")
    torch.testing.assert_close(a.encode(x), b.encode(x))


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--hook", "blocks.9.mlp"], "blocks.9.mlp"),
        (["--family", "topk"], "jumprelu"),
        (["--tokens", "900000000"], "--tokens"),
        (["--config", "absent.toml"], "absent.toml"),
        (["--steps", "-3"], "steps"),
        (["--text", "absent.txt"], "absent.txt"),
        (["--activations", "absent"], "absent"),
    ],
)
def test_what_a_user_can_mend_is_one_line(world, capsys, flags, named):
    _, upgrade = world
    assert upgrade(*flags) == 2
    assert named in error(capsys)


def test_a_teacher_of_another_width_is_refused_before_anything_is_done(world, capsys, monkeypatch):
    _, upgrade = world
    monkeypatch.setattr(inputs, "load_host", lambda name, **_: FakeHost(d_model=9))
    assert upgrade() == 2
    assert "--model" in error(capsys)


def test_nan_in_the_activations_is_refused(world, capsys, monkeypatch):
    _, upgrade = world
    monkeypatch.setattr(inputs, "load_host", lambda name, **_: FakeHost(scale=float("nan")))
    assert upgrade() == 2
    assert error(capsys)


def test_an_output_folder_that_is_a_file_is_refused(world, capsys):
    folder, upgrade = world
    (folder / "out").write_text("")
    assert upgrade() == 2
    assert str(folder / "out") in error(capsys)


def test_debug_shows_the_traceback(world):
    _, upgrade = world
    with pytest.raises(Exception, match="jumprelu"):
        upgrade("--family", "topk", "--debug")


def test_the_result_names_the_hook_and_the_model_that_the_user_gave(world):
    """Later commands, such as `rsae export` and `rsae compare`, look for both there."""
    folder, upgrade = world
    config = json.loads((folder / "teacher" / "cfg.json").read_text())
    config["metadata"].pop("hook_name")
    config["metadata"] |= {"model_name": "of/its-training", "model_weights": "smollm2"}
    (folder / "teacher" / "cfg.json").write_text(json.dumps(config))
    assert upgrade("--hook", HOOKS[0], "--keep", "features", "--model", "gpt2") in (0, 3)
    found = SAE.load_from_disk(folder / "out").cfg.metadata
    assert found.hook_name == HOOKS[0]
    assert found.model_name == "fake"  # as the stand-in of a model is called
    assert found.model_weights is None
