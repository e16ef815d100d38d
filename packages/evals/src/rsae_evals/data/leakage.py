"""Refuse to evaluate an SAE on the text that it was trained or calibrated on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from rsae.data.text import TOLERATED_SHARE, Tokens, shared_text
from rsae.pretrained.metadata import SKETCHES_FILE, lost_sketches
from rsae_evals.coder import Coder, as_coder
from rsae_evals.data.evaluation_set import EvaluationSet
from rsae_evals.errors import ComparisonRefused

__all__ = ["lost_sketches_warnings", "refuse_used_tokens", "without_calibration"]

_USES = {"training_sketches": "trained", "calibration_sketches": "calibrated"}


def refuse_used_tokens(name: str, sae: Coder, heldout: EvaluationSet) -> None:
    """Refuse where the SAE's metadata says that it was trained or calibrated on this text.

    Three keys of the metadata are read: ``training_tokens_sha256``, the checksum of its training
    tokens; ``training_sketches``, their `rsae.data.text.Tokens.sketch`, one for each training; and
    ``calibration_sketches``, likewise of the tokens on which scales, thresholds and L0 were set.

    Raises:
        ComparisonRefused: The tokens are the training tokens, or more than 2 % of their text is
            in the training or calibration text.
    """
    tokens = heldout.tokens
    if tokens is None:
        return
    if tokens.sha256 == sae.metadata.get("training_tokens_sha256"):
        raise ComparisonRefused(
            f"{name} was trained on these tokens; evaluate it on a held-out text"
        )
    for key, done in _USES.items():
        share = max((shared_text(used, tokens.sketch()) for used in _sketches(sae, key)), default=0)
        if share > TOLERATED_SHARE:
            raise ComparisonRefused(
                f"{name} was {done} on about {100 * share:.0f} % of this text; "
                "evaluate it on a held-out one"
            )


def lost_sketches_warnings(
    saes: Mapping[str, Sequence[Any]], pareto: Mapping[str, Sequence[Any]], heldout: EvaluationSet
) -> list[str]:
    """A sentence for each variant whose metadata count sketches that are not there."""
    if heldout.tokens is None:
        return []
    lost = {
        name: any(lost_sketches(as_coder(one).metadata) for one in given)
        for name, given in (*pareto.items(), *saes.items())
    }
    return [
        f"{name} has lost sketches of the text that it was trained or calibrated on, so nobody can "
        f"tell whether it is evaluated on that; put {SKETCHES_FILE} back beside its cfg.json"
        for name, is_lost in lost.items()
        if is_lost
    ]


def without_calibration(tokens: Tokens, saes: Iterable[Coder]) -> Tokens:
    """The sequences on which none of the SAEs was calibrated, by their sketches.

    A sketch is a sample of hashes, so sequences are recognised only where the sample is dense
    enough to hit each; elsewhere nothing is left out here, and `refuse_used_tokens` decides.

    Raises:
        ComparisonRefused: No sequence is left.
    """
    used = torch.zeros(len(tokens.ids), dtype=torch.bool)
    for sketch in {s for sae in saes for s in _sketches(sae, "calibration_sketches")}:
        used |= tokens.sequences_in(sketch)
    if used.all():
        raise ComparisonRefused(
            "every sequence of this text was used for calibration; evaluate on another with --text"
        )
    kept = ~used
    return Tokens(tokens.ids[kept], tokens.special[kept], tokens.document[kept])


def _sketches(sae: Coder, key: str) -> list[str]:
    found = sae.metadata.get(key)
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
