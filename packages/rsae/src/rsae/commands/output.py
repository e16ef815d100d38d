"""How commands print what they found."""

from typing import Any

from rich.table import Table

from rsae.terminal import Console

__all__ = ["show"]


def show(content: dict[str, Any] | list[dict[str, Any]], as_json: bool) -> None:
    """Print plain data on stdout, as JSON or as a table of two columns; a list as several."""
    console = Console()
    if as_json:
        console.print_data(content)
        return
    if isinstance(content, list):
        for index, part in enumerate(content):
            if index:
                console.print()
            show(part, as_json)
        return
    table = Table(show_header=False, box=None)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in _rows(content):
        table.add_row(name, value)
    console.print(table)


def _rows(content: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in content.items():
        if isinstance(value, dict) and any(isinstance(inner, dict) for inner in value.values()):
            rows += _rows(value, f"{prefix}{name}.")
        elif value is not None and value != [] and value != {}:
            rows.append((prefix + name, _text(value)))
    return rows


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{name} {_text(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
