"""A document of a text."""

from dataclasses import dataclass

__all__ = ["Document"]


@dataclass(frozen=True)
class Document:
    """A text that is trained on or held out as a whole."""

    title: str
    text: str
