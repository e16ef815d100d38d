"""`rsae info`: what a file or folder is."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..describe import describe
from .output import show

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["register"]


def register(subparsers: _SubParsersAction[Any]) -> None:
    """Add `rsae info`."""
    parser = subparsers.add_parser(
        "info", help="say what an RSAE, an SAE or a folder of activations is"
    )
    parser.add_argument("path", metavar="PATH", help="folder, file, release/sae_id or demo:FAMILY")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    show(describe(args.path), args.json)
    return 0
