"""`rsae harvest`: a text through a host, its residual stream to a folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ..activations import harvest
from ..describe import describe
from ..errors import ConfigError
from ..hosts import SINK_POSITIONS, load_host
from ..splits import token_splits
from ..upgrade.progress import progress_on
from .output import show

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["register"]


def register(subparsers: _SubParsersAction[Any]) -> None:
    """Add `rsae harvest`."""
    parser = subparsers.add_parser(
        "harvest",
        help="write a model's activations to a folder, for rsae upgrade --activations",
        description="A run that was stopped is taken up by the same command.",
    )
    add = parser.add_argument
    add("--host", help="language model: a name, GGUF file or folder (the packaged one)")
    add("--hook", nargs="+", required=True, help="such as blocks.12.hook_resid_post; several go")
    add("--text", type=Path, help="txt, jsonl or folder; by default the packaged text")
    add("--tokens", type=int, default=48_000, help="tokens to train on (%(default)s)")
    add("--context-size", type=int, default=128, help="tokens per sequence (%(default)s)")
    add("--out", type=Path, required=True, help="folder of the activations")
    add("--json", action="store_true", help="what was written, as JSON on stdout")
    add("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    if args.tokens < 1:
        raise ConfigError(f"--tokens {args.tokens} is not positive; ask for some")
    if args.context_size <= SINK_POSITIONS:
        raise ConfigError(
            f"--context-size {args.context_size} leaves nothing beyond the first "
            f"{SINK_POSITIONS} positions, which are excluded; 128 is usual"
        )
    console = Console(stderr=True)
    host = load_host(args.host)
    for hook in args.hook:
        host.check_hook(hook)
    with console.status("reading the text"):
        tokens = token_splits(host, args.text, args.tokens, args.context_size)
    with progress_on(console) as progress:
        harvest(host, tokens, args.hook, args.out, progress=progress)
    show({"out": str(args.out), **describe(args.out)}, args.json)
    return 0
