"""The problem in the variable in which it is solved: scaled, centred, symmetry divided out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .levelling import Levelled
from .problem import Degree, Problem, Target
from .rational import Rational

__all__ = ["Reduced", "Samples", "reduce"]


@dataclass(frozen=True, eq=False)
class Samples:
    """Points, increasing, with target and weight there."""

    u: np.ndarray
    f: np.ndarray
    w: np.ndarray

    def __getitem__(self, index: np.ndarray | slice) -> Samples:
        return Samples(self.u[index], self.f[index], self.w[index])

    def merge(self, other: Samples) -> Samples:
        """Both, sorted, each point once."""
        return self.place(other)[0]

    def place(self, other: Samples) -> tuple[Samples, np.ndarray]:
        """`merge`, and where each point came from in the two laid end to end."""
        u = np.concatenate([self.u, other.u])
        order = u.argsort(kind="stable")
        ordered = u[order]
        keep = np.empty(u.size, bool)
        keep[:1] = True
        np.greater(ordered[1:], ordered[:-1], out=keep[1:])
        order = order[keep]
        f = np.concatenate([self.f, other.f])[order]
        return Samples(u[order], f, np.concatenate([self.w, other.w])[order]), order


@dataclass(frozen=True, eq=False)
class Reduced:
    """Approximate ``F(u) = f(x)/(x - origin)^power`` in u, where ``x = origin + scale u^(1/p)``.

    p = 2 when f is even or odd about the origin (power = 0 or 1), else p = 1. Both the
    variable and the target are scaled by powers of two, which is exact.

    Attributes:
        degree: the type in u.
        components: the intervals of u.
        fixed: interpolation conditions ``(u, F)``.
    """

    problem: Problem
    target: Target
    degree: Degree
    components: np.ndarray
    origin: float
    scale: float
    height: float
    parity: str | None = None
    fixed: tuple[tuple[float, float], ...] = ()
    singular: tuple[float, ...] = ()

    def with_degree(self, degree: Degree) -> Reduced:
        """The same problem at another type in u."""
        return replace(self, degree=degree)

    @cached_property
    def centres(self) -> np.ndarray:
        """Where extrema may cluster: the ends, zero, the singular points."""
        return np.unique(np.concatenate([self.components.ravel(), [0.0], self.singular]))

    @property
    def size(self) -> int:
        """How many points the error alternates on: m + n + 2 less the conditions."""
        return sum(self.degree) + 2 - len(self.fixed)

    def x(self, u: np.ndarray) -> np.ndarray:
        """The points themselves, kept inside the domain."""
        offset = self.scale * (u if self.parity is None else np.sqrt(u))
        x = self.origin + offset
        if len(self.components) == 1 and self.parity is None:
            low, high = self.problem.domain.hull
            return np.minimum(np.maximum(x, low), high)
        return self._clip(x)

    def _clip(self, x: np.ndarray) -> np.ndarray:
        ends = np.array(self.problem.domain.intervals)
        inside = np.minimum(np.maximum(x[:, None], ends[:, 0]), ends[:, 1])
        return inside[np.arange(x.size), np.abs(inside - x[:, None]).argmin(1)]

    def sample(self, u: np.ndarray) -> Samples:
        """Target and weight at the points, which are first rounded to those that x can take."""
        x = self.x(u)
        f = self.target(x)
        w = self.problem.weight_of(x, f)
        d = (x - self.origin) / self.scale
        f = f / self.height
        if self.parity is None:
            return Samples(d, f, w)
        u = d * d
        if self.parity == "odd":
            return Samples(u, np.divide(f, d, out=np.zeros_like(f), where=d != 0), w * np.abs(d))
        return Samples(u, f, w)

    def flips(self, u: np.ndarray) -> np.ndarray:
        """The sign of ``prod (u - fixed)``: the error alternates after multiplication with it."""
        out = np.ones(u.size)
        for point, _ in self.fixed:
            out[u < point] *= -1
        return out

    def hints(self, u: np.ndarray) -> np.ndarray:
        """The points in x, with their mirror images."""
        x = self.x(u)
        return x if self.parity is None else np.unique(np.concatenate([x, 2 * self.origin - x]))

    def rational(self, level: Levelled) -> Rational:
        """The answer in x. For x² each support point splits in two, ``1/(x² - s²)`` likewise."""
        m, n = self.degree
        if self.parity is None:
            nodes, values, weights = level.nodes, level.values, level.weights
        else:
            root = np.sqrt(level.nodes)
            odd = self.parity == "odd"
            right = level.values * root if odd else level.values
            half = level.weights / root
            nodes = np.concatenate([-root[::-1], root])
            values = np.concatenate([-right[::-1] if odd else right[::-1], right])
            weights = np.concatenate([-half[::-1], half])
            m, n = 2 * m + odd, 2 * n
        top = np.abs(weights).max()
        return Rational(
            nodes * self.scale, values * self.height, weights / top, (m, n), self.origin
        )


def reduce(problem: Problem, target: Target, singular: np.ndarray | None = None) -> Reduced:
    """Scale, centre, and divide out a symmetry that the problem says or the samples show.

    Without symmetry the origin is the strongest of the ``singular`` points.
    """
    low, high = problem.domain.hull
    centre = 0.5 * low + 0.5 * high
    height = 2.0 ** np.round(np.log2(max(np.abs(_survey(problem, target)).max(), 1e-300)))
    parity = problem.parity
    if parity == "auto":
        parity = _symmetry(problem, target, centre)
    m, n = problem.degree
    if parity == "even":
        degree = (m // 2, n // 2)
    elif parity == "odd":
        degree = ((m - 1) // 2, n // 2)
    else:
        degree = (m, n)
    points = np.empty(0) if singular is None else singular
    half = 2.0 ** np.ceil(np.log2(0.5 * high - 0.5 * low))
    ends = np.array(problem.domain.intervals)
    if parity is None:
        if points.size:
            centre = float(points[0])
        components = (ends - centre) / half
        clusters = (points - centre) / half
    else:
        inner = ends[ends[:, 1] > centre]
        components = (np.maximum(inner - centre, 0) / half) ** 2
        clusters = ((points - centre) / half) ** 2
    fixed = tuple(((x - centre) / half, y / height) for x, y in problem.interpolate)
    places = tuple(np.unique(clusters).tolist())
    return Reduced(problem, target, degree, components, centre, half, height, parity, fixed, places)


def _survey(problem: Problem, target: Target) -> np.ndarray:
    t = np.cos(np.pi * (np.arange(17) + 0.5) / 17)
    x = [0.5 * (a + b) + 0.5 * (b - a) * t for a, b in problem.domain.intervals]
    return target(np.concatenate(x))


def _symmetry(problem: Problem, target: Target, centre: float) -> str | None:
    """Even or odd about the centre, to rounding, at points without pattern."""
    if problem.interpolate or problem.domain != problem.domain.reflected(centre):
        return None
    ends = np.array(problem.domain.intervals)
    right = np.maximum(ends[ends[:, 1] > centre] - centre, 0)
    t = np.array([0.0137, 0.0912, 0.1853, 0.3071, 0.4142, 0.5772, 0.6931, 0.8413, 0.9543, 1.0])
    d = (right[:, :1] + (right[:, 1:] - right[:, :1]) * t).ravel()
    x = np.concatenate([centre + d, centre - d])
    f = target(x)
    w = problem.weight_of(x, f)
    (f_right, f_left), (w_right, w_left) = np.split(f, 2), np.split(w, 2)
    close = 16 * np.finfo(float).eps * np.abs(f).max()
    if not np.allclose(w_right, w_left, rtol=1e-13, atol=0):
        return None
    if np.abs(f_right - f_left).max() <= close:
        return "even"
    if np.abs(f_right + f_left).max() <= close and problem.degree[0] > 0:
        return "odd"
    return None
