"""`rsae sweep`: many SAEs, what each spec stands for, failures as rows, engines that resume."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.rsae.tiny_model import save_tiny_model

from rsae.commands import inputs
from rsae.commands import upgrade as command
from rsae_cli import main
from rsae_evals.errors import EvaluationError
from rsae_evals.sweep.members import _names, members_of

WORDS = [f"w{i}" for i in range(20)]
# Seconds until a sweep with Ray counts as stuck: alone it takes 40, on a loaded machine it has
# taken over 300.
PATIENCE = 1800


def save_sae(folder: Path, seed: int, context: int = 16, layer: int = 0) -> Path:
    from sae_lens import TopKSAE, TopKSAEConfig
    from sae_lens.saes.sae import SAEMetadata

    torch.manual_seed(seed)
    lives = SAEMetadata(hook_name=f"blocks.{layer}.hook_resid_post", context_size=context)
    sae = TopKSAE(TopKSAEConfig(d_in=8, d_sae=24, k=3, metadata=lives))
    with torch.no_grad():
        sae.W_enc.copy_(torch.randn(8, 24))
        sae.W_dec.copy_(torch.nn.functional.normalize(torch.randn(24, 8), dim=1))
    sae.save_model(folder)
    return folder


def save_dead_sae(folder: Path) -> Path:
    from sae_lens import JumpReLUSAE, JumpReLUSAEConfig
    from sae_lens.saes.sae import SAEMetadata

    lives = SAEMetadata(hook_name="blocks.0.hook_resid_post", context_size=16)
    sae = JumpReLUSAE(JumpReLUSAEConfig(d_in=8, d_sae=24, metadata=lives))
    with torch.no_grad():
        sae.threshold.fill_(1e6)
    sae.save_model(folder)
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A small language model, a text, and four SAEs: three of one context size, one of another."""
    folder = tmp_path_factory.mktemp("sweep")
    save_tiny_model(folder / "model")
    rng = random.Random(0)
    lines = [{"text": " ".join(rng.choices(WORDS, k=400))} for _ in range(40)]
    (folder / "text.jsonl").write_text("\n".join(map(json.dumps, lines)))
    for seed, (context, layer) in enumerate([(16, 0), (16, 0), (16, 1), (24, 0)]):
        save_sae(folder / "saes" / f"sae_{seed}", seed, context, layer)
    return folder


def words(world: Path, out: Path, *saes: object) -> list[str]:
    return [
        "sweep", *(map(str, saes or [world / "saes"])), "--out", str(out), "--tokens", "1500",
        "--model", str(world / "model"), "--text", str(world / "text.jsonl"),
    ]  # fmt: skip


def rows(out: Path) -> dict[str, dict]:
    return {row["name"]: row for row in json.loads((out / "sweep.json").read_text())["rows"]}


def test_a_sweep_groups_fails_by_row_and_does_only_what_is_missing(world, tmp_path, capsys):
    out = tmp_path / "out"
    broken = save_sae(tmp_path / "broken", 9)
    (broken / "sae_weights.safetensors").write_bytes(b"none")
    assert main(words(world, out, world / "saes", broken)) == 4
    found = rows(out)
    assert [found[f"sae_{i}"]["state"] for i in range(4)] == ["done"] * 4
    assert found["broken"]["state"] == "failed"
    assert "damaged" in found["broken"]["cause"]
    assert "broken failed: " in capsys.readouterr().out
    assert len(list((out / "activations").iterdir())) == 2  # one pass for each context size
    page = (out / "index.html").read_text()
    assert "4 of 5 SAEs upgraded" in page
    for i in range(4):
        assert f'href="sae_{i}/report.html"' in page
        assert found[f"sae_{i}"]["after"]["mse"] < found[f"sae_{i}"]["before"]["mse"]
    kept = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    save_sae(broken, 9)
    assert main(words(world, out, world / "saes", broken)) == 0
    assert rows(out)["broken"]["state"] == "done"
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert main([*words(world, out), "--keep", "nothing"]) == 2
    assert "another --keep" in capsys.readouterr().err


