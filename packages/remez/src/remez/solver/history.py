"""The record of the exchange steps of a fit."""

from __future__ import annotations

from collections.abc import Callable

from remez.solution import IterationRecord

__all__ = ["Callback", "History"]

Callback = Callable[[IterationRecord], object]


class History:
    """Collects the records of a search, and calls the caller's function with each.

    Args:
        callback: A function that is called with every record.
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
