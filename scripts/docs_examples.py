"""An extension of griffe: examples in docstrings become code blocks instead of quotations."""

import re
from typing import Any

import griffe

# griffe knows the section of examples by its plural; the singular would be a note like any other
_TITLE = re.compile(r"^Example:$", re.M)
# a doctest outside such a section: from a line that begins with >>> to the next empty line
_EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.M)


class FencedExamples(griffe.Extension):
    """Make every doctest of a docstring a block of code, under ``Example:`` or without a title."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the text of the docstring before it is parsed."""
        if obj.docstring is not None:
            text = _TITLE.sub("Examples:", obj.docstring.value)
            obj.docstring.value = _EXAMPLE.sub(lambda m: f"```pycon\n{m[0]}\n```", text)
