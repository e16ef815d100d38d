"""The plot of docs/rsae/results.md: what every variant changes, by family."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from experiments.tables import DEFAULT, FAMILY, VARIANT, Group
from rsae_evals.comparison.statistics import Interval

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
_LEFT_OUT = ("teacher", "paper")  # zero by definition; off the scale


def draw(found: Sequence[Group], name: str) -> None:
    """Changes in MSE and ΔCE against the teacher, with 95 % intervals, one panel per group."""
    mpl.rcParams["svg.hashsalt"] = "experiments"  # the same file every time
    figure = Figure(figsize=(9.0, 1.0 + 2.3 * len(found)), layout="constrained")
    axes = figure.subplots(len(found), 2, squeeze=False)
    for (left, right), group in zip(axes, found, strict=True):
        names = [n for n in VARIANT if n in group.records[0]["variants"] and n not in _LEFT_OUT]
        rows = np.arange(len(names))[::-1]
        for row, variant in zip(rows, names, strict=True):
            change = group.difference(variant, "teacher")
            is_default = variant == DEFAULT[group.family]
            colour = "tab:red" if is_default else "tab:blue"
            mse = [100 * np.expm1(v) for v in _bounds(change["log_mse"])]
            for panel, (value, low, high) in ((left, mse), (right, _bounds(change["delta_ce"]))):
                panel.plot([low, high], [row, row], color=colour, linewidth=2)
                panel.plot([value], [row], "o", color=colour, markersize=4)
        left.set_yticks(rows, [VARIANT[n] for n in names])
        right.set_yticks(rows, [])
        seeds = len(group.records)
        left.set_title(f"{FAMILY[group.family]}, {seeds} seed{'s' * (seeds > 1)}", loc="left")
        for panel in (left, right):
            panel.axvline(0, color="0.6", linewidth=0.8)
    axes[-1][0].set_xlabel("MSE against the teacher, %")
    axes[-1][1].set_xlabel("ΔCE against the teacher, nats per token")
    PICTURES.mkdir(exist_ok=True)
    figure.savefig(PICTURES / f"experiment-{name}.svg", metadata={"Date": None})


def _bounds(interval: Interval) -> tuple[float, float, float]:
    return interval.estimate, interval.low, interval.high
