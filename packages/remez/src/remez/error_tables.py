"""The table of best errors over numerator and denominator degree (Walsh's table)."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from remez.errors import ConvergenceError, DegreeError
from remez.functions.callable import Function
from remez.interface import Fit, fit
from remez.problem import check_degree
from remez.rational.protocol import Record

__all__ = ["ErrorTable", "error_table"]

MAX_FITS = 10_000  # about a minute at a few milliseconds per fit


@dataclass(frozen=True, eq=False)
class ErrorTable:
    """Fits and errors of all types (m, n) up to a largest type.

    Attributes:
        fits: ``fits[m][n]`` is the fit of type (m, n), None where none was accepted.
        errors: The verified errors, shape (M + 1, N + 1), NaN where no fit was accepted.
    """

    fits: tuple[tuple[Fit | None, ...], ...]
    errors: np.ndarray

    def _repr_html_(self) -> str:
        from remez.pictures.html import table_to_html

        return table_to_html(self.errors)

    def plot(self, ax: Any = None) -> Any:
        """Plot log10 of the errors with matplotlib; returns the axes.

        Args:
            ax: The axes to draw on; a new figure by default.
        """
        from remez.pictures.plotting import plot_table

        return plot_table(self.errors, ax)


def error_table(
    fn: Function | str,
    max_degree: int | tuple[int, int],
    domain: Any = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> ErrorTable:
    """The best errors of all types up to ``max_degree`` (the Walsh table).

    Each fit starts from the alternation points of its neighbour in the table.

    Args:
        fn, domain: The function and the domain of approximation, as in `remez.fit`.
        max_degree: ``(M, N)``, or one number for both.
        progress: Called with ``(done, total)`` after each fit.
        options: Further options of `remez.fit`.

    >>> print(np.array2string(error_table(np.exp, 1).errors, precision=4))
    [[1.1752 0.2091]
     [0.2788 0.021 ]]

    Raises:
        DegreeError: A degree is negative, or the table would take too many fits.
    """
    single = isinstance(max_degree, numbers.Integral) and not isinstance(max_degree, bool)
    top, bottom = check_degree((max_degree, max_degree) if single else max_degree)
    if (top + 1) * (bottom + 1) > MAX_FITS:
        raise DegreeError(
            f"a table up to type {(top, bottom)} takes {(top + 1) * (bottom + 1)} fits, the limit "
            f"is {MAX_FITS}: lower max_degree"
        )
    total = (top + 1) * (bottom + 1)
    fits: list[tuple[Fit | None, ...]] = []
    for m in range(top + 1):
        row: list[Fit | None] = []
        for n in range(bottom + 1):
            near = row[-1] if row else (fits[-1][0] if fits else None)
            row.append(_attempt(fn, (m, n), domain, near, options))
            if progress is not None:
                progress(m * (bottom + 1) + n + 1, total)
        fits.append(tuple(row))
    errors = [[np.nan if one is None else float(one.error) for one in row] for row in fits]
    return ErrorTable(tuple(fits), np.array(errors))


def _attempt(
    fn: Function | str,
    degree: tuple[int, int],
    domain: Any,
    near: Fit | None,
    options: Record,
) -> Fit | None:
    usable = near is not None and near.converged and near.defect == 0
    try:
        return fit(fn, degree, domain, start=near if usable else None, **options)
    except ConvergenceError:
        return None
