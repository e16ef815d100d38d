"""How well an SAE recovers the known features of a synthetic world.

Shapes: n samples, n_features true features, d_in, d_sae, n_units.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sae_lens.synthetic import feature_uniqueness, mean_correlation_coefficient
from sae_lens.util import cosine_similarities
from torch import Tensor

from rsae.files import sha256
from rsae_evals.coder import Coder
from rsae_evals.data.blocks import blocks, rows_for
from rsae_evals.data.evaluation_set import EvaluationSet
from rsae_evals.errors import EvaluationError
from rsae_evals.metrics.measurement import Array, Measurement, Progress, Totals

__all__ = ["Recovery"]

_FOUND = 0.8  # |cosine| with a decoder row from which on a true feature counts as found
_SMALLEST_NORM = 1e-6  # inputs below it do not enter shrinkage, as in SAELens


class Recovery:
    """Latents as detectors of true features, as SAELens' `eval_sae_on_synthetic_data` has them.

    Each latent j stands for the true feature f(j) whose vector has the largest |cosine| with its
    decoder row. With T_j, P_j the samples on which f(j) and j fire:

        precision  mean over j of |T_j ∩ P_j| / |P_j|, 0 where j never fires
        recall     mean over j of |T_j ∩ P_j| / |T_j|
        f1         mean over j of the harmonic mean of the two
        shrinkage  mean over samples of ‖x̂‖ / ‖x‖
        mcc        mean |cosine| of decoder rows and true features, matched one to one at best
        uniqueness share of distinct f(j)
        true_features_found  number of true features with |cosine| > 0.8 to some decoder row

    Args:
        features: True feature vectors, (n_features, d_in).
        firing: Which of them fire on the samples of the evaluation set, (n, n_features) bool.

    References:
        SynthSAEBench, arXiv 2602.14687; MCC as in arXiv 2505.20254.
    """

    def __init__(self, features: Tensor, firing: Tensor) -> None:
        self.features = features
        self.firing = firing
        self.name = f"recovery-1-{sha256(features)[:16]}-{sha256(firing)[:16]}"

    @torch.no_grad()
    def measure(
        self, saes: Sequence[Coder], heldout: EvaluationSet, progress: Progress | None = None
    ) -> list[Measurement]:
        """One measurement per SAE; counts by unit and latent, figures of the decoder beside."""
        if heldout.activations.n_tokens != len(self.firing):
            raise EvaluationError(
                f"{heldout.activations.n_tokens} activations do not fit {len(self.firing)} samples "
                "of the world; evaluate on the samples that the features were drawn with"
            )
        decoders = [_decoder(sae) for sae in saes]
        best = [cosine_similarities(w, self.features).abs().argmax(dim=1) for w in decoders]
        counts = [_counts(heldout.n_sequences, sae.d_sae) for sae in saes]
        done = 0
        for block in blocks(heldout.activations, min(rows_for(c.d_sae) for c in saes)):
            stop = done + len(block)
            unit = torch.from_numpy(heldout.sequence[done:stop])
            for sae, nearest, sums in zip(saes, best, counts, strict=True):
                _add(sums, unit, sae, block.float(), self.firing[done:stop][:, nearest])
            done = stop
            if progress is not None:
                progress("known features", done / len(self.firing))
        return [
            Measurement(
                {name: values.numpy() for name, values in sums.items()}, self._of_decoder(decoder)
            )
            for sums, decoder in zip(counts, decoders, strict=True)
        ]

    def _of_decoder(self, decoder: Tensor) -> dict[str, np.ndarray]:
        nearest = cosine_similarities(decoder, self.features).abs().amax(dim=0)
        figures = {
            "mcc": mean_correlation_coefficient(decoder, self.features),
            "uniqueness": feature_uniqueness(decoder, self.features),
            "true_features_found": float((nearest > _FOUND).sum()),
        }
        return {name: np.array([value]) for name, value in figures.items()}

    def values(self, totals: Totals) -> dict[str, Array]:
        """Precision, recall, F1 and shrinkage from totals."""
        hits, fires, truth = totals["hits"], totals["fires"], totals["truth"]
        precision, recall = _share(hits, fires), _share(hits, truth)
        f1 = _share(2 * precision * recall, precision + recall)
        return {
            "f1": f1.mean(axis=-1),
            "precision": precision.mean(axis=-1),
            "recall": recall.mean(axis=-1),
            "shrinkage": _share(totals["ratio"], totals["counted"]),
        }

    def fixed(self, measurement: Measurement) -> dict[str, float]:
        """Figures of the decoder alone, which no sample enters."""
        names = ("mcc", "uniqueness", "true_features_found")
        return {name: float(measurement.extras[name][0]) for name in names}

    def untrained(self, d_in: int, d_sae: int, l0: float) -> dict[str, Coder]:
        """Untrained baselines to measure beside the SAEs: this metric has none."""
        return {}


def _decoder(sae: Coder) -> Tensor:
    weight = sae.weight("W_dec")
    if weight is None:
        raise EvaluationError(
            f"{sae.kind} shows no W_dec, by which latents are matched with known features"
        )
    return weight.float().cpu()


def _counts(n_units: int, d_sae: int) -> dict[str, Tensor]:
    wide = {name: torch.zeros(n_units, d_sae, dtype=torch.float64)
            for name in ("hits", "fires", "truth")}  # fmt: skip
    return wide | {name: torch.zeros(n_units, dtype=torch.float64) for name in ("ratio", "counted")}


def _add(sums: dict[str, Tensor], unit: Tensor, sae: Coder, x: Tensor, truth: Tensor) -> None:
    z, out = sae.run(x)
    fires = (z != 0).cpu()
    norm = x.norm(dim=-1)
    counted = norm > _SMALLEST_NORM
    ratio = torch.where(counted, out.cpu().norm(dim=-1) / norm.clamp(min=_SMALLEST_NORM), 0.0)
    rows = {
        "hits": fires & truth, "fires": fires, "truth": truth, "ratio": ratio, "counted": counted,
    }  # fmt: skip
    for name, values in rows.items():
        sums[name].index_add_(0, unit, values.double())


def _share(a: Array, b: Array) -> Array:
    """a / b, 0 where b is 0."""
    return np.where(b > 0, a / np.where(b > 0, b, 1), 0.0)
