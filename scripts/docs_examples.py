"""An extension of griffe: examples in docstrings become code blocks instead of quotations."""

import re
from typing import Any

import griffe

# a doctest: from a line that begins with >>> to the next empty line
_EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.M)


class FencedExamples(griffe.Extension):
    """Put a fence around every doctest that stands outside a section ``Examples:``."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the text of the docstring before it is parsed."""
        if obj.docstring is not None:
            text = obj.docstring.value
            obj.docstring.value = _EXAMPLE.sub(lambda m: f"```pycon\n{m[0]}\n```", text)
