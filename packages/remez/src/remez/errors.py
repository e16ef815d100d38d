"""The exceptions of the package. Each message names the cause and the next step."""

from __future__ import annotations

import unicodedata
from typing import Any

__all__ = [
    "CodeError",
    "ConvergenceError",
    "DegreeError",
    "DomainError",
    "ExpressionError",
    "RemezError",
    "TargetError",
    "one_line",
    "printable",
    "shown",
]


SHOWN = 60  # most characters of a value that a message quotes


def shown(value: Any) -> str:
    """The repr of a value for use in a message, on one line and truncated."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001 - a broken __repr__ must not hide the message
        text = f"a {type(value).__name__}"
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


_LONGEST = 600  # most characters of a message: a few lines of a terminal
_NOT_PRINTED = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # Unicode's control and format characters, line ends
_PRINTED = "\n\t\u200c\u200d"  # the last two join letters of Persian, of Hindi, and emoji


def printable(text: str) -> str:
    """The text with escapes for the characters that a terminal or a page would obey.

    These are control characters, which move the cursor or set a window's title, marks that turn
    the direction of writing, halves of surrogate pairs and line separators.

    Example:
        >>> print(printable("a" + chr(27) + "[2J" + chr(0x202E) + "b"))
        a\\x1b[2J\\u202eb
    """
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in _NOT_PRINTED and character not in _PRINTED
        else character
        for character in text
    )


def one_line(message: str) -> str:
    """A message on one printable line of at most about 600 characters.

    It may quote a damaged file, an option or another library's error. Its end, which says what to
    do next, is kept.

    Example:
        >>> one_line("cannot read a\\nb")
        'cannot read a b'
    """
    line = printable(" ".join(message.splitlines()))
    return line if len(line) <= _LONGEST else f"{line[:400]} … {line[-190:]}"


class RemezError(Exception):
    """Base class of all errors of this package; the message is a single line."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class CodeError(RemezError, ValueError):
    """The requested language, data type or form of generated code is not supported."""


class DomainError(RemezError, ValueError):
    """The domain is empty, degenerate, overlapping or not numeric."""


class DegreeError(RemezError, ValueError):
    """The degree or a numeric option is invalid, or contradicts the other conditions."""


class TargetError(RemezError, ValueError):
    """The function cannot be approximated: it has NaN, a pole, a jump or noise in the domain."""


class ConvergenceError(RemezError, RuntimeError):
    """No result of the solver was accepted.

    Attributes:
        fit: The best `remez.Fit` found, or None; its ``status`` states why it was not accepted.
    """

    def __init__(self, message: str, fit: Any = None) -> None:
        super().__init__(message)
        self.fit = fit


class ExpressionError(RemezError, ValueError):
    """A string is not a valid expression, or names an unknown target."""
