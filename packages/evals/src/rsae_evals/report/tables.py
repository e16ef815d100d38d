"""A table before it has a medium: the terminal, Markdown and HTML all draw the same one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rsae_evals.report.numbers import number, signed
from rsae_evals.results import Verdict

SIGNS = {
    Verdict.BETTER: "▲",
    Verdict.WORSE: "▼",
    Verdict.EQUAL: "=",
    Verdict.MATCHED: "≃",
    Verdict.TRADE_OFF: "◆",
    Verdict.CANNOT_TELL: "≈",
    Verdict.NOT_COMPARABLE: "⊘",
}
"""Each verdict's sign, so that colour alone never tells them apart."""


@dataclass(frozen=True)
class Change:
    """A difference, and its interval where it has one."""

    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> str:
        """`low to high`, or nothing."""
        if self.low is None or self.high is None:
            return ""
        return f"{signed(self.low)} to {signed(self.high)}"


Cell = str | float | Verdict | Change | None


@dataclass(frozen=True)
class Table:
    """A caption, one heading per column, and rows of cells; the first cell heads its row.

    Attributes:
        caption: what the table holds.
        columns: the headings.
        rows: as many cells as columns in each; None is a cell that does not apply.
        subject: the column that the report is about, if any.
        sortable: whether a reader may want another order.
        links: for each row, where its heading leads, such as a part of the page; "" for nowhere.
        notes: for each row, what stands small under its heading, such as a definition.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    subject: int | None = None
    sortable: bool = False
    links: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.caption}: {len(row)} cells, {len(self.columns)} columns")

    def ordered(self, columns: Sequence[int]) -> Table:
        """The same table with its columns in another order, given by their numbers."""
        subject = None if self.subject is None else columns.index(self.subject)
        return replace(
            self,
            columns=tuple(self.columns[i] for i in columns),
            rows=tuple(tuple(row[i] for i in columns) for row in self.rows),
            subject=subject,
        )

    def text(self) -> tuple[tuple[str, ...], ...]:
        """The rows as plain text."""
        return tuple(tuple(text(cell) for cell in row) for row in self.rows)


def text(cell: Cell) -> str:
    """One cell as plain text: numbers to four digits, verdicts with their sign.

    >>> text(Change(-1.41, -1.55, -1.28)), text(Verdict.BETTER), text(None)
    ('−1.41 (−1.55 to −1.28)', '▲ better', '–')
    """
    if isinstance(cell, Verdict):
        return f"{SIGNS[cell]} {cell.value}"
    if isinstance(cell, Change):
        interval = cell.interval
        return f"{signed(cell.value)} ({interval})" if interval else signed(cell.value)
    return number(cell)
