"""The answer and its table in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from rsae_evals.comparison import Comparison, Verdict
from rsae_evals.report import summary
from rsae_evals.report.answer import answer, question
from rsae_evals.report.tables import Cell, text

_COLOURS = {
    Verdict.BETTER: "green",
    Verdict.WORSE: "red",
    Verdict.CANNOT_TELL: "dim",
    Verdict.NOT_COMPARABLE: "yellow",
}


def show(comparison: Comparison, console: Console) -> None:
    """Print the sentence, its figures, warnings, and the first table of the report."""
    said = answer(comparison)
    console.print(Text(said.sentence, style="bold"))
    console.print(Text(said.evidence))
    for warning in comparison.warnings:
        console.print(f"[yellow]Note:[/] {escape(warning)}")
    table = summary.headline(comparison, question(comparison))
    drawn = RichTable(caption=Text(table.caption), box=None, header_style="dim", pad_edge=False)
    for index, column in enumerate(table.columns):
        drawn.add_column(Text(column), justify="right" if index else "left")
    for row in table.rows:
        drawn.add_row(*(_styled(cell) for cell in row))
    console.print(drawn)


def _styled(cell: Cell) -> Text:
    return Text(text(cell), style=_COLOURS[cell] if isinstance(cell, Verdict) else "")
