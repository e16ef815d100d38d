"""What `rsae upgrade` shows while it works."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

__all__ = ["StepBar", "progress_on"]


def progress_on(console: Console) -> Progress:
    """A bar with its state in words and the time that is left."""
    return Progress(
        TextColumn("{task.description:<15}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        _State(),
        console=console,
    )


class _State(ProgressColumn):
    """What a task says of itself, where it says anything: a harvest does not."""

    def render(self, task: Task) -> Text:
        return Text(task.fields.get("state", ""))


class StepBar:
    """One bar per training, with L0, MSE and lambda.

    Args:
        progress: where to draw.
        steps: of each arm.
    """

    def __init__(self, progress: Progress, steps: int) -> None:
        self.progress, self.steps = progress, steps
        self._tasks: dict[str, Any] = {}

    def show(self, record: dict[str, Any]) -> None:
        """Draw the numbers of one step."""
        slow = "" if record["rates"] == 1 else ", slow"
        arm = record["arm"] + slow
        if arm not in self._tasks:
            self._tasks[arm] = self.progress.add_task(arm, total=self.steps, state="")
        state = f"L0 {record['l0']:.1f}  MSE {record['mse']:.4g}  λ {record['lambda']:.3g}"
        self.progress.update(self._tasks[arm], completed=record["step"], state=state)
