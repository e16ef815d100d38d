"""Feature activations of texts, averaged over the tokens of each.

Shapes: n_texts, d_in, d_sae.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse import csr_array, vstack
from torch import Tensor

from rsae_evals.coder import Coder
from rsae_evals.metrics.measurement import Progress

if TYPE_CHECKING:
    from rsae.language_model.host import Host

__all__ = ["pooled_codes"]

_TOKENS_PER_BATCH = 1024


@torch.no_grad()
def pooled_codes(
    saes: Sequence[Coder],
    host: Host,
    hook_name: str,
    texts: Sequence[str],
    *,
    output_hook: str | None = None,
    context_size: int = 128,
    progress: Progress | None = None,
) -> list[csr_array]:
    """Mean feature activations of each text over its ordinary tokens, (n_texts, d_sae) per SAE.

    Texts are batched with others of their length and cut at ``context_size``; the model reads each
    once for all SAEs. The result is sparse, since few features are active on a text. Refined
    transcoders look at ``output_hook`` too.
    """
    encoded = [host.encode(text)[:context_size] for text in texts]
    order = np.argsort([len(ids) for ids in encoded], kind="stable")
    parts: list[list[csr_array]] = [[] for _ in saes]
    done = 0
    for batch in _batches(order, encoded):
        ids = _padded([encoded[i] for i in batch], host.pad_token_id)
        ordinary = ~host.is_special(ids)
        read = host.residuals(ids, [hook_name, output_hook or hook_name])
        x, y = (
            read[hook][ordinary.to(host.device)].float().cpu()
            for hook in (hook_name, output_hook or hook_name)
        )
        owner = torch.nonzero(ordinary)[:, 0]
        for rows, sae in zip(parts, saes, strict=True):
            rows.append(csr_array(_means(sae.encode(x, y).cpu(), owner, len(batch)).numpy()))
        done += len(batch)
        if progress is not None:
            progress("probing", done / len(texts))
    back = np.argsort(order, kind="stable")
    return [csr_array(vstack(rows, format="csr")[back]) for rows in parts]


def _batches(order: np.ndarray, encoded: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    batch: list[int] = []
    for index in map(int, order):
        if batch and (len(batch) + 1) * len(encoded[index]) > _TOKENS_PER_BATCH:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _padded(rows: Sequence[Sequence[int]], pad: int) -> Tensor:
    """(n, longest) ids; padding on the right is behind every token that a causal model reads."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows])


def _means(codes: Tensor, owner: Tensor, n: int) -> Tensor:
    """Mean of the rows of each owner, (rows, d_sae) → (n, d_sae); zeros for one without rows."""
    sums = torch.zeros(n, codes.shape[1]).index_add_(0, owner, codes.float())
    counts = torch.bincount(owner, minlength=n).clamp(min=1)
    return sums / counts[:, None]
