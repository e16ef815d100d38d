"""The problem in the variable u of the solver: scaled, centred, and reduced by symmetry."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from remez import kernels
from remez.errors import DegreeError, TargetError
from remez.functions.callable import Target
from remez.points import distinct, sign_of_product
from remez.problem import Degree, Problem, halved, unfolded
from remez.rational.barycentric import BarycentricRational, Folded
from remez.solver import infinity
from remez.solver.levelling import Levelled
from remez.solver.survey import Survey

FRACTIONS = 0.5 * (1 - np.cos(np.pi * np.arange(1, 7) / 7))  # between two reference points
FAR = 1e75  # finite stand-in for infinity
LARGEST = 1e280  # values of fn that leave room for sums of quotients by small distances
STEEP = 20
SHORT = 2.0**-20  # of the domain, over which slopes at its ends are seen
LINE = 2.0**50  # stands for infinity in u on the line without symmetry or a weight that grows

__all__ = ["Reduced", "Samples", "reduce"]


@dataclass(frozen=True, eq=False)
class Samples:
    """Increasing points with the values of the function and the weight."""

    u: np.ndarray
    f: np.ndarray
    w: np.ndarray

    def __getitem__(self, index: np.ndarray | slice) -> Samples:
        return Samples(self.u[index], self.f[index], self.w[index])

    @cached_property
    def height(self) -> float:
        """``max |w f|``, the size to which rounding errors are relative."""
        return float(np.abs(self.f * self.w).max())

    def merge(self, other: Samples) -> tuple[Samples, np.ndarray]:
        """Both, sorted, each point once, and where each came from in both laid end to end."""
        u, f, w, order = kernels.merge(self.u, self.f, self.w, other.u, other.f, other.w)
        return Samples(u, f, w), order


@dataclass(frozen=True, eq=False)
class Reduced:
    """Approximate ``F(u) = f(x)/g(u)`` in u, which is x scaled and centred, or a map of it.

    ``y = |x - origin|/scale`` to the power 2 when f is even or odd about the origin, else
    ``y = (x - origin)/scale``. Then ``u = y``, or ``u = 2y/(1 + y)`` on an unbounded domain,
    but for the line without symmetry, a closed curve that no such map makes an interval: there
    u = y, cut off at ``± infinite``, which stand for infinity.
    g is ``sqrt(y)`` for odd f, and the power ``n - m`` of ``2 - u`` on an unbounded domain, so
    that the answer is a rational in x of the requested type. Scales are powers of
    two, which is exact.

    Attributes:
        degree: The type in u.
        components: The intervals of u.
        height: The scale of f.
        shift: What is subtracted from f, which makes it odd.
        unbounded: Whether u is mapped.
        line: Whether u is cut off.
        direction: -1 on ``(-inf, b]``, where ``y = (b - x)/scale``.
        fixed: Interpolation conditions ``(u, F)``.
        singular: Points at which extrema may cluster.
        sign_changes: Points of gaps between components at which q changes its sign.
    """

    problem: Problem
    target: Target
    degree: Degree
    components: np.ndarray
    origin: float
    scale: float
    height: float
    parity: str | None = None
    unbounded: bool = False
    line: bool = False
    direction: float = 1.0
    fixed: tuple[tuple[float, float], ...] = ()
    singular: tuple[float, ...] = ()
    sign_changes: tuple[float, ...] = ()
    shift: float = 0.0

    def with_degree(self, degree: Degree) -> Reduced:
        """The same problem at another type in u."""
        return replace(self, degree=degree)

    def lowered(self, defect: int) -> Reduced | None:
        """The same problem with ``defect`` less in both degrees of the type in x, if it exists.

        Where one of them is 0 the other alone is lowered.
        """
        m, n = self.problem.degree
        degree = halved((max(m - defect, 0), max(n - defect, 0)), self.parity)
        small = self.with_degree(degree)
        return small if min(degree) >= 0 and small.size >= 2 else None

    @property
    def type_in_x(self) -> Degree:
        """The type (m, n) of the answer as a rational in x."""
        (m, n), odd = self.degree, self.parity == "odd"
        m, n = (m, n) if self.parity is None else (2 * m + odd, 2 * n)
        return (m if self.shift == 0 else max(m, n), n)

    @cached_property
    def centres(self) -> np.ndarray:
        """Points at which extrema may cluster: the ends, zero and the singular points."""
        u = np.sort([*self.components.ravel().tolist(), 0.0, *self.singular])
        centres: np.ndarray = u[distinct(u)]
        return centres

    @property
    def size(self) -> int:
        """The number of alternation points: m + n + 2 minus the number of conditions."""
        return sum(self.degree) + 2 - len(self.fixed)

    @cached_property
    def infinite(self) -> float:
        """The finite stand-in for infinity in u on the whole line.

        Cutting off at u neglects terms of relative size 1/u. Where the weight grows as ``|u|^k``,
        with k = n - m, the rounding of r counts ``|u|^k`` times: with both the best cut is near
        ``eps^(-1/(1 + k))``.
        """
        m, n = self.problem.degree
        return LINE ** (1 / (1 + n - m)) if callable(self.problem.weight) else LINE

    def u(self, x: np.ndarray) -> np.ndarray:
        """The variable that belongs to x."""
        y = (x - self.origin) * (self.direction / self.scale)
        y = y if self.parity is None else y * y
        if not self.unbounded:
            return np.clip(y, -self.infinite, self.infinite) if self.line else y
        with np.errstate(invalid="ignore"):
            return np.where(np.isinf(y), 2.0, 2 * y / (1 + y))

    def x(self, u: np.ndarray) -> np.ndarray:
        """The points themselves, kept inside the domain."""
        # with a weight, f and w at the cut are those at which r is evaluated
        cut = self.line and not callable(self.problem.weight)
        y = np.where(np.abs(u) < self.infinite, u, FAR * np.sign(u)) if cut else u
        if self.unbounded:
            with np.errstate(divide="ignore"):
                y = np.minimum(u / (2 - u), FAR if self.parity is None else FAR**2)
        if self.parity is not None:
            y = np.sqrt(y)
        x = self.origin + (self.direction * self.scale) * y
        if len(self.problem.domain.intervals) == 1:
            low, high = self.problem.domain.hull
            return np.minimum(np.maximum(x, low), high)
        return self._clip(x)

    def _clip(self, x: np.ndarray) -> np.ndarray:
        """The points moved to the nearest one of the domain."""
        low, high, middles = self._ends
        nearest = middles.searchsorted(x)
        clipped: np.ndarray = np.minimum(np.maximum(x, low[nearest]), high[nearest])
        return clipped

    @cached_property
    def _ends(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The lower and the upper ends of the intervals, and the middles of the gaps."""
        low, high = np.array(self.problem.domain.intervals).T
        return low, high, 0.5 * high[:-1] + 0.5 * low[1:]

    def sample(self, u: np.ndarray) -> Samples:
        """Target and weight at the points, which are first rounded to those that x can take."""
        x = self.x(u)
        f = self.target(x)
        w = self.problem.weight_of(x, f)
        y = (x - self.origin) * (self.direction / self.scale)
        f = (f - self.shift if self.shift else f) / self.height
        if self.parity == "odd":
            away = y != 0  # at 0 the error is 0
            f = np.divide(f, y, out=np.zeros(y.shape), where=away)
            w = np.multiply(w, np.abs(y), out=np.zeros(y.shape), where=away)
        if self.parity is not None:
            y = y * y
        if not self.unbounded:
            return Samples(np.clip(y, -self.infinite, self.infinite) if self.line else y, f, w)
        excess = self.degree[1] - self.degree[0]
        g = (2 / (1 + y)) ** excess
        return Samples(2 * y / (1 + y), f / g, w * g)

    def reference(self, u: np.ndarray) -> Samples:
        """Target and weight at the points of a reference, which are kept distinct.

        Points that rounding of x makes equal are moved to the next numbers of float64, if these
        are in the domain.
        """
        samples = self.sample(u)
        if self.parity is not None or self.unbounded or (samples.u[1:] > samples.u[:-1]).all():
            return samples
        x = np.sort(self.x(u))
        for i in range(1, x.size):
            x[i] = max(x[i], np.nextafter(x[i - 1], np.inf))
        high = self.problem.domain.hull[1]
        for i in range(x.size - 1, -1, -1):
            x[i] = min(x[i], high)
            high = np.nextafter(x[i], -np.inf)
        return self.sample(self.u(x))

    def scan(self, reference: Samples, grid: Samples) -> Samples:
        """The points at which the error is sampled: ``grid``, the reference, and points between."""
        between = kernels.fill(reference.u, self.components, self.centres, FRACTIONS)
        return grid.merge(reference)[0].merge(self.sample(between))[0]

    @property
    def climbs(self) -> bool:
        """Whether larger errors may occur between the sampled points."""
        return True

    def flips(self, u: np.ndarray) -> np.ndarray:
        """The sign of ``prod (u - fixed)``: the error alternates after multiplication with it."""
        return sign_of_product(u, (point for point, _ in self.fixed))

    def hints(self, u: np.ndarray) -> np.ndarray:
        """The points in x, with their mirror images."""
        x = self.x(u)
        if self.parity is None:
            return x
        both: np.ndarray = np.concatenate([x, 2 * self.origin - x])
        both.sort()
        return np.asarray(both[distinct(both)])

    def rational(self, level: Levelled) -> BarycentricRational:
        """The answer in x.

        Under ``u = 2y/(1 + y)`` a weight is multiplied by ``1 + y_k``, and for m > n divided by
        its power m - n, by which the sum over m + 1 nodes exceeds q; for ``y = x²`` each
        support point splits in two, as ``1/(x² - s²)`` does.
        """
        m, n = self.degree
        nodes, values, weights = level.nodes, level.values, level.weights
        folded = None
        if self.unbounded:
            nodes = nodes / (2 - nodes)
            weights = weights * (1 + nodes) ** (1 - max(m - n, 0))
            values = values * (2 / (1 + nodes)) ** (n - m)
        if self.parity is not None:
            odd = self.parity == "odd"
            if self.shift and n == 0 and nodes.size > m + 1 and nodes[0] > 0:
                # the twins of a node next to 0 would cancel, and a polynomial can do without it
                weights = weights[1:] * (nodes[1:] - nodes[0])
                nodes, values = nodes[1:], values[1:]
            lift = self.height / self.scale if odd else self.height
            folded = Folded(nodes * self.scale**2, values * lift, weights, odd)
            nodes, values, weights = _unfolded(nodes, values, weights, odd)
        folded = folded if self.shift == 0 else None
        order = slice(None, None, -1 if self.direction < 0 else 1)
        return BarycentricRational(
            (nodes * (self.direction * self.scale))[order],
            (values * self.height)[order] + self.shift,
            (weights / np.abs(weights).max())[order],
            self.type_in_x,
            self.origin,
            folded,
        )


