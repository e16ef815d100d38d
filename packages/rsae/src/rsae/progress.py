"""What long work shows: bars on a terminal and in a notebook, plain lines in a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from rsae import terminal
from rsae.errors import printable

__all__ = ["Bars", "StepBar", "progress_on", "quiet_hugging_face", "step_reports", "to_show"]

_LINES = 10  # of a log, for each bar that a terminal would have


class Bars(Progress):
    """Bars that move on a terminal or in a notebook; elsewhere a line for every tenth.

    A notebook needs the package ipywidgets for moving bars, and has lines without it.

    Args:
        columns: What a bar consists of.
        console: Where to draw.
        transient: Take finished bars away.
    """

    def __init__(
        self, *columns: str | ProgressColumn, console: Console, transient: bool = False
    ) -> None:
        moving = find_spec("ipywidgets") is not None if console.is_jupyter else console.is_terminal
        super().__init__(*columns, console=console, transient=transient, disable=not moving)
        self._said: dict[TaskID, int] = {}

    def add_task(self, description: str, *args: Any, **fields: Any) -> TaskID:
        """Begin a task, see `rich.progress.Progress.add_task`."""
        return super().add_task(printable(description), *args, **fields)

    def update(self, task_id: TaskID, *args: Any, **fields: Any) -> None:
        """Set how far a task is, see `rich.progress.Progress.update`."""
        super().update(task_id, *args, **fields)
        self._say(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Take a task further by `advance`."""
        super().advance(task_id, advance)
        self._say(task_id)

    def _say(self, task_id: TaskID) -> None:
        task = self._tasks[task_id]
        share = int(_LINES * task.completed / task.total) if task.total else 0
        if not self.disable or share <= self._said.get(task_id, 0):
            return
        self._said[task_id] = share
        line = f"{task.description}: {task.percentage:.0f} %  {task.fields.get('state', '')}"
        self.console.print(line.rstrip(), markup=False, highlight=False, soft_wrap=True)


def progress_on(console: Console) -> Bars:
    """A bar with its state in words and the time that is left."""
    return Bars(
        TextColumn("{task.description:<15}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        _State(),
        console=console,
    )


@contextmanager
def to_show(progress: Progress | bool | None) -> Iterator[Progress | None]:
    """What to show progress on: nothing, what is given, or for True bars on standard error."""
    if progress is True:
        with progress_on(terminal.Console(stderr=True)) as bars:
            yield bars
    else:
        yield progress or None


@contextmanager
def step_reports(
    on_step: Callable[[dict[str, Any]], None] | None, steps: int, progress: bool
) -> Iterator[Callable[[dict[str, Any]], None] | None]:
    """What to call with the numbers of each step: `on_step`, a bar that shows them, or both."""
    with to_show(progress) as bars:
        if bars is None:
            yield on_step
            return
        bar = StepBar(bars, steps)

        def report(record: dict[str, Any]) -> None:
            bar.show(record)
            if on_step is not None:
                on_step(record)

        yield report


@contextmanager
def quiet_hugging_face() -> Iterator[None]:
    """No bars of the Hugging Face libraries for a while; what was set before is set again."""
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )
    from transformers.utils import logging

    hub, models = not are_progress_bars_disabled(), logging.is_progress_bar_enabled()
    disable_progress_bars()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if hub:
            enable_progress_bars()
        if models:
            logging.enable_progress_bar()


class _State(ProgressColumn):
    """What a task says of itself, where it says anything: a harvest does not."""

    def render(self, task: Task) -> Text:
        return Text(task.fields.get("state", ""))


class StepBar:
    """One bar per training, with L0, MSE and lambda.

    Args:
        progress: where to draw.
        steps: Steps of each variant.
    """

    def __init__(self, progress: Progress, steps: int) -> None:
        self.progress, self.steps = progress, steps
        self._tasks: dict[str, Any] = {}

    def show(self, record: dict[str, Any]) -> None:
        """Draw the numbers of one step."""
        slow = "" if record["rates"] == 1 else ", slow"
        variant = record["variant"] + slow
        if variant not in self._tasks:
            self._tasks[variant] = self.progress.add_task(variant, total=self.steps, state="")
        state = f"L0 {record['l0']:.1f}  MSE {record['mse']:.4g}  λ {record['lambda']:.3g}"
        self.progress.update(self._tasks[variant], completed=record["step"], state=state)
