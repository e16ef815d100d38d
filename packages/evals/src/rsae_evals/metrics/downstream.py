"""What the language model loses when its activations are replaced by their reconstruction.

Shapes: batch or n_sequences, ctx tokens per sequence, vocab, d_in, d_sae.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsae.devices import widest_dtype
from rsae.language_model.host import hook_width
from rsae_evals.coder import Coder, SparseCoder, as_coder
from rsae_evals.data.evaluation_set import EvaluationSet
from rsae_evals.errors import EvaluationError
from rsae_evals.metrics.measurement import Array, Measurement, Progress, Totals

if TYPE_CHECKING:
    from rsae.data.text import Tokens
    from rsae.language_model.host import Host

__all__ = ["Downstream", "Splicing", "downstream"]

_SEQUENCES = 8  # sequences per forward pass


@dataclass(frozen=True, eq=False)
class Downstream:
    """Per-token losses, (n_sequences, ctx - 1) float64: entry t is the prediction of token t + 1.

    NaN marks what does not count: the token read or the token predicted is special.

    Attributes:
        ce_clean, ce_spliced, ce_ablated: next-token cross entropy (nats), the activations at
            the hook untouched, replaced by x̂, replaced by zeros.
        kl: KL(clean ‖ spliced) of the next-token distributions (nats).
    """

    ce_clean: Array
    ce_spliced: Array
    ce_ablated: Array
    kl: Array

    @property
    def n_tokens(self) -> int:
        """Number of predictions that count."""
        return int(np.isfinite(self.ce_clean).sum())

    @property
    def delta_ce(self) -> Array:
        """Per-token ce_spliced - ce_clean."""
        return self.ce_spliced - self.ce_clean

    def metrics(self) -> dict[str, float]:
        """The figures of `downstream`; NaN where undefined."""
        measurement = self.measurement()
        return {k: float(v) for k, v in Splicing().values(measurement.totals()).items()}

    def measurement(self, document: NDArray | None = None) -> Measurement:
        """Sums by sequence, and the per-token values beside them."""
        counted = np.isfinite(self.ce_clean)
        tables = {
            "clean": self.ce_clean,
            "spliced": self.ce_spliced,
            "ablated": self.ce_ablated,
            "kl": self.kl,
        }
        sums = {k: np.where(counted, v, 0.0).sum(axis=1) for k, v in tables.items()}
        sums["n"] = counted.sum(axis=1).astype(np.float64)
        return Measurement(sums, tables, document)


def downstream(
    sae: SparseCoder | Any,
    host: Host,
    tokens: Tokens,
    hook_name: str,
    *,
    input_hook: str | None = None,
) -> Downstream:
    """Splice the reconstruction of an SAE into a language model and measure the loss increase.

    Special tokens (BOS, EOS, PAD) keep their activations, in the splice and in the ablation, and
    count in no mean, neither as the token read nor as the token predicted. ``.metrics()`` gives

        ce_loss_without_sae, ce_loss_with_sae, ce_loss_with_ablation   mean cross entropies
        delta_ce         ce_loss_with_sae - ce_loss_without_sae
        ce_loss_score    (CE_ablation - CE_sae) / (CE_ablation - CE_clean), NaN ("undefined")
                         where the denominator is not positive
        kl_div_with_sae  mean KL(clean ‖ spliced)

    Args:
        sae: The SAE, anything `as_coder` takes.
        host: The language model.
        tokens: The token ids and the mask of special tokens, (n_sequences, ctx) each.
        hook_name: The hook at which to splice, such as ``blocks.12.hook_resid_post``.
        input_hook: The hook that a transcoder reads; None for an SAE, which reads ``hook_name``.

    Returns:
        The losses and what follows from them.

    Raises:
        EvaluationError: There is no token to predict, a width is not that of its hook, or there
            is an ``input_hook`` for an SAE that is no transcoder.
        rsae.errors.HookError: The model has no such hook.
    """
    return splice([as_coder(sae)], host, tokens, hook_name, input_hook=input_hook)[0]


class Splicing:
    """The metric of `downstream`, for several SAEs against one clean and one ablated run.

    Args:
        max_sequences: The number of sequences to use, evenly spaced in the evaluation set; None
            uses all.
    """

    def __init__(self, max_sequences: int | None = None) -> None:
        self.max_sequences = max_sequences
        self.name = f"downstream-2-{max_sequences or 'all'}"

    def measure(
        self, saes: Sequence[Coder], heldout: EvaluationSet, progress: Progress | None = None
    ) -> list[Measurement]:
        """One measurement per SAE: sums by sequence, and the values per token as extra arrays.

        Args:
            saes: The SAEs to measure, seen through `Coder`.
            heldout: The evaluation set, the same for all.
            progress: Called as progress(what, share done).

        Raises:
            EvaluationError: the evaluation set has no language model, tokens or hook.
        """
        if heldout.host is None or heldout.tokens is None or heldout.hook_name is None:
            raise EvaluationError(
                "downstream metrics need tokens, a language model and a hook; name them"
            )
        tokens = spaced(heldout.tokens, self.max_sequences)
        found = splice(
            saes, heldout.host, tokens, heldout.hook_name, progress, input_hook=heldout.input_hook
        )
        return [one.measurement(tokens.document.numpy()) for one in found]

    def values(self, totals: Totals) -> dict[str, Array]:
        """The figures of `downstream`."""
        n = totals["n"]
        clean, spliced, ablated = (totals[k] / n for k in ("clean", "spliced", "ablated"))
        gap = ablated - clean
        positive = np.where(gap > 0, gap, np.nan)
        return {
            "ce_loss_without_sae": clean,
            "ce_loss_with_sae": spliced,
            "ce_loss_with_ablation": ablated,
            "delta_ce": spliced - clean,
            "ce_loss_score": (ablated - spliced) / positive,
            "kl_div_with_sae": totals["kl"] / n,
        }

    def fixed(self, measurement: Measurement) -> dict[str, float]:
        """Figures without an interval: there are none, since every figure is a function of sums."""
        return {}

    def untrained(self, d_in: int, d_sae: int, l0: float) -> dict[str, Coder]:
        """Untrained baselines to measure beside the SAEs: this metric has none.

        Args:
            d_in: Width of the activations.
            d_sae: Number of features.
            l0: Mean number of active features per token, which the baselines match.
        """
        return {}


def spaced(tokens: Tokens, max_sequences: int | None) -> Tokens:
    """At most ``max_sequences`` sequences, evenly spaced, so that every document has its share."""
    from rsae.data.text import Tokens

    n = len(tokens.ids)
    if max_sequences is None or max_sequences >= n:
        return tokens
    chosen = torch.linspace(0, n - 1, max_sequences, device="cpu").round().long()
    return Tokens(tokens.ids[chosen], tokens.special[chosen], tokens.document[chosen])


def splice(
    saes: Sequence[Coder],
    host: Host,
    tokens: Tokens,
    hook_name: str,
    progress: Progress | None = None,
    *,
    input_hook: str | None = None,
) -> list[Downstream]:
    """`downstream` for several SAEs; each batch is run clean and ablated once for all."""
    width = hook_width(host, input_hook or hook_name)
    for sae in saes:
        if sae.d_in != width:
            raise EvaluationError(
                f"the SAE has d_in = {sae.d_in}, {host.name} has width {width} there; "
                "name the language model the SAE was trained on"
            )
        if sae.transcodes != (input_hook is not None):
            raise EvaluationError(
                "an input hook is for transcoders, which read another hook than they predict; give "
                "a transcoder its input hook, and an SAE none"
            )
        if sae.d_out != (width_out := hook_width(host, hook_name)):
            raise EvaluationError(
                f"the transcoder has d_out = {sae.d_out}, {host.name} has width {width_out} at "
                f"{hook_name}; name its own output hook"
            )
    n, ctx = tokens.ids.shape
    counted = (~tokens.special[:, :-1] & ~tokens.special[:, 1:]).numpy()
    if not counted.any():
        raise EvaluationError("there is no token to predict; give longer held-out text")
    clean, ablated = (np.full((n, ctx - 1), np.nan) for _ in range(2))
    spliced, kl = (np.full((len(saes), n, ctx - 1), np.nan) for _ in range(2))
    for start in range(0, n, _SEQUENCES):
        rows = slice(start, start + _SEQUENCES)
        ids = tokens.ids[rows]
        reference = list(_log_probabilities(host.logits(ids)))
        clean[rows] = _losses(reference, ids)
        ablated[rows] = _losses(
            _log_probabilities(host.logits(ids, hook_name, torch.zeros_like)), ids
        )
        for index, sae in enumerate(saes):
            found = list(_log_probabilities(_spliced(sae, host, ids, hook_name, input_hook)))
            spliced[index, rows] = _losses(found, ids)
            kl[index, rows] = [_kl(p, q).numpy() for p, q in zip(reference, found, strict=True)]
        if progress is not None:
            progress("downstream", min(1.0, (start + _SEQUENCES) / n))
    for table in (clean, ablated, *spliced, *kl):
        table[~counted] = np.nan
    return [Downstream(clean, s, ablated, d) for s, d in zip(spliced, kl, strict=True)]


def _spliced(sae: Coder, host: Host, ids: Tensor, hook_name: str, input_hook: str | None) -> Tensor:
    if input_hook is None:
        return host.logits(ids, hook_name, sae.reconstruct)
    return host.logits(ids, hook_name, lambda x, y: sae.run(x, y)[1], input_hook)


def _log_probabilities(logits: Tensor) -> Iterator[Tensor]:
    """Log probabilities of the next token, (ctx - 1, vocab), one sequence at a time."""
    for sequence in logits:
        yield torch.log_softmax(sequence[:-1].float(), dim=-1)


def _losses(log_probabilities: Iterator[Tensor] | list[Tensor], ids: Tensor) -> Array:
    """Cross entropy of each next token, (batch, ctx - 1)."""
    rows = [
        -log_p.gather(-1, row[1:, None].to(log_p.device))[:, 0].cpu().double().numpy()
        for log_p, row in zip(log_probabilities, ids, strict=True)
    ]
    return np.stack(rows)


def _kl(clean: Tensor, spliced: Tensor) -> Tensor:
    """KL(clean ‖ spliced) of log probabilities, (…, vocab) → (…,), exactly 0 for equal ones."""
    terms = clean.exp() * (clean - spliced)
    return torch.sum(terms, dim=-1, dtype=widest_dtype(terms.device)).cpu().double()
