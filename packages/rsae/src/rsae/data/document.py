"""A document of a text."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["Document", "pieces"]

_PIECE = 20_000  # characters: what a lone text is cut into, so that a part of it can be held out


@dataclass(frozen=True)
class Document:
    """A text that is trained on or held out as a whole."""

    title: str
    text: str


def pieces(title: str, paragraphs: Iterable[str]) -> Iterator[Document]:
    """A text as documents of about 20,000 characters, each of whole paragraphs.

    Args:
        title: Of the text; that of a piece adds its number.
        paragraphs: The text, cut at empty lines.

    Example:
        >>> [piece.title for piece in pieces("a", ["x" * 20_000, "y"])]
        ['a, piece 1', 'a, piece 2']
    """
    held: list[str] = []
    length = number = 0
    for paragraph in paragraphs:
        held.append(paragraph)
        length += len(paragraph)
        if length >= _PIECE:
            number += 1
            yield Document(f"{title}, piece {number}", "\n\n".join(held))
            held, length = [], 0
    if held:
        yield Document(f"{title}, piece {number + 1}", "\n\n".join(held))
