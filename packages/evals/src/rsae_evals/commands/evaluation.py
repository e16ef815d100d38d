"""What `rsae eval`, `compare` and `probe` do; their options are in `rsae_evals_cli`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rsae.commands.inputs import say_device
from rsae.devices import resolve_device
from rsae.files import make_folder, public_name
from rsae.terminal import Console
from rsae_evals.commands.report import hand_over, write_report
from rsae_evals.comparison.comparing import compare, default_metrics
from rsae_evals.comparison.known import known_features
from rsae_evals.data.evaluation_set import EvaluationSet
from rsae_evals.data.materials import Setting, load_coder, prepare
from rsae_evals.errors import EvaluationError
from rsae_evals.metrics.measurement import Metric
from rsae_evals.metrics.probing import Probing
from rsae_evals.metrics.probing import read as read_labels
from rsae_evals.metrics.reconstruction import Reconstruction
from rsae_evals.progress import bars, progress_on
from rsae_evals.provenance import provenance
from rsae_evals.report import show_probing
from rsae_evals.results import Comparison
from rsae_evals.synthetic import load_world

__all__ = ["run_compare", "run_eval", "run_probe"]


def run_eval(args: argparse.Namespace) -> int:
    """Measure one SAE, print its metrics, and write a report if asked to."""
    found = _measure(args, {_name(args.path): [_load(args.path, args)]}, {}, 0.95)
    return hand_over(found, args)


def run_compare(args: argparse.Namespace) -> int:
    """Measure SAEs on the same tokens, print which is better, write the report."""
    known = None
    if args.known_features is not None:
        known = _known_features(args)
        if not args.variants:
            return hand_over(known, args)
    if not args.variants:
        raise EvaluationError(
            "name the SAEs to compare, the teacher first; see rsae compare --help"
        )
    variants, pareto = _variants(args.variants, args), _variants(args.pareto, args)
    return hand_over(_measure(args, variants, pareto, args.level, known), args)


def _known_features(args: argparse.Namespace) -> Comparison:
    """Measure SAEs of a synthetic world, by default all that are packaged with it."""
    world = load_world(args.world)
    packaged = {name: [world.teacher(name)] for name in world.families}
    with progress_on(Console(stderr=True)) as progress:
        return known_features(
            _variants(args.known_features, args) or packaged,
            world,
            level=args.level,
            cache=(args.cache or _cache()) / "measurements",
            provenance=provenance(),
            progress=progress,
        )


def run_probe(args: argparse.Namespace) -> int:
    """Probe SAEs for labelled concepts, and print the accuracies."""
    found = _measure(args, _variants(args.variants, args), {}, args.level)
    if args.json:
        return hand_over(found, args)
    console = Console()
    for warning in found.warnings:
        console.print(f"Note: {warning}")
    show_probing(found, console)
    if args.out:
        write_report(found, args.out, console)
    return 0


def _measure(
    args: argparse.Namespace,
    variants: Mapping[str, list[Any]],
    pareto: Mapping[str, list[Any]],
    level: float,
    with_known_features: Comparison | None = None,
) -> Comparison:
    """Make the evaluation set that the options describe, and compare on it."""
    if args.out:
        make_folder(args.out)  # an error in writing should come before minutes of measuring
    device = resolve_device(args.device)
    setting = Setting(
        args.model,
        args.hook,
        args.text,
        args.tokens,
        args.context_size,
        args.seed,
        device=device,
        dtype=args.dtype,
    )
    cache = args.cache or _cache()
    console = Console(stderr=True)
    say_device(console, device, args.dtype)
    sources = [sae for saes in (*variants.values(), *pareto.values()) for sae in saes]
    with bars(console) as progress:
        heldout = prepare(setting, sources, cache, progress)
    known = {
        "host": public_name(heldout.host.name) if heldout.host else None,
        "hook_name": heldout.place,
        "text": public_name(str(args.text or "packaged")),
        "seed": args.seed,
    }
    with progress_on(console) as report_progress:
        return compare(
            variants,
            heldout,
            metrics=_metrics(args, heldout),
            pareto=pareto,
            known_features=with_known_features,
            level=level,
            cache=cache / "measurements",
            provenance=known | provenance(),
            progress=report_progress,
        )


def _metrics(args: argparse.Namespace, heldout: EvaluationSet) -> list[Metric]:
    """The metrics that the options ask for."""
    metrics: list[Metric] = [Reconstruction()]
    if not args.no_downstream:
        metrics = default_metrics(heldout)
    if args.probe or args.labels:
        metrics.append(Probing(read_labels(args.labels) if args.labels else None))
    return metrics


def _load(path: str, args: argparse.Namespace) -> Any:
    return load_coder(path).to(resolve_device(args.device))


def _variants(given: Iterable[str], args: argparse.Namespace) -> dict[str, list[Any]]:
    """``NAME=PATH,PATH`` arguments as named lists of loaded SAEs."""
    variants: dict[str, list[Any]] = {}
    for argument in given:
        name, _, given_paths = argument.rpartition("=")
        paths = given_paths.split(",")
        if not all(paths):
            raise EvaluationError(f"{argument!r} names no SAE; give NAME=PATH or a path")
        name = name or _name(paths[0])
        if name in variants:
            raise EvaluationError(
                f"two variants are called {name}; rename one, as in first={given_paths}"
            )
        variants[name] = [_load(path, args) for path in paths]
    return variants


def _name(path: str) -> str:
    return Path(path).name or path


def _cache() -> Path:
    """The user's cache folder (XDG base directory specification)."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "rsae" / "evals"
