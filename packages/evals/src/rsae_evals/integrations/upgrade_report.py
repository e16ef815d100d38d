"""The end of `rsae upgrade`: its variants measured on the same held-out tokens, and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from rsae.files import write_text
from rsae.sae.card import Figure, model_card
from rsae.sae.model import RSAE
from rsae_evals.comparison.comparing import compare
from rsae_evals.comparison.gain import gain_parts
from rsae_evals.data.evaluation_set import evaluation_set
from rsae_evals.metrics.downstream import Splicing
from rsae_evals.metrics.reconstruction import Reconstruction
from rsae_evals.progress import progress_on
from rsae_evals.provenance import provenance as of_this_process
from rsae_evals.report import show, write
from rsae_evals.results import Comparison

if TYPE_CHECKING:
    from rsae.data import Activations
    from rsae.data.text import Tokens
    from rsae.language_model.host import Host
    from rsae.language_model.site import Site

__all__ = ["evaluate_upgrade"]

#: Sequences spliced for each variant: an upgrade ends with an answer in seconds, `rsae compare`
#: takes more of them and minutes.
SEQUENCES = 24


def evaluate_upgrade(
    variants: Mapping[str, Any],
    *,
    host: Host | None,
    site: Site,
    heldout: Activations,
    targets: Activations | None = None,
    tokens: Tokens | None,
    out: Path,
    provenance: Mapping[str, Any],
    console: Console,
    baseline: str | None = None,
    made_of: Sequence[tuple[str, str]] | None = None,
    sequences: int | None = SEQUENCES,
) -> Comparison:
    """Compare the variants of an upgrade, write the report into `out`, and print its first table.

    Measurements are kept in ``out/measurements``: an interrupted run continues from there.

    Args:
        variants: Name → SAE, the teacher first, the result last.
        host: The language model to splice into; None leaves downstream metrics out.
        site: Where the variants read, and what they reconstruct.
        heldout: Activations that no variant was trained on.
        targets: For transcoders, what they predict at the same tokens.
        tokens: the tokens behind them.
        out: the folder of the upgrade.
        provenance: what the upgrade says of itself (seeds, hashes, settings).
        console: where to print.
        baseline: The variant that the result is measured against in the report's first sentence;
            by default see `rsae_evals.report.answer.question`.
        made_of: Pairs (what was added, variant), first to last; by default inferred from names.
        sequences: The number of sequences for downstream metrics; None takes all.

    Returns:
        The comparison that report.json holds.
    """
    frozen = evaluation_set(
        heldout,
        tokens,
        host=host,
        hook_name=site.output,
        targets=targets,
        input_hook=None if targets is None else site.input,
    )
    known = {"host": host.name if host else None, "hook_name": frozen.place}
    with progress_on(console) as progress:
        found = compare(
            variants,
            frozen,
            metrics=[Reconstruction(), *([Splicing(sequences)] if host and tokens else [])],
            cache=Path(out) / "measurements",
            provenance=known | of_this_process() | dict(provenance),
            progress=progress,
        )
    found = replace(found, baseline=baseline)
    if made_of is not None:
        found = replace(found, gain=gain_parts(_values(found), made_of))
    _complete_card(list(variants.values())[-1], found, Path(out))
    folder = write(found, out)  # last: its page says that all is there
    show(found, console)
    console.print(f"Report: {folder / 'report.html'}", soft_wrap=True, highlight=False)
    return found


def _complete_card(sae: Any, found: Comparison, out: Path) -> None:
    """Add the language model's loss to the card of an RSAE that is kept in `out`."""
    before, after = (
        variant.metrics.get("delta_ce") for variant in (found.variants[0], found.variants[-1])
    )
    n_tokens = found.tokens["n_tokens_downstream"]
    if not isinstance(sae, RSAE) or before is None or after is None or n_tokens is None:
        return
    figure = Figure("ΔCE, nats per token", before, after, n_tokens)
    write_text(out / "README.md", model_card(sae.cfg, sae.rational.degree, [figure]))


def _values(comparison: Comparison) -> dict[str, Mapping[str, float | None]]:
    return {variant.name: variant.metrics for variant in comparison.variants}
