"""The argument parser of the command lines of this project.

It extends `argparse.ArgumentParser`: an error is one line that suggests the nearest option or
command, the help of each command shows an example, and `--version` and `--print-completion` can be
added.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NoReturn

from remez.errors import one_line

__all__ = ["Parser"]


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and suggest a similar option or command.

    Args:
        example: A command line that the help shows as an example.
        options: Keyword arguments of `argparse.ArgumentParser`.
    """

    def __init__(self, *, example: str = "", **options: Any) -> None:
        if example:
            options["epilog"] = f"example: {example}".replace("%", "%%")
        super().__init__(**{"allow_abbrev": False, **options})
        self.example = example
        self._given: list[str] = []

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse the arguments; an unknown one is reported by the subcommand that received it."""
        self._given = list(sys.argv[1:] if args is None else args)
        options = self._given[: self._given.index("--")] if "--" in self._given else self._given
        for option in options:  # which argparse would take for the end of the options, and fail
            if re.fullmatch(r"--[\w-]+=--", option):
                self.error(f"argument {option[:-3]}: expected a value, not --")
        known, extra = super().parse_known_args(args, namespace)
        unknown = [one for one in extra if one.startswith("-")] or extra
        if unknown:
            self.error(f"unrecognized argument: {unknown[0].partition('=')[0].strip()}")
        return known, []

    def error(self, message: str) -> NoReturn:
        """Print one line that suggests the nearest option or command; exit with code 2."""
        mistyped = self._mistyped() if "arguments are required" in message else None
        if mistyped:  # it may be what was required
            message = f"unrecognized argument: {mistyped}"
        found = re.search(r"unrecognized argument: (\S+)|invalid choice: '([^']*)'", message)
        near = self._nearest(found[1] or found[2]) if found else None
        hint = f"; did you mean {near}?" if near else ""
        message = re.sub(r" \(choose from .*\)$", "", message) if near else message
        told = one_line(f"{self.prog}: error: {message}{hint} ({self.prog} --help)")
        sys.stderr.write(f"{told}\n")
        sys.exit(2)

    def _mistyped(self) -> str | None:
        """The first option that was given and is none, if an option or a command is like it."""
        options = self._given[: self._given.index("--")] if "--" in self._given else self._given
        names = [one.partition("=")[0] for one in options if re.match(r"-[^\d.]", one)]
        unknown = [one for one in names if one not in self._option_string_actions]
        return next((one for one in unknown if self._nearest(one)), None)

    def _nearest(self, given: str) -> str | None:
        known = [*self._option_string_actions, *map(str, self._choices())]
        close = difflib.get_close_matches(given, known, n=1, cutoff=0.6)
        return close[0] if close else None

    def _choices(self) -> Iterator[Any]:
        for action in self._actions:
            yield from action.choices or ()

    def add_program_options(self, distribution: str) -> None:
        """Add the options `--version` and `--print-completion`.

        Args:
            distribution: The name of the installed distribution, whose version is printed.
        """
        self.add_argument(
            "--version",
            action=_Version,
            nargs=0,
            const=distribution,
            default=argparse.SUPPRESS,
            help="print the version",
        )
        self.add_argument(
            "--print-completion",
            action=_PrintCompletion,
            choices=["bash", "zsh", "tcsh"],
            default=argparse.SUPPRESS,
            help="print the shell's completion script (needs the package shtab)",
        )


class _Version(argparse.Action):
    """Print the version. It is looked up only here, so that commands start faster."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: Any = None
    ) -> None:
        try:
            print(f"{parser.prog} {version(self.const)}")
        except PackageNotFoundError:
            print(f"{parser.prog}, run from a source tree that is not installed")
        parser.exit()


class _PrintCompletion(argparse.Action):
    """Print a completion script, as `--version` prints the version."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: Any = None
    ) -> None:
        try:
            import shtab
        except ImportError:
            parser.error("completion needs the package shtab; run: pip install shtab")
        print(shtab.complete(parser, values))
        parser.exit()
