"""What numbers alone do not show of an arm: its activation, and where its features went."""

from __future__ import annotations

from collections.abc import Mapping

from rsae_evals.analysis.activation_curve import activation_curve
from rsae_evals.analysis.geometry import geometry
from rsae_evals.coder import Coder
from rsae_evals.comparison.results import ActivationCurve, Geometry
from rsae_evals.data.evaluation_set import EvaluationSet
from rsae_evals.metrics.measurement import Progress

__all__ = ["portray"]

Portrait = tuple[ActivationCurve | None, Geometry | None]


def portray(
    coders: Mapping[str, Coder], heldout: EvaluationSet, progress: Progress | None = None
) -> dict[str, Portrait]:
    """Activation curve and geometry of each arm, against the first arm as the reference.

    Either is None where the coder does not show what it needs: pre-activations and an activation,
    or decoder rows that match the reference's one to one.
    """
    reference_name, reference = next(iter(coders.items()))
    portraits: dict[str, Portrait] = {}
    for index, (name, coder) in enumerate(coders.items()):
        moved = None if coder is reference else geometry(coder, reference, reference_name, heldout)
        portraits[name] = (activation_curve(coder, reference, heldout), moved)
        if progress is not None:
            progress("activations and features", (index + 1) / len(coders))
    return portraits
