"""The active features of several tokens, gathered in batches for the refinement's products.

Shapes: m tokens of a batch, k the largest number of active features among them, d = d_in, d_sae.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Batch", "batches"]

_BATCH_ELEMENTS = {"cpu": 1 << 24, "cuda": 1 << 28}  # of gathered decoder rows held at once


@dataclass(frozen=True, eq=False)
class Batch:
    """The active features of m tokens, padded to k each.

    Attributes:
        tokens: The slice of the tokens.
        columns: The (m, k) indices of features; padding has index 0.
        inside: (m, k) 1 for an active feature, 0 for padding.
        rows: The (m, k, d) decoder rows scaled to norm 1, 0 for padding and for zero rows.
        norms: The (m, k) norms of the decoder rows; 1 for zero rows, which keep their activation.
        z: The (m, k) activations of the encoder.
        target: The target of the refinement, (m, d).
        d_sae: Number of features.
    """

    tokens: slice
    columns: Tensor
    inside: Tensor
    rows: Tensor
    norms: Tensor
    z: Tensor
    target: Tensor
    d_sae: int

    def scatter(self, values: Tensor) -> Tensor:
        """Values of active features as a dense matrix, (m, k) → (m, d_sae)."""
        dense = values.new_zeros(len(values), self.d_sae)
        return dense.scatter_add_(1, self.columns, values * self.inside)


def batches(z: Tensor, target: Tensor, decoder: Tensor) -> Iterator[Batch]:
    """The tokens in batches whose gathered decoder rows fit into the working memory."""
    limit = _BATCH_ELEMENTS["cpu" if z.device.type == "cpu" else "cuda"]
    counts = (z != 0).sum(dim=1)
    widest = max(1, int(counts.max())) if len(z) else 1
    size = max(1, limit // (widest * decoder.shape[1]))
    for begin in range(0, len(z), size):
        tokens = slice(begin, begin + size)
        yield _gather(tokens, z[tokens], target[tokens], decoder)


def _gather(tokens: slice, z: Tensor, target: Tensor, decoder: Tensor) -> Batch:
    row, column = z.nonzero(as_tuple=True)
    counts = torch.bincount(row, minlength=len(z))
    place = torch.arange(len(row), device=z.device) - (counts.cumsum(0) - counts)[row]
    width = max(1, int(counts.max()))
    columns = column.new_zeros(len(z), width).index_put_((row, place), column)
    inside = z.new_zeros(len(z), width).index_put_((row, place), z.new_ones(()))
    rows = decoder[columns].to(z.dtype)
    norms = rows.norm(dim=2)
    norms = torch.where(norms > 0, norms, torch.ones_like(norms))
    rows = rows / norms[..., None] * inside[..., None]
    start = z.gather(1, columns) * inside
    return Batch(tokens, columns, inside, rows, norms, start, target, z.shape[1])
