"""Whether a feature is still the same: when it fires, how strongly, and along which direction.

Shapes: x (n, d_in); feature activations a of the SAE and b of the reference (n, d_sae).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsae_evals.coder import Coder, SparseCoder, as_coder
from rsae_evals.data.blocks import rows_for
from rsae_evals.data.evaluation_set import EvaluationSet
from rsae_evals.metrics.measurement import Array
from rsae_evals.metrics.sparsity import histogram
from rsae_evals.results import (
    Context,
    FeatureChange,
    FeatureIdentity,
    IdentityFigure,
)

__all__ = ["feature_identity", "identities"]

#: Firings, before or after, from which on a feature's figures are more than chance.
LEAST_FIRINGS = 10

#: Cosine of decoder rows above which features of unrelated SAEs are matched.
LEAST_COSINE = 0.7

_EDGES: dict[str, Array] = {
    "firing_jaccard": np.linspace(0, 1, 41),
    "activation_correlation": np.linspace(-1, 1, 81),
    "firing_rate_ratio": np.geomspace(1 / 16, 16, 65),
    "decoder_cosine": np.linspace(-1, 1, 81),
    "encoder_cosine": np.linspace(-1, 1, 81),
    "norm_ratio": np.linspace(0, 3, 61),
}
_CHANGED, _CONTEXTS = 12, 4  # features shown with passages, passages for each
_BEFORE, _AFTER = 12, 6  # tokens of context on either side
_ROWS_AT_ONCE = 2048  # decoder rows compared with all of the other dictionary at a time


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Which feature of an SAE is compared with which of the reference.

    Attributes:
        ours, theirs: (n_pairs,) their indices.
        by: what paired them.
    """

    ours: Tensor
    theirs: Tensor
    by: Literal["index", "cosine"]


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums over tokens for each pair, (n_pairs,) float64: firings, activations, products."""

    after: Array
    before: Array
    both: Array
    a: Array
    b: Array
    aa: Array
    bb: Array
    ab: Array


def feature_identity(
    sae: SparseCoder | Any,
    reference: SparseCoder | Any,
    heldout: EvaluationSet,
    *,
    reference_name: str = "reference",
) -> FeatureIdentity | None:
    """Compare the features of an SAE with those of another that it came from, or is like.

    With A_j and B_j the tokens on which feature j fires after and before (in the SAE and in the
    reference), and a_j and b_j its activations there:

        firing_jaccard          |A_j ∩ B_j| / |A_j ∪ B_j|
        activation_correlation  Pearson's, of a_j and b_j over all tokens, zeros included
        firing_rate_ratio       |A_j| / |B_j|
        decoder_cosine          cosine of the decoder rows
        encoder_cosine          cosine of the encoder columns
        norm_ratio              decoder norm after / before

    Each is reported as its median, its 10th percentile, its share above 1/2 and its histogram,
    over the features with at least 10 firings before or after.

    Features are matched by index where more than half of the decoder rows have the reference's
    row of the same index as their nearest: so it is where one SAE was made from the other. All
    others are matched by cosine: pairs of rows that are nearest to one another, at 0.7 or more.

    Args:
        sae: Anything `as_coder` takes.
        reference: The SAE to compare with, likewise.
        heldout: Evaluation set; with tokens and a model, the passages on which the features that
            changed the most fire are part of the result.
        reference_name: What the result calls the reference.

    Returns:
        The figures, or None where either shows no decoder, or no row matches.

    Raises:
        EvaluationError: an SAE is of another width than the activations.

    Example:
        >>> import torch
        >>> from rsae_evals import evaluation_set, feature_identity
        >>> eye = torch.eye(4)
        >>> relu = {"W_enc": eye, "b_enc": torch.zeros(4), "W_dec": eye, "b_dec": torch.zeros(4)}
        >>> found = feature_identity(relu, relu, evaluation_set(torch.randn(256, 4)))
        >>> found.matched_by, found.figures["firing_jaccard"].median
        ('index', 1.0)
    """
    found = identities(
        {"sae": as_coder(sae)}, as_coder(reference), reference_name, heldout, passages_of="sae"
    )
    return found["sae"]


def identities(
    saes: Mapping[str, Coder],
    reference: Coder,
    reference_name: str,
    heldout: EvaluationSet,
    passages_of: str | None = None,
) -> dict[str, FeatureIdentity | None]:
    """`feature_identity` of several SAEs in one pass over the evaluation set.

    Args:
        saes: Name → SAE.
        reference: what they are compared with.
        reference_name: its name.
        heldout: the evaluation set.
        passages_of: the one for which passages are collected.

    Raises:
        EvaluationError: an SAE is of another width than the activations.
    """
    for name, sae in {**saes, reference_name: reference}.items():
        heldout.check(name, sae)
    pairs = {name: _pairs(sae, reference) for name, sae in saes.items()}
    matched = {name: pair for name, pair in pairs.items() if pair is not None}
    sums = _accumulate(saes, matched, reference, heldout)
    return {
        name: None
        if name not in matched
        else _describe(
            saes[name],
            reference,
            reference_name,
            matched[name],
            sums[name],
            heldout,
            passages=name == passages_of,
        )
        for name in saes
    }


def _pairs(sae: Coder, reference: Coder) -> _Pairs | None:
    ours, theirs = sae.weight("W_dec"), reference.weight("W_dec")
    if ours is None or theirs is None or ours.shape[1] != theirs.shape[1]:
        return None
    ours, theirs = ours.float().cpu(), theirs.float().cpu()
    if torch.equal(ours, theirs):
        index = torch.arange(len(ours), device="cpu")
        return _Pairs(index, index, "index")
    nearest, cosine = _nearest(ours, theirs)
    index = torch.arange(len(ours), device="cpu")
    if len(ours) == len(theirs) and (nearest == index).double().mean() > 0.5:
        return _Pairs(index, index, "index")
    back, _ = _nearest(theirs, ours)
    mutual = (back[nearest] == index) & (cosine >= LEAST_COSINE)
    return _Pairs(index[mutual], nearest[mutual], "cosine") if mutual.any() else None


def _nearest(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """For each row of a the row of b with the largest cosine, and that cosine."""
    unit = torch.nn.functional.normalize(b, dim=1)
    found = [
        (torch.nn.functional.normalize(part, dim=1) @ unit.T).max(dim=1)
        for part in a.split(_ROWS_AT_ONCE)
    ]
    return torch.cat([one.indices for one in found]), torch.cat([one.values for one in found])


@torch.no_grad()
def _accumulate(
    saes: Mapping[str, Coder],
    pairs: Mapping[str, _Pairs],
    reference: Coder,
    heldout: EvaluationSet,
) -> dict[str, _Sums]:
    """Sums over all tokens; the reference encodes each block once for all SAEs."""
    totals: dict[str, Tensor] = {}
    widest = max([reference.d_sae, *(saes[name].d_sae for name in pairs)])
    for block in heldout.blocks(rows_for(widest)) if pairs else ():
        x, y = (side.float() for side in block)
        before = reference.encode(x, y).cpu().float()
        for name, pair in pairs.items():
            same = saes[name] is reference
            a = (before if same else saes[name].encode(x, y).cpu().float())[:, pair.ours]
            b = before[:, pair.theirs]
            on, was = a != 0, b != 0
            parts = (on, was, on & was, a, b, a * a, b * b, a * b)
            sums = torch.stack([part.sum(dim=0, dtype=torch.float64) for part in parts])
            totals[name] = totals[name] + sums if name in totals else sums
    return {name: _Sums(*total.numpy()) for name, total in totals.items()}


def _describe(
    sae: Coder,
    reference: Coder,
    reference_name: str,
    pairs: _Pairs,
    sums: _Sums,
    heldout: EvaluationSet,
    *,
    passages: bool,
) -> FeatureIdentity:
    n = heldout.activations.n_tokens
    by_feature = _figures(sae, reference, pairs, sums, n)
    enough = np.maximum(sums.after, sums.before) >= LEAST_FIRINGS
    alive = np.stack([sums.before > 0, sums.after > 0])
    changed = [
        int(i)
        for i in np.argsort(by_feature["decoder_cosine"] + by_feature["firing_jaccard"])
        if sums.after[i] + sums.before[i] > 0
    ][:_CHANGED]
    return FeatureIdentity(
        reference=reference_name,
        matched_by=pairs.by,
        n_matched=len(pairs.ours),
        n_features=int(enough.sum()),
        least_firings=LEAST_FIRINGS,
        n_tokens=n,
        figures={
            name: _figure(values[enough], _EDGES[name]) for name, values in by_feature.items()
        },
        flows={
            "alive_alive": int((alive[0] & alive[1]).sum()),
            "alive_dead": int((alive[0] & ~alive[1]).sum()),
            "dead_alive": int((~alive[0] & alive[1]).sum()),
            "dead_dead": int((~alive[0] & ~alive[1]).sum()),
        },
        changed=_changes(changed, sae, reference, pairs, by_feature, sums, heldout)
        if passages
        else (),
    )


def _figures(sae: Coder, reference: Coder, pairs: _Pairs, sums: _Sums, n: int) -> dict[str, Array]:
    """Every figure of every pair; NaN where it is undefined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = n * sums.ab - sums.a * sums.b
        spread = (n * sums.aa - sums.a**2) * (n * sums.bb - sums.b**2)
        found = {
            "firing_jaccard": sums.both / (sums.after + sums.before - sums.both),
            "activation_correlation": covariance / np.sqrt(np.where(spread > 0, spread, np.nan)),
            "firing_rate_ratio": sums.after / np.where(sums.before > 0, sums.before, np.nan),
        }
    after, before = _rows(sae, "W_dec", pairs.ours), _rows(reference, "W_dec", pairs.theirs)
    assert after is not None
    assert before is not None
    found["decoder_cosine"] = _cosine(after, before)
    found["norm_ratio"] = (after.norm(dim=1) / before.norm(dim=1).clamp(min=1e-300)).numpy()
    after, before = _rows(sae, "W_enc", pairs.ours), _rows(reference, "W_enc", pairs.theirs)
    if after is not None and before is not None and after.shape == before.shape:
        found["encoder_cosine"] = _cosine(after, before)
    return found


