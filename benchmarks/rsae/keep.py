"""How much of a teacher may change: every budget on synthetic worlds with known features.

    python scripts/make_world.py --seed 21 --teacher-seed 1021 --out runs/worlds/21
    python -m benchmarks.rsae.keep runs/worlds/21 --choose --json benchmarks/rsae/keep.json
    python -m benchmarks.rsae.keep --json benchmarks/rsae/keep.json        # the tables again

For each world, family and variant: MSE, strict L0, F1, MCC, precision and recall of
the known features, firing Jaccard and decoder cosine with the teacher, all on the same 16 384
samples that nothing was trained on; then the interval of the difference in F1 to the teacher. What
the JSON file holds is not computed again.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from rsae import RSAE
from rsae.files import write_json
from rsae.pretrained import Teacher
from rsae.train import TrainConfig
from rsae.upgrading import UpgradeConfig, fit_rational, refine, sample_of
from rsae.upgrading.calibrate import calibrate
from rsae.upgrading.config import Kept
from rsae.upgrading.finetune import finetune
from rsae.upgrading.plan import TrainedName
from rsae.upgrading.refining import as_rsae
from rsae.upgrading.sample import Sample
from rsae_evals import known_features
from rsae_evals.results import Comparison
from rsae_evals.synthetic import World, load_world

FAMILIES = ("relu", "topk", "jumprelu", "batchtopk", "matryoshka")
SAMPLES = 81_920  # a tenth each to calibrate on and, unused here, to hold out
SAMPLE_SEED = 7_000  # plus the world's; teachers and evaluation have others
FIGURES = ("mse", "l0", "f1", "mcc", "precision", "recall")


@dataclass(frozen=True)
class Variant:
    """What is trained, of how much freedom, with which settings, and what may follow."""

    trained: TrainedName | None = None
    keep: Kept = "nothing"
    train: dict[str, Any] = field(default_factory=dict)
    steps: tuple[str, ...] = ("", " + CG", " + pursuit")


SLOWER = {"lr": 3e-2 / 16, "bias_lr": 6e-3 / 16, "rational_lr": 2e-3 / 16}

#: What is reported on every world.
VARIANTS = {
    "teacher": Variant(),
    "directions": Variant("threshold_only", "directions", steps=(" + pursuit",)),
    "nothing": Variant("threshold_only", steps=(" + CG",)),
    "nothing, rational": Variant("rational", steps=(" + CG",)),
}

#: What else the settings were chosen from, with all steps (`--choose`).
CHOICES = {
    "teacher": Variant(),
    "directions": Variant("threshold_only", "directions"),
    "directions, wide kernel": Variant("threshold_only", "directions", {"window": 1.8}),
    "nothing": Variant("threshold_only"),
    "nothing, narrow kernel": Variant("threshold_only", "nothing", {"window": 0.05}),
    "nothing, rates / 16": Variant("threshold_only", "nothing", SLOWER),
    "nothing, rational": Variant("rational"),
}
STEPS: dict[str, Callable[[RSAE, Sample], RSAE]] = {
    "": lambda sae, _: sae,
    " + CG": lambda sae, _: refine(sae),
    " + pursuit": lambda sae, sample: refine(sae, sample.calibration, pursuit=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("world", nargs="*", type=Path, help="folders made by scripts/make_world.py")
    add("--family", nargs="+", choices=FAMILIES, default=FAMILIES)
    add("--choose", action="store_true", help="all settings that were tried, not only the chosen")
    add("--json", type=Path, default=Path("benchmarks/rsae/keep.json"))
    args = parser.parse_args()
    found = json.loads(args.json.read_text()) if args.json.exists() else {}
    console = Console(stderr=True)
    for folder in args.world:
        world = load_world(folder)
        for family in args.family:
            key = f"{world.model.cfg.seed} {family}"
            if key not in found:
                console.print(f"world {key}")
                found[key] = cell(world, family, CHOICES if args.choose else VARIANTS)
                write_json(args.json, found)
    show(found)


def cell(world: World, family: str, variants: dict[str, Variant]) -> dict[str, Any]:
    """Figures by variant for one teacher."""
    seed = int(world.model.cfg.seed or 0)
    x, _ = world.sample(SAMPLES, seed=SAMPLE_SEED + seed)
    sample = sample_of(x)
    teacher = world.teacher(family)
    saes = {}
    for name, variant in variants.items():
        base = as_rsae(teacher) if variant.trained is None else trained(variant, teacher, sample)
        saes |= {name + step: STEPS[step](base, sample) for step in variant.steps}
    return figures(known_features(saes, world))


def trained(variant: Variant, teacher: Teacher, sample: Sample) -> RSAE:
    """The teacher, trained as the variant says, at the teacher's mean L0."""
    assert variant.trained is not None
    config = UpgradeConfig(train=replace(TrainConfig(), **variant.train))
    x = sample.calibration.tensor()
    start = calibrate(teacher, fit_rational(config.rational), x)
    return finetune(
        variant.trained, teacher, start, sample.train, sample.calibration, config, keep=variant.keep
    ).sae


def figures(comparison: Comparison) -> dict[str, Any]:
    """Plain numbers of one comparison."""
    content = {}
    for variant in comparison.variants:
        one: dict[str, Any] = {name: variant.metrics[name] for name in FIGURES}
        if variant.identity is not None:
            jaccard = variant.identity.figures["firing_jaccard"]
            one["firing_jaccard"] = [jaccard.median, jaccard.tenth_percentile]
            one["decoder_cosine"] = variant.identity.figures["decoder_cosine"].median
        if variant is not comparison.variants[0]:
            change = comparison.difference("f1", variant.name, comparison.variants[0].name)
            one["f1_change"] = [change.value, change.low, change.high]
        content[variant.name] = one
    return content


def show(found: dict[str, Any]) -> None:
    """One Markdown table per world and family."""
    for key, variants in found.items():
        columns = ("MSE", "L0", "F1", "F1 − teacher's, 95 %", "MCC", "Jaccard", "cosine")
        table = Table(f"world {key}", *columns, box=MARKDOWN)
        for name, one in variants.items():
            table.add_row(name, *cells(one, variants["teacher"]))
        Console(width=130).print(table)
        print()


def cells(one: dict[str, Any], teacher: dict[str, Any]) -> list[str]:
    """One row: MSE with its change in percent, L0, F1 and its change, MCC, identity."""
    change = 100 * (one["mse"] / teacher["mse"] - 1)
    value, low, high = one.get("f1_change", (0.0, 0.0, 0.0))
    jaccard = one.get("firing_jaccard", (1.0, 1.0))
    return [
        f"{one['mse']:.2f} ({change:+.1f} %)",
        f"{one['l0']:.2f}",
        f"{one['f1']:.3f}",
        f"{value:+.3f} ({low:+.3f} to {high:+.3f})",
        f"{one['mcc']:.3f}",
        f"{jaccard[0]:.2f}",
        f"{one.get('decoder_cosine', 1.0):.3f}",
    ]


if __name__ == "__main__":
    main()
