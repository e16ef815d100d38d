"""The answer and its table in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from rsae_evals.report import summary
from rsae_evals.report.answer import answer, question, readable
from rsae_evals.report.files import showing
from rsae_evals.report.numbers import signed
from rsae_evals.report.tables import Cell, Change, text
from rsae_evals.results import Comparison, Verdict
from rsae_evals.serial import with_printable_texts

_COLOURS = {
    Verdict.BETTER: "green",
    Verdict.WORSE: "red",
    Verdict.EQUAL: "dim",
    Verdict.MATCHED: "dim",
    Verdict.TRADE_OFF: "yellow",
    Verdict.CANNOT_TELL: "dim",
    Verdict.NOT_COMPARABLE: "yellow",
}


def show(comparison: Comparison, console: Console) -> None:
    """Print the sentence, its figures, warnings, the first table, and probing where measured.

    The table is transposed, one variant a row, so that five variants fit eighty columns.
    """
    with showing():
        _show(with_printable_texts(comparison), console)


def _show(comparison: Comparison, console: Console) -> None:
    said = answer(comparison)
    console.print(Text(said.sentence, style="bold"))
    console.print(Text(said.evidence))
    for warning in comparison.warnings:
        note = Text.assemble(("Note:", "yellow"), f" {readable(comparison, warning)}")
        console.print(note)
    table = summary.headline(comparison, question(comparison))
    drawn = RichTable(box=None, header_style="dim", pad_edge=False, collapse_padding=True)
    drawn.add_column("", min_width=14)
    rows = table.rows[: len(summary.HEADLINE)]
    for row in rows:
        label = str(row[0]).partition(" (")[0]  # units are in the files
        drawn.add_column(Text(label), justify="right", max_width=10)
    for column, name in enumerate(table.columns[1:], start=1):
        style = "bold" if column == table.subject else ""
        drawn.add_row(Text(name), *(_styled(row[column]) for row in rows), style=style)
    console.print(drawn)
    console.print(Text(f"{table.caption}."), style="dim")
    if comparison.untrained:
        show_probing(comparison, console)


def show_probing(comparison: Comparison, console: Console) -> None:
    """Print probing accuracies, the untrained baselines first."""
    table = summary.untrained(with_printable_texts(comparison))
    drawn = RichTable(box=None, header_style="dim", pad_edge=False)
    for index, column in enumerate(table.columns):
        drawn.add_column(Text(column), justify="right" if index else "left")
    for row in table.rows:
        drawn.add_row(*(_styled(cell) for cell in row))
    console.print(drawn)


def _styled(cell: Cell) -> Text:
    if isinstance(cell, Change):
        return Text(signed(cell.value))
    return Text(text(cell), style=_COLOURS[cell] if isinstance(cell, Verdict) else "")
