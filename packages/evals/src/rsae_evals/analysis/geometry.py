"""How far features moved from those of a reference, matched one to one by their index."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsae_evals.coder import Coder
from rsae_evals.comparison.results import Context, FeatureChange, Geometry
from rsae_evals.data.blocks import blocks, rows_for
from rsae_evals.data.evaluation_set import EvaluationSet
from rsae_evals.metrics.measurement import Array
from rsae_evals.metrics.sparsity import histogram

__all__ = ["geometry"]

_CHANGED, _CONTEXTS = 12, 4  # features in the dashboard, contexts for each
_BEFORE, _AFTER = 12, 6  # tokens of context on either side


def geometry(
    coder: Coder, reference: Coder, reference_name: str, heldout: EvaluationSet
) -> Geometry | None:
    """Compare the features of ``coder`` with those of ``reference``; None where they do not match.

        decoder_cosine_j  cosine of the decoder rows
        firing_overlap_j  |A_j ∩ B_j| / |A_j ∪ B_j|, A_j and B_j the tokens on which j fires
        norm_ratio_j      decoder norm after / before: norm that moved between code and row
        flows             features alive and dead, before_after

    The dashboard shows the features alive on either side that changed the most, by
    decoder_cosine + firing_overlap, and where they fire most strongly.
    """
    ours, theirs = coder.weight("W_dec"), reference.weight("W_dec")
    if ours is None or theirs is None or ours.shape != theirs.shape:
        return None
    after, before, both = _firing(coder, reference, heldout)
    cosine = torch.cosine_similarity(ours.double(), theirs.double(), dim=-1).cpu().numpy()
    norms = (ours.double().norm(dim=-1) / theirs.double().norm(dim=-1)).cpu().numpy()
    either = after + before - both
    overlap = np.where(either > 0, both / np.maximum(either, 1), np.nan)
    changed = [int(j) for j in np.argsort(cosine + overlap)[:_CHANGED] if either[j] > 0]
    alive = np.stack([before > 0, after > 0])
    return Geometry(
        reference=reference_name,
        decoder_cosine=histogram(cosine, np.linspace(-1, 1, 81)),
        firing_overlap=histogram(overlap, np.linspace(0, 1, 41)),
        norm_ratio=histogram(norms, np.linspace(0, 3, 61)),
        medians={
            "decoder_cosine": _median(cosine),
            "firing_overlap": _median(overlap),
            "norm_ratio": _median(norms),
        },
        flows={
            "alive_alive": int((alive[0] & alive[1]).sum()),
            "alive_dead": int((alive[0] & ~alive[1]).sum()),
            "dead_alive": int((~alive[0] & alive[1]).sum()),
            "dead_dead": int((~alive[0] & ~alive[1]).sum()),
        },
        changed=_changes(changed, coder, reference, heldout, cosine, overlap, norms, before, after),
    )


@torch.no_grad()
def _firing(
    coder: Coder, reference: Coder, heldout: EvaluationSet
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Tokens on which each feature fires: in the coder, in the reference, in both."""
    counts = torch.zeros(3, coder.d_sae, dtype=torch.int64)
    for block in blocks(heldout.activations, rows_for(coder.d_sae)):
        a, b = (one.encode(block.float()).cpu() != 0 for one in (coder, reference))
        counts += torch.stack([a.sum(0), b.sum(0), (a & b).sum(0)])
    after, before, both = counts.numpy()
    return after, before, both


def _changes(
    features: list[int],
    coder: Coder,
    reference: Coder,
    heldout: EvaluationSet,
    cosine: Array,
    overlap: Array,
    norms: Array,
    before: Any,
    after: Any,
) -> tuple[FeatureChange, ...]:
    n = heldout.activations.n_tokens
    new, old = (_contexts(one, features, heldout) for one in (coder, reference))
    return tuple(
        FeatureChange(
            feature=j,
            decoder_cosine=float(cosine[j]),
            firing_overlap=float(overlap[j]),
            density_before=float(before[j] / n),
            density_after=float(after[j] / n),
            norm_ratio=float(norms[j]),
            contexts_before=old[i],
            contexts_after=new[i],
        )
        for i, j in enumerate(features)
    )


@torch.no_grad()
def _contexts(
    coder: Coder, features: list[int], heldout: EvaluationSet
) -> list[tuple[Context, ...]]:
    """The strongest contexts of each feature, one per sequence; none where there are no tokens."""
    if heldout.tokens is None or heldout.host is None or not features:
        return [() for _ in features]
    chosen = torch.tensor(features)
    strongest = torch.zeros(heldout.n_sequences, len(features))
    values = torch.zeros(heldout.activations.n_tokens, len(features))
    done = 0
    for block in blocks(heldout.activations, rows_for(coder.d_sae)):
        values[done : done + len(block)] = coder.encode(block.float()).cpu()[:, chosen].float()
        done += len(block)
    owner = torch.from_numpy(heldout.sequence)[:, None].expand_as(values)
    strongest.scatter_reduce_(0, owner, values.abs(), "amax")
    found = []
    for i in range(len(features)):
        best = torch.topk(strongest[:, i], min(_CONTEXTS, heldout.n_sequences))
        sequences = [int(s) for v, s in zip(*best, strict=True) if v > 0]
        found.append(tuple(_context(values[:, i], sequence, heldout) for sequence in sequences))
    return found


def _context(values: Tensor, sequence: int, heldout: EvaluationSet) -> Context:
    """The stretch around a feature's strongest token of a sequence, special tokens left out."""
    assert heldout.tokens is not None
    assert heldout.host is not None
    rows = np.flatnonzero(heldout.sequence == sequence)
    ids = heldout.tokens.ids[sequence][~heldout.tokens.special[sequence]]
    own = values[torch.from_numpy(rows)]
    peak = int(own.abs().argmax())
    start, stop = max(0, peak - _BEFORE), min(len(ids), peak + _AFTER + 1)
    return Context(
        tokens=tuple(heldout.host.tokenizer.decode([int(i)]) for i in ids[start:stop]),
        values=tuple(float(v) for v in own[start:stop]),
        peak=peak - start,
    )


def _median(values: Array) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else None
