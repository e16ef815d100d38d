"""An estimate of the time and memory of an upgrade, and the peak memory afterwards."""

from __future__ import annotations

import sys
from typing import Any

from rsae.data.order import block_rows
from rsae.pretrained import Teacher
from rsae.upgrading.config import UpgradeConfig
from rsae.upgrading.finetune import trainings
from rsae.upgrading.plan import plan

__all__ = ["COPIES", "estimate", "peak_memory_gib"]

_GIB = 2**30
_TOKENS_PER_SECOND = 1_400  # caching activations of a 135M model at its middle, two CPU cores
_FLOPS = 5e10  # of one product on one CPU core, sustained
_OVERHEAD = 4.0  # of a training step over its one dense product
COPIES = 7
"""What training holds of the weights: themselves, gradients, two moments, a snapshot of three."""

_BASE_GIB = 2.0  # interpreter, libraries, a small language model


def estimate(teacher: Teacher, config: UpgradeConfig, n_tokens: int) -> dict[str, Any]:
    """Seconds and peak memory to expect, to within a factor of two on a laptop's CPU.

    Of the activations, float16, two blocks of the training order are in memory at once, whether
    they come from a store or from a stream; see `rsae.data.order`.
    """
    train, weights = config.train, 2 * teacher.d_in * teacher.d_sae
    planned = plan(teacher, config)
    product = 2 * train.batch_size * teacher.d_in * teacher.d_sae
    batch = train.batch_size * teacher.d_sae
    held = min(n_tokens, 2 * block_rows(train.batch_size))
    size = 4 * (COPIES * weights + 3 * batch) + 2 * held * teacher.d_in
    return {
        "teacher": teacher.source,
        "family": teacher.family,
        "d_in": teacher.d_in,
        "d_sae": teacher.d_sae,
        "keep": planned.keep,
        "plan": planned.sentence,
        "trained": list(planned.trained),
        "steps_per_variant": train.steps,
        "harvest_seconds": round(n_tokens / _TOKENS_PER_SECOND),
        "training_seconds": round(
            sum(map(trainings, planned.trained)) * train.steps * product * _OVERHEAD / _FLOPS
        ),
        "peak_memory_gib": round(_BASE_GIB + size / _GIB, 1),
    }


def peak_memory_gib() -> float:
    """Largest resident set of this process so far."""
    if sys.platform == "win32":  # psutil knows the peak on Windows only, `resource` elsewhere only
        import psutil

        return round(psutil.Process().memory_info().peak_wset / _GIB, 2)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / _GIB, 2)
