"""Where the activations of `rsae upgrade` come from: a store, or the language model as it runs."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from rsae.commands.inputs import context_of, open_store
from rsae.data import ActivationStore, ActivationStream, harvest
from rsae.data.splits import document_splits, first_tokens, refuse_repeats, token_splits
from rsae.data.stream import Text
from rsae.data.text import Tokens
from rsae.language_model.host import Host
from rsae.pretrained import Teacher
from rsae.progress import progress_on
from rsae.upgrading.estimate import peak_memory_gib
from rsae.upgrading.sample import Sample, sample_of

__all__ = ["TRAIN_TOKENS", "Source", "open_dataset", "source_of"]

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
    def of_store(cls, store: ActivationStore, hook: str) -> Source:
        """Everything from a store."""
        return cls(store, sample_of(store, hook), store.tokens("train"))

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
    hook: str,
    documents: Text | None,
    most: int,
    console: Console,
) -> Source:
    """What the options choose; calibration and held-out activations are made here.

    Args:
        args: The options of `rsae upgrade`.
        host: The language model.
        teacher: The SAE whose metadata give the context size.
        hook: Where to read.
        documents: Those of `--dataset`.
        most: Tokens that training will take.
        console: Where to say what is done.
    """
    if args.activations:
        return Source.of_store(open_store(args.activations, host), hook)
    context = context_of(teacher.metadata, host, teacher.source)
    text: Text | Tokens
    with console.status("reading the text"):
        if documents is None:
            tokens = token_splits(host, args.text, args.tokens or TRAIN_TOKENS, context)
            text = train = tokens["train"]
        else:
            parts = document_splits(host, documents, context)
            least = args.tokens or (min(most, _SKETCHED) if args.stream else TRAIN_TOKENS)
            train = first_tokens(host, parts.train, least, context)
            refuse_repeats(train, parts.heldout)
            tokens = {"train": train, "calibration": parts.calibration, "heldout": parts.heldout}
            text = parts.train
    if not args.stream:
        return Source.of_store(_harvested(args, host, hook, tokens, console), hook)
    few = {name: tokens[name] for name in ("calibration", "heldout")}
    store = _harvested(args, host, hook, few, console)
    limits: dict[str, Any] = {}
    if documents is not None:
        from rsae.data.corpus import identity_of

        limits = {"n_tokens": args.tokens, "name": identity_of(args.dataset)}
    stream = ActivationStream(host, text, hook, context_size=context, **limits)
    sample = Sample(stream, store.split("calibration", hook), store.split("heldout", hook))
    return Source(store, sample, train)


def _harvested(
    args: argparse.Namespace, host: Host, hook: str, tokens: dict[str, Tokens], console: Console
) -> ActivationStore:
    begin = time.perf_counter()
    with progress_on(console) as progress:
        store = harvest(host, tokens, hook, args.out / "activations", progress=progress)
    seconds = time.perf_counter() - begin
    n = sum(part.n_tokens for part in tokens.values())
    console.print(f"harvest: {n:,} tokens in {seconds:.0f} s; peak memory {peak_memory_gib()} GiB")
    return store
