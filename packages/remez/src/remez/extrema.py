"""Locate the extrema of the error curve, and choose those that alternate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import kernels
from .levelling import Levelled
from .reduction import Reduced, Samples

__all__ = ["Extrema", "choose", "search"]

FRACTIONS = 0.5 * (1 - np.cos(np.pi * np.arange(1, 7) / 7))


@dataclass(frozen=True, eq=False)
class Extrema:
    """The largest point of every run of equal sign, in order, and whether q keeps its sign."""

    points: Samples
    error: np.ndarray
    sound: bool

    @property
    def largest(self) -> float:
        """The maximum of the weighted error on everything sampled."""
        return float(np.abs(self.error).max(initial=0.0))


def search(
    reduced: Reduced, level: Levelled, reference: Samples, grid: Samples, rounds: int = 2
) -> Extrema:
    """Sample the error between the reference points, then climb each extremum by parabolas.

    ``grid`` holds what was sampled once and for all: the ends, and points clustered at
    singularities.
    """
    ends = reduced.components
    breaks = np.unique(np.concatenate([ends.ravel(), reference.u]))
    joined = np.ones(breaks.size - 1, bool)
    for low, high in zip(ends[:-1, 1], ends[1:, 0], strict=True):
        joined[(breaks[:-1] >= low) & (breaks[1:] <= high)] = False
    fresh = reduced.sample(kernels.fill(breaks, reduced.centres, FRACTIONS, joined))
    curve = grid.merge(reference).merge(fresh)
    error, sound = _residual(level, curve)
    for _ in range(rounds):
        size = np.abs(error)
        peaks = kernels.alternating(error * reduced.flips(curve.u), 0)
        trial = kernels.vertices(curve.u, size, peaks)
        trial = trial[np.isfinite(trial)]
        trial = trial[np.isin(trial, curve.u, invert=True) & _inside(trial, ends)]
        if not trial.size:
            break
        fresh = reduced.sample(trial)
        new_error, also = _residual(level, fresh)
        u = np.concatenate([curve.u, fresh.u])
        order = np.argsort(u, kind="stable")
        curve = Samples(
            u[order],
            np.concatenate([curve.f, fresh.f])[order],
            np.concatenate([curve.w, fresh.w])[order],
        )
        error = np.concatenate([error, new_error])[order]
        sound = sound and also
    peaks = kernels.alternating(error * reduced.flips(curve.u), 0)
    return Extrema(curve[peaks], error[peaks], sound)


def choose(reduced: Reduced, extrema: Extrema) -> Extrema | None:
    """The ``reduced.size`` alternating extrema with the largest errors, None if too few."""
    kept = kernels.alternating(extrema.error * reduced.flips(extrema.points.u), reduced.size)
    if kept.size < reduced.size:
        return None
    return Extrema(extrema.points[kept], extrema.error[kept], extrema.sound)


def _residual(level: Levelled, points: Samples) -> tuple[np.ndarray, bool]:
    error, sign = kernels.residual(
        points.u, points.f, points.w, level.nodes, level.values, level.weights
    )
    return error, bool((sign > 0).all() or (sign < 0).all())


def _inside(u: np.ndarray, components: np.ndarray) -> np.ndarray:
    if len(components) == 1:
        return np.ones(u.size, bool)
    return ((u[:, None] >= components[:, 0]) & (u[:, None] <= components[:, 1])).any(1)