def _rows(sae: Coder, name: str, index: Tensor) -> Tensor | None:
    """The decoder rows, or encoder columns, of some features, (n_pairs, d_in) float64."""
    weight = sae.weight(name)
    if weight is None or weight.ndim != 2:
        return None
    return (weight if name == "W_dec" else weight.T).cpu().double()[index]


def _cosine(a: Tensor, b: Tensor) -> Array:
    return torch.cosine_similarity(a, b, dim=-1).numpy()


def _figure(values: Array, edges: Array) -> IdentityFigure:
    known = values[np.isfinite(values)]
    if not len(known):
        return IdentityFigure(None, None, None, histogram(known, edges))
    return IdentityFigure(
        median=float(np.median(known)),
        tenth_percentile=float(np.quantile(known, 0.1)),
        share_above_half=float(np.mean(known > 0.5)),
        histogram=histogram(known, edges),
    )


def _changes(
    chosen: list[int],
    sae: Coder,
    reference: Coder,
    pairs: _Pairs,
    by_feature: Mapping[str, Array],
    sums: _Sums,
    heldout: EvaluationSet,
) -> tuple[FeatureChange, ...]:
    n = heldout.activations.n_tokens
    ours, theirs = (index[torch.tensor(chosen, dtype=torch.int64, device="cpu")].tolist()
                    for index in (pairs.ours, pairs.theirs))  # fmt: skip
    new, old = _contexts(sae, ours, heldout), _contexts(reference, theirs, heldout)
    return tuple(
        FeatureChange(
            feature=ours[k],
            reference_feature=theirs[k],
            decoder_cosine=float(by_feature["decoder_cosine"][i]),
            firing_jaccard=_known(by_feature["firing_jaccard"][i]),
            activation_correlation=_known(by_feature["activation_correlation"][i]),
            density_before=float(sums.before[i] / n),
            density_after=float(sums.after[i] / n),
            norm_ratio=float(by_feature["norm_ratio"][i]),
            contexts_before=old[k],
            contexts_after=new[k],
        )
        for k, i in enumerate(chosen)
    )


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


