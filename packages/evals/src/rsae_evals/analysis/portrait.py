"""The activation curve of a variant, and the identity of its features."""

from __future__ import annotations

from collections.abc import Mapping

from rsae_evals.analysis.activation_curve import activation_curve
from rsae_evals.analysis.feature_identity import identities
from rsae_evals.coder import Coder
from rsae_evals.data.evaluation_set import EvaluationSet
from rsae_evals.metrics.measurement import Progress
from rsae_evals.results import ActivationCurve, FeatureIdentity

__all__ = ["portray"]

Portrait = tuple[ActivationCurve | None, FeatureIdentity | None]


def portray(
    saes: Mapping[str, Coder], heldout: EvaluationSet, progress: Progress | None = None
) -> dict[str, Portrait]:
    """Activation curve and feature identity of each variant, against the first as the reference.

    Either is None where the SAE does not show what it needs: pre-activations and an activation,
    or decoder rows that match the reference's.
    """
    reference_name, reference = next(iter(saes.items()))
    others = {name: sae for name, sae in saes.items() if sae is not reference}
    *_, last = saes
    found = identities(others, reference, reference_name, heldout, passages_of=last)
    portraits: dict[str, Portrait] = {}
    for index, (name, sae) in enumerate(saes.items()):
        portraits[name] = (activation_curve(sae, reference, heldout), found.get(name))
        if progress is not None:
            progress("activations and features", (index + 1) / len(saes))
    return portraits
