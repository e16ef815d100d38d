"""Pictures; matplotlib is imported when one is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np

from remez.solution import Solution

__all__ = ["plot_error", "plot_table"]


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots()[1]


def plot_error(fit: Solution, ax: Any = None) -> Any:
    """The weighted error over the domain, its alternation marked, ± the error as lines."""
    ax = _axes(ax)
    reference = np.asarray(fit.reference, float)
    for low, high in fit.domain:
        a, b = max(low, reference.min()), min(high, reference.max())
        inside = reference[(reference > a) & (reference < b)]
        marks = np.unique(np.concatenate([[a, b], inside]))
        t = np.linspace(0, 1, 40)
        x = np.unique(marks[:-1, None] + np.diff(marks)[:, None] * t)
        ax.plot(x, fit.error_at(x), color="C0", lw=1)
    ax.plot(reference, fit.error_at(reference), "o", color="C3", ms=3)
    for level in (-float(fit.error), float(fit.error)):
        ax.axhline(level, color="0.6", lw=0.8, ls="--")
    ax.set(xlabel="x", ylabel="error", title=f"type {fit.degree}, error {float(fit.error):.4e}")
    return ax


def plot_table(errors: np.ndarray, ax: Any = None) -> Any:
    """The Walsh table: log10 of the error over (m, n)."""
    ax = _axes(ax)
    with np.errstate(divide="ignore"):
        image = ax.imshow(np.log10(errors.T), origin="lower", cmap="viridis")
    ax.figure.colorbar(image, ax=ax, label="log10 of the best error")
    ax.set(xlabel="m", ylabel="n")
    return ax