def test_a_dry_run_loads_no_model_and_writes_nothing(world, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(inputs, "load_host", None)
    assert main([*words(world, tmp_path / "out"), "--dry-run", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert [one["sae"] for one in planned] == ["sae_0", "sae_1", "sae_2", "sae_3"]
    assert {one["model_parameters"] for one in planned} == {1688}
    assert all(one["total_seconds"] > 0 and one["peak_memory_gib"] > 0 for one in planned)
    assert not (tmp_path / "out").exists()


def test_a_member_equals_the_same_sae_upgraded_alone(world, tmp_path):
    one = world / "saes" / "sae_2"
    alone = words(world, tmp_path / "alone", one)
    assert main(words(world, tmp_path / "sweep", one)) == 0
    assert main(["upgrade", *alone[1:]]) == 0
    files = [tmp_path / folder / "sae_weights.safetensors" for folder in ("sweep/sae_2", "alone")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_saes_of_one_hook_learn_from_one_stream(world, tmp_path, monkeypatch):
    """Each as if streamed alone; one that breaks the shared pass is a row, the others go on."""
    passes = []
    together = command.upgrade_together

    def counted(saes, *rest, **options):
        passes.append(sorted(saes))
        return together(saes, *rest, **options)

    monkeypatch.setattr(command, "upgrade_together", counted)
    training = [
        "--stream", "--memory", "50MB", "--keep", "nothing", "--only", "rsae", "--steps", "20",
    ]  # fmt: skip
    saes = [world / "saes" / f"sae_{i}" for i in range(3)]
    assert main([*words(world, tmp_path / "sweep", *saes), *training]) == 0
    assert passes == [["sae_0", "sae_1"]]
    dead, new = save_dead_sae(tmp_path / "dead"), save_sae(tmp_path / "new", 7)
    assert main([*words(world, tmp_path / "sweep", *saes, dead, new), *training]) == 4
    assert passes[1:] == [["dead", "new"]]
    found = rows(tmp_path / "sweep")
    assert found["new"]["state"] == "done"
    assert [found[f"sae_{i}"]["state"] for i in range(3)] == ["done"] * 3
    assert found["dead"]["state"] == "failed"
    for i in (1, 2):
        alone = words(world, tmp_path / f"alone_{i}", saes[i])
        assert main(["upgrade", *alone[1:], *training]) == 0
        folders = (tmp_path / "sweep" / f"sae_{i}", tmp_path / f"alone_{i}")
        weights = [(folder / "sae_weights.safetensors").read_bytes() for folder in folders]
        assert weights[0] == weights[1]


def test_what_specs_stand_for(world, tmp_path):
    saes = world / "saes"
    (tmp_path / "list.txt").write_text(f"# some\n{saes}/sae_1  # the second\n\n{saes}/sae_[23]\n")
    assert [m.name for m in members_of([str(tmp_path / "list.txt")])] == ["sae_1", "sae_2", "sae_3"]
    assert [m.name for m in members_of([str(saes), str(saes / "sae_0")])] == [
        "sae_0", "sae_1", "sae_2", "sae_3"
    ]  # fmt: skip
    release = members_of(["gpt2-small-res-jb/blocks.1*.hook_resid_pre"])
    assert [m.source for m in release] == [
        f"gpt2-small-res-jb/blocks.{layer}.hook_resid_pre" for layer in (1, 10, 11)
    ]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("nowhere-*/sae", "no release"),
        ("gpt2-small-res-jb/blocks.99*", "matches no SAE"),
        ("{tmp}", "no weights file"),
        ("{tmp}/self.txt", "another list"),
        ("{tmp}/empty.txt", "names no SAE"),
    ],
)
def test_a_spec_that_stands_for_nothing(tmp_path, spec, said):
    (tmp_path / "self.txt").write_text("self.txt")
    (tmp_path / "empty.txt").write_text("# nothing\n")
    with pytest.raises(EvaluationError, match=said):
        members_of([spec.format(tmp=tmp_path)])


@given(st.lists(st.text(min_size=1, max_size=20), unique=True, max_size=8))
def test_names_are_folders_of_their_own(sources):
    names = _names(sources)
    assert len(set(names)) == len(sources)
    for name in names:
        assert Path(name).name == name
        assert name not in ("", ".", "..", "activations", "logs", "index.html", "sweep.json")


def test_ray_goes_on_after_a_worker_is_killed(world, tmp_path):
    """Two workers of a real Ray; the one that has just finished a member is killed."""
    pytest.importorskip("ray")
    out = tmp_path / "out"
    command = [
        sys.executable, "-m", "rsae", *words(world, out), "--engine", "ray", "--workers", "2"
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        killed = finished = None
        until = time.monotonic() + PATIENCE
        while killed is None and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
            done = [one for one in ("sae_0", "sae_1") if (out / one / "report.json").exists()]
            if done:  # sae_0, sae_1 and sae_2 are one group
                finished = (out / done[0] / "sae_weights.safetensors").stat().st_mtime_ns
                killed = _kill_a_worker(process.pid)
        _, errors = process.communicate(timeout=PATIENCE)
    assert killed
    assert process.returncode == 0, errors
    assert [row["state"] for row in rows(out).values()] == ["done"] * 4
    assert (out / done[0] / "sae_weights.safetensors").stat().st_mtime_ns == finished


def _kill_a_worker(parent: int) -> int | None:
    """Kill a process of Ray that works on a group; its number."""
    for child in psutil.Process(parent).children(recursive=True):
        try:
            if any("rsae sweep" in word or "_on_a_worker" in word for word in child.cmdline()):
                os.kill(child.pid, signal.SIGKILL)
                return child.pid
        except (psutil.Error, ProcessLookupError):
            continue
    return None
