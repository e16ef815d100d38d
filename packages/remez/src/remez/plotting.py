"""Pictures; matplotlib is imported when one is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from remez.error_tables import Table
    from remez.result import Fit

__all__ = ["plot_error", "plot_table"]


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots()[1]


def plot_error(fit: Fit, ax: Any = None) -> Any:
    """The weighted error over the domain, its alternation marked, ± the error as lines."""
    ax = _axes(ax)
    problem, target = fit.problem, fit.problem.target()

    def error(x: np.ndarray) -> np.ndarray:
        f = target(x)
        return problem.weight_of(x, f) * (f - fit(x))

    for low, high in problem.domain:
        a, b = max(low, fit.reference.min()), min(high, fit.reference.max())
        marks = np.unique(
            np.concatenate([[a, b], fit.reference[(fit.reference > a) & (fit.reference < b)]])
        )
        t = np.linspace(0, 1, 40)
        x = np.unique(marks[:-1, None] + np.diff(marks)[:, None] * t)
        ax.plot(x, error(x), color="C0", lw=1)
    ax.plot(fit.reference, error(fit.reference), "o", color="C3", ms=3)
    for level in (-fit.error, fit.error):
        ax.axhline(level, color="0.6", lw=0.8, ls="--")
    ax.set(xlabel="x", ylabel="error", title=f"type {fit.degree}, error {fit.error:.4e}")
    return ax


def plot_table(table: Table, ax: Any = None) -> Any:
    """The Walsh table: log10 of the error over (m, n)."""
    ax = _axes(ax)
    with np.errstate(divide="ignore"):
        image = ax.imshow(np.log10(table.errors.T), origin="lower", cmap="viridis")
    ax.figure.colorbar(image, ax=ax, label="log10 of the best error")
    ax.set(xlabel="m", ylabel="n")
    return ax
