"""Where the activations of `rsae upgrade` come from: a store, or the language model as it runs."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from rsae.commands.inputs import context_of, open_store
from rsae.data import ActivationStore, ActivationStream, harvest
from rsae.data.splits import document_splits, first_tokens, refuse_repeats, token_splits
from rsae.data.stream import Text
from rsae.data.text import Tokens
from rsae.language_model.host import Host
from rsae.language_model.site import Site
from rsae.pretrained import Teacher
from rsae.progress import progress_on
from rsae.upgrading.estimate import peak_memory_gib
from rsae.upgrading.sample import Sample, rows_at, sample_of

__all__ = [
    "TRAIN_TOKENS", "Source", "Splits", "open_dataset", "source_of", "sources_of", "splits_of",
]  # fmt: skip

TRAIN_TOKENS = 48_000
"""Tokens to train on where `--tokens` gives no number."""
_SKETCHED = 2**20  # tokens of a stream that its SAEs record; a longer text has more


@dataclass(frozen=True, eq=False)
class Source:
    """The activations of an upgrade.

    Attributes:
        store: On disk: those to calibrate and to evaluate on, and those to train on unless they
            are a stream.
        sample: All three.
        train: The tokens that the SAEs record as trained on.
    """

    store: ActivationStore
    sample: Sample
    train: Tokens

    @classmethod
    def of_store(cls, store: ActivationStore, site: Site) -> Source:
        """Everything from a store."""
        return cls(store, sample_of(store, site.input, site.target), store.tokens("train"))

    @property
    def streamed(self) -> bool:
        """Whether the language model runs while the SAEs are trained."""
        return isinstance(self.sample.train, ActivationStream)


def open_dataset(args: argparse.Namespace) -> Text | None:
    """The documents of `--dataset`, opened before a language model is loaded.

    Raises:
        TextError: There is no such data set, or it cannot be reached.
    """
    if not args.dataset:
        return None
    from rsae.data.corpus import streamed_documents  # its library is slow to import

    return streamed_documents(args.dataset)


def source_of(
    args: argparse.Namespace,
    host: Host,
    teacher: Teacher,
    site: Site,
    documents: Text | None,
    most: int,
    console: Console,
) -> Source:
    """What the options choose; calibration and held-out activations are made here.

    Args:
        args: The options of `rsae upgrade`.
        host: The language model.
        teacher: The SAE whose metadata give the context size.
        site: Where to read.
        documents: Those of `--dataset`.
        most: Tokens that training will take.
        console: Where to say what is done.
    """
    if args.activations:
        return Source.of_store(open_store(args.activations, host), site)
    context = context_of(teacher.metadata, host, teacher.source)
    splits = splits_of(args, host, context, documents, most, console)
    return sources_of(args, host, (site,), splits, args.out / "activations", console)[site]


@dataclass(frozen=True, eq=False)
class Splits:
    """The text of an upgrade.

    Attributes:
        tokens: Those to train on (of a data set that is streamed, the ones that SAEs record), to
            calibrate on and to evaluate on.
        text: What a stream reads.
        context_size: Tokens per sequence.
        limits: What a stream of a data set is told: its name, and where it ends.
    """

    tokens: Mapping[str, Tokens]
    text: Text | Tokens
    context_size: int
    limits: Mapping[str, Any] = field(default_factory=dict)


def splits_of(
    args: argparse.Namespace,
    host: Host,
    context_size: int,
    documents: Text | None,
    most: int,
    console: Console,
) -> Splits:
    """The text that the options choose, see `source_of`."""
    with console.status("reading the text"):
        if documents is None:
            tokens = token_splits(host, args.text, args.tokens or TRAIN_TOKENS, context_size)
            return Splits(tokens, tokens["train"], context_size)
        from rsae.data.corpus import identity_of

        parts = document_splits(host, documents, context_size)
        least = args.tokens or (min(most, _SKETCHED) if args.stream else TRAIN_TOKENS)
        train = first_tokens(host, parts.train, least, context_size)
        refuse_repeats(train, parts.heldout)
        tokens = {"train": train, "calibration": parts.calibration, "heldout": parts.heldout}
        limits = {"n_tokens": args.tokens, "name": identity_of(args.dataset)}
        return Splits(tokens, parts.train, context_size, limits)


def sources_of(
    args: argparse.Namespace,
    host: Host,
    sites: Sequence[Site],
    splits: Splits,
    folder: Path,
    console: Console,
) -> dict[Site, Source]:
    """Sources by site: one pass of the language model makes the activations of all in `folder`."""
    hooks = tuple(dict.fromkeys(hook for site in sites for hook in site.hooks))
    if not args.stream:
        store = _harvested(host, hooks, splits.tokens, folder, console)
        return {site: Source.of_store(store, site) for site in sites}
    few = {name: splits.tokens[name] for name in ("calibration", "heldout")}
    store = _harvested(host, hooks, few, folder, console)
    context = splits.context_size
    sources = {}
    for site in sites:
        stream = ActivationStream(
            host,
            splits.text,
            site.input,
            target_hook=site.target,
            context_size=context,
            **splits.limits,
        )
        kept = (rows_at(store, name, site.input, site.target) for name in few)
        sources[site] = Source(store, Sample(stream, *kept), splits.tokens["train"])
    return sources


def _harvested(
    host: Host, hooks: Sequence[str], tokens: Mapping[str, Tokens], folder: Path, console: Console
) -> ActivationStore:
    begin = time.perf_counter()
    with progress_on(console) as progress:
        store = harvest(host, tokens, hooks, folder, progress=progress)
    seconds = time.perf_counter() - begin
    n = sum(part.n_tokens for part in tokens.values())
    console.print(f"harvest: {n:,} tokens in {seconds:.0f} s; peak memory {peak_memory_gib()} GiB")
    return store
