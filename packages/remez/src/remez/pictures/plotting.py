"""Plots; matplotlib is imported only when a plot is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from remez.solution import Solution

__all__ = ["plot_error", "plot_table"]


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1]


def plot_error(fit: Solution, ax: Any = None) -> Any:
    """Plot the weighted error, its alternation points, and lines at plus and minus the error.

    The axis of an unbounded domain is ``s = y/(1 + |y|)`` with ``y = (x - a)/b``, in [-1, 1]; a is
    the finite end of the domain or 0, b the median distance of the alternation points from a.
    """
    ax = _axes(ax)
    reference = np.asarray(fit.reference, float)
    axis = _Axis.of(fit)
    if not fit.domain.is_finite:
        ax.set_xscale("function", functions=(axis, axis.inverse))
    ends = reference[np.isfinite(reference)]
    for low, high in fit.domain:
        inside = ends[(ends > low) & (ends < high)]
        marks = np.unique(np.concatenate([axis(np.array([low, high])), axis(inside)]))
        s = np.unique(marks[:-1, None] + np.diff(marks)[:, None] * _GRADED)
        x = np.unique(np.clip(axis.inverse(s), low, high))
        ax.plot(x, fit.error_at(x), color="C0", lw=1)
    ax.plot(ends, fit.error_at(ends), "o", color="C3", ms=3)
    for level in (-float(fit.error), float(fit.error)):
        ax.axhline(level, color="0.6", lw=0.8, ls="--")
    _ticks(ax, fit, axis)
    ax.set(xlabel="x", ylabel="error", title=f"type {fit.degree}, error {float(fit.error):.4e}")
    return ax


# relative positions between two extrema, dense at both, where the error curve is flat
_GRADED = 0.5 - 0.5 * np.cos(np.pi * np.linspace(0, 1, 41))
_CROWDED = 0.9  # a label beyond this position would overlap the label of infinity
_FULLEST = 0.999999  # largest position drawn on an unbounded axis, which ends at 1


@dataclass(frozen=True)
class _Axis:
    """``s = y/(1 + |y|)``, ``y = (x - centre)/scale``, or x itself where ``scale`` is 0."""

    centre: float
    scale: float

    @classmethod
    def of(cls, fit: Solution) -> _Axis:
        if fit.domain.is_finite:
            return cls(0.0, 0.0)
        points = np.asarray(fit.reference, float)
        points = points[np.isfinite(points)]
        finite = [end for end in fit.domain.hull if np.isfinite(end)]
        centre = finite[0] if finite else 0.0
        return cls(centre, float(np.median(np.abs(points - centre))) or 1.0)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        if not self.scale:
            return np.asarray(x, float)
        with np.errstate(invalid="ignore"):
            y = (np.asarray(x, float) - self.centre) / self.scale
            s = y / (1 + np.abs(y))
        return np.where(np.isinf(y), np.sign(y), s)

    def inverse(self, s: np.ndarray) -> np.ndarray:
        s = np.asarray(s, float)
        if not self.scale:
            return s
        s = np.clip(s, -_FULLEST, _FULLEST)
        x: np.ndarray = self.centre + self.scale * s / (1 - np.abs(s))
        return x


def _ticks(ax: Any, fit: Solution, axis: _Axis) -> None:
    """Set the limits of the axis and, if it is unbounded, ticks at round numbers and infinity."""
    low, high = fit.domain.hull
    if axis.scale:
        decade = 10.0 ** np.round(np.log10(axis.scale))
        steps = axis.centre + decade * np.array([-5, -2, -1, 0, 1, 2, 5])
        inside = steps[(steps >= low) & (steps <= high) & (np.abs(axis(steps)) < _CROWDED)]
        shown = axis.inverse(axis(np.array([low, high])))
        ends = [(x, "−∞" if x < 0 else "∞") for x in shown[np.isinf([low, high])]]
        ticks = [*inside, *(x for x, _ in ends)]
        ax.set_xticks(ticks, [*(f"{x:g}" for x in inside), *(name for _, name in ends)])
        ax.set_xlim(*shown)
    else:
        margin = 0.02 * (high - low)
        ax.set_xlim(low - margin, high + margin)


def plot_table(errors: np.ndarray, ax: Any = None) -> Any:
    """Plot the Walsh table: log10 of the error over (m, n)."""
    ax = _axes(ax)
    with np.errstate(divide="ignore"):
        image = ax.imshow(np.log10(errors.T), origin="lower", cmap="viridis")
    ax.figure.colorbar(image, ax=ax, label="log10 of the best error")
    for one in (ax.xaxis, ax.yaxis):
        one.get_major_locator().set_params(integer=True)
    ax.set(xlabel="m", ylabel="n")
    return ax
