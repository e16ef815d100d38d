"""What `rsae sweep` does: members, groups, an engine, and the page at the end."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rsae.commands.activations import open_dataset
from rsae.commands.output import show
from rsae.files import RunLock, public_name, read_json
from rsae.memory import memory_budget, parse_size
from rsae.terminal import Console
from rsae_evals.errors import EvaluationError
from rsae_evals.sweep.engines import run_here, run_on_ray
from rsae_evals.sweep.groups import SweepPlan, plan_of, write_failure
from rsae_evals.sweep.index import Row, rows_of, write_index
from rsae_evals.sweep.members import Member, members_of

__all__ = ["run"]

_SETTINGS = (
    "family", "keep", "only", "baselines", "steps", "tokens", "model", "hook", "text", "seed",
    "preset", "config", "dtype", "dataset", "stream",
)  # fmt: skip
_SOME_FAILED = 4


def run(args: argparse.Namespace) -> int:
    """Upgrade, evaluate and report every SAE that is not finished, then write the page."""
    args.resume, args.activations = True, None
    budget = parse_size(args.memory) if args.memory else None
    with memory_budget(budget):
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    members = members_of(args.saes)
    open_dataset(args)  # a wrong name ends the sweep before any model is loaded
    if args.dry_run:
        plan = plan_of(members, args, args.out)
        show(_planned(plan), args.json)
        return _SOME_FAILED if plan.failures else 0
    settings = {name: _plain(getattr(args, name)) for name in _SETTINGS}
    with RunLock(args.out):
        _check_settings(args.out, settings)
        write_index(rows_of(members, args.out), args.out, settings)
        try:
            plan = plan_of(members, args, args.out)
            for name, error in plan.failures.items():
                write_failure(args.out / name, error)
            engine = run_on_ray if args.engine == "ray" else run_here
            engine(plan.groups, args, args.out)
        finally:  # an interrupted sweep has its page too
            rows = rows_of(members, args.out)
            page = write_index(rows, args.out, settings)
    _say(rows, members, page, args.json)
    return 0 if all(row.state == "done" for row in rows) else _SOME_FAILED


def _planned(plan: SweepPlan) -> list[dict[str, Any]]:
    good = [
        {"sae": placed.member.name, "group": group.name, "hook": str(placed.site)}
        | plan.estimates[placed.member.name]
        for group in plan.groups
        for placed in group.placed
    ]
    return good + [{"sae": name, "failed": str(error)} for name, error in plan.failures.items()]


def _plain(value: Any) -> Any:
    return public_name(str(value)) if isinstance(value, Path) else value


def _check_settings(out: Path, settings: dict[str, Any]) -> None:
    """Refuse a folder whose SAEs were upgraded with other settings."""
    file = out / "sweep.json"
    if not file.exists():
        return
    known = read_json(file)
    before = known.get("settings") if isinstance(known, dict) else None
    if not isinstance(before, dict):
        raise EvaluationError(f"{file} is no record of a sweep; choose another folder")
    other = [f"--{name}" for name, value in settings.items() if before.get(name) != value]
    if other:
        raise EvaluationError(
            f"{out} holds a sweep with another {', '.join(other)}; give the same or another folder"
        )


def _say(rows: Sequence[Row], members: Sequence[Member], page: Path, json: bool) -> None:
    if json:
        show([asdict(row) for row in rows], json)
        return
    console = Console()
    for row in rows:
        if row.state == "failed":
            console.print(f"{row.name} failed: {row.cause}", soft_wrap=True)
    done = sum(row.state == "done" for row in rows)
    console.print(f"{done} of {len(members)} SAEs upgraded. Index: {page}", soft_wrap=True)
