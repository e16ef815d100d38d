"""Teachers of every family, every variant beside every other, with intervals.

    python -m experiments --reduced                 # one model, layer and L0: 12 cells
    python -m experiments --worlds                  # synthetic worlds with known features: 45 cells
    python -m experiments                           # 192 cells, hours; resumable in slices
    python -m experiments --only gemma3-270m        # the cells whose names contain this
    python -m experiments --tables                  # the tables of docs/rsae/results.md again

Every finished cell is a JSON file in experiments/results, and is not run again; activations,
teachers and trained variants are kept in runs/experiments. Two processes can share the work by
--only. The sizes are in experiments/specification.py.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments.records import RESULTS
from experiments.specification import (
    EXPERIMENTS,
    L1_BY_L0,
    WORLD_STEPS,
    WorldCell,
    world_cells,
)

Record = dict[str, Any]
Job = tuple[str, Callable[[], Record]]


def main() -> None:
    """Run what is missing, then write the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--reduced", action="store_true", help="the 12 cells that take 40 minutes on two cores")
    add("--worlds", action="store_true", help="the synthetic worlds")
    add("--only", default="", help="run only cells whose names contain this")
    add("--tables", action="store_true", help="run nothing")
    add("--folder", type=Path, default=Path("runs/experiments"), help="for what is trained")
    args = parser.parse_args()
    if not args.tables:
        name = "worlds" if args.worlds else "reduced" if args.reduced else "full"
        folder = args.folder / name
        jobs = worlds(folder) if args.worlds else language_models(name, folder)
        run(jobs, RESULTS / name, args.only)
    from experiments.plots import draw
    from experiments.tables import LANGUAGE, groups, write

    write(RESULTS)
    for name in LANGUAGE:
        if found := groups(RESULTS / name):
            draw(found, name)


def run(jobs: Iterable[Job], results: Path, only: str = "") -> None:
    """Run the jobs whose record is missing, one after the other."""
    from rsae.files import make_folder, write_text

    console = Console(stderr=True)
    for name, job in jobs:
        file = results / f"{name}.json"
        if only not in name or file.exists():
            continue
        console.print(f"{time.strftime('%X')} {name}", highlight=False)
        record = job()
        make_folder(results)
        write_text(file, json.dumps(record, allow_nan=False) + "\n")


def language_models(name: str, folder: Path) -> Iterable[Job]:
    """The cells on language models."""
    from experiments.language import Setting
    from experiments.language import run as run_cell

    experiment = EXPERIMENTS[name]
    settings = {model: Setting(model, experiment, folder) for model in experiment.layers}
    for cell in experiment.cells():
        yield cell.name, lambda c=cell: run_cell(c, settings[c.model], L1_BY_L0[c.l0])  # type: ignore[misc]


def worlds(folder: Path) -> Iterable[Job]:
    """The cells on synthetic worlds; a cell's world and teacher are made when it is run."""
    from experiments.worlds import run as run_cell

    def run_one(cell: WorldCell) -> Record:
        made = folder / cell.folder
        if not (made / "teachers" / cell.family / "cfg.json").exists():
            script = [sys.executable, "scripts/make_world.py", "--family", cell.family]
            seeds = ["--seed", str(cell.world), "--teacher-seed", str(cell.teacher_seed)]
            subprocess.run([*script, *seeds, "--out", str(made)], check=True)
        return run_cell(cell, WORLD_STEPS, folder)

    for cell in world_cells():
        yield cell.name, partial(run_one, cell)


if __name__ == "__main__":
    main()
