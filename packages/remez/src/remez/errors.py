"""What can go wrong, as types. Each message names the cause and the next step."""

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


SHOWN = 60  # characters of a value that a message repeats


def shown(value: Any) -> str:
    """A caller's value in a message: its repr, on one line and cut off."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001 - a broken __repr__ must not hide the message
        text = f"a {type(value).__name__}"
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


_LONGEST = 600  # characters of a message: a few lines of a terminal


class RemezError(Exception):
    """Base of every error that a caller can cause; its message is one line of modest length."""

    def __str__(self) -> str:
        # A message may repeat a name or a value of a damaged file. The next step ends it.
        text = " ".join(super().__str__().splitlines())
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
        return text if len(text) <= _LONGEST else f"{text[:400]} … {text[-190:]}"


class CodeError(RemezError, ValueError):
    """Code is asked for in a language, type or form that there is not."""


class DomainError(RemezError, ValueError):
    """The domain is empty, degenerate, overlapping or not made of numbers."""


class DegreeError(RemezError, ValueError):
    """The degree is negative, not a pair, or impossible with the other conditions."""


class TargetError(RemezError, ValueError):
    """The target cannot be approximated: NaN, a pole, a jump, or noise in the domain."""


class ConvergenceError(RemezError, RuntimeError):
    """No certified best approximation was reached.

    Attributes:
        fit: the best `remez.Fit` found so far, None if there is none; its ``status`` says what
            is missing.
    """

    def __init__(self, message: str, fit: Any = None) -> None:
        super().__init__(message)
        self.fit = fit


class ExpressionError(RemezError, ValueError):
    """A text is not an expression of the catalogue's functions, or names an unknown target."""
