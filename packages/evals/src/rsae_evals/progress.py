"""What a long measurement shows while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn

from rsae.progress import Bars


def bars(console: Console) -> Bars:
    """Bars that say what is done, how much of it, and how long it will take; gone at the end."""
    return Bars(
        TextColumn("{task.description}", markup=False), BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"), TimeRemainingColumn(),
        console=console, transient=True,
    )  # fmt: skip


@contextmanager
def progress_on(console: Console) -> Iterator[Callable[[str, float], None]]:
    """A function `progress(what, share done)` that draws one bar for each `what`."""
    tasks: dict[str, TaskID] = {}
    with bars(console) as drawn:

        def progress(what: str, share: float) -> None:
            if what not in tasks:
                tasks[what] = drawn.add_task(what, total=1.0)
            drawn.update(tasks[what], completed=share)

        yield progress
