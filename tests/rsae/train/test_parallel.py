"""`torchrun … rsae upgrade`: two processes take the steps of one, to rounding."""

import json
import subprocess
import sys

import pytest
from safetensors.torch import load_file
from tests.evals.test_sweep import save_sae
from tests.rsae.tiny_model import save_texts, save_tiny_model


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parallel")
    save_tiny_model(folder / "model")
    save_texts(folder / "text.jsonl", 40)
    save_sae(folder / "sae", seed=3)
    return folder


def upgrade(world, out, processes: int, *options: str) -> subprocess.CompletedProcess:
    words = [
        "upgrade", str(world / "sae"), "--out", str(out), "--keep", "nothing", "--baselines",
        "--steps", "12", "--tokens", "1500", "--device", "cpu", "--model", str(world / "model"),
        "--text", str(world / "text.jsonl"), *options,
    ]  # fmt: skip
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    start = launcher if processes > 1 else []
    command = [sys.executable, *start, "-m", "rsae", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_two_processes_equal_one(world, tmp_path):
    for processes, name in ((1, "one"), (2, "two")):
        done = upgrade(world, tmp_path / name, processes)
        assert done.returncode == 0, done.stderr
    for variant in (".", "control", "threshold_only", "rational"):
        one, two = (
            load_file(tmp_path / name / variant / "sae_weights.safetensors")
            for name in ("one", "two")
        )
        start = load_file(tmp_path / "one" / "rsae_init" / "sae_weights.safetensors")
        for name, tensor in one.items():
            moved = (tensor - start[name]).abs().max() if name in start else 0.0
            assert (tensor - two[name]).abs().max() <= 1e-3 * moved + 1e-6, (variant, name)
    lines = [
        [json.loads(line) for line in (tmp_path / name / "run.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert [line["variant"] for line in lines[0]] == [line["variant"] for line in lines[1]]


def test_a_batch_that_cannot_be_shared_is_refused(world, tmp_path):
    (tmp_path / "odd.toml").write_text("[train]\nbatch_size = 255\n")
    done = upgrade(world, tmp_path / "out", 2, "--config", str(tmp_path / "odd.toml"))
    assert done.returncode != 0
    assert "cannot be shared by 2 processes" in done.stderr
