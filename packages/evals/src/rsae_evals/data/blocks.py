"""Activations in blocks of one size, whatever they arrive as."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from rsae.data import Activations
from rsae.memory import rows_at_once
from rsae_evals.errors import EvaluationError

_ENTRIES = 1 << 22  # activations held at once: 16 MiB of float32 for an array of that shape


def rows_for(d_sae: int) -> int:
    """Rows per block such that one block of feature activations has about 4 million entries.

    Fewer within `rsae.memory.memory_budget`.
    """
    return rows_at_once(d_sae, max(16, min(2048, _ENTRIES // d_sae)))


def blocks(source: Tensor | Activations | Iterable[Tensor], rows: int) -> Iterator[Tensor]:
    """Yield (rows, d_in) blocks of ``source`` in order; the last may be shorter.

    An iterator's own chunks do not show: it is cut anew, so that every figure is the same to the
    bit however the activations were handed over.

    Args:
        source: (…, d_in) tensor, an `rsae.data.Activations`, or any iterable of tensors.
        rows: rows per block.

    Raises:
        EvaluationError: a value is not finite.
    """
    if isinstance(source, Tensor):
        chunks: Iterable[Tensor] = source.reshape(-1, source.shape[-1]).split(rows)
    elif isinstance(source, Activations):
        chunks = source.batches(rows)
    else:
        chunks = (chunk.reshape(-1, chunk.shape[-1]) for chunk in source)
    for block in _recut(chunks, rows):
        if not torch.isfinite(block).all():
            raise EvaluationError(
                "the activations hold values that are not finite; harvest them again"
            )
        yield block


def _recut(chunks: Iterable[Tensor], rows: int) -> Iterator[Tensor]:
    waiting: list[Tensor] = []
    n_waiting = 0
    for chunk in chunks:
        waiting.append(chunk)
        n_waiting += len(chunk)
        while n_waiting >= rows:
            joined = torch.cat(waiting)
            yield joined[:rows]
            waiting = [joined[rows:]]
            n_waiting -= rows
    if n_waiting:
        yield torch.cat(waiting)
