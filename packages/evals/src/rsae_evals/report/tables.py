"""A table before it has a medium: the terminal, Markdown and HTML all draw the same one."""

from __future__ import annotations

from dataclasses import dataclass

from rsae_evals.report.numbers import number


@dataclass(frozen=True)
class Table:
    """A caption, one heading per column, and rows of text or numbers.

    The first column heads its row. `None` is a cell that does not apply. `notes` are lines below.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.caption}: {len(row)} cells, {len(self.columns)} columns")

    def text(self) -> tuple[tuple[str, ...], ...]:
        """The rows as text, numbers to four significant digits."""
        return tuple(tuple(number(cell) for cell in row) for row in self.rows)
