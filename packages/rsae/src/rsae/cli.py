"""`rsae`: upgrade, harvest, teacher, export, info, and whatever other packages plug in."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points

from .errors import RsaeError

__all__ = ["build_parser", "main"]

_COMMANDS = (
    "rsae.upgrade.command",
    "rsae.commands.harvest",
    "rsae.commands.teacher",
    "rsae.commands.info",
    "rsae.commands.export",
)
_PLUGINS = "rsae.commands"
_USER_ERROR = 2
_INTERRUPTED = 130


def build_parser() -> argparse.ArgumentParser:
    """The command line: this package's commands, then those of entry point group `rsae.commands`.

    Each gives `register(subparsers)`, which adds a parser with a default `run(args) -> int`.
    """
    parser = argparse.ArgumentParser(
        prog="rsae",
        description="Upgrade trained sparse autoencoders to rational activations.",
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in _COMMANDS:
        importlib.import_module(module).register(subparsers)
    for plugin in entry_points(group=_PLUGINS):
        plugin.load()(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; what a user can mend is one line on stderr and exit code 2."""
    args = build_parser().parse_args(argv)
    try:
        return int(args.run(args))
    except RsaeError as error:
        if getattr(args, "debug", False):
            raise
        print(f"rsae: error: {error}", file=sys.stderr)
        return _USER_ERROR
    except KeyboardInterrupt:
        again = "with --resume " if hasattr(args, "resume") else ""
        print(f"rsae: stopped; the same command {again}goes on from here", file=sys.stderr)
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
