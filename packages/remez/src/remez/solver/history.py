"""The record of the exchange steps of a fit."""

from __future__ import annotations

from collections.abc import Callable

from remez.solution import IterationRecord

__all__ = ["Callback", "History"]

Callback = Callable[[IterationRecord], object]


class History:
    """Collects the steps of a search, and calls the caller's function with the record of each.

    Without such a function the records are made when they are asked for.

    Args:
        callback: A function that is called with every record.
    """

    def __init__(self, callback: Callback | None = None) -> None:
        self._callback = callback
        self._steps: list[Callable[[], IterationRecord]] = []

    def add(self, step: Callable[[], IterationRecord]) -> None:
        """Keep one step.

        Args:
            step: A function that returns the record of the step.
        """
        if self._callback is not None:
            record = step()
            self._callback(record)
            self._steps.append(lambda: record)
        else:
            self._steps.append(step)

    def records(self) -> tuple[IterationRecord, ...]:
        """All records so far, in order."""
        return tuple(step() for step in self._steps)
