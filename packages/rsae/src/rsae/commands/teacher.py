"""`rsae teacher inspect`: what a trained SAE is, as the upgrade will see it."""

from __future__ import annotations

import argparse

from rsae.commands.output import show
from rsae.pretrained import load_teacher
from rsae.sae.load import describe_teacher

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Carry out the command; its options are those of `rsae_cli.parsers`."""
    show(describe_teacher(load_teacher(args.path, args.format)), args.json)
    return 0
