"""No coder is judged on the text that it was trained on."""

from __future__ import annotations

from rsae_evals.coder import Coder
from rsae_evals.data.evaluation_set import EvaluationSet
from rsae_evals.errors import ComparisonRefused

__all__ = ["refuse_training_tokens", "shared_text"]

#: Two texts of one language share some runs of words by chance, or quote the same author.
TOLERATED_SHARE = 0.02


def refuse_training_tokens(name: str, coder: Coder, heldout: EvaluationSet) -> None:
    """Refuse where the coder's metadata says that it was trained on this text.

    Two keys of the metadata are read: ``training_tokens_sha256``, the checksum of its training
    tokens, and ``training_sketches``, their `rsae.data.text.Tokens.sketch`, one for each training.

    Raises:
        ComparisonRefused: the tokens are the training tokens, or more than 2 % of their text is
            in the training text.
    """
    tokens = heldout.tokens
    if tokens is None:
        return
    if tokens.sha256 == coder.metadata.get("training_tokens_sha256"):
        raise ComparisonRefused(
            f"{name} was trained on these very tokens; evaluate it on a held-out text"
        )
    sketches = coder.metadata.get("training_sketches") or []
    share = max((shared_text(sketch, tokens.sketch()) for sketch in sketches), default=0.0)
    if share > TOLERATED_SHARE:
        raise ComparisonRefused(
            f"{name} was trained on about {100 * share:.0f} % of this text; "
            "evaluate it on a held-out one"
        )


def shared_text(training: str, evaluation: str) -> float:
    """Estimated share of the evaluation text that is in the training text, from their sketches.

    Both hold the smallest hashes of their texts, so below the lesser of the two largest hashes
    each is complete, and the evaluation's hashes there are a random sample of all of its own.
    A single hit is not taken for a finding.
    """
    theirs, ours = training.split(), evaluation.split()
    if not theirs or not ours:
        return 0.0
    bound = min(max(theirs), max(ours))
    sample = {word for word in ours if word <= bound}
    hits = len(sample & set(theirs))
    return hits / len(sample) if hits > 1 else 0.0
