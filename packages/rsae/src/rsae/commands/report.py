"""The report that ends `rsae refine` and `rsae upgrade`, written by an installed evaluator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from rich.console import Console

from rsae.data import ActivationStore
from rsae.language_model.host import Host
from rsae.language_model.site import Site

__all__ = ["write_report"]


def write_report(
    variants: Mapping[str, Any],
    out: Path,
    *,
    host: Host,
    site: Site,
    store: ActivationStore,
    summary: Mapping[str, Any],
    console: Console,
    command: str,
    **options: Any,
) -> None:
    """Compare the variants on the store's held-out tokens, where `rsae-evals` is installed.

    Args:
        variants: Name → SAE, the teacher first, the result last.
        out: The folder of the report.
        host: The language model.
        site: Where the variants read, and what they reconstruct.
        store: Their store, with a held-out split.
        summary: What the command says of its run; the report shows it.
        console: Where to print.
        command: What to run once `rsae-evals` is installed.
        options: Further arguments of `rsae_evals.integrations.upgrade_report.evaluate_upgrade`.
    """
    evaluators = list(entry_points(group="rsae.evaluators"))
    if not evaluators:
        console.print(f"No table: pip install rsae-evals, then {command}.")
        return
    evaluate: Callable[..., Any] = evaluators[0].load()
    evaluate(
        variants,
        host=host,
        site=site,
        heldout=store.split("heldout", site.input),
        targets=None if site.target is None else store.split("heldout", site.target),
        tokens=store.tokens("heldout"),
        out=out,
        provenance={name: value for name, value in summary.items() if name != "out"},
        console=console,
        **options,
    )
