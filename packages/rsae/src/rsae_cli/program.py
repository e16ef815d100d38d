"""The program: its parser, those that other packages plug in, and how errors are told."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points

from rsae_cli.parsers import add_export, add_harvest, add_info, add_teacher, add_upgrade

_PLUGINS = "rsae.commands"
_USER_ERROR = 2
_INTERRUPTED = 130
_READER_GONE = 141


def build_parser() -> argparse.ArgumentParser:
    """The command line: `rsae`'s commands, then those of entry point group `rsae.commands`.

    Each entry point gives `register(subparsers)`, which adds a parser with a default
    `run(args) -> int`.
    """
    parser = argparse.ArgumentParser(
        prog="rsae",
        description="Upgrade trained sparse autoencoders to rational activations.",
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (add_upgrade, add_harvest, add_teacher, add_info, add_export):
        add(subparsers)
    for plugin in entry_points(group=_PLUGINS):
        plugin.load()(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; what a user can mend is one line on stderr and exit code 2."""
    args = build_parser().parse_args(argv)
    try:
        return int(args.run(args))
    except BrokenPipeError:  # whoever reads us, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _READER_GONE
    except KeyboardInterrupt:
        again = "with --resume " if hasattr(args, "resume") else ""
        print(f"rsae: stopped; the same command {again}goes on from here", file=sys.stderr)
        return _INTERRUPTED
    except Exception as error:
        from rsae.errors import RsaeError

        if not isinstance(error, RsaeError) or getattr(args, "debug", False):
            raise
        print(f"rsae: error: {error}", file=sys.stderr)
        return _USER_ERROR
