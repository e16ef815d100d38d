"""The input scale of an SAE that its file does not give, and the notes of its loader."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from sae_lens import SAE
from sae_lens.saes.transcoder import Transcoder as SAELensTranscoder

from rsae.data import Activations
from rsae.pretrained.scale import estimated_factor, needs_scale, with_estimated_scale
from rsae_evals.coder import Coder

__all__ = ["at_scale", "loader_notes"]

_BATCH = 4096


def at_scale(given: Any, activations: Activations) -> Any:
    """An SAE, or a list of several seeds, with a missing scale of the training input estimated.

    SAELens' own objects are scaled in a copy, and an SAE that has its scale stays as it is.

    Raises:
        TeacherError: It cannot be estimated from these activations.
    """
    if isinstance(given, Sequence) and not isinstance(given, str):
        return [at_scale(one, activations) for one in given]
    source = given.source if isinstance(given, Coder) else given
    batches = activations.batches(_BATCH)
    if isinstance(source, SAE) and not isinstance(source, SAELensTranscoder):
        if source.cfg.normalize_activations != "expected_average_only_in":
            return given
        factor, note = estimated_factor(source.cfg.d_in, batches, type(source).__name__)
        scaled = copy.deepcopy(source)
        scaled.fold_activation_norm_scaling_factor(factor)
        scaled.notes = (note,)
        return Coder(scaled, scaled.cfg.d_in, scaled.cfg.d_sae)
    if not needs_scale(source):
        return given
    scaled = with_estimated_scale(source, batches)
    return Coder(scaled, scaled.d_in, scaled.d_sae)


def loader_notes(saes: Mapping[str, Sequence[Coder]]) -> list[str]:
    """What was assumed or folded when each variant was loaded, once for each."""
    return [
        f"{name}: {note}"
        for name, seeds in saes.items()
        for note in dict.fromkeys(
            note for sae in seeds for note in getattr(sae.source, "notes", ())
        )
    ]
