"""The options of `rsae eval`, `compare`, `probe`, `report` and `sweep`, for the command `rsae`.

What a command does, and with it torch and SAELens, is imported when it runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rsae_cli.parsers import (
    add_device,
    add_habits,
    add_source_settings,
    add_upgrade_settings,
    when_run,
)

__all__ = ["register"]

_COMMANDS = "rsae_evals.commands.evaluation"


def register(subparsers: Any) -> None:
    """Add the commands to `rsae`; each sets ``run(args) -> int``."""
    _add_eval(subparsers)
    _add_compare(subparsers)
    _add_probe(subparsers)
    _add_report(subparsers)
    _add_sweep(subparsers)


def _add_eval(subparsers: Any) -> None:
    command = subparsers.add_parser(
        "eval",
        help="measure one SAE, RSAE or transcoder",
        description="Measure one SAE or transcoder on held-out tokens: reconstruction, sparsity, "
        "increase of the language model's loss.",
        example="rsae eval demo:relu --tokens 4096",
    )
    command.add_argument("path", help="a folder or file in any format rsae reads, or demo:relu")
    _add_setting(command)
    _add_measures(command)
    command.add_argument("--out", type=Path, help="write a report into this folder")
    command.set_defaults(run=when_run(_COMMANDS, "run_eval"))


def _add_compare(subparsers: Any) -> None:
    command = subparsers.add_parser(
        "compare",
        help="say which of several SAEs is better",
        description="Measure SAEs, or transcoders, on the same held-out tokens. Every earlier one "
        "is the baseline of every later one, so give the teacher first and the RSAE last.",
        example="rsae compare teacher=demo:relu rsae=runs/relu/rsae --out runs/report",
    )
    _add_variants(command, "*")
    command.add_argument(
        "--known-features",
        nargs="*",
        metavar="[NAME=]PATH[,PATH…]",
        help="SAEs of a synthetic world, whose true features are known: the whole comparison "
        "without other SAEs, else a section of the report; without a name, all packaged ones",
    )
    command.add_argument(
        "--world", type=Path, help="folder of that world (default: the packaged one)"
    )
    command.add_argument(
        "--pareto",
        action="append",
        default=[],
        metavar="NAME=PATH,PATH…",
        help="SAEs of one variant at several L0s, for a curve; may be given repeatedly",
    )
    command.add_argument(
        "--level", type=float, default=0.95, help="confidence level (default 0.95)"
    )
    _add_setting(command)
    _add_measures(command)
    command.add_argument(
        "--out", type=Path, default=Path("rsae-report"), help="folder of the report (%(default)s)"
    )
    command.set_defaults(run=when_run(_COMMANDS, "run_compare"))


def _add_probe(subparsers: Any) -> None:
    command = subparsers.add_parser(
        "probe",
        help="how well a few features predict a label of a text",
        description="k-sparse probing of SAEs on labelled texts, beside two untrained "
        "baselines: the residual channels and a random dictionary.",
        example="rsae probe demo:relu --labels texts.csv",
    )
    _add_variants(command)
    _add_labels(command)
    _add_setting(command)
    command.add_argument("--out", type=Path, help="write a report into this folder")
    command.set_defaults(
        run=when_run(_COMMANDS, "run_probe"), pareto=[], level=0.95, no_downstream=True, probe=True
    )


def _add_report(subparsers: Any) -> None:
    command = subparsers.add_parser(
        "report",
        help="make a report again from its report.json",
        description="Write report.html and report.md again from report.json.",
        example="rsae report runs/report",
    )
    command.add_argument("path", type=Path, help="report.json, or a folder that holds one")
    command.add_argument("--out", type=Path, help="folder of the report (default: the same folder)")
    add_habits(command, "print the comparison as JSON")
    command.set_defaults(run=when_run("rsae_evals.commands.report", "run_report"))


def _add_setting(command: argparse.ArgumentParser) -> None:
    add = command.add_argument_group("evaluation set").add_argument
    add("--model", help="language model (default: the SAE's own, or the packaged one)")
    add("--hook", help="hook that is read (default: the SAE's own)")
    add("--text", type=Path, help="txt, jsonl or a folder (default: the packaged text)")
    add(
        "--tokens",
        type=int,
        default=32_768,
        help="number of held-out tokens, in whole sequences (default %(default)s)",
    )
    add("--context-size", type=int, default=128, help="tokens per sequence (default %(default)s)")
    add(
        "--seed",
        type=int,
        default=0,
        help="random seed of the held-out split (default %(default)s)",
    )
    add("--cache", type=Path, help="cache folder of activations and measurements")
    add_device(command)
    add_habits(command, "print the comparison as JSON")


def _add_variants(command: argparse.ArgumentParser, number: str = "+") -> None:
    command.add_argument(
        "variants",
        nargs=number,
        metavar="[NAME=]PATH[,PATH…]",
        help="an SAE, or the SAEs of one variant with several training seeds",
    )


def _add_measures(command: argparse.ArgumentParser) -> None:
    add = command.add_argument_group("metrics").add_argument
    add("--no-downstream", action="store_true", help="do not splice into the language model")
    add("--probe", action="store_true", help="add k-sparse probing")
    _add_labels(command)


def _add_labels(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="labelled texts to probe with, csv or jsonl with a column `text` and one for each "
        "task (default: packaged reviews and news, by domain and sentiment)",
    )


def _add_sweep(subparsers: Any) -> None:
    command = subparsers.add_parser(
        "sweep",
        help="upgrade, evaluate and report many SAEs, with one page that compares them",
        description="Upgrade every SAE or transcoder of a release, a folder or a list. Those of "
        "one width, language model and context size share one pass of the model. One that fails is "
        "a row with its cause, and the same command does only what is missing. The exit code is 4 "
        "where one failed.",
        example="rsae sweep demo:relu demo:topk --out runs/sweep",
    )
    command.add_argument(
        "saes",
        nargs="+",
        metavar="SAE",
        help="a folder of SAEs, a pattern of paths, a text file with one SAE a line, a release of "
        "SAELens with a pattern (RELEASE/layer_1*), or one SAE",
    )
    command.add_argument("--out", type=Path, required=True, help="folder for everything")
    command.add_argument(
        "--engine",
        choices=["local", "ray"],
        default="local",
        help="where groups run: one after another here, or as tasks of Ray (%(default)s)",
    )
    command.add_argument(
        "--workers",
        type=int,
        help="groups at once on a Ray that is started here (default: one per CPU)",
    )
    add_upgrade_settings(command)
    add_source_settings(command)
    command.add_argument("--hook", help="hook of SAEs that name none")
    add_habits(command, "the rows as JSON on stdout")
    command.set_defaults(run=when_run("rsae_evals.commands.sweep"), tokens=None)
