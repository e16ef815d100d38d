"""The evaluation set: held-out tokens and their activations, the same for every SAE."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from rsae.data import Activations
from rsae.data.sample import floats
from rsae_evals.errors import EvaluationError

if TYPE_CHECKING:
    from rsae.data.text import Tokens
    from rsae.language_model.host import Host

#: Rows that count as one sequence where activations come without their tokens.
ROWS_PER_SEQUENCE = 128


@dataclass(frozen=True, eq=False)
class EvaluationSet:
    """Activations, the sequence each row came from, and the model to splice them into.

    Make it with `evaluation_set`. The same object is given to every metric and every SAE.

    Attributes:
        activations: An (n_tokens, d_in) array, special tokens left out, in the order of the tokens.
        sequence: The (n_tokens,) index of each row's sequence, ascending from 0.
        n_sequences: Number of sequences.
        tokens: The tokens of the activations, or None.
        host, hook_name: The language model and hook at which downstream metrics splice, or None.
    """

    activations: Activations
    sequence: np.ndarray
    n_sequences: int
    tokens: Tokens | None = None
    host: Host | None = None
    hook_name: str | None = None

    @property
    def document(self) -> np.ndarray | None:
        """(n_sequences,) the document of each sequence; None where no document is known."""
        return None if self.tokens is None else self.tokens.document.numpy()

    @property
    def n_documents(self) -> int | None:
        """Number of documents; None where no document is known."""
        return None if self.document is None else len(np.unique(self.document))

    @property
    def sha256(self) -> str:
        """A hash of the activations and, where known, of the tokens."""
        parts = [self.activations.sha256]
        parts += [self.tokens.sha256] if self.tokens is not None else []
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def evaluation_set(
    activations: Activations | Tensor | np.ndarray,
    tokens: Tokens | None = None,
    *,
    host: Host | None = None,
    hook_name: str | None = None,
) -> EvaluationSet:
    """An evaluation set of held-out activations and, where known, their tokens.

    Intervals are over the documents of the tokens. Without tokens no document is known, and
    consecutive blocks of 128 rows stand in for them: neighbours depend on one another, and an
    interval must not count them as independent.

    Args:
        activations: The activations, (n_tokens, d_in), in order and without special tokens:
            `Activations`, a tensor or an array.
        tokens: Their tokens; the number of ordinary tokens must be that of the rows.
        host: The language model, for downstream metrics.
        hook_name: The hook of the activations.

    Raises:
        EvaluationError: There are no rows, values that are not finite, or tokens that do not fit.
    """
    if not isinstance(activations, Activations):
        activations = Activations.from_tensor(_rows(activations))
    n = activations.n_tokens
    if n == 0:
        raise EvaluationError("there are no activations to evaluate on; give some held-out tokens")
    if tokens is None:
        sequence = np.arange(n) // ROWS_PER_SEQUENCE
        return EvaluationSet(activations, sequence, int(sequence[-1]) + 1, None, host, hook_name)
    rows = (~tokens.special).sum(dim=1).numpy()
    if rows.sum() != n:
        raise EvaluationError(
            f"{n} activations do not fit {int(rows.sum())} non-special tokens; cache the "
            "activations of these tokens again"
        )
    sequence = np.repeat(np.arange(len(rows)), rows)
    return EvaluationSet(activations, sequence, len(rows), tokens, host, hook_name)


def _rows(given: Tensor | np.ndarray) -> Tensor:
    """(n, d_in) floats of a tensor or an array; anything else is refused."""
    x = floats(given)
    if x is None or x.ndim != 2:
        what = f"shape {tuple(given.shape)}" if hasattr(given, "shape") else type(given).__name__
        raise EvaluationError(
            f"activations of {what} cannot be evaluated; give dense floats of shape (tokens, d_in)"
        )
    if not len(x):
        raise EvaluationError("there are no activations to evaluate on; give some held-out tokens")
    return x
