"""Cost of training and using an SAE at its users' sizes, beside SAELens in the same run.

    OMP_NUM_THREADS=1 python -m benchmarks.rsae.size
    OMP_NUM_THREADS=1 python -m benchmarks.rsae.size --size 576,1024,1024 --json runs/size.json

Two tables. The first has, for each size (d_in, d_sae, tokens per batch), CPU seconds per step, the
median of the repetitions: of the one dense encoder product that any program must pay for, of a
training step of `rsae` and of SAELens' JumpReLU trainer with its own Adam on the same SAE and
batch, of encoding, and of decoding sparse feature activations (`rsae`) or dense ones (SAELens).
Every program runs in a process of its own, whose peak memory is given. Weights are random;
thresholds are set for an L0 of 64.

The second has tokens per CPU second of each stage of an upgrade (the language model up to the hook,
calibration, a training step, reconstruction, and the loss with the SAE spliced in) and of the same
with SAELens, where it has the stage; then what a whole upgrade on a stream took, beside what was
estimated before it began: see `benchmarks.rsae.whole`. `--steps 0` leaves whole upgrades out.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.rsae import whole
from rich.console import Console
from rich.table import Table
from sae_lens.saes.jumprelu_sae import JumpReLUTrainingSAE, JumpReLUTrainingSAEConfig
from sae_lens.saes.sae import TrainStepInput
from torch import Tensor

from rsae.pretrained import Teacher
from rsae.sae.activation import RationalActivation
from rsae.sae.model import RSAE
from rsae.train import L0Controller, TrainConfig, measure_units, train
from rsae.train.sparse_codes import Entries, decode
from rsae.upgrading.estimate import peak_memory_gib

SIZES = ["576,1024,1024", "768,24576,1024", "2304,16384,1024"]
PROGRAMS = ("product", "rsae", "saelens")
L0 = 64


def teacher(d_in: int, d_sae: int) -> Teacher:
    g = torch.Generator().manual_seed(0)
    W_dec = torch.nn.functional.normalize(torch.randn(d_sae, d_in, generator=g), dim=1)
    x = torch.randn(512, d_in, generator=g)
    h = x @ W_dec.T
    cut = h.flatten().kthvalue(int(h.numel() * (1 - L0 / d_sae))).values.item()
    return Teacher(
        "jumprelu",
        W_dec.T.contiguous(),
        torch.zeros(d_sae),
        W_dec,
        torch.zeros(d_in),
        threshold=torch.full((d_sae,), cut),
    )


def seconds(work: Callable[[], Any], repetitions: int) -> float:
    """Median CPU seconds of one call, after one call to warm up."""
    work()
    spent = []
    for _ in range(repetitions):
        begin = time.process_time()
        work()
        spent.append(time.process_time() - begin)
    return float(np.median(spent))


def measure_product(origin: Teacher, x: Tensor, repetitions: int) -> dict[str, float]:
    return {"step": seconds(lambda: x @ origin.W_enc, repetitions)}


def measure_rsae(origin: Teacher, x: Tensor, repetitions: int) -> dict[str, float]:
    sae = RSAE.from_teacher(origin, RationalActivation.constant((3, 2)))
    config = TrainConfig(steps=repetitions + 1, batch_size=len(x), warmup=0, decay=0)
    scales = measure_units(sae, x, "l0", config.window)
    marks = [time.process_time()]
    train(
        sae,
        lambda step: iter([x] * (config.steps - step)),
        "l0",
        scales,
        L0Controller(L0, 1.0, config.controller).target,
        config,
        on_step=lambda _: marks.append(time.process_time()),
    )
    with torch.no_grad():
        z = sae.encode(x)
        entries = Entries.of(z != 0)
        values = entries.gather(z)
        return {
            "step": float(np.median(np.diff(marks)[1:])),
            "encode": seconds(lambda: sae.encode(x), repetitions),
            "decode": seconds(lambda: decode(values, sae.W_dec, entries), repetitions),
        }


def measure_saelens(origin: Teacher, x: Tensor, repetitions: int) -> dict[str, float]:
    config = JumpReLUTrainingSAEConfig(
        d_in=origin.d_in, d_sae=origin.d_sae, l0_coefficient=1e-3, apply_b_dec_to_input=True
    )
    sae = JumpReLUTrainingSAE(config)
    with torch.no_grad():
        sae.W_enc.copy_(origin.W_enc)
        sae.W_dec.copy_(origin.W_dec)
        sae.threshold.copy_(origin.threshold)
    optimizer = torch.optim.Adam(sae.parameters(), lr=1e-5)
    given = TrainStepInput(x, sae.get_coefficients(), None, 0, False)
    given.coefficients = {name: c.value for name, c in given.coefficients.items()}

    def step() -> None:
        optimizer.zero_grad()
        sae.training_forward_pass(given).loss.backward()
        torch.nn.utils.clip_grad_norm_(sae.parameters(), 1.0)
        optimizer.step()

    step_seconds = seconds(step, repetitions)
    with torch.no_grad():
        z = sae.encode(x)
        return {
            "step": step_seconds,
            "encode": seconds(lambda: sae.encode(x), repetitions),
            "decode": seconds(lambda: sae.decode(z), repetitions),
        }


def one(size: str, program: str, repetitions: int) -> dict[str, float]:
    d_in, d_sae, n = map(int, size.split(","))
    origin = teacher(d_in, d_sae)
    x = torch.randn(n, d_in, generator=torch.Generator().manual_seed(1))
    measure = {"product": measure_product, "rsae": measure_rsae, "saelens": measure_saelens}
    found = measure[program](origin, x, repetitions)
    return {**found, "peak_memory_gib": peak_memory_gib()}


def in_a_process(size: str, program: str, repetitions: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.rsae.size", "--repetitions", str(repetitions)]
    done = subprocess.run(
        [*command, "--size", size, "--program", program], capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def stages(found: dict[str, Any]) -> Table:
    """Tokens per second of the stages of whole upgrades; seconds and memory beside estimates."""
    columns = ("model", "calibrate", "train", "reconstruct", "splice")
    table = Table("size", *columns, "SAELens: train", "reconstruct", "waited", "s", "GiB")
    for size, by in found.items():
        batch = int(size.split(",")[2])
        theirs, one = by["saelens"], by["whole"]
        rates = {**one["tokens_per_second"], "train": batch / by["rsae"]["step"]}
        pairs = (
            f"{one['measured'][unit]:.3g} (est. {one['estimated'][unit]:.3g})"
            for unit in ("seconds", "gib")
        )
        table.add_row(
            size,
            *(f"{rates[name]:,.0f}" for name in ("harvest", *columns[1:])),
            f"{batch / theirs['step']:,.0f}",
            f"{batch / (theirs['encode'] + theirs['decode']):,.0f}",
            f"{one['waiting_share']:.0%}",
            *pairs,
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", action="append", metavar="D_IN,D_SAE,TOKENS")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20, help="of a whole upgrade, or 0 (20)")
    parser.add_argument("--program", choices=PROGRAMS, help="run this one here; print its JSON")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    sizes = args.size or SIZES
    if args.program:
        print(json.dumps(one(sizes[0], args.program, args.repetitions)))
        return
    found = {
        size: {program: in_a_process(size, program, args.repetitions) for program in PROGRAMS}
        for size in sizes
    }
    names = ("product", "step", "encode", "decode", "GiB")
    table = Table("size", *names, "SAELens: step", *names[2:], "step ratio", "decode ratio")
    for size, by in found.items():
        ours, theirs = by["rsae"], by["saelens"]
        keys = ("step", "encode", "decode", "peak_memory_gib")
        table.add_row(
            size,
            f"{by['product']['step']:.3g}",
            *(f"{ours[key]:.3g}" for key in keys),
            *(f"{theirs[key]:.3g}" for key in keys),
            f"{theirs['step'] / ours['step']:.2f}",
            f"{theirs['decode'] / ours['decode']:.1f}",
        )
    Console(width=150).print(table)
    if args.steps:
        for size, by in found.items():
            by["whole"] = whole.measured(size, args.steps)
        Console(width=150).print(stages(found))
    machine = platform.processor() or platform.machine()
    print(f"CPU seconds, {torch.get_num_threads()} threads, PyTorch {torch.__version__}, {machine}")
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
