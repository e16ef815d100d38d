"""The options of `rsae upgrade`, `refine`, `harvest`, `teacher`, `info` and `export`."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_TRAIN_TOKENS = 48_000
_CALIBRATION_TOKENS = 8_192
_SAE = "folder, file, release/sae_id or demo:FAMILY"


def add_upgrade(subparsers: _SubParsersAction[Any]) -> None:
    """Add `rsae upgrade`."""
    parser = subparsers.add_parser(
        "upgrade",
        help="lower a trained SAE's error, changing as little of it as wanted, and report",
        description="Upgrade a trained SAE or transcoder, changing as much as --keep allows. "
        "Without TEACHER the three packaged ones are upgraded one after another. The exit code is "
        "3 where a result has a higher error than its teacher.",
        example="rsae upgrade demo:relu --out runs/relu",
    )
    add = parser.add_argument
    add("teacher", nargs="?", metavar="TEACHER", help=_SAE)
    add(
        "--out", type=Path, default=Path("runs/upgrade"), help="folder for everything (%(default)s)"
    )
    add_upgrade_settings(parser)
    add("--hook", help="hook that is read; by default the one the teacher names")
    add("--activations", type=Path, help="a store of activations that rsae harvest wrote")
    add_source_settings(parser)
    add("--resume", action="store_true", help="continue the run in OUT")
    add_habits(parser, "a summary as JSON on stdout")
    parser.set_defaults(run=when_run("rsae.commands.upgrade"), tokens=None)


def add_source_settings(parser: argparse.ArgumentParser) -> None:
    """Where the activations of an upgrade of any number of SAEs come from, and in what memory."""
    add = parser.add_argument
    add(
        "--dataset",
        metavar="NAME[:SPLIT]|PATH",
        help="text to read document by document: a data set of the Hugging Face hub, or jsonl, "
        "jsonl.gz, parquet, arrow or txt files; instead of --text",
    )
    add(
        "--stream",
        action="store_true",
        help="train on activations as the language model makes them; only those to calibrate and "
        "evaluate on are kept on disk. Of a data set, --tokens limits one pass; by default it is "
        "read as far as the steps go",
    )
    add(
        "--memory",
        metavar="SIZE",
        help="memory for blocks of tokens times features while calibrating, training and "
        "measuring, such as 2GB; weights and what Adam keeps of them come on top (no limit)",
    )


def add_upgrade_settings(parser: argparse.ArgumentParser) -> None:
    """What may be chosen for an upgrade of any number of SAEs."""
    add = parser.add_argument
    add(
        "--family",
        choices=["auto", "relu", "jumprelu", "topk"],
        default="auto",
        help="activation family of the teacher (%(default)s: as its file says)",
    )
    add(
        "--keep",
        choices=["auto", "features", "directions", "nothing"],
        help="what is not trained: all weights (features; not of a transcoder), the decoder "
        "(directions), or nothing; auto, the default, is the best for the family",
    )
    add(
        "--baselines",
        action="store_true",
        help="train also the fine-tuned teacher, thresholds only and a rational, for the table",
    )
    add(
        "--only",
        choices=["rsae"],
        help="train nothing but the result; without it, baselines that it is measured against too",
    )
    add("--steps", type=int, help="optimiser steps per variant (default: that of the preset)")
    add(
        "--tokens",
        type=int,
        default=_TRAIN_TOKENS,
        help=f"tokens to train on (default: {_TRAIN_TOKENS})",
    )
    add("--model", help="language model; by default the one the teacher names")
    add("--text", type=Path, help="txt, jsonl or folder; by default the packaged text")
    add("--seed", type=int, help="random seed for the batch order (default: 0)")
    add(
        "--preset",
        choices=["default", "paper"],
        default="default",
        help="settings to start from (%(default)s)",
    )
    add("--config", type=Path, metavar="TOML", help="settings, see docs/rsae/configuration.md")
    add("--tracker", choices=["wandb", "tensorboard"], help="log each training step there as well")
    add_device(parser)
    add(
        "--dry-run",
        action="store_true",
        help="print the plan and an estimate of time and memory, then stop",
    )


def add_refine(subparsers: _SubParsersAction[Any]) -> None:
    """Add `rsae refine`."""
    parser = subparsers.add_parser(
        "refine",
        help="lower a trained SAE's error by a few steps after its encoder; nothing is trained",
        description="Conjugate-gradient steps bring the activations of any trained SAE close to "
        "least squares on its active features: no other feature fires, and some may stop. With "
        "--pursuit the features are chosen anew once, each as often as before. Ends with a report.",
        example="rsae refine demo:topk --pursuit --out runs/refined",
    )
    add = parser.add_argument
    add("path", metavar="SAE", help=f"{_SAE}, or a folder that rsae upgrade wrote")
    add("--out", type=Path, required=True, help="folder of the refined SAE and the report")
    add("--pursuit", action="store_true", help="choose the active features once more, then refine")
    add("--exact-k", action="store_true", help="pursuit of a TopK SAE keeps exactly k per token")
    add("--steps", type=int, default=3, metavar="K", help="refinement steps (%(default)s)")
    add(
        "--method",
        choices=["cg", "minimax", "exact"],
        default="cg",
        help="how to refine (%(default)s)",
    )
    add(
        "--tokens",
        type=int,
        default=_CALIBRATION_TOKENS,
        help="tokens to calibrate pursuit or fixed steps on (%(default)s)",
    )
    add(
        "--eval-tokens",
        type=int,
        metavar="N",
        help="held-out tokens to evaluate on, all of them for the model's loss too (default: about "
        "5,500, and 24 sequences for the loss)",
    )
    add("--model", help="language model; by default the one the SAE names")
    add("--hook", help="hook of the activations; by default the one the SAE names")
    add("--text", type=Path, help="txt, jsonl or folder; by default the packaged text")
    add("--activations", type=Path, help="a store made by rsae harvest, instead of harvesting")
    add("--dry-run", action="store_true", help="print the plan, then stop")
    add_device(parser)
    add_habits(parser, "a summary as JSON on stdout")
    parser.set_defaults(run=when_run("rsae.commands.refine"))


def add_harvest(subparsers: _SubParsersAction[Any]) -> None:
    """Add `rsae harvest`."""
    parser = subparsers.add_parser(
        "harvest",
        help="cache a language model's activations in a folder, for rsae upgrade --activations",
        description="Cache activations of a language model. The same command continues a "
        "stopped run.",
        example="rsae harvest --hook blocks.12.hook_resid_post --out runs/store",
    )
    add = parser.add_argument
    add("--model", help="language model: a name, GGUF file or folder (the packaged one)")
    add(
        "--hook",
        nargs="+",
        required=True,
        help="one or more hooks, such as blocks.12.hook_resid_post",
    )
    add("--text", type=Path, help="txt, jsonl or folder; by default the packaged text")
    add("--tokens", type=int, default=_TRAIN_TOKENS, help="tokens to train on (%(default)s)")
    add("--context-size", type=int, default=128, help="tokens per sequence (%(default)s)")
    add("--out", type=Path, required=True, help="folder of the activations")
    add_device(parser)
    add_habits(parser, "what was written, as JSON on stdout")
    parser.set_defaults(run=when_run("rsae.commands.harvest"))


def add_teacher(subparsers: _SubParsersAction[Any]) -> None:
    """Add `rsae teacher inspect`."""
    parser = subparsers.add_parser("teacher", help="show what a trained SAE is")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    inspect = actions.add_parser(
        "inspect",
        help="print format, family, shapes, thresholds and metadata",
        example="rsae teacher inspect demo:relu",
    )
    inspect.add_argument("path", metavar="PATH", help=_SAE)
    inspect.add_argument("--format", help="file format (default: found by content)")
    add_habits(inspect, "as JSON")
    inspect.set_defaults(run=when_run("rsae.commands.teacher"))


def add_info(subparsers: _SubParsersAction[Any]) -> None:
    """Add `rsae info`."""
    parser = subparsers.add_parser(
        "info",
        help="describe an RSAE, an SAE, a transcoder or a folder of activations",
        example="rsae info runs/relu",
    )
    parser.add_argument("path", metavar="PATH", help=_SAE)
    add_habits(parser, "as JSON")
    parser.set_defaults(run=when_run("rsae.commands.info"))


def add_export(subparsers: _SubParsersAction[Any]) -> None:
    """Add `rsae export`."""
    parser = subparsers.add_parser(
        "export",
        help="write the nearest plain SAE, and print how much error that adds",
        description="Thresholds are kept; the rational becomes one gain per feature, by least "
        "squares on the packaged text or on a store of activations.",
        example="rsae export runs/relu --as jumprelu --out runs/plain",
    )
    add = parser.add_argument
    add("path", metavar="PATH", help="a folder that rsae upgrade wrote")
    add(
        "--as",
        dest="architecture",
        choices=["jumprelu"],
        default="jumprelu",
        help="architecture of the plain SAE (%(default)s)",
    )
    add("--out", type=Path, required=True, help="folder of the plain SAE")
    add(
        "--activations",
        type=Path,
        help="a store that rsae harvest wrote, whose calibration split is used",
    )
    add_device(parser)
    add_habits(parser, "the loss as JSON on stdout")
    parser.set_defaults(run=when_run("rsae.commands.export"))


def add_device(parser: argparse.ArgumentParser) -> None:
    """The device that a command computes on, and the floating type of the language model."""
    parser.add_argument(
        "--device",
        default="auto",
        metavar="auto|cpu|cuda[:i]|mps",
        help="where to compute (default %(default)s: the first GPU, or else the CPU)",
    )
    parser.add_argument(
        "--dtype",
        choices=["float32", "bfloat16", "float16"],
        default="float32",
        help="dtype of the language model's weights (default %(default)s); the SAE stays float32",
    )


def add_cache(subparsers: _SubParsersAction[Any]) -> None:
    """Add `rsae cache`."""
    parser = subparsers.add_parser(
        "cache",
        help="list or clear the cache folder",
        description="Unpacked language models, and activations and measurements of evaluations, "
        "are kept in the user's cache folder.",
        example="rsae cache --clear measurements",
    )
    kinds = ["models", "activations", "measurements", "all"]
    parser.add_argument("--clear", choices=kinds, help="remove these")
    add_habits(parser, "folder and sizes as JSON")
    parser.set_defaults(run=when_run("rsae_cli.cache"))


def add_doctor(subparsers: _SubParsersAction[Any]) -> None:
    """Add `rsae doctor`."""
    parser = subparsers.add_parser(
        "doctor",
        help="say what is installed, what is missing and what to do about it",
        description="Versions, device, memory, caches, and whether the model hub answers. The exit "
        "code is 1 where something that rsae needs is missing.",
        example="rsae doctor --json",
    )
    add_habits(parser, "the findings as JSON")
    parser.set_defaults(run=when_run("rsae_cli.doctor"))


def add_habits(parser: argparse.ArgumentParser, json: str) -> None:
    """Options of every command; `json` is the help of ``--json``."""
    parser.add_argument("--json", action="store_true", help=json)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def when_run(module: str, name: str = "run") -> Callable[[argparse.Namespace], int]:
    """A command `module.name(args)` whose module is imported only when it runs."""

    def run(args: argparse.Namespace) -> int:
        return int(getattr(importlib.import_module(module), name)(args))

    return run
