"""How well and how sparsely an SAE reconstructs activations.

Shapes: n tokens, d_in, d_sae features, n_units sequences.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsae.data import Activations
from rsae_evals.coder import Coder, SparseCoder, as_coder
from rsae_evals.data.blocks import blocks, rows_for
from rsae_evals.data.evaluation_set import EvaluationSet
from rsae_evals.data.loading import at_scale
from rsae_evals.errors import EvaluationError
from rsae_evals.metrics.measurement import Array, Measurement, Progress, Totals
from rsae_evals.metrics.sparsity import firing, l1

__all__ = ["Reconstruction", "reconstruction"]

_SMALLEST_NORM = 1e-4  # below it an input counts as having norm 1 in l2_ratio, as in SAELens


def reconstruction(
    sae: SparseCoder | Any,
    activations: Tensor | Activations | Iterable[Tensor],
    *,
    targets: Tensor | Activations | Iterable[Tensor] | None = None,
    batch_size: int | None = None,
) -> dict[str, Any]:
    """Reconstruction and sparsity of an SAE on activations, in one pass, summed in float64.

    With x̂ the reconstruction and z the feature activations of x, and E the mean over all tokens:

        mse                           E‖x - x̂‖²  (summed over d_in)
        explained_variance            1 - E‖x - x̂‖² / (E‖x‖² - ‖E x‖²);  fvu = 1 - it
        l0, l1                        E #(z ≠ 0),  E Σ|z|
        cossim                        E ⟨x, x̂⟩ / (‖x‖ ‖x̂‖), 0 where one of them is 0
        l2_ratio                      E ‖x̂‖ / ‖x‖
        relative_reconstruction_bias  E‖x̂‖² / E⟨x, x̂⟩
        frac_alive                    share of features that fire at least once
        feature_density               (d_sae,) float64: share of tokens on which each fires

    A figure whose denominator is zero is NaN (explained variance of a constant input). No
    (n_tokens, d_sae) array is ever held.

    Args:
        sae: The SAE, anything `as_coder` takes.
        activations: An (n, d_in) tensor, `Activations`, or an iterable of such tensors, which is
            read once.
        targets: For a transcoder, (n, d_out): what it reconstructs at the same tokens. The
            figures are then those of the targets in place of x.
        batch_size: Number of tokens encoded at a time; None chooses it by d_sae. It changes the
            figures only by the rounding of the SAE's own float32 products.

    Returns:
        The figures above as floats, `feature_density` as a tensor, and `n_tokens`.

    Raises:
        EvaluationError: no activations, another width than d_in, values that are not finite, or
            targets of another shape or for an SAE that is no transcoder.

    References:
        SAELens 6.54, `evals.py` (names and definitions); Rajamanoharan et al. 2024,
        arXiv 2404.16014, equation 10 (relative reconstruction bias).

    Example:
        >>> import torch
        >>> from rsae_evals import reconstruction
        >>> eye = torch.eye(2)
        >>> relu = {"W_enc": eye, "b_enc": torch.zeros(2), "W_dec": eye, "b_dec": torch.zeros(2)}
        >>> found = reconstruction(relu, torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
        >>> found["mse"], found["l0"], found["frac_alive"]
        (0.5, 0.5, 0.5)
    """
    if isinstance(activations, Activations):
        sae = at_scale(sae, activations)
    seen = as_coder(sae)
    if seen.transcodes != (targets is not None):
        raise EvaluationError(
            "targets are for transcoders, which predict another hook than they read; give a "
            "transcoder its targets, and an SAE none"
        )
    sums = _Sums(seen, n_units=1)
    rows = batch_size or rows_for(seen.d_sae)
    for block, target in _pairs(activations, targets, rows):
        sums.add(block, np.zeros(len(block), dtype=np.int64), target)
    measurement = sums.measurement()
    metric = Reconstruction()
    figures = metric.values(measurement.totals()) | metric.fixed(measurement)
    n_tokens = int(measurement.totals()["n"])
    density = torch.from_numpy(measurement.extras["fired"] / n_tokens)
    return {k: float(v) for k, v in figures.items()} | {
        "feature_density": density,
        "n_tokens": n_tokens,
    }


def _pairs(
    activations: Tensor | Activations | Iterable[Tensor],
    targets: Tensor | Activations | Iterable[Tensor] | None,
    rows: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Blocks of activations with those of their targets, which have to be of as many tokens."""
    if targets is None:
        yield from ((block, block) for block in blocks(activations, rows))
        return
    for block, target in zip_longest(blocks(activations, rows), blocks(targets, rows)):
        if block is None or target is None or len(block) != len(target):
            raise EvaluationError(
                "the activations and their targets are not of as many tokens; give both of the "
                "same tokens in the same order"
            )
        yield block, target


class Reconstruction:
    """The metric of `reconstruction`, for several SAEs in one pass and by sequence."""

    name = "reconstruction-2"

    def measure(
        self, saes: Sequence[Coder], heldout: EvaluationSet, progress: Progress | None = None
    ) -> list[Measurement]:
        """One measurement per SAE: sums by sequence, and the extra array ``fired``, (d_sae,).

        Args:
            saes: The SAEs to measure, seen through `Coder`.
            heldout: The evaluation set, the same for all.
            progress: Called as progress(what, share done).
        """
        for sae in saes:
            heldout.check(sae.kind, sae)
        sums = [_Sums(sae, heldout.n_sequences) for sae in saes]
        rows = min(rows_for(sae.d_sae) for sae in saes)
        done = 0
        for block, target in heldout.blocks(rows):
            unit = heldout.sequence[done : done + len(block)]
            for accumulated in sums:
                accumulated.add(block, unit, target)
            done += len(block)
            if progress is not None:
                progress("reconstruction", done / heldout.activations.n_tokens)
        return [accumulated.measurement(heldout.document) for accumulated in sums]

    def values(self, totals: Totals) -> dict[str, Array]:
        """The figures of `reconstruction` that are functions of sums."""
        n = totals["n"]
        with np.errstate(divide="ignore", invalid="ignore"):
            mse = totals["error"] / n
            mean = totals["x"] / n[..., None]
            variance = totals["x_sq"] / n - np.sum(mean**2, axis=-1)
            fvu = _ratio(mse, variance)
            return {
                "mse": mse,
                "explained_variance": 1 - fvu,
                "fvu": fvu,
                "l0": totals["l0"] / n,
                "l1": totals["l1"] / n,
                "cossim": totals["cossim"] / n,
                "l2_ratio": totals["l2_ratio"] / n,
                "relative_reconstruction_bias": _ratio(totals["out_sq"], totals["dot"]),
            }

    def fixed(self, measurement: Measurement) -> dict[str, float]:
        """``frac_alive``, which depends on a maximum over tokens and so has no interval."""
        return {"frac_alive": float(np.mean(measurement.extras["fired"] > 0))}

    def untrained(self, d_in: int, d_sae: int, l0: float) -> dict[str, Coder]:
        """Untrained baselines to measure beside the SAEs: this metric has none.

        Args:
            d_in: Width of the activations.
            d_sae: Number of features.
            l0: Mean number of active features per token, which the baselines match.
        """
        return {}


def _ratio(a: Array, b: Array) -> Array:
    return np.where(b != 0, a / np.where(b != 0, b, 1), np.nan)


class _Sums:
    """Sums by unit of what the figures need, added up block by block in float64."""

    def __init__(self, sae: Coder, n_units: int) -> None:
        self.sae = sae
        self.n_units = n_units
        self.sums: dict[str, Array] = {}
        self.fired = torch.zeros(sae.d_sae, dtype=torch.int64, device="cpu")
        self.origin: Tensor | None = None

    @torch.no_grad()
    def add(self, block: Tensor, unit: Array, target: Tensor) -> None:
        if block.shape[-1] != self.sae.d_in:
            raise EvaluationError(
                f"the activations have width {block.shape[-1]}, the SAE has d_in = "
                f"{self.sae.d_in}; use activations of the hook it was trained on"
            )
        z, out = self.sae.run(block.float(), target.float())
        if out.shape != target.shape:
            raise EvaluationError(
                f"the reconstructions have width {out.shape[-1]}, what they should be has "
                f"{target.shape[-1]}; use activations of the SAE's own hook"
            )
        l0, fired = firing(z)
        self.fired += fired.cpu()
        x, out = target.cpu().double(), out.detach().cpu().double()
        # The variance is a difference of two sums; about a point of the data they stay small.
        self.origin = x[0].clone() if self.origin is None else self.origin
        shifted = x - self.origin
        norm, out_norm, dot = x.norm(dim=-1), out.norm(dim=-1), (x * out).sum(-1)
        both = norm * out_norm
        rows = {
            "n": torch.ones_like(norm),
            "error": (x - out).square().sum(-1),
            "x": shifted,
            "x_sq": shifted.square().sum(-1),
            "l0": l0.cpu().double(),
            "l1": l1(z).cpu().double(),
            "cossim": torch.where(both > 0, dot / both.clamp(min=1e-300), 0.0),
            "l2_ratio": out_norm / torch.where(norm < _SMALLEST_NORM, 1.0, norm),
            "out_sq": out.square().sum(-1),
            "dot": dot,
        }
        index = torch.from_numpy(np.ascontiguousarray(unit))
        for name, values in rows.items():
            shape = (self.n_units, *values.shape[1:])
            total = self.sums.setdefault(name, np.zeros(shape))
            torch.from_numpy(total).index_add_(0, index, values)

    def measurement(self, document: NDArray | None = None) -> Measurement:
        if not self.sums:
            raise EvaluationError("there are no activations to evaluate on; give some tokens")
        return Measurement(self.sums, {"fired": self.fired.numpy()}, document)
