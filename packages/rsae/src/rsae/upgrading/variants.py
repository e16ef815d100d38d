"""The variants of an upgrade: the teacher and what was trained, each also refined alike."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import islice

import torch
from torch import Tensor

from rsae.data import Activations, ActivationStream
from rsae.metrics import Measured, match_l0, measure, spread
from rsae.sae.model import RSAE
from rsae.upgrading.plan import Plan, Step
from rsae.upgrading.pursuit import LEAST_TOKENS
from rsae.upgrading.refining import refine

__all__ = ["all_variants", "pursuit_tokens", "worse_than_teacher"]

_NOISE = 1e-6  # relative difference of MSE that another order of summation can make


def pursuit_tokens(
    calibration: Activations, train: Activations | ActivationStream, most: int
) -> Tensor | None:
    """At most `most` rows to calibrate a pursuit on, or None where there are too few.

    Those of the calibration split, and of the training split where they are too few: of that, rows
    at random within its first block, which a stream and a store have alike.
    """
    rows = spread(calibration, most)
    if len(rows) < LEAST_TOKENS:
        further = train.batches(LEAST_TOKENS - len(rows), seed=0)
        rows = torch.cat([rows, *islice(further, 1)])
        further.close()
    return rows if len(rows) >= LEAST_TOKENS else None


def all_variants(
    plan: Plan, bases: Mapping[str, RSAE], x: Tensor, tokens: Tensor | None
) -> dict[str, RSAE]:
    """Every variant in the order of the table, the result last, as "rsae".

    Refinement drops activations at or below 0, and more of some variants than of others. So the
    thresholds of a trained variant are shifted once more after it, by one number that brings its
    L0 on `x` to the teacher's. Copies of the teacher stay as they are: no other feature fires.

    Args:
        plan: The plan; its step needs `tokens` where it is "pursued".
        bases: The SAEs before any refinement: "teacher", "rsae_init" where that differs,
            and what was trained.
        x: (n, d_in) activations on which L0 is matched.
        tokens: (n, d_in) activations to calibrate pursuits on; None for no pursuit.
    """
    found: dict[str, RSAE] = {}
    for name, sae in bases.items():
        found[name] = sae
        if name == "rsae_init":
            continue
        steps: list[Step] = [plan.copy_step]
        if plan.transcodes:
            steps = []
        elif name == "teacher":
            steps = ["refined", "pursued"] if tokens is not None else ["refined"]
        for step in steps:
            refined = _refined(sae, step, tokens)
            if name != "teacher" and step == "refined":
                match_l0(refined, x, measure(bases["teacher"], x).l0)
            found[f"{name}_{step}"] = refined
    result = plan.base if plan.step == "none" else f"{plan.base}_{plan.step}"
    found["rsae"] = found.pop(result)
    return found


def _refined(sae: RSAE, step: Step, tokens: Tensor | None) -> RSAE:
    return refine(sae, tokens, pursuit=True) if step == "pursued" else refine(sae)


def worse_than_teacher(metrics: Mapping[str, Measured], plan: Plan) -> str:
    """A sentence where the result has a higher held-out error than its teacher; else nothing.

    L0 is matched on the calibration tokens, so that a higher error is not the price of sparsity.
    """
    before, after = metrics["teacher"], metrics["rsae"]
    if math.isfinite(after.mse) and after.mse <= before.mse * (1 + _NOISE):
        return ""
    features = "" if plan.transcodes else ", or its features (--keep features)"
    return (
        f"worse than its teacher: held-out MSE {after.mse:.5g} against {before.mse:.5g}, strict L0 "
        f"{after.l0:.2f} against {before.l0:.2f}; keep the teacher{features}, or train longer at "
        "lower rates"
    )
