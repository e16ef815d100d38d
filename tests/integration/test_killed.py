"""kill -9 at every stage and at random moments, then the same command: nothing is lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from .killed import STAGES

ROOT = Path(__file__).resolve().parents[2]


def test_a_run_that_is_killed_and_run_again_ends_as_one_that_was_not(tmp_path):
    command = [sys.executable, "-m", "tests.integration.killed", str(tmp_path)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["stages"][0] == len(STAGES)
    assert found["random"][0] >= 1
    for _, difference in found.values():
        assert difference <= 1e-5
    # and the run that was not killed did something
    begin, end = (
        load_file(tmp_path / "whole" / part / "sae_weights.safetensors")["W_dec"]
        for part in ("rsae_init", ".")
    )
    assert not torch.allclose(begin, end, rtol=1e-2)
    assert not list(tmp_path.glob("*/.*.partial"))
