"""Printing on a terminal: what is printed may come from files of others."""

from __future__ import annotations

from typing import Any

import rich.console
from rich.text import Text

from rsae.errors import printable

__all__ = ["Console"]


class Console(rich.console.Console):
    """A console that prints a text as it is: brackets and colons are no markup, nothing is hidden.

    Control characters, which a terminal would obey, are printed as escapes.

    Args:
        settings: As for `rich.console.Console`.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, **settings)

    def render_str(self, text: str, **settings: Any) -> Text:
        """A text as it is printed, see `rich.console.Console.render_str`."""
        return super().render_str(printable(text), **settings)

    def print_data(self, data: Any) -> None:
        """Print plain data as JSON in ASCII."""
        self.print_json(data=data, ensure_ascii=True)
