"""`rsae upgrade` on a small host, killed and run again (`python -m tests.integration.killed DIR`).

Every run is a process of its own, forked from this one so that the libraries load once; a kill is
SIGKILL. Prints, for each way of dying, how many kills there were and by how much what is left on
disk at the end differs from an uninterrupted run's.
"""

import contextlib
import importlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file
from tests.rsae.fake_host import HOOKS, FakeHost
from tests.rsae.pretrained.formats import Parts, saelens

from rsae_cli import main

D_IN, D_SAE, VOCABULARY = 6, 24, 20
PARTS = ("rsae_init", "control", "threshold_only", "rational", ".")
STAGES = (  # what each leaves first, as patterns of files
    "activations/blocks.0.hook_resid_post/train-00000.safetensors",
    "rational.json",
    "control*.checkpoint",
    "threshold_only*.checkpoint",
    "rational*.checkpoint",
    "measurements",
    "report.json",
)


class Slow(FakeHost):
    """Slow enough to be killed at work, and with logits."""

    device = torch.device("cpu")

    def residuals(self, ids, hook_names):
        time.sleep(0.02)
        return super().residuals(ids, hook_names)

    def logits(self, ids, hook_name=None, replace=None):
        x = self.residuals(ids, [HOOKS[0]])[HOOKS[0]]
        if replace is not None:
            ordinary = ~self.is_special(ids)
            x[ordinary] = replace(x[ordinary])
        words = torch.randn(D_IN, VOCABULARY, generator=torch.Generator().manual_seed(1))
        return x @ words


class Tokenizer:
    def encode(self, text, **_):
        return [3 + len(word) for word in text.split()]

    def decode(self, ids):
        return f"<{ids[0]}>"


def upgrade(folder: Path, out: Path) -> int:
    """Upgrade into `out`; the exit code."""
    inputs = importlib.import_module("rsae.commands.inputs")
    inputs.load_host = lambda *args, **more: Slow(d_model=D_IN, tokenizer=Tokenizer())
    with open(os.devnull, "w") as null, contextlib.redirect_stdout(null):
        return main([
            "upgrade", str(folder / "teacher"), "--out", str(out), "--steps", "40",
            "--tokens", "4000", "--text", str(folder / "text.jsonl"), "--resume",
            "--config", str(folder / "settings.toml"),
        ])  # fmt: skip


def start(folder: Path, out: Path) -> int:
    """A process that upgrades into `out`; its id."""
    child = os.fork()
    if child:
        return child
    os._exit(upgrade(folder, out))


def kill_when(child: int, ripe: Callable[[], bool]) -> bool:
    """Kill the process once it is ripe; whether it did not end before."""
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if ripe():
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return True
        time.sleep(0.001)
    return False


def finish(folder: Path, out: Path) -> None:
    _, status = os.waitpid(start(folder, out), 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"the run did not end well: {status}")


def tensors(out: Path) -> Iterator[torch.Tensor]:
    for part in PARTS:
        yield from load_file(out / part / "sae_weights.safetensors").values()
        rational = json.loads((out / part / "cfg.json").read_text())["rational"]
        yield from (torch.tensor(rational[name]) for name in ("numerator", "denominator"))


def difference(out: Path, whole: Path) -> float:
    """Largest relative difference of weights and of the report's figures."""
    pairs = zip(tensors(out), tensors(whole), strict=True)
    apart = [((a - b).abs().max() / b.abs().max().clamp(min=1e-6)).item() for a, b in pairs]
    reports = [json.loads((path / "report.json").read_text())["variants"] for path in (out, whole)]
    for mine, theirs in zip(*reports, strict=True):
        for name, value in theirs["metrics"].items():
            if value is not None:
                apart.append(abs(mine["metrics"][name] - value) / max(abs(value), 1e-6))
    return max(apart)


def prepare(folder: Path) -> None:
    metadata = {"hook_name": HOOKS[0], "context_size": 16, "model_name": "fake"}
    metadata["sae_lens_version"] = "6.54.12"
    saelens(folder / "teacher", Parts.random(D_IN, D_SAE, k=3), "topk", metadata=metadata)
    rng = random.Random(0)  # no run of words may occur twice, or the report finds a leak
    texts = [" ".join("x" * rng.randint(1, 15) for _ in range(150)) for _ in range(40)]
    lines = [{"title": str(i), "text": text} for i, text in enumerate(texts)]
    (folder / "text.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (folder / "settings.toml").write_text(
        "keep = 'nothing'\n[rational]\ntrained = true\n"
        "[train]\nbatch_size = 256\ncheckpoint_every = 8\n"
    )


def at_every_stage(folder: Path, out: Path) -> int:
    """Kill at the first sign of each stage, one after the other in one folder."""
    return sum(
        kill_when(start(folder, out), lambda sign=sign: any(out.glob(sign))) for sign in STAGES
    )


def at_random(folder: Path, out: Path, seconds: float, rng: random.Random) -> int:
    """Kill after a random time, again and again, at most six times."""
    kills = 0
    while kills < 6:
        end = time.monotonic() + rng.uniform(0.05, seconds)
        if not kill_when(start(folder, out), lambda end=end: time.monotonic() > end):
            break
        kills += 1
    return kills


def report(folder: Path) -> dict[str, tuple[int, float]]:
    prepare(folder)
    if code := upgrade(folder, folder / "whole"):  # here, so that all is loaded before the forks
        raise SystemExit(f"the run did not end well: {code}")
    begin = time.monotonic()
    finish(folder, folder / "timed")
    seconds = time.monotonic() - begin
    ways = {
        "stages": lambda out: at_every_stage(folder, out),
        "random": lambda out: at_random(folder, out, seconds / 2, random.Random(0)),
    }
    found = {}
    for name, die in ways.items():
        kills = die(folder / name)
        finish(folder, folder / name)
        found[name] = (kills, difference(folder / name, folder / "whole"))
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.stdout.write(json.dumps(report(Path(sys.argv[1]))))
