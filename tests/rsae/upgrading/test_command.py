"""`rsae upgrade` from the command line, on a host of a few numbers."""

import importlib
import json

import pytest
import torch
from sae_lens import SAE
from safetensors.torch import load_file, save_file
from tests.rsae.fake_host import HOOKS, FakeHost, write_text
from tests.rsae.saes import teacher
from tests.rsae.tiny_model import save_tiny_model

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
    sae = RSAE.from_teacher(origin, RationalActivation.constant((0, 0)))
    save_as_jumprelu(sae, tmp_path / "teacher")
    write_text(tmp_path, [14 * (9 + i) for i in range(30)])
    monkeypatch.setattr(inputs, "load_host", lambda name, **_: FakeHost())
    monkeypatch.setattr(command, "write_report", lambda *_, **__: None)

    def upgrade(*flags: str) -> int:
        fixed = ["--out", str(tmp_path / "out"), "--text", str(tmp_path / "text.jsonl")]
        few = ["--steps", "12", "--tokens", "2000"]
        return main(["upgrade", str(tmp_path / "teacher"), *fixed, *few, *flags])

    return tmp_path, upgrade


def save_as_jumprelu(sae, folder):
    sae.save_model(folder)
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


def test_a_dry_run_estimates_and_writes_nothing(world, capsys, monkeypatch):
    folder, upgrade = world
    monkeypatch.setattr(inputs, "load_host", None)  # no weight of a model is read
    model = ("--model", str(save_tiny_model(folder / "model")))
    assert upgrade("--dry-run", *model) == 0
    assert "peak_memory_gib" in capsys.readouterr().out
    assert upgrade("--dry-run", "--json", *model, "--device", "cpu", "--dtype", "bfloat16") == 0
    (estimate,) = json.loads(capsys.readouterr().out)
    assert estimate["keep"] == "features"
    assert estimate["trained"] == []
    assert estimate["seconds"]["train"] == 0
    assert estimate["model_parameters"] == 1688
    assert (estimate["device"], estimate["dtype"]) == ("cpu", "bfloat16")
    assert upgrade("--dry-run", "--keep", "nothing", "--baselines", "--json", *model) == 0
    (estimate,) = json.loads(capsys.readouterr().out)
    assert estimate["trained"] == ["threshold_only", "rational"]
    assert estimate["peak_memory_gib"] > 0
    assert estimate["total_seconds"] > estimate["seconds"]["train"] > 0
    assert not (folder / "out").exists()


def test_a_dry_run_says_what_it_does_not_know(world, capsys, monkeypatch):
    _, upgrade = world
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert upgrade("--dry-run", "--json", "--model", "some/model") == 0
    (estimate,) = json.loads(capsys.readouterr().out)
    assert "some/model" in estimate["not_known"]
    assert estimate["seconds"]["harvest"] is estimate["total_seconds"] is None
    assert estimate["seconds"]["refine"] is not None


def test_the_estimate_of_memory_has_a_bound_in_the_number_of_tokens(world, capsys):
    """Two blocks of 131,072 tokens are held, of however many."""
    folder, upgrade = world
    model = ("--model", str(save_tiny_model(folder / "model")))
    peaks = []
    for tokens in ("1000000", "100000000"):
        assert upgrade("--dry-run", "--json", "--tokens", tokens, *model) == 0
        (estimate,) = json.loads(capsys.readouterr().out)
        peaks.append(estimate["peak_memory_gib"])
    assert peaks[0] == peaks[1]


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


def weights(folder):
    return load_file(folder / "sae_weights.safetensors")


def assert_same_result(a, b):
    left, right = weights(a), weights(b)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_a_streamed_text_gives_the_sae_that_a_stored_one_gives(world, capsys):
    folder, upgrade = world
    flags = ["--keep", "nothing", "--json"]
    assert upgrade(*flags) in (0, 3)
    capsys.readouterr()
    streamed = folder / "streamed"
    assert upgrade(*flags, "--stream", "--out", str(streamed)) in (0, 3)
    told = capsys.readouterr()
    (summary,) = json.loads(told.out)
    assert summary["stream"]["n_tokens"] == 12 * 1024
    assert "training waited" in told.err
    assert_same_result(folder / "out", streamed)
    assert not list((streamed / "activations").rglob("train*"))


@pytest.mark.parametrize("kind", ["text.jsonl", "text.txt"])
def test_a_data_set_gives_the_same_streamed_and_stored(world, kind):
    folder, _ = world
    if kind == "text.txt":
        lines = [json.loads(line)["text"] for line in (folder / "text.jsonl").open()]
        (folder / kind).write_text("\n\n".join(line for line in lines for _ in range(16)))
    for out, *flags in (["stored"], ["streamed", "--stream"]):
        assert dataset(folder, out, kind, "--tokens", "1500", *flags) in (0, 3)
    assert_same_result(folder / "stored", folder / "streamed")
    assert dataset(folder, "whole", kind, "--stream") in (0, 3)


def dataset(folder, out, kind="text.jsonl", *flags):
    fixed = ["--out", str(folder / out), "--dataset", str(folder / kind)]
    few = ["--steps", "12", "--keep", "nothing"]
    return main(["upgrade", str(folder / "teacher"), *fixed, *few, *flags])


def test_a_stream_that_is_killed_goes_on_to_the_same_bytes(world, monkeypatch, capsys):
    folder, _ = world
    (folder / "often.toml").write_text("[train]\ncheckpoint_every = 3")
    flags = ["--stream", "--config", str(folder / "often.toml")]
    assert dataset(folder, "whole", "text.jsonl", *flags) in (0, 3)
    loop = importlib.import_module("rsae.train.loop")
    step = loop._Run.step

    def interrupted(self, x):
        if self.progress.step == 7:
            raise KeyboardInterrupt
        return step(self, x)

    with monkeypatch.context() as patch:
        patch.setattr(loop._Run, "step", interrupted)
        assert dataset(folder, "cut", "text.jsonl", *flags) == 130
    assert dataset(folder, "cut", "text.jsonl", *flags, "--resume") in (0, 3)
    for name in ("sae_weights.safetensors", "threshold_only/sae_weights.safetensors"):
        assert (folder / "whole" / name).read_bytes() == (folder / "cut" / name).read_bytes()
    capsys.readouterr()
    (folder / "other.jsonl").write_text((folder / "text.jsonl").read_text() + "\n")
    assert dataset(folder, "cut", "other.jsonl", *flags, "--resume") == 2
    assert "another activations" in error(capsys)


def test_only_the_result_is_trained(world, capsys):
    folder, upgrade = world
    assert upgrade("--keep", "nothing", "--only", "rsae", "--json") in (0, 3)
    assert not (folder / "out" / "control").exists()
    assert (folder / "out" / "threshold_only").exists()


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--dataset", "absent.jsonl"], "no data set at absent.jsonl"),
        (["--dataset", "/absent"], "no data set at /absent"),
        (["--text", "TEXT", "--dataset", "TEXT"], "leave one out"),
        (["--only", "rsae", "--baselines"], "choose one"),
        (["--dataset", "some/thing"], "cannot be asked"),
        (["--memory", "much"], "no size of memory"),
    ],
)
def test_a_source_that_cannot_be_is_told_before_a_model_is_loaded(
    world, capsys, monkeypatch, flags, named
):
    folder, _ = world
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(inputs, "load_host", lambda name, **_: pytest.fail("loaded"))
    given = [flag.replace("TEXT", str(folder / "text.jsonl")) for flag in flags]
    assert main(["upgrade", str(folder / "teacher"), "--out", str(folder / "x"), *given]) == 2
    assert named in error(capsys)
