"""Adaptive sampling of the function before solving: singular points, jumps, poles and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from remez.functions.callable import Target
from remez.problem import Problem
from remez.solution import Status

__all__ = ["Survey", "survey"]

EPS = float(np.finfo(float).eps)
PANELS = 128  # initial panels per interval; narrower features may be missed
AT_ONCE = 16  # panels halved in each round
FOURTH = np.array([1.0, -4.0, 6.0, -4.0, 1.0])  # coefficients of a fourth difference
NOISY = 26  # standard deviation of noise, in units of eps |f|, above which f counts as noisy
ROUNDS = 56  # after so many halvings the ends of a panel are neighbouring floats


@dataclass(frozen=True, eq=False)
class Survey:
    """The result of the survey.

    Attributes:
        singular: The singular points, strongest first.
        points, values: The sampled points, dense where f has large curvature, and f at them.
        fault, where: The status and the point that rule out an approximation, if any.
    """

    singular: np.ndarray = field(default_factory=lambda: np.empty(0))
    points: np.ndarray = field(default_factory=lambda: np.empty(0))
    values: np.ndarray = field(default_factory=lambda: np.empty(0))
    fault: Status | None = None
    where: float | None = None


def survey(problem: Problem, target: Target, marks: Sequence[float] = ()) -> Survey:
    """Repeatedly halve the panels on which f deviates most from linear, or is sharpest.

    Per halving, the deviation decreases by a factor 4 where f is smooth, 2 at a kink, less at an
    algebraic singularity, and not at all at a jump. Divided by the width to the power 3/2 (the
    sharpness), it decreases where f is smooth and increases at a kink, so that the panels cluster
    at all singular points. The deviation on a half is assumed to be at least that of a smooth f,
    because a kink may lie such that the midpoint is on the line.

    Args:
        problem: The approximation problem.
        target: fn as a function of arrays.
        marks: Points in features that may be narrower than the first panels, which end there.
    """
    ends = [_panels(a, b, marks) for a, b in problem.domain.intervals]
    low = np.concatenate([e[:-1] for e in ends])
    high = np.concatenate([e[1:] for e in ends])
    middle = 0.5 * (low + high)
    f_low, f_middle, f_high = np.split(target(np.concatenate([low, middle, high])), 3)
    panels = np.array([low, middle, high, f_low, f_middle, f_high])
    range_ = np.ptp(panels[3:])
    floor = 16 * EPS * np.abs(panels[3:]).max()
    due = np.zeros(low.size)
    for _ in range(ROUNDS):
        bend = np.maximum(np.abs(panels[4] - 0.5 * (panels[3] + panels[5])), due)
        width = panels[2] - panels[0]
        bend[(bend <= floor) | (width <= 4 * EPS * np.abs(panels[1]))] = 0
        most = min(AT_ONCE, bend.size) - 1
        worst = np.concatenate(
            [np.argpartition(-size, most)[: most + 1] for size in (bend, bend / width**1.5)]
        )
        worst = np.unique(worst[bend[worst] > 0])
        if not worst.size:
            break
        panels = np.hstack([np.delete(panels, worst, axis=1), _halves(target, panels[:, worst])])
        due = np.concatenate([np.delete(bend, worst), np.tile(0.25 * bend[worst], 2)])
    return _findings(problem, target, panels, range_)


def _panels(a: float, b: float, marks: Sequence[float]) -> np.ndarray:
    """Ends of the first panels, geometric out to infinity, and the marks between them."""
    ends = _first_panels(a, b)
    return np.union1d(ends, [c for c in marks if a < c < b]) if marks else ends


def _first_panels(a: float, b: float) -> np.ndarray:
    if np.isfinite(a) and np.isfinite(b):
        share = np.linspace(0, 1, PANELS + 1)
        share[1:-1] += (
            0.382 / PANELS
        )  # avoids a kink at an end of a panel, where it would not be detected
        return a + (b - a) * share
    far = np.concatenate([[0.0], np.geomspace(1e-3, 1e9, 2 * PANELS)])
    if np.isfinite(a):
        return a + far
    if np.isfinite(b):
        return b - far[::-1]
    return np.concatenate([-far[:0:-1], far])


def _halves(target: Target, panels: np.ndarray) -> np.ndarray:
    low, middle, high, f_low, f_middle, f_high = panels
    left, right = 0.5 * (low + middle), 0.5 * (middle + high)
    f_left, f_right = np.split(target(np.concatenate([left, right])), 2)
    return np.hstack(
        [
            [low, left, middle, f_low, f_left, f_middle],
            [middle, right, high, f_middle, f_right, f_high],
        ]
    )


def _findings(problem: Problem, target: Target, panels: np.ndarray, range_: float) -> Survey:
    width = panels[2] - panels[0]
    seen = panels[:2].ravel(), panels[3:5].ravel()
    a, b = _hull(problem)
    short = np.flatnonzero(width < 1e-7 * (b - a))
    order = short[np.argsort(width[short], kind="stable")]
    found: list[float] = []
    for i in order:
        if all(abs(panels[1, i] - c) > 1e-4 * (b - a) for c in found) and len(found) < 12:
            found.append(_end_or_middle(problem, panels[:, i]))
    noise = _noise(problem, target)
    if noise > NOISY * EPS * np.abs(panels[3:]).max():
        return Survey(np.array(found), *seen, Status.NOISY)
    for c in found:
        fault = _fault(problem, target, c, range_, b - a)
        if fault is not None:
            return Survey(np.array(found), *seen, fault, c)
    return Survey(np.array(found), *seen)


def _end_or_middle(problem: Problem, panel: np.ndarray) -> float:
    """The end of a component where the panel is next to one, zero if it is next to that."""
    low, middle, high = panel[:3]
    a, b = _hull(problem)
    reach = max(4 * (high - low), 1e-12 * (b - a))
    for place in (*np.ravel(problem.domain.intervals), 0.0):
        if low - reach <= place <= high + reach:
            return float(place)
    return float(middle)


def _fault(
    problem: Problem, target: Target, c: float, range_: float, length: float
) -> Status | None:
    """Detect a jump or a pole at c from values at decreasing distances on both sides."""
    h = length * 2.0 ** np.array([-16.0, -26.0, -36.0])
    x = np.concatenate([c - h, c + h])
    if not problem.domain.contains(x).all() or np.any(h < 64 * EPS * abs(c)):
        h = h[h >= 64 * EPS * abs(c)]
        x = np.concatenate([c - h, c + h])
        if h.size < 2 or not problem.domain.contains(x).any():
            return None
    inside = problem.domain.contains(x)
    f = np.full(x.size, np.nan)
    f[inside] = target.raw(x[inside])
    left, right = f[: h.size], f[h.size :]
    size = np.fmax(np.abs(left), np.abs(right))
    if size[-1] > 4 * size[-2] and size[-1] > range_:
        return Status.UNBOUNDED
    jump = np.abs(right - left)
    if abs(jump[-1] - jump[-2]) < 0.05 * jump[-1] and jump[-1] > 1e-7 * range_:
        return Status.JUMP
    return None


def _hull(problem: Problem) -> tuple[float, float]:
    """The hull, cut at distance 1 from the finite end where it is infinite."""
    a, b = problem.domain.hull
    if np.isinf(a) and np.isinf(b):
        return -1.0, 1.0
    return (b - 1.0 if np.isinf(a) else a), (a + 1.0 if np.isinf(b) else b)


def _noise(problem: Problem, target: Target) -> float:
    """The standard deviation of the noise of f, from fourth differences.

    Those of noise of standard deviation 1 have a standard deviation of ``sqrt(70)``, the norm of
    their coefficients. Over steps of 2^-30 of the length they are negligible of f itself, even
    with many waves, where second differences are not.
    """
    x = problem.domain.spread(24, 0.6180339887498949)
    step = np.abs(_hull(problem)[1] - _hull(problem)[0]) * 2.0**-30
    x = x[problem.domain.contains(x - 2 * step) & problem.domain.contains(x + 2 * step)]
    f = target(np.concatenate([x + k * step for k in range(-2, 3)])).reshape(5, -1)
    return float(np.median(np.abs(FOURTH @ f)) / np.linalg.norm(FOURTH))
