"""A comparison of SAEs on a synthetic world, where the true features are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rsae_evals.comparison.comparing import compare
from rsae_evals.data.evaluation_set import ROWS_PER_SEQUENCE, evaluation_set
from rsae_evals.metrics.measurement import Progress
from rsae_evals.metrics.reconstruction import Reconstruction
from rsae_evals.metrics.recovery import Recovery
from rsae_evals.results import Comparison
from rsae_evals.synthetic import World, load_world

__all__ = ["known_features"]

#: Samples that every SAE is measured on: 128 blocks for the bootstrap.
SAMPLES = 16_384

#: Seed of those samples; teachers and what is trained from them use others.
SAMPLE_SEED = 20_260


def known_features(
    saes: Mapping[str, Any],
    world: World | Path | str | None = None,
    *,
    n_samples: int = SAMPLES,
    seed: int = SAMPLE_SEED,
    level: float = 0.95,
    cache: Path | None = None,
    provenance: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Measure SAEs of a synthetic world on the same samples, against its true features.

    Beside reconstruction and sparsity this gives MCC, F1, precision, recall, shrinkage,
    uniqueness and the number of true features found (see `rsae_evals.metrics.recovery.Recovery`),
    and each SAE's feature identity with the first. Differences are paired; their intervals are
    over samples, crossed with training seeds where a variant has several.

    Args:
        saes: Name → an SAE (anything `as_coder` takes), or a list with one per training seed.
            Give the teacher first: every earlier one is the baseline of every later one.
        world: The world that they were trained on, or the folder of one; None is the packaged
            one.
        n_samples: Number of samples to measure on.
        seed: Random seed of the samples; use one that nothing was trained on.
        level: Confidence level of the intervals.
        cache: Folder for measurements, so that an interrupted run continues.
        provenance: Versions, seeds and commands, kept with the result.
        progress: Called as progress(what, share done).

    Returns:
        A comparison like any other: `rsae_evals.report.write` makes its report.

    Raises:
        EvaluationError: An SAE has another width than the world, or shows no decoder.

    Example:
        >>> from rsae_evals import known_features
        >>> from rsae_evals.synthetic import load_world
        >>> found = known_features({"topk": load_world().teacher("topk")}, n_samples=1024)
        >>> 0.4 < found.variant("topk").metrics["f1"] < 0.9
        True

    References:
        SynthSAEBench, arXiv 2602.14687.
    """
    chosen = world if isinstance(world, World) else load_world(world)
    x, firing = chosen.sample(n_samples, seed=seed)
    found = compare(
        saes,
        evaluation_set(x),
        metrics=[Reconstruction(), Recovery(chosen.features, firing)],
        level=level,
        cache=cache,
        provenance={"world_seed": chosen.model.cfg.seed, "sample_seed": seed, **(provenance or {})},
        progress=progress,
    )
    tokens = found.tokens | {
        "sample": f"samples of a synthetic world of {len(chosen.features):,} known features",
        "units": f"blocks of {ROWS_PER_SEQUENCE} independent samples",
        "true_l0": float(firing.sum(dim=1).double().mean()),
    }
    return replace(found, tokens=tokens)
