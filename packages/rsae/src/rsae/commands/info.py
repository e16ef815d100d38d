"""`rsae info`: what a file or folder is."""

from __future__ import annotations

import argparse

from rsae.commands.output import show
from rsae.sae.load import describe

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Carry out the command; its options are those of `rsae_cli.parsers`."""
    show(describe(args.path), args.json)
    return 0
