"""One teacher, many ways to give the rational more to do: what each is worth at equal strict L0.

    python -m benchmarks.rsae.variants --activations runs/demo/activations demo:jumprelu

Every row is the RSAE under one changed setting, measured on the held-out tokens, against the
threshold-only variant under the default settings. Rows that are in the JSON file are not run again.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rsae.data import ActivationStore
from rsae.files import write_json
from rsae.metrics import measure
from rsae.pretrained import load_teacher
from rsae.upgrading import UpgradeConfig, fit_rational, sample_of
from rsae.upgrading.calibrate import calibrate
from rsae.upgrading.config import merge
from rsae.upgrading.finetune import VariantName, finetune

VARIANTS: dict[str, tuple[VariantName, dict[str, Any]]] = {
    "threshold-only": ("threshold_only", {}),
    "a trained scale alone, type (0, 0)": ("rational", {"rational": {"degree": [0, 0]}}),
    "magnitude (3, 2), the default": ("rational", {}),
    "magnitude (5, 4)": ("rational", {"rational": {"degree": [5, 4]}}),
    "magnitude (9, 8)": ("rational", {"rational": {"degree": [9, 8]}}),
    "coefficients' rate x 5": ("rational", {"train": {"rational_lr": 1e-2}}),
    "coefficients' rate x 1/5": ("rational", {"train": {"rational_lr": 4e-4}}),
    "kernel x 1/3": ("rational", {"train": {"window": 0.1}}),
    "kernel x 2": ("rational", {"train": {"window": 0.6}}),
    "gate (27, 26) about the threshold": (
        "rational",
        {"rational": {"form": "gate", "delta": 1e-3}},
    ),
    "gate (9, 8), L1 penalty (the paper's)": (
        "rsae",
        {"rational": {"form": "gate", "layers": 2, "delta": 1e-2}, "objective": "l1"},
    ),
    "bfloat16 product": ("rational", {"train": {"precision": "bfloat16"}}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("teacher")
    add("--activations", type=Path, required=True, help="a store made by rsae harvest or upgrade")
    add("--json", type=Path, default=Path("runs/rsae-variants.json"))
    args = parser.parse_args()
    store = ActivationStore.open(args.activations)
    found = json.loads(args.json.read_text()) if args.json.exists() else {}
    for name, (variant, settings) in VARIANTS.items():
        key = f"{args.teacher} {args.activations} {name}"
        if key not in found:
            Console(stderr=True).print(key)
            found[key] = one(args.teacher, store, variant, settings)
            args.json.parent.mkdir(parents=True, exist_ok=True)
            write_json(args.json, found)
    base = found[f"{args.teacher} {args.activations} threshold-only"]["mse"]
    table = Table("variant", "MSE", "strict L0", "against threshold-only, %", "largest batch L0")
    for name in VARIANTS:
        row = found[f"{args.teacher} {args.activations} {name}"]
        against = f"{100 * (row['mse'] / base - 1):+.2f}"
        table.add_row(
            name, f"{row['mse']:.1f}", f"{row['l0']:.2f}", against, f"{row['max_l0']:.1f}"
        )
    Console(width=120).print(table)


def one(
    name: str, store: ActivationStore, variant: VariantName, settings: dict[str, Any]
) -> dict[str, Any]:
    """Train one variant with changed settings; its metrics on the held-out tokens."""
    teacher = load_teacher(name)
    sample = sample_of(store, str(teacher.metadata["hook_name"]))
    config = merge(UpgradeConfig(), settings, name)
    x = sample.calibration.tensor()
    start = calibrate(teacher, fit_rational(config.rational), x)
    trained = finetune(variant, teacher, start, sample.train, sample.calibration, config)
    assert trained.training is not None
    figures = asdict(measure(trained.sae, sample.heldout.tensor()))
    return {**figures, "max_l0": trained.training.max_l0}


if __name__ == "__main__":
    main()
