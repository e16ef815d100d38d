"""No coder is judged on the tokens it was trained on."""

from __future__ import annotations

from rsae.text import Tokens
from rsae_evals.errors import ComparisonRefused
from rsae_evals.heldout import Heldout
from rsae_evals.protocols import Coder

__all__ = ["refuse_training_tokens"]


def refuse_training_tokens(name: str, coder: Coder, heldout: Heldout) -> None:
    """Refuse where the coder's metadata says that it was trained on these tokens.

    Two keys of the metadata are read: ``training_tokens_sha256``, the checksum of its training
    tokens (or several), and ``training_sequences``, their `rsae.text.Tokens.sketch`.

    Raises:
        ComparisonRefused: the tokens are the training tokens, or share sequences with them.
    """
    tokens = heldout.tokens
    if tokens is None:
        return
    recorded = coder.metadata.get("training_tokens_sha256") or ()
    if tokens.sha256 in ([recorded] if isinstance(recorded, str) else recorded):
        raise ComparisonRefused(
            f"{name} was trained on these very tokens; evaluate it on a held-out text"
        )
    shared = _shared(coder.metadata.get("training_sequences") or [], tokens)
    if shared:
        raise ComparisonRefused(
            f"{name} was trained on at least {shared} of the {len(tokens.ids)} evaluation "
            "sequences; evaluate it on a held-out text"
        )


def _shared(training: list[str], tokens: Tokens) -> int:
    return len(set(training) & set(tokens.sketch()))
