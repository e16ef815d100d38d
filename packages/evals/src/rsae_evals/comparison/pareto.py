"""Whole curves instead of points: a metric over strict L0, and the area between two curves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rsae_evals.results import ParetoArea, ParetoCurve

__all__ = ["area_between", "curve", "curve_warnings"]

#: What a Pareto comparison asks for: at least so many L0s in this range.
MIN_POINTS, L0_RANGE = 4, (20.0, 200.0)


def curve(variant: str, metric: str, l0: Sequence[float], value: Sequence[float]) -> ParetoCurve:
    """The points of one variant, sorted by L0; points without a value are left out."""
    points = sorted((x, y) for x, y in zip(l0, value, strict=True) if math.isfinite(y) and x > 0)
    return ParetoCurve(variant, metric, tuple(x for x, _ in points), tuple(y for _, y in points))


def area_between(variant: ParetoCurve, baseline: ParetoCurve) -> ParetoArea | None:
    """Mean over log L0 of variant - baseline where both curves are defined, else None.

    Between its points a curve is linear in log L0, so the integral of the difference is exact
    when the trapezoidal rule has a node at every point of either curve.
    """
    if min(len(variant.l0), len(baseline.l0)) < 2:
        return None
    a, b = np.log(variant.l0), np.log(baseline.l0)
    low, high = max(a[0], b[0]), min(a[-1], b[-1])
    if not low < high:
        return None
    nodes = np.unique(np.concatenate([[low, high], a, b]))
    nodes = nodes[(nodes >= low) & (nodes <= high)]
    gap = np.interp(nodes, a, variant.value) - np.interp(nodes, b, baseline.value)
    area = np.sum((gap[1:] + gap[:-1]) / 2 * np.diff(nodes))
    mean = float(area / (high - low))
    return ParetoArea(
        variant.variant, baseline.variant, variant.metric, math.exp(low), math.exp(high), mean
    )


def curve_warnings(curves: Sequence[ParetoCurve]) -> list[str]:
    """A sentence for every curve with too few points in the range of interest."""
    low, high = L0_RANGE
    inside = {c.variant: sum(low <= x <= high for x in c.l0) for c in curves}
    return [
        f"the curve of {variant} has {n} points with strict L0 between {low:.0f} and {high:.0f}; "
        f"give at least {MIN_POINTS}"
        for variant, n in inside.items()
        if n < MIN_POINTS
    ]
