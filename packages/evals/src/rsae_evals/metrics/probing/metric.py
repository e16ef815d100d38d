"""k-sparse probing as a metric, and its untrained baselines.

Shapes: n_texts, n_problems (one class of one task each), d_in, d_sae.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from rsae_evals.coder import Coder, SparseCoder, as_coder
from rsae_evals.data.evaluation_set import EvaluationSet
from rsae_evals.errors import EvaluationError
from rsae_evals.metrics.measurement import Array, Measurement, Progress, Totals
from rsae_evals.metrics.probing.pooling import pooled_codes
from rsae_evals.metrics.probing.sparse import Problem, problems, train_and_test
from rsae_evals.metrics.probing.texts import LabelledTexts, packaged

if TYPE_CHECKING:
    from rsae.language_model.host import Host

__all__ = ["Probing", "probe"]

#: Numbers of features that a probe uses.
KS = (1, 2, 5, 16)


def probe(
    sae: SparseCoder | Any,
    host: Host,
    hook_name: str,
    texts: LabelledTexts | None = None,
    *,
    progress: Progress | None = None,
) -> dict[str, float]:
    """k-sparse probing accuracy of an SAE: how well k features predict a label of a text.

    Feature activations are averaged over a text's ordinary tokens; the k features with the
    largest |mean_pos - mean_neg| on the training texts enter a logistic regression (L2, C = 1);
    each class stands against the rest on balanced data. The figures are means over classes and
    tasks of the accuracy on test texts, so 0.5 is chance.

    Args:
        sae: The SAE, anything `as_coder` takes.
        host: The language model.
        hook_name: The hook of the activations that the SAE reads.
        texts: Labelled texts; None takes the packaged ones (domain and sentiment).
        progress: Called as progress(what, share done).

    Returns:
        ``sae_top_{k}_test_accuracy`` for k = 1, 2, 5, 16.

    Unlike in SAEBench, a task of two classes is one problem, not two mirror images.

    References:
        Karvonen et al. 2025, SAEBench, arXiv 2503.09532; Gurnee et al. 2023, arXiv 2305.01610.
    """
    metric = Probing(texts)
    codes = pooled_codes([as_coder(sae)], host, hook_name, metric.texts.texts, progress=progress)[0]
    values = metric.values(metric.score(codes).totals())
    return {name: float(value) for name, value in values.items()}


class Probing:
    """The metric of `probe`, for several SAEs in one pass over the texts.

    Args:
        texts: Labelled texts; None takes the packaged ones.
        seed: Random seed of the split into train and test, and of the draws that balance classes.
    """

    def __init__(self, texts: LabelledTexts | None = None, seed: int = 0) -> None:
        self.texts = texts or packaged()
        self.problems: list[Problem] = problems(self.texts, seed)
        self.name = f"probing-1-{self.texts.name}-{len(self.texts.texts)}-{seed}"

    def measure(
        self, saes: Sequence[Coder], heldout: EvaluationSet, progress: Progress | None = None
    ) -> list[Measurement]:
        """One measurement per SAE, whose units are the test texts.

        Args:
            saes: The SAEs to measure, seen through `Coder`.
            heldout: The evaluation set, the same for all.
            progress: Called as progress(what, share done).

        Raises:
            EvaluationError: the evaluation set has no language model or no hook.
        """
        if heldout.host is None or heldout.hook_name is None:
            raise EvaluationError("probing needs a language model and a hook; name them")
        codes = pooled_codes(
            saes,
            heldout.host,
            heldout.input_hook or heldout.hook_name,
            self.texts.texts,
            output_hook=heldout.hook_name,
            progress=progress,
        )
        return [self.score(one) for one in codes]

    def score(self, codes: csr_array) -> Measurement:
        """Right answers by test text and problem, from mean activations (n_texts, d_sae)."""
        shape = (len(self.texts.texts), len(self.problems))
        asked = np.zeros(shape)
        right = {k: np.zeros(shape) for k in KS}
        for k in KS:
            for j, (problem, correct) in enumerate(train_and_test(codes, self.problems, k)):
                right[k][problem.test, j] = correct
                asked[problem.test, j] = 1
        used = asked.any(axis=1)
        sums = {"asked": asked[used]} | {f"right_{k}": right[k][used] for k in KS}
        return Measurement(sums)

    def values(self, totals: Totals) -> dict[str, Array]:
        """Mean accuracy over problems for each k."""
        asked = totals["asked"]
        with np.errstate(divide="ignore", invalid="ignore"):
            return {
                f"sae_top_{k}_test_accuracy": np.nanmean(totals[f"right_{k}"] / asked, axis=-1)
                for k in KS
            }

    def fixed(self, measurement: Measurement) -> dict[str, float]:
        """Figures without an interval; there are none, as every figure is a function of sums."""
        return {}

    def untrained(self, d_in: int, d_sae: int, l0: float) -> dict[str, Coder]:
        """Untrained baselines: the residual channels, and a random dictionary as sparse.

        Args:
            d_in: Width of the activations.
            d_sae: Number of features.
            l0: Mean number of active features per token, which the baselines match.
        """
        return {
            "residual channels": as_coder(_Channels(d_in)),
            "random dictionary": as_coder(_random_dictionary(d_in, d_sae, max(1, round(l0)))),
        }


class _Channels:
    """The channels of the residual stream in place of feature activations."""

    def __init__(self, d: int) -> None:
        self.d_in = self.d_sae = d
        self.W_dec = torch.eye(d)

    def encode(self, x: Tensor) -> Tensor:
        return x

    def decode(self, z: Tensor) -> Tensor:
        return z


def _random_dictionary(d_in: int, d_sae: int, k: int) -> dict[str, Any]:
    """A TopK SAE whose features are random directions."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(d_sae, d_in, generator=generator), dim=1)
    return {
        "W_enc": rows.T.contiguous(),
        "b_enc": torch.zeros(d_sae),
        "W_dec": rows,
        "b_dec": torch.zeros(d_in),
        "k": min(k, d_sae),
    }
