"""The initial grid of the judge: dense at hints, ends, centres of clustering and poles."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from remez import curve_kernels
from remez.points import distinct
from remez.problem import Problem
from remez.rational.protocol import RationalFunction

__all__ = ["EVEN", "GAP", "TINY", "grid", "near_roots"]

# evenly spaced points in every interval, for features of f far from all hints
EVEN = np.linspace(0, 1, 257)
GAP = np.linspace(0, 1, 13)[1:-1]  # points between two hints
BEND = 0.5 * (1 - np.cos(np.pi * GAP))
TAIL = np.geomspace(1e-16, 0.5, 20)
NEAR = np.geomspace(1e-18, 1, 40)  # relative distances from a centre of clustering
TINY = np.geomspace(1e-300, 1e-18, 48)  # smaller distances from 0, down to float64's range
AROUND = np.concatenate([-NEAR, NEAR])  # both sides of a centre
AROUND_ZERO = np.concatenate([-NEAR, -TINY, TINY, NEAR])
FAR = 1e15  # infinity is represented by this multiple of the farthest hint


def grid(
    problem: Problem, rational: RationalFunction, hints: np.ndarray, centres: Sequence[float]
) -> np.ndarray:
    """The initial grid, increasing.

    It has points between neighbouring hints, spaced both as Chebyshev points and geometrically
    about the focus of the rational, and geometric sequences towards every end, every centre and
    infinity.
    """
    if not problem.domain.is_finite:
        hints = hints[np.abs(hints) < 1e60]
    origin = rational.focus
    reach = np.abs(hints - origin).max(initial=1.0)
    parts = [near_roots(rational, reach)]
    for low, high in problem.domain.intervals:
        a, b = max(low, origin - FAR * reach), min(high, origin + FAR * reach)
        marks = np.concatenate([[a, b], hints[(hints > a) & (hints < b)]])
        marks.sort()
        parts += [
            marks,
            a + (b - a) * EVEN,
            curve_kernels.between_marks(marks, origin, GAP, BEND),
            a + (marks[1] - a) * TAIL,
            b - (b - marks[-2]) * TAIL,
        ]
        for centre in {c for c in centres if a <= c <= b}:
            parts.append(centre + min(b - a, reach) * (AROUND if centre else AROUND_ZERO))
            parts.append(_neighbours(centre))
        if math.isinf(low) or math.isinf(high):
            far = reach * np.geomspace(1, FAR, 60)
            parts += [origin + far, origin - far]
    x = np.concatenate(parts)
    x.sort()
    kept = distinct(x) & problem.domain.contains(x) & ((x == 0) | (np.abs(x) >= TINY[0]))
    points: np.ndarray = x[kept]
    return points


def _neighbours(x: float) -> np.ndarray:
    """The point and the float64 next to it on both sides."""
    return np.array([math.nextafter(x, -math.inf), x, math.nextafter(x, math.inf)])


def near_roots(rational: RationalFunction, size: float) -> np.ndarray:
    """Real parts of the roots of q, points beside them at the scale of the imaginary parts, and the
    middle between each two: between two real roots, of which rounding moves either, q is negative.
    """
    try:
        roots = np.asarray(rational.estimated_poles(), complex)
    except (ValueError, ArithmeticError):  # the roots are not resolved
        return np.empty(0)
    reach = np.maximum(np.abs(roots.imag), 1e-14 * size)
    offsets = np.array([-8.0, -1.0, -0.125, 0.0, 0.125, 1.0, 8.0])
    places = np.sort(roots.real)
    near = (roots.real[:, None] + reach[:, None] * offsets).ravel()
    return np.concatenate([near, 0.5 * (places[1:] + places[:-1])])
