"""The evaluation set: held-out tokens and their activations, the same for every SAE."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from rsae.data import Activations
from rsae.data.sample import floats
from rsae.language_model.site import Site
from rsae_evals.coder import Coder
from rsae_evals.data.blocks import blocks
from rsae_evals.errors import ComparisonRefused, EvaluationError

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
        targets: For transcoders, (n_tokens, d_out): what they reconstruct, at `hook_name`. None:
            SAEs reconstruct what they read.
        input_hook: The hook that transcoders read, that of the activations; None for SAEs.
    """

    activations: Activations
    sequence: np.ndarray
    n_sequences: int
    tokens: Tokens | None = None
    host: Host | None = None
    hook_name: str | None = None
    targets: Activations | None = None
    input_hook: str | None = None

    @property
    def place(self) -> str | None:
        """The hook, of transcoders both; None where it is not known."""
        if self.input_hook is None or self.hook_name is None:
            return self.hook_name
        return str(Site(self.input_hook, self.hook_name))

    def check(self, name: str, sae: Coder) -> None:
        """Refuse an SAE that reads or reconstructs something else than these activations.

        Raises:
            ComparisonRefused: An SAE on the pairs of a transcoder, or a transcoder without pairs.
            EvaluationError: A width is another one.
        """
        if sae.transcodes != (self.targets is not None):
            what = "a transcoder predicts another hook than it reads, and there are no targets"
            if not sae.transcodes:
                what = "it reconstructs what it reads, and these are the pairs of a transcoder"
            raise ComparisonRefused(f"{name}: {what}; evaluate SAEs and transcoders apart")
        if sae.d_in != (width := self.activations.d_in):
            raise EvaluationError(
                f"{name} has d_in = {sae.d_in}, the activations have width {width}; use "
                "activations of the hook it was trained on"
            )
        if self.targets is not None and sae.d_out != (width := self.targets.d_in):
            raise EvaluationError(
                f"{name} has d_out = {sae.d_out}, its targets have width {width}; use those of "
                "its own output hook"
            )

    def blocks(self, rows: int) -> Iterator[tuple[Tensor, Tensor]]:
        """What is read and what is to be reconstructed, (rows, d_in) and (rows, d_out), in order.

        For SAEs both are the same tensor.

        Raises:
            EvaluationError: A value is not finite.
        """
        if self.targets is None:
            yield from ((x, x) for x in blocks(self.activations, rows))
        else:
            yield from zip(blocks(self.activations, rows), blocks(self.targets, rows), strict=True)

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
        """A hash of the activations, of their targets and, where known, of the tokens."""
        parts = [self.activations.sha256]
        parts += [self.targets.sha256] if self.targets is not None else []
        parts += [self.tokens.sha256] if self.tokens is not None else []
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def evaluation_set(
    activations: Activations | Tensor | np.ndarray,
    tokens: Tokens | None = None,
    *,
    host: Host | None = None,
    hook_name: str | None = None,
    targets: Activations | Tensor | np.ndarray | None = None,
    input_hook: str | None = None,
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
        hook_name: The hook of what is reconstructed: for SAEs that of the activations.
        targets: For transcoders, what they reconstruct at the same tokens, (n_tokens, d_out).
        input_hook: For transcoders, the hook of the activations, which they read.

    Raises:
        EvaluationError: There are no rows, values that are not finite, or tokens or targets that do
            not fit.
    """
    if not isinstance(activations, Activations):
        activations = Activations.from_tensor(_rows(activations))
    n = activations.n_tokens
    if n == 0:
        raise EvaluationError("there are no activations to evaluate on; give some held-out tokens")
    if targets is not None and not isinstance(targets, Activations):
        targets = Activations.from_tensor(_rows(targets))
    if targets is not None and targets.n_tokens != n:
        raise EvaluationError(
            f"there are {n} activations and {targets.n_tokens} targets; give both of the same "
            "tokens in the same order"
        )
    where = (host, hook_name, targets, input_hook)
    if tokens is None:
        sequence = np.arange(n) // ROWS_PER_SEQUENCE
        return EvaluationSet(activations, sequence, int(sequence[-1]) + 1, None, *where)
    rows = (~tokens.special).sum(dim=1).numpy()
    if rows.sum() != n:
        raise EvaluationError(
            f"{n} activations do not fit {int(rows.sum())} non-special tokens; cache the "
            "activations of these tokens again"
        )
    sequence = np.repeat(np.arange(len(rows)), rows)
    return EvaluationSet(activations, sequence, len(rows), tokens, *where)


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
