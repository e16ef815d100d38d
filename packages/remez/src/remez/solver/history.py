"""The steps of a search, kept as they are taken."""

from __future__ import annotations

from collections.abc import Callable

from remez.solution import IterationRecord

__all__ = ["Callback", "History"]

Callback = Callable[[IterationRecord], object]


class History:
    """Collects the records of a search, and calls the caller's function with each.

    Args:
        callback: called with every record as soon as its step is done.
    """

    def __init__(self, callback: Callback | None = None) -> None:
        self._callback = callback
        self._records: list[IterationRecord] = []

    def add(self, record: IterationRecord) -> None:
        """Keep one record and pass it on."""
        self._records.append(record)
        if self._callback is not None:
            self._callback(record)

    @property
    def records(self) -> tuple[IterationRecord, ...]:
        """All records so far, in order."""
        return tuple(self._records)
