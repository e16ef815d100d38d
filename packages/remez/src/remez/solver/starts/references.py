"""Initial references of the exchange, and the grids on which the error is sampled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from remez import kernels
from remez.points import distinct
from remez.solver.problem_reduction import Reduced, Samples

__all__ = ["Densities", "base_grid", "dense_grid"]


def _both_sides(distances: np.ndarray) -> np.ndarray:
    return np.concatenate([distances, -distances])


# places about a centre, and about zero, in units of the length of the domain
NEAR = np.append(_both_sides(10.0 ** -np.arange(1.0, 15.0, 1.5)), 0.0)
ZERO = _both_sides(10.0 ** -np.arange(16.0, 60.0, 2.0))
TINY = _both_sides(10.0 ** -np.arange(60.0, 300.0, 4.0))  # at a singular origin, in float64's range
# a circle's worth of points of the line, and on to infinity
ANGLES = _both_sides(
    np.concatenate([np.tan(0.5 * np.pi * np.arange(1, 40) / 40), np.geomspace(30, 1e6, 40)])
)
CHEBYSHEV = 1 - np.cos(np.pi * np.arange(65) / 64)  # on [0, 2]
BENT = 0.6  # share of the curvature term in the second measure
QUADRATURE = 512  # points per interval or gap: also narrow gaps are near enough for a start
VANISHING = 1e-8  # a weight below this share of the largest counts as zero at an end


def base_grid(reduced: Reduced) -> Samples:
    """Ends of the components, and points clustered at every centre down to rounding."""
    length = float(reduced.components[-1, 1] - reduced.components[0, 0])
    ends = reduced.components
    parts = [ends.ravel(), (reduced.centres[:, None] + length * NEAR).ravel(), length * ZERO]
    if 0.0 in reduced.singular:
        parts.append(length * TINY)
    if reduced.line:
        parts.append(ANGLES)
    u = np.concatenate(parts)
    u.sort()
    inside = np.zeros(u.size, bool)
    for low, high in ends.tolist():
        inside |= (low <= u) & (u <= high)
    sampled = reduced.sample(u[inside & distinct(u)])
    return sampled[distinct(sampled.u)]


@dataclass(frozen=True, eq=False)
class Densities:
    """Measures on the domain; the points of an initial reference divide a measure equally.

    One is Chebyshev's, divided among the components by their length, or the equilibrium measure
    of a union for polynomials, whose alternation points tend to it. The other is a sum of it
    and of the integral of ``|D^4 f|^(1/4)``, the density of the knots of a good cubic spline,
    weighted by `BENT`; it is dense where f has large curvature.

    References:
        C. de Boor, Good approximation by splines with variable knots II, Lecture Notes in
        Math. 363 (1974), doi:10.1007/BFb0069121.

    Attributes:
        u: Points, increasing.
        measures: Each up to each of the points.
        parts: Which of the points belong to each component.
        skip: The part of a share before the first point of a component, and after the last: a
            half at an end at which the weight vanishes, which is left out.
    """

    u: np.ndarray
    measures: tuple[np.ndarray, ...]
    parts: tuple[slice, ...]
    skip: np.ndarray

    @classmethod
    def of(cls, reduced: Reduced, grid: Samples) -> Densities:
        """Of f, and so of all types with the same difference of degrees."""
        ends = reduced.components
        half = 0.5 * (ends[:, 1:] - ends[:, :1])
        points, _ = grid.merge(reduced.sample((ends[:, :1] + half * CHEBYSHEV).ravel()))
        seen = points.w > 0
        points = points if seen.all() else points[seen]
        even, bends = kernels.measures(points.u, points.f, ends)
        if len(ends) > 1 and reduced.degree[1] == 0:
            even = _equilibrium(points.u, ends)
        measures = [even]
        if bends[-1] > 0:
            measures.append((1 - BENT) * even + BENT / bends[-1] * bends)
        weight = np.interp(ends.ravel(), grid.u, grid.w)
        skip = np.where(weight > VANISHING * grid.w.max(), 0.0, 0.5).reshape(-1, 2)
        start = np.searchsorted(points.u, ends[:, 0]).tolist()
        stop = np.searchsorted(points.u, ends[:, 1], "right").tolist()
        return cls(points.u, tuple(measures), tuple(map(slice, start, stop)), skip)

    def references(self, reduced: Reduced) -> Iterator[np.ndarray]:
        """One for each measure, Chebyshev's first.

        On the line, where angles stand for points, there is one only, at equal angles: the line
        is divided evenly, and infinity is left out.
        """
        if reduced.line:
            yield _by_angle(reduced, reduced.size)
            return
        for measure in self.measures:
            spans = [measure[part] for part in self.parts]
            counts = _counts([span[-1] - span[0] for span in spans], reduced.size)
            places = [self._places(*one) for one in zip(spans, counts, self.skip, strict=True)]
            parts = zip(places, spans, self.parts, strict=True)
            yield np.concatenate([np.interp(at, span, self.u[part]) for at, span, part in parts])

    @staticmethod
    def _places(span: np.ndarray, count: int, skip: np.ndarray) -> np.ndarray:
        """``count`` places at equal shares of what a component has of a measure."""
        left, right = skip
        t = (np.arange(count) + (left if count > 1 else 0.5)) / max(count - 1 + left + right, 1)
        places: np.ndarray = (1 - t) * span[0] + t * span[-1]
        return places


def _equilibrium(u: np.ndarray, ends: np.ndarray) -> np.ndarray:
    r"""The equilibrium measure of a union up to each of the points, 1 in all.

    Its density is ``|h|/(pi sqrt(prod |x - e|))`` over all ends e, where the polynomial h has a
    zero in every gap, over which ``h/sqrt(prod |x - e|)`` integrates to 0. With
    ``x = c + r cos(theta)`` the two ends of an interval drop out.

    References:
        H. Stahl, V. Totik, General Orthogonal Polynomials, Cambridge 1992, section 4.4.
    """
    edges = np.sort(ends.ravel())
    low, high = edges[0], edges[-1]

    def columns(j: int, theta: np.ndarray) -> np.ndarray:
        """``T_k/sqrt(prod)`` over the ends but the j-th and the next, between these two."""
        x = 0.5 * (edges[j] + edges[j + 1]) - 0.5 * (edges[j + 1] - edges[j]) * np.cos(theta)
        others = np.delete(edges, [j, j + 1]) / (0.25 * (high - low))  # capacity about 1
        root = np.sqrt(np.abs(x[:, None] / (0.25 * (high - low)) - others).prod(1))
        t = (2 * x - low - high) / (high - low)
        scaled: np.ndarray = np.polynomial.chebyshev.chebvander(t, len(ends) - 1) / root[:, None]
        return scaled

    middles = np.pi * (np.arange(QUADRATURE) + 0.5) / QUADRATURE
    rows = [columns(j, middles) for j in range(edges.size - 1)]
    means = np.array([row.mean(0) for row in rows])
    inside, gaps = means[::2], means[1::2]
    side = (-1.0) ** np.arange(len(ends))
    h = np.linalg.solve(np.vstack([gaps, side @ inside]), np.append(np.zeros(len(gaps)), 1.0))
    mass = np.abs(inside @ h)
    out = np.zeros(u.size)
    grid = np.pi * np.arange(QUADRATURE + 1) / QUADRATURE
    for j, (a, b) in enumerate(ends):
        theta = np.arccos(np.minimum(np.maximum((a + b - 2 * u) / (b - a), -1), 1))
        share = np.append(0.0, np.cumsum(np.abs(rows[2 * j] @ h)))
        out += mass[j] * np.interp(theta, grid, share / share[-1])
    return out


def _counts(masses: Sequence[float], size: int) -> Sequence[int]:
    """``size`` points divided among the components by their masses, at least one for each."""
    if len(masses) == 1:
        return [size]
    masses = np.array(masses)
    counts = np.maximum(np.floor(size * masses / masses.sum()), 1).astype(int)
    while counts.sum() != size:
        with np.errstate(divide="ignore"):  # there may be more components than points
            share = masses / counts if counts.sum() < size else -masses / counts
        counts[share.argmax()] += 1 if counts.sum() < size else -1
    return [int(count) for count in counts]


def _by_angle(reduced: Reduced, count: int) -> np.ndarray:
    """``count`` points of the line, or of a union of its parts, at equal steps of arctan u."""
    angles = np.arctan(reduced.components)
    measure = np.cumsum(np.diff(angles, axis=1))
    place = measure[-1] * (np.arange(count) + 0.5) / count
    part = np.searchsorted(measure, place)
    points: np.ndarray = np.tan(angles[part, 1] - (measure[part] - place))
    return points


def dense_grid(reduced: Reduced, grid: Samples) -> Samples:
    """``grid``, and Chebyshev points in every stretch between centres: a dozen per extremum."""
    if reduced.line:  # no further out, where powers of u are all that a linear program sees
        return reduced.sample(_by_angle(reduced, 16 + 12 * reduced.size))
    ends = reduced.components
    marks = np.unique(np.concatenate([ends.ravel(), reduced.centres]))
    parts = []
    for low, high in pairwise(marks):
        if np.any((ends[:, 0] <= low) & (high <= ends[:, 1])):
            share = (high - low) / np.diff(ends, axis=1).sum()
            count = 16 + int(12 * reduced.size * share)
            t = 0.5 * (1 - np.cos(np.pi * (np.arange(count) + 0.5) / count))
            parts.append(low + (high - low) * t)
    return grid.merge(reduced.sample(np.concatenate(parts)))[0]
