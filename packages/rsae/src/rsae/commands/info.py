"""`rsae info`: what a file or folder is."""

from __future__ import annotations

import argparse

from ..describe import describe
from .output import show

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Carry out the command; its options are those of `rsae_cli.parsers`."""
    show(describe(args.path), args.json)
    return 0
