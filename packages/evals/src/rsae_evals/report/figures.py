"""From a matplotlib figure to an inline SVG in the page's own colours and font.

Matplotlib draws with stand-in colours; `inline` replaces each by the CSS custom property it
stands for, so one drawing serves light, dark and print. Text stays text. A title and a description
are part of the drawing, and the numbers behind it travel along as a table, for those who cannot
see it and those who want to check it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from rsae_evals.report.tables import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

N_SERIES = 6
"""Series colours the page defines; more series than that repeat them with other markers."""

INK, MUTED, RULE, FILL = "#010203", "#010204", "#010205", "#010206"
_SERIES = tuple(f"#0102{0x10 + index:02x}" for index in range(N_SERIES))
_MARKERS = ("o", "s", "D", "^", "P", "v")
_DASHES = ((0, (1, 1)), (0, (5, 2)), (0, (6, 2, 1, 2)), (0, (3, 1)), (0, (8, 2)), (0, (2, 2)))
_VARIABLES = {INK: "--ink", MUTED: "--muted", RULE: "--rule", FILL: "--fill"} | {
    colour: f"--series-{index}" for index, colour in enumerate(_SERIES)
}

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "rsae",  # the same drawing twice has the same ids
    "font.size": 10.5,
    "axes.labelsize": 10.5,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.color": RULE,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "lines.linewidth": 1.8,
    "lines.markersize": 6.5,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
}


_WIDTH = 5.4  # inches of a plot
_LONGEST_LABEL = 60  # letters of a name in a legend
_ENTRY, _LETTER = 0.6, 0.066  # inches of a legend's line and gap, and of a letter of 9.5 points


@dataclass(frozen=True)
class Figure:
    """One plot of the report.

    Attributes:
        key: an identifier, unique in the page (letters, digits, hyphens).
        title: what is drawn.
        reading: a sentence that says what the drawing shows, for readers and screen readers alike.
        drawing: the SVG element, self-contained, coloured by CSS custom properties.
        data: the numbers that were drawn.
    """

    key: str
    title: str
    reading: str
    drawing: str = field(repr=False)
    data: Table = field(repr=False)


@dataclass(frozen=True)
class Series:
    """Colour, marker and dash of one series, so that colour alone never tells them apart."""

    color: str
    marker: str
    dash: tuple[int, tuple[int, ...]]


def drawn_text(text: str) -> str:
    """A text as matplotlib draws it as it is: no dollar sign begins a formula, and 60 letters."""
    cut = text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}…"
    return cut.replace("$", r"\$")


def series(index: int) -> Series:
    """The style of the variant at position `index`, the same in every plot."""
    return Series(
        _SERIES[index % N_SERIES],
        _MARKERS[index % len(_MARKERS)],
        _DASHES[index % len(_DASHES)],
    )


def legend(axes: Axes) -> None:
    """A legend above the axes, where it hides nothing, in as many columns as fit."""
    longest = max((len(text) for text in axes.get_legend_handles_labels()[1]), default=0)
    columns = min(3, max(1, int(_WIDTH // (_ENTRY + _LETTER * longest))))
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, borderaxespad=0.2,
        handlelength=1.9, columnspacing=1.2, borderpad=0.2,
    )  # fmt: skip


@contextmanager
def canvas(width: float = _WIDTH, height: float = 3.6) -> Iterator[tuple[Axes, list[str]]]:
    """Axes in the report's style, and a list that receives the SVG text when the block ends."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Drawing

    with mpl.rc_context(_STYLE):
        drawing = Drawing(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(drawing)
        drawing.patch.set_visible(False)
        axes = drawing.add_subplot()
        axes.patch.set_visible(False)
        out: list[str] = []
        yield axes, out
        stream = io.StringIO()
        blank = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        drawing.savefig(stream, format="svg", metadata=blank)
        out.append(stream.getvalue())


def inline(svg: str, *, key: str, title: str, reading: str) -> str:
    """Matplotlib's SVG file as an element of the page named `key`.

    Drops the XML prologue and the global style rule, makes every id the page's own (two drawings
    must not share clip paths), sets colours and font by the page, and names the drawing.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{key}-", body)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, f"var({variable})")
    body = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", body)
    body = re.sub(r"font-family: [^;\"]*;?", "", body)
    view = re.search(r'viewBox="([^"]+)"', body)
    opening = (
        f'<svg viewBox="{view[1] if view else ""}" role="img" '
        f'aria-labelledby="{key}-title {key}-desc" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<title id="{key}-title">{escape(title)}</title>'
        f'<desc id="{key}-desc">{escape(reading)}</desc>'
    )
    return re.sub(r"<svg[^>]*>", lambda _: opening, body, count=1)