@torch.no_grad()
def _contexts(sae: Coder, features: list[int], heldout: EvaluationSet) -> list[tuple[Context, ...]]:
    """The strongest contexts of each feature, one per sequence; none where there are no tokens."""
    if heldout.tokens is None or heldout.host is None or not features:
        return [() for _ in features]
    chosen = torch.tensor(features, device="cpu")
    strongest = torch.zeros(heldout.n_sequences, len(features), device="cpu")
    values = torch.zeros(heldout.activations.n_tokens, len(features), device="cpu")
    done = 0
    for x, y in heldout.blocks(rows_for(sae.d_sae)):
        z = sae.encode(x.float(), y.float()).cpu()
        values[done : done + len(x)] = z[:, chosen].float()
        done += len(x)
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
    rows: NDArray = np.flatnonzero(heldout.sequence == sequence)
    ids = heldout.tokens.ids[sequence][~heldout.tokens.special[sequence]]
    own = values[torch.from_numpy(rows)]
    peak = int(own.abs().argmax())
    start, stop = max(0, peak - _BEFORE), min(len(ids), peak + _AFTER + 1)
    return Context(
        tokens=tuple(heldout.host.tokenizer.decode([int(i)]) for i in ids[start:stop]),
        values=tuple(float(v) for v in own[start:stop]),
        peak=peak - start,
    )
