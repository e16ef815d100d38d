"""The exceptions of the package. Each message names the cause and the next step."""

from __future__ import annotations

from typing import Any

__all__ = [
    "CodeError",
    "ConvergenceError",
    "DegreeError",
    "DomainError",
    "ExpressionError",
    "RemezError",
    "TargetError",
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


class RemezError(Exception):
    """Base class of all errors of this package; the message is a single line."""

    def __str__(self) -> str:
        # A message may quote long values of a damaged file. Keep its end, the next step.
        text = " ".join(super().__str__().splitlines())
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
        return text if len(text) <= _LONGEST else f"{text[:400]} … {text[-190:]}"


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
