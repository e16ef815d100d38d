"""The end of `rsae upgrade`: its arms measured on the same held-out tokens, and the report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from rsae_evals.comparison.comparing import compare
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

__all__ = ["evaluate_upgrade"]

#: Sequences spliced for each arm: an upgrade ends with an answer in seconds, `rsae compare` takes
#: more of them and minutes.
SEQUENCES = 24


def evaluate_upgrade(
    arms: Mapping[str, Any],
    *,
    host: Host | None,
    hook_name: str,
    heldout: Activations,
    tokens: Tokens | None,
    out: Path,
    provenance: Mapping[str, Any],
    console: Console,
) -> Comparison:
    """Compare the arms of an upgrade, write the report into `out`, and print its first table.

    Measurements are kept in ``out/measurements``: a run that was stopped goes on from there.

    Args:
        arms: name → dictionary, in the order teacher, control, threshold_only, rsae_init, rsae.
        host: the language model to splice into; None leaves downstream metrics out.
        hook_name: where in it the dictionaries live.
        heldout: activations that no arm was trained on.
        tokens: the tokens behind them.
        out: the folder of the upgrade.
        provenance: what the upgrade says of itself (seeds, hashes, settings).
        console: where to print.

    Returns:
        The comparison that report.json holds.
    """
    frozen = evaluation_set(heldout, tokens, host=host, hook_name=hook_name)
    known = {"host": host.name if host else None, "hook_name": hook_name}
    with progress_on(console) as progress:
        found = compare(
            arms,
            frozen,
            metrics=[Reconstruction(), *([Splicing(SEQUENCES)] if host and tokens else [])],
            cache=Path(out) / "measurements",
            provenance=known | of_this_process() | dict(provenance),
            progress=progress,
        )
    folder = write(found, out)
    show(found, console)
    console.print(f"Report: {folder / 'report.html'}", soft_wrap=True, highlight=False)
    return found
