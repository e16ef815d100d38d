"""One cell on a synthetic world: known features, before and after."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from experiments.variants import make_variants
from rsae.upgrading import sample_of
from rsae_evals import Comparison, known_features
from rsae_evals.synthetic import load_world

SAMPLES = 81_920  # a tenth each to calibrate on and, unused here, to hold out
SAMPLE_SEED = 7_000  # plus the world's; teachers and evaluation have others
FIGURES = ("mse", "l0", "f1", "mcc", "precision", "recall", "frac_alive")


def run(world_seed: int, family: str, steps: int, folder: Path) -> dict[str, Any]:
    """The record of a cell.

    Args:
        world_seed: Random seed of the world, in `folder`/SEED as scripts/make_world.py makes it;
            the order of the batches has it too.
        family: The family of the teacher.
        steps: Steps of each training.
        folder: The worlds; what is trained is kept beside them.
    """
    begin = time.perf_counter()
    world = load_world(folder / str(world_seed))
    x, _ = world.sample(SAMPLES, seed=SAMPLE_SEED + world_seed)
    kept = folder / "upgrades" / f"{family}-{world_seed}"
    saes = make_variants(
        world.teacher(family), sample_of(x), steps=steps, seed=world_seed, folder=kept
    )
    found = known_features(saes, world)
    seconds = round(time.perf_counter() - begin)
    return {"cell": f"{family}-{world_seed}", "seconds": seconds, "variants": described(found)}


def described(comparison: Comparison) -> dict[str, Any]:
    """Figures, identity, and the intervals over samples of what changes against the teacher."""
    found: dict[str, Any] = {}
    for arm in comparison.arms:
        identity = arm.identity.figures if arm.identity else {}
        found[arm.name] = {
            "figures": {name: arm.metrics[name] for name in FIGURES},
            "identity": {k: [v.median, v.tenth_percentile] for k, v in identity.items()},
        }
        if arm.name != "teacher":
            changes = {m: comparison.difference(m, arm.name, "teacher") for m in ("mse", "f1")}
            found[arm.name]["change"] = {m: [d.value, d.low, d.high] for m, d in changes.items()}
    return found
