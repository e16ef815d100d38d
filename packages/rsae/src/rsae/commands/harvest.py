"""`rsae harvest`: cache the activations of a language model on a text in a folder."""

from __future__ import annotations

import argparse

from rsae.commands.inputs import say_device
from rsae.commands.output import show
from rsae.data import harvest
from rsae.data.splits import token_splits
from rsae.devices import resolve_device
from rsae.errors import ConfigError
from rsae.language_model.host import SINK_POSITIONS, load_host
from rsae.progress import progress_on
from rsae.sae.load import describe
from rsae.terminal import Console

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Carry out the command; its options are those of `rsae_cli.parsers`."""
    if args.tokens < 1:
        raise ConfigError(f"--tokens {args.tokens} is not positive; ask for some")
    if args.context_size <= SINK_POSITIONS:
        raise ConfigError(
            f"--context-size {args.context_size} leaves nothing beyond the first "
            f"{SINK_POSITIONS} positions, which are excluded; 128 is usual"
        )
    console = Console(stderr=True)
    device = resolve_device(args.device)
    host = load_host(args.model, device=device, dtype=args.dtype)
    say_device(console, device, args.dtype)
    for hook in args.hook:
        host.check_hook(hook)
    with console.status("reading the text"):
        tokens = token_splits(host, args.text, args.tokens, args.context_size)
    with progress_on(console) as progress:
        harvest(host, tokens, args.hook, args.out, progress=progress)
    show({"out": str(args.out), **describe(args.out)}, args.json)
    return 0
