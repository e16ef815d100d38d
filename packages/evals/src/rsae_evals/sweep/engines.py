"""Where the groups of a sweep run: one after another here, or as tasks of Ray.

Ray places, retries and counts resources; nothing of that is done here. A group asks for one CPU,
and for one GPU where the sweep computes on CUDA.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rsae.memory import memory_budget, parse_size
from rsae.terminal import Console
from rsae_evals.errors import EvaluationError
from rsae_evals.sweep.groups import Group, is_finished, run_group, write_failure

__all__ = ["run_here", "run_on_ray"]

_RETRIES = 3  # of a group whose worker died


def run_here(groups: Sequence[Group], args: argparse.Namespace, out: Path) -> None:
    """Run the groups one after another in this process."""
    console = Console(stderr=True)
    for group in groups:
        run_group(group, args, out, console)


def run_on_ray(groups: Sequence[Group], args: argparse.Namespace, out: Path) -> None:
    """Run each group as a Ray task, on the cluster that RAY_ADDRESS names or on one started here.

    On several machines `out` has to be a folder that all of them see.

    Raises:
        EvaluationError: Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise EvaluationError(
            "--engine ray needs Ray; run: pip install 'rsae-evals[ray]'"
        ) from error
    plain = argparse.Namespace(**{k: v for k, v in vars(args).items() if not callable(v)})
    started_here = not ray.is_initialized()
    if started_here:
        ray.init(num_cpus=args.workers, include_dashboard=False, log_to_driver=False)
    task = ray.remote(num_cpus=1, num_gpus=int(args.device.startswith("cuda")))(_on_a_worker)
    task = task.options(max_retries=_RETRIES, name="rsae sweep")
    try:
        running = {task.remote(group, plain, out.absolute()): group for group in groups}
        while running:
            ended, _ = ray.wait(list(running), num_returns=1)
            group = running.pop(ended[0])
            try:
                ray.get(ended[0])
            except ray.exceptions.RayError as error:
                for placed in group.placed:
                    if not is_finished(out / placed.member.name):
                        write_failure(out / placed.member.name, error)
    finally:
        if started_here:
            with suppress(Exception):
                ray.shutdown()


def _on_a_worker(group: Group, args: argparse.Namespace, out: Path) -> None:
    """One group, with what it prints kept beside its members' folders."""
    logs = out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    budget = parse_size(args.memory) if args.memory else None
    with memory_budget(budget), (logs / f"{group.name}.log").open("a", encoding="utf-8") as log:
        run_group(group, args, out, Console(file=log, width=120))
