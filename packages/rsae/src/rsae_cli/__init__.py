"""The command `rsae`: its parsers, and what is wrong with a command line.

Help and a mistyped option are answered at once: what a command does, and with it torch, SAELens and
a language model, is imported when it runs.
"""

from rsae_cli.program import build_parser, main

__all__ = ["build_parser", "main"]
