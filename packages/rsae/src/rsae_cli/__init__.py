"""The command `rsae`, apart from the package of that name, whose import takes seconds.

`import rsae` registers an architecture with SAELens, and so loads torch and SAELens. Here are only
parsers: help and a mistyped option are answered at once, and what a command does is imported when
it runs.
"""

from rsae_cli.program import build_parser, main

__all__ = ["build_parser", "main"]
