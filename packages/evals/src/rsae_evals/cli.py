"""The commands `rsae eval`, `compare`, `probe` and `report`, plugged into `rsae`."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from rsae_evals.comparison import Comparison
    from rsae_evals.heldout import Heldout
    from rsae_evals.measurement import Metric

__all__ = ["register"]


def register(subparsers: Any) -> None:
    """Add the commands to `rsae`; each sets ``run(args) -> int``. Nothing heavy is imported."""
    _add_eval(subparsers)
    _add_compare(subparsers)
    _add_probe(subparsers)
    _add_report(subparsers)


def _add_eval(subparsers: Any) -> None:
    command = subparsers.add_parser(
        "eval",
        help="measure one SAE or RSAE",
        description="Measure one dictionary on held-out tokens: reconstruction, sparsity, and "
        "what its reconstruction costs the language model.",
    )
    command.add_argument("path", help="a folder or file in any format rsae reads, or demo:relu")
    _add_setting(command)
    _add_measures(command)
    command.add_argument("--out", type=Path, help="write a report into this folder")
    command.set_defaults(run=_eval)


def _add_compare(subparsers: Any) -> None:
    command = subparsers.add_parser(
        "compare",
        help="say which of several SAEs is better",
        description="Measure dictionaries on the same held-out tokens. Every earlier one is the "
        "baseline of every later one, so give the teacher first and the RSAE last.",
    )
    _add_arms(command)
    command.add_argument(
        "--pareto",
        action="append",
        default=[],
        metavar="NAME=PATH,PATH…",
        help="one arm's dictionaries at several L0s, for a curve; may be given repeatedly",
    )
    command.add_argument("--level", type=float, default=0.95, help="of intervals (default 0.95)")
    _add_setting(command)
    _add_measures(command)
    command.add_argument(
        "--out", type=Path, default=Path("rsae-report"), help="folder of the report (%(default)s)"
    )
    command.set_defaults(run=_compare)


def _add_probe(subparsers: Any) -> None:
    command = subparsers.add_parser(
        "probe",
        help="how much of a labelled concept a few features hold",
        description="k-sparse probing of dictionaries on labelled texts, beside the residual "
        "channels and a random dictionary.",
    )
    _add_arms(command)
    _add_labels(command)
    _add_setting(command)
    command.add_argument("--out", type=Path, help="write a report into this folder")
    command.set_defaults(run=_probe, pareto=[], level=0.95, no_downstream=True, probe=True)


def _add_report(subparsers: Any) -> None:
    command = subparsers.add_parser(
        "report",
        help="make a report again from its report.json",
        description="Write report.html and report.md again from report.json.",
    )
    command.add_argument("path", type=Path, help="report.json, or a folder that holds one")
    command.add_argument("--out", type=Path, help="folder of the report (default: where it is)")
    _add_habits(command)
    command.set_defaults(run=_report)


def _add_setting(command: argparse.ArgumentParser) -> None:
    add = command.add_argument_group("what is measured on").add_argument
    add("--host", help="language model (default: the dictionary's own, or the packaged one)")
    add("--hook", help="residual-stream hook (default: the dictionary's own)")
    add("--text", type=Path, help="txt, jsonl or a folder (default: the packaged text)")
    add("--tokens", type=int, default=32_768, help="at most so many (default %(default)s)")
    add("--context", type=int, default=128, help="tokens per sequence (default %(default)s)")
    add("--seed", type=int, default=0, help="of the held-out split (default %(default)s)")
    add("--cache", type=Path, help="folder of activations and measurements kept for next time")
    _add_habits(command)


def _add_arms(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "arms",
        nargs="+",
        metavar="[NAME=]PATH[,PATH…]",
        help="a dictionary, or one arm's dictionaries of several seeds",
    )


def _add_measures(command: argparse.ArgumentParser) -> None:
    add = command.add_argument_group("what is measured").add_argument
    add("--no-downstream", action="store_true", help="do not splice into the language model")
    add("--probe", action="store_true", help="k-sparse probing too")
    _add_labels(command)


def _add_labels(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="labelled texts to probe with, csv or jsonl with a column `text` and one for each "
        "task (default: packaged reviews and news, by domain and sentiment)",
    )


def _add_habits(command: argparse.ArgumentParser) -> None:
    """What every command has."""
    command.add_argument("--json", action="store_true", help="print the comparison as JSON")
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")


def _eval(args: argparse.Namespace) -> int:
    from rsae_evals.materials import load_coder

    found = _measure(args, {_name(args.path): [load_coder(args.path)]}, {}, 0.95)
    return _hand_over(found, args)


def _compare(args: argparse.Namespace) -> int:
    arms = _arms(args.arms)
    return _hand_over(_measure(args, arms, _arms(args.pareto), args.level), args)


def _probe(args: argparse.Namespace) -> int:
    from rsae_evals.report import show_probing

    found = _measure(args, _arms(args.arms), {}, args.level)
    if args.json:
        return _hand_over(found, args)
    show_probing(found, Console())
    if args.out:
        _write(found, args.out, Console())
    return 0


def _report(args: argparse.Namespace) -> int:
    from rsae_evals.report import read

    found = read(args.path)
    args.out = args.out or (args.path if args.path.is_dir() else args.path.parent)
    return _hand_over(found, args)


def _measure(
    args: argparse.Namespace,
    arms: Mapping[str, list[Any]],
    pareto: Mapping[str, list[Any]],
    level: float,
) -> Comparison:
    """Freeze the tokens that the options describe, and compare on them."""
    from rsae_evals.compare import compare
    from rsae_evals.materials import Setting, prepare
    from rsae_evals.progress import bars, progress_on
    from rsae_evals.provenance import provenance

    setting = Setting(args.host, args.hook, args.text, args.tokens, args.context, args.seed)
    cache = args.cache or _cache()
    console = Console(stderr=True)
    sources = [coder for coders in (*arms.values(), *pareto.values()) for coder in coders]
    with bars(console) as progress:
        heldout = prepare(setting, sources, cache, progress)
    known = {
        "host": heldout.host.name if heldout.host else None,
        "hook_name": heldout.hook_name,
        "text": str(args.text or "packaged"),
        "seed": args.seed,
    }
    with progress_on(console) as report_progress:
        return compare(
            arms,
            heldout,
            metrics=_metrics(args, heldout),
            pareto=pareto,
            level=level,
            cache=cache / "measurements",
            provenance=known | provenance(),
            progress=report_progress,
        )


def _metrics(args: argparse.Namespace, heldout: Heldout) -> list[Metric]:
    """The metrics that the options ask for."""
    from rsae_evals.compare import default_metrics
    from rsae_evals.metrics.reconstruction import Reconstruction
    from rsae_evals.probing import Probing, read

    metrics: list[Metric] = [Reconstruction()]
    if not args.no_downstream:
        metrics = default_metrics(heldout)
    if args.probe or args.labels:
        metrics.append(Probing(read(args.labels) if args.labels else None))
    return metrics


def _hand_over(found: Comparison, args: argparse.Namespace) -> int:
    """Write the report where one is wanted; print JSON, or else the table and where it lies."""
    from rsae_evals.report import show, write

    if args.json:
        if args.out:
            write(found, args.out)
        print(json.dumps(found.to_dict(), ensure_ascii=False))
        return 0
    console = Console()
    show(found, console)
    if args.out:
        _write(found, args.out, console)
    return 0


def _write(found: Comparison, out: Path, console: Console) -> None:
    from rsae_evals.report import write

    path = write(found, out) / "report.html"
    console.print(f"Report: {path}", soft_wrap=True, highlight=False)


def _arms(given: Iterable[str]) -> dict[str, list[Any]]:
    """``NAME=PATH,PATH`` arguments as named lists of loaded dictionaries."""
    from rsae_evals.errors import EvaluationError
    from rsae_evals.materials import load_coder

    arms: dict[str, list[Any]] = {}
    for argument in given:
        name, _, paths = argument.rpartition("=")
        name = name or _name(paths.split(",")[0])
        if name in arms:
            raise EvaluationError(
                f"two arms are called {name}; name them apart, as in first={paths}"
            )
        arms[name] = [load_coder(path) for path in paths.split(",")]
    return arms


def _name(path: str) -> str:
    return Path(path).name or path


def _cache() -> Path:
    """The user's cache folder (XDG base directory specification)."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "rsae" / "evals"
