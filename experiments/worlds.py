"""One cell on a synthetic world: known features, before and after."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from experiments.specification import WorldCell
from experiments.variants import make_variants
from rsae.upgrading import sample_of
from rsae_evals import Comparison, known_features
from rsae_evals.synthetic import load_world

SAMPLES = 81_920  # a tenth each to calibrate on and, unused here, to hold out
SAMPLE_SEED = 7_000  # plus the world's; teachers and evaluation have others
FIGURES = ("mse", "l0", "f1", "mcc", "precision", "recall", "frac_alive")


def run(cell: WorldCell, steps: int, folder: Path) -> dict[str, Any]:
    """The record of a cell.

    Args:
        cell: The cell; its world is in a folder of its own as scripts/make_world.py makes it.
        steps: Steps of each training.
        folder: The worlds; what is trained is kept beside them.
    """
    begin = time.perf_counter()
    world = load_world(folder / cell.folder)
    seed = cell.world + cell.offset
    x, _ = world.sample(SAMPLES, seed=SAMPLE_SEED + seed)
    kept = folder / "upgrades" / cell.name
    saes = make_variants(
        world.teacher(cell.family), sample_of(x), steps=steps, seed=seed, folder=kept
    )
    variants = described(known_features(saes, world))
    seconds = round(time.perf_counter() - begin)
    return {"cell": cell.name, "world": cell.world, "seconds": seconds, "variants": variants}


def described(comparison: Comparison) -> dict[str, Any]:
    """Figures, identity, and the intervals over samples of what changes against the teacher."""
    found: dict[str, Any] = {}
    for variant in comparison.variants:
        identity = variant.identity.figures if variant.identity else {}
        found[variant.name] = {
            "figures": {name: variant.metrics[name] for name in FIGURES},
            "identity": {k: [v.median, v.tenth_percentile] for k, v in identity.items()},
        }
        if variant.name != "teacher":
            changes = {m: comparison.difference(m, variant.name, "teacher") for m in ("mse", "f1")}
            found[variant.name]["change"] = {
                m: [d.value, d.low, d.high] for m, d in changes.items()
            }
    return found
