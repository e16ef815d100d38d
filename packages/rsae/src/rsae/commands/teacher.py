"""`rsae teacher inspect`: what a trained SAE is, as the upgrade will see it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..describe import describe_teacher
from ..teacher import FORMATS, load_teacher
from .output import show

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["register"]


def register(subparsers: _SubParsersAction[Any]) -> None:
    """Add `rsae teacher inspect`."""
    parser = subparsers.add_parser("teacher", help="look at a trained SAE")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    inspect = actions.add_parser("inspect", help="format, family, shapes, thresholds, metadata")
    inspect.add_argument("path", metavar="PATH", help="folder, file, release/sae_id or demo:FAMILY")
    inspect.add_argument("--format", choices=FORMATS, help="by default found by content")
    inspect.add_argument("--json", action="store_true", help="as JSON")
    inspect.add_argument("--debug", action="store_true", help="show the traceback of an error")
    inspect.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    show(describe_teacher(load_teacher(args.path, args.format)), args.json)
    return 0
