"""A comparison as Markdown: the answer, the tables, no plots."""

from __future__ import annotations

from dataclasses import replace

from rsae_evals.report import summary
from rsae_evals.report.answer import answer, question, readable, scope
from rsae_evals.report.tables import Cell, Table, text
from rsae_evals.results import Comparison
from rsae_evals.serial import with_printable_texts


def markdown(comparison: Comparison) -> str:
    """The report's text and tables in GitHub's Markdown."""
    comparison = with_printable_texts(comparison)
    asked, said = question(comparison), answer(comparison)
    parts = [f"# {_escape(said.sentence)}", _escape(said.evidence)]
    parts += [
        f"> **Note** {_escape(readable(comparison, warning))}" for warning in comparison.warnings
    ]
    parts.append(grid(summary.headline(comparison, asked)))
    if asked.baseline is not None:
        parts.append(scope(comparison))
    if comparison.areas:
        parts += ["## Along the Pareto curve", grid(summary.areas(comparison))]
    if asked.baseline is not None:
        parts += ["## Paired differences"]
        parts += [
            grid(summary.pair(comparison, asked.subject, variant.name))
            for variant in comparison.variants
            if variant.name != asked.subject
        ]
    if summary.recovery(comparison).rows:
        parts += ["## Known features", grid(summary.recovery(comparison))]
    if summary.identity(comparison).rows:
        parts += ["## Feature identity", grid(summary.identity(comparison))]
    parts += ["## All metrics", grid(summary.all_metrics(comparison))]
    if comparison.untrained:
        parts.append(grid(summary.untrained(comparison)))
    undefined = sorted(comparison.undefined.items())
    parts.append("\n".join(f"- {_escape(f'{name}: {why}')}" for name, why in undefined))
    parts += ["## Provenance", grid(summary.details(comparison))]
    facts = summary.provenance(comparison)
    parts.append("\n".join(f"- {_escape(name)}: `{_code(value)}`" for name, value in facts))
    return "\n\n".join(part for part in parts if part) + "\n"


def grid(table: Table) -> str:
    """One table, its caption above it, numbers to the right."""
    if table.notes:
        rows = tuple((*row, note) for row, note in zip(table.rows, table.notes, strict=True))
        table = replace(table, columns=(*table.columns, "definition"), rows=rows, notes=())
    columns = zip(*table.rows, strict=True)
    numeric = [not all(isinstance(cell, str) for cell in column) for column in columns]
    lines = [
        [_escape(column) for column in table.columns],
        ["---:" if right else ":---" for right in numeric],
        *([_cell(cell) for cell in row] for row in table.rows),
    ]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{_escape(table.caption)}:\n\n{body}"


def _cell(value: Cell) -> str:
    return _escape(text(value))


def _escape(value: str) -> str:
    """Text that Markdown leaves as it is: on one line, without markup of its own."""
    flat = " ".join(value.split())
    for sign in "\\`*_[]<>|":
        flat = flat.replace(sign, f"\\{sign}")
    return flat


def _code(value: str) -> str:
    return " ".join(value.split()).replace("`", "'")