def _unfolded(
    t: np.ndarray, values: np.ndarray, weights: np.ndarray, odd: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes, values and weights in y of a form in t = y², or of y times it.

    ``2 y/(y² - s²)`` is ``1/(y - s) + 1/(y + s)``; without y the second has the sign -. With a
    node at 0 both sums are multiplied by y.
    """
    root = np.sqrt(t)
    if root[0] > 0:
        weights, sign = weights / root, -1.0
    else:
        weights, sign = np.append(2 * weights[0], weights[1:]), 1.0
    values = values * root if odd else values
    twin = root > 0
    nodes = np.concatenate([-root[twin][::-1], root])
    weights = np.concatenate([sign * weights[twin][::-1], weights])
    mirrored = values[twin][::-1]
    return nodes, np.concatenate([-mirrored if odd else mirrored, values]), weights


def reduce(problem: Problem, target: Target, found: Survey | None = None) -> Reduced:
    """Scale and centre the problem, and reduce it by a stated or detected symmetry.

    Without symmetry the origin is the strongest singular point of the survey ``found``, an end at
    which f is steep, or the finite end of a half-line. A symmetry is checked at the points of the
    survey as well.

    Raises:
        DegreeError, TargetError: No best approximation exists on an unbounded domain, or the values
            of fn are so large that their sums overflow.
    """
    # the size of f, and its symmetry
    low, high = problem.domain.hull
    unbounded = not problem.domain.is_finite
    x = problem.domain.spread(17)
    values = target(x)
    found = found or Survey()
    largest = max(np.abs(values).max(), np.abs(found.values).max(initial=0.0))
    if largest > LARGEST:
        raise TargetError(
            f"fn is as large as {largest:.3g}, so that sums of its values overflow: divide fn by a "
            "constant, or shrink the domain"
        )
    height = 2.0 ** round(math.log2(max(largest, 1e-300)))
    centre = _centre(low, high)
    parity, shift = problem.parity, 0.0
    if parity == "auto":
        parity, shift = _symmetry(problem, target, centre, found)
    # the type that is left of the symmetry
    m, n = problem.degree
    degree = halved((m, n), parity)
    if low == -np.inf and high == np.inf and parity is None and m > n:
        raise DegreeError(
            f"type {(m, n)} on the line needs an even or odd fn: take m <= n, or half-lines"
        )
    if parity == "odd" and m == 0:  # every odd r of this type is 0
        parity, degree = None, (0, 0)
    # origin and scale of the variable
    line, direction = parity is None and low == -np.inf and high == np.inf, 1.0
    if unbounded:
        if low == -np.inf and parity is None:
            direction = -1.0
        origin, scale = infinity.middle(problem, target, centre, 0.0 if line else direction)
        if line:
            centre, direction = origin, 1.0
        infinity.check(problem, target, unfolded(degree, parity), centre, scale)
    else:
        if parity is None:
            centre = _origin(problem, target, found.singular, x, values)
        scale = 2.0 ** math.ceil(math.log2(0.5 * high - 0.5 * low))

    bare = Reduced(
        problem,
        target,
        degree,
        np.empty((0, 2)),
        centre,
        scale,
        height,
        parity,
        unbounded and not line,
        line,
        direction,
        shift=shift,
    )
    # the domain, the conditions and the singular points in that variable
    ends = np.array(problem.domain.intervals)
    if parity is not None:
        ends = np.maximum(ends[ends[:, 1] > centre], centre)
    fixed = []
    for x, y in problem.interpolate:
        u = float(bare.u(np.array(x)))
        fixed.append((u, y / height / ((2 - u) ** (n - m) if bare.unbounded else 1.0)))
    return replace(
        bare,
        components=np.sort(bare.u(ends), axis=None).reshape(-1, 2),
        fixed=tuple(sorted(fixed)),
        singular=tuple(sorted(set(bare.u(found.singular).tolist()))) if found.singular.size else (),
    )


def _centre(low: float, high: float) -> float:
    """The middle of the hull; the finite end of a half-line; 0 on the line."""
    if np.isinf(low) and np.isinf(high):
        return 0.0
    if np.isinf(high):
        return low
    return high if np.isinf(low) else 0.5 * low + 0.5 * high


def _origin(
    problem: Problem, target: Target, singular: np.ndarray, x: np.ndarray, values: np.ndarray
) -> float:
    """The origin relative to which x is represented accurately.

    It is a prescribed zero under a relative weight, the strongest singular point, an end with
    `STEEP` times the mean slope (where rounding x changes w f most), or else the middle.
    """
    low, high = problem.domain.hull
    zeros = [x for x, y in problem.interpolate if y == 0 and problem.weight == "relative"]
    if zeros:
        return zeros[0]
    if singular.size:
        return float(singular[0])
    step = SHORT * (high - low)
    ends = np.array([low, low + step, high - step, high])
    slopes = _variation(problem, ends, target(ends))[[0, 2]] / SHORT
    if slopes.max() > STEEP * _variation(problem, x, values).sum():
        return low if slopes[0] >= slopes[1] else high
    return _centre(low, high)


def _variation(problem: Problem, x: np.ndarray, f: np.ndarray) -> np.ndarray:
    """The weighted change of f between neighbouring points."""
    steps: np.ndarray = np.abs(f[1:] - f[:-1])
    if problem.weight is None:
        return steps
    w = problem.weight_of(x, f)
    steps *= np.minimum(w[1:], w[:-1])
    return steps


def _symmetry(
    problem: Problem, target: Target, centre: float, found: Survey
) -> tuple[str | None, float]:
    """The parity of f about the centre, tested at quasi-random points and those of the survey.

    f may be odd up to a constant, which is returned as well: r - constant is of the same type where
    m >= n, on a bounded domain.
    """
    if problem.interpolate or not problem.domain.is_symmetric(centre):
        return None, 0.0
    x = problem.domain.spread(10, 0.6180339887498949)
    here = np.concatenate([target(x), found.values])
    x = np.concatenate([x, found.points])
    low, high = problem.domain.hull
    mirrored = np.minimum(np.maximum(2 * centre - x, low), high)
    there = target(mirrored)
    if callable(problem.weight) or problem.samples is not None:
        w = problem.weight_of(x, here)
        if (np.abs(w - problem.weight_of(mirrored, there)) > 1e-13 * w).any():
            return None, 0.0
    close = 16 * np.finfo(float).eps * np.abs(here).max()
    if np.abs(here - there).max() <= close:
        return "even", 0.0
    if np.abs(here + there).max() <= close:
        return "odd", 0.0
    m, n = problem.degree
    double = here + there
    if m >= max(n, 1) and problem.domain.is_finite and np.ptp(double) <= 2 * close:
        shift = 0.5 * float(np.median(double))
        if np.abs(double - 2 * shift).max() <= close:
            return "odd", shift
    return None, 0.0
