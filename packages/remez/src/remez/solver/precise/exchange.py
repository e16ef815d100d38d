"""The exchange in any precision: by scanning at first, by Newton's method near the solution.

Points live in a sampling coordinate s, in which intervals are finite; ``place`` maps s to the
variable t of the rational. Levelling does not care (it is invariant under such maps); only where
to look for extrema does.

One exchange moves every point of the reference to a local extremum of the error. Its levelled
error is stationary there, so the exchange converges quadratically once the extrema are right
(L. Veidinger, "On the numerical determination of the best approximations in the Chebyshev sense",
Numer. Math. 2, 1960, doi:10.1007/BF01386215).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from remez import curve_kernels
from remez.rational.arithmetic import Arithmetic, Number
from remez.solver.precise.levelling import Levelled, branches, level, sign_changes

__all__ = ["Curve", "Reference", "Scan", "Watch", "alternation", "extrema", "polish", "settle"]

SAMPLES = 5  # parts into which a scan cuts every gap between points
NEAR = 0.5  # the same, from which a step that makes it larger is halved
STALLED = 1e-10  # the same, below which only rounding makes it larger
HIGH = 0.9  # other extrema above this share of the largest error are refined
CLIMBS = 12  # Newton steps from a sample to the extremum, enough for a thousand digits
SETTLED = 1e-3  # max |error| / levelled error - 1 from which Newton's method takes over


# called after every step with its number, what was levelled on which points, the largest error seen
# and whether the denominator keeps its sign
Watch = Callable[[int, Sequence[Number], Levelled, Number, bool], None]


@dataclass(frozen=True, eq=False)
class Curve:
    """What is approximated, in the numbers of one arithmetic.

    Attributes:
        value, weight: f and w as functions of t.
        intervals: Pairs (a, b) of sampling coordinates.
        degree: (m, n).
        place: t as a function of s, increasing.
        fixed: Pairs (s, y) with r = y demanded.
        singular: Sampling coordinates where f is not smooth.
    """

    arithmetic: Arithmetic
    value: Callable[[Number], Number]
    weight: Callable[[Number], Number]
    intervals: tuple[tuple[Number, Number], ...]
    degree: tuple[int, int]
    place: Callable[[Number], Number]
    fixed: tuple[tuple[Number, Number], ...] = ()
    singular: tuple[Number, ...] = ()

    @property
    def size(self) -> int:
        """The number of points of a reference that are not fixed."""
        return sum(self.degree) + 2 - len(self.fixed)

    def part(self, s: Number) -> int:
        """The index of the interval that holds s, or is the next one or the last."""
        ends = (i for i, (_, b) in enumerate(self.intervals) if s <= b)
        return next(ends, len(self.intervals) - 1)

    def breaks(self, points: Sequence[Number]) -> set[int]:
        """The indices of points that are the last ones of their interval."""
        parts = [self.part(s) for s in points]
        return {i for i, (a, b) in enumerate(itertools.pairwise(parts)) if a != b}

    def side(self, s: Number) -> int:
        """The sign that the fixed points left of s give to the alternation."""
        return -1 if sum(s > z for z, _ in self.fixed) % 2 else 1

    def levelled(self, points: Sequence[Number], q: Sequence[Number] | None) -> Levelled:
        """The levelled rational on free points and the fixed ones."""
        zero = self.arithmetic.number(0)
        known = dict(self.fixed)
        merged = sorted([*points, *known])
        rows = []
        for i, s in enumerate(merged):
            t = self.place(s)
            if any(s == z for z in known):
                rows.append((t, known[s], zero))
            else:
                rows.append((t, self.value(t), (-1) ** i / self.weight(t)))
        ts, values, steps = (list(column) for column in zip(*rows, strict=True))
        breaks = self.breaks(merged)
        q = None if self.fixed else q
        if q is None and breaks:
            several = branches(self.arithmetic, ts, values, steps, self.degree, breaks)
            if several:
                return min(several, key=lambda found: self._largest(found, points))
        found = level(self.arithmetic, ts, values, steps, self.degree, q, breaks)
        if q is not None and sign_changes(found.q, breaks):  # the iteration went astray
            found = level(self.arithmetic, ts, values, steps, self.degree, None, breaks)
        return found

    def _largest(self, levelled: Levelled, points: Sequence[Number]) -> Number:
        return max(map(abs, self.errors(levelled, _samples(self, points))[0]))

    def errors(
        self, levelled: Levelled, points: Sequence[Number]
    ) -> tuple[list[Number], list[Number]]:
        """``w (f - r)`` and the denominator at sampling coordinates."""
        ts = [self.place(s) for s in points]
        r, q = levelled.evaluate(ts)
        number = self.arithmetic.number
        return [number(self.weight(t) * (self.value(t) - y)) for t, y in zip(ts, r, strict=True)], q


@dataclass(frozen=True, eq=False)
class Reference:
    """A reference, its levelled rational, and how far the error exceeds the levelled one.

    Attributes:
        points: Sampling coordinates of the free points.
        excess: ``max |w (f - r)| / |E| - 1``.
    """

    points: list[Number]
    levelled: Levelled
    excess: Number
    iterations: int

    @property
    def error(self) -> Number:
        """|E|."""
        return abs(self.levelled.error)


@dataclass(frozen=True, eq=False)
class Scan:
    """The error at samples all over the domain.

    Attributes:
        extrema: Indices of extrema of alternating sign, at most one for a point of a reference.
        largest: The largest modulus.
        one_sign: Whether the denominator keeps its sign on every interval.
    """

    samples: list[Number]
    errors: list[Number]
    extrema: list[int]
    largest: Number
    one_sign: bool

    @classmethod
    def of(cls, curve: Curve, levelled: Levelled, points: Sequence[Number]) -> Scan:
        """Look at the ends, the points, the singular points, and between."""
        samples = _samples(curve, points)
        errors, denominators = curve.errors(levelled, samples)
        return cls(
            samples,
            errors,
            alternation(curve, samples, errors, curve.size),
            max(map(abs, errors)),
            not sign_changes(denominators, curve.breaks(samples)),
        )


def settle(
    curve: Curve, points: Sequence[Number], limit: int, floor: Number, watch: Watch
) -> Reference | None:
    """Exchange by scanning until the extrema are where the points are; None when it fails.

    An error of at most ``floor`` everywhere is rounding: f is that rational, and the search ends.
    """
    points, q = list(points), None
    near, least = points, NEAR  # the points of the least excess, once that is small
    for iteration in range(1, limit + 1):
        levelled = curve.levelled(points, q)
        if not abs(levelled.error) >= 0:  # NaN: the weight is 0 at some of the points
            return None
        scan = Scan.of(curve, levelled, points)
        watch(iteration, points, levelled, scan.largest, scan.one_sign)
        if scan.largest <= floor and scan.one_sign:
            return Reference(points, levelled, 0.0, iteration)
        maxima = [_vertex(curve, scan.samples, scan.errors, i) for i in scan.extrema]
        heights, q = curve.errors(levelled, maxima)  # samples may be far from the maxima
        error, largest = abs(levelled.error), max(scan.largest, *map(abs, heights))
        excess = float(largest / error) - 1 if error > floor else math.inf
        enough = len(maxima) == curve.size
        if least < NEAR and (excess > 2 * least or not enough):  # too far: half of the step
            points, q = _between(curve, near, points), None
            continue
        if not enough:
            return None
        if excess < SETTLED and scan.one_sign:
            points = _moved_to(points, [s for s in maxima if s in curve.singular])
            return Reference(points, levelled, excess, iteration)
        if excess < NEAR:
            near, least = points, excess
        points, q = maxima, q if excess < 0.1 else None
    return None


def _moved_to(points: list[Number], singular: Sequence[Number]) -> list[Number]:
    """The points, the nearest one moved to each of the singular points."""
    points = list(points)
    for z in singular:
        distances = [abs(s - z) for s in points]
        points[distances.index(min(distances))] = z
    return points


def polish(
    curve: Curve, start: Reference, tolerance: Number, limit: int, watch: Watch
) -> Reference:
    """Newton's method on the extrema until the error exceeds the levelled one by ``tolerance``."""
    points, levelled = [_snapped(curve, s) for s in start.points], start.levelled
    iterations = start.iterations
    near, least = points, math.inf
    third = _third(curve, points, levelled)
    for _ in range(limit):
        iterations += 1
        moved, excess = _newton(curve, levelled, points, third)
        one_sign = not sign_changes(levelled.q, curve.breaks(sorted([*points, *dict(curve.fixed)])))
        watch(iterations, points, levelled, (1 + excess) * abs(levelled.error), one_sign)
        if excess <= tolerance:
            return Reference(moved, levelled, excess, iterations)
        if least < STALLED and excess > least:  # rounding: more digits are needed
            break
        if excess > 2 * least:  # too far: half of the step
            points = _between(curve, near, points)
            levelled = curve.levelled(points, None)
            continue
        near, least, points = points, excess, moved
        _, q = curve.errors(levelled, points)
        levelled = curve.levelled(points, q)
    return Reference(near, curve.levelled(near, None), least, iterations)


def extrema(curve: Curve, reference: Reference, scan: Scan) -> list[Number]:
    """The points of a polished reference, and all other extrema that come near the largest."""
    size = [abs(e) for e in scan.errors]
    maxima = [
        scan.samples[i]
        for i, height in enumerate(size)
        if height > HIGH * scan.largest and height == max(size[max(i - 1, 0) : i + 2])
    ]
    maxima = _distinct([*reference.points, *maxima])
    third = _third(curve, reference.points, reference.levelled)
    for _ in range(CLIMBS if len(maxima) > len(reference.points) else 0):
        maxima, _ = _newton(curve, reference.levelled, maxima, third)
    return maxima


def _between(curve: Curve, near: Sequence[Number], far: Sequence[Number]) -> list[Number]:
    """The reference half way between two references."""
    return [curve.arithmetic.number((a + b) / 2) for a, b in zip(near, far, strict=True)]


def _third(curve: Curve, points: Sequence[Number], levelled: Levelled) -> Number:
    """10^(-d/3), d the digits to which the error is known: those that f exceeds it by are lost."""
    values = (abs(p / q) for p, q in zip(levelled.p, levelled.q, strict=True) if q != 0)
    weight = max(curve.weight(curve.place(s)) for s in points)
    ratio = max(values) * weight / abs(levelled.error)
    lost = max(0.0, curve.arithmetic.log(ratio) / math.log(10)) if ratio > 0 else 0.0
    return curve.arithmetic.number(10) ** -int(max(curve.arithmetic.decimals - lost, 9) // 3)


def _snapped(curve: Curve, s: Number) -> Number:
    """s, or the singular point that it equals to the digits of the search."""
    near = (z for z in curve.singular if abs(s - z) <= abs(z) * curve.arithmetic.number(1e-20))
    return next(near, s)


def _samples(curve: Curve, points: Sequence[Number]) -> list[Number]:
    """The points, the ends, the singular points, and what lies between, graded like the points."""
    found: list[Number] = []
    number = curve.arithmetic.number
    for a, b in curve.intervals:
        inner = [s for s in (*points, *curve.singular) if a < s < b]
        knots = _distinct([a, *inner, b])
        if len(knots) < 8:
            knots = _distinct(knots + [number(a + (b - a) * k / 8) for k in range(1, 8)])
        found += _graded(curve.arithmetic, knots)
    return [s for s in found if all(s != z for z, _ in curve.fixed)]


def _graded(arithmetic: Arithmetic, knots: list[Number]) -> list[Number]:
    """Cut every gap into parts whose lengths follow those of the gaps around it."""
    gaps = [arithmetic.number(y - x) for x, y in itertools.pairwise(knots)]
    logs = [arithmetic.log(gap) for gap in gaps]
    last = len(gaps) - 1
    out = [knots[0]]
    for i, gap in enumerate(gaps):
        left, right = max(i - 1, 0), min(i + 1, last)
        growth = (logs[right] - logs[left]) / max(right - left, 1)
        growth = min(max(growth, -12.0), 12.0)
        shares = [_share(growth, k / SAMPLES) for k in range(1, SAMPLES)]
        if i == 0:
            shares = [4.0**-k for k in (9, 6, 4, 2)] + shares
        if i == last:
            shares = shares + [1 - 4.0**-k for k in (2, 4, 6, 9)]
        shares.sort()
        out += [arithmetic.number(knots[i] + gap * arithmetic.number(c)) for c in shares]
        out.append(knots[i + 1])
    return _distinct(out)


def _share(growth: float, u: float) -> float:
    """``(e^(growth u) - 1) / (e^growth - 1)``."""
    return u if abs(growth) < 1e-3 else math.expm1(growth * u) / math.expm1(growth)


def _distinct(numbers: list[Number]) -> list[Number]:
    ordered = sorted(numbers)
    return ordered[:1] + [y for x, y in itertools.pairwise(ordered) if y > x]


def alternation(
    curve: Curve, samples: Sequence[Number], errors: Sequence[Number], count: int
) -> list[int]:
    """Indices of extrema of alternating sign: the largest of every run, at most ``count``."""
    size = [abs(e) for e in errors]
    ranks, rank = np.zeros(len(size)), 0  # the choice depends on nothing else of the sizes
    order = sorted(range(len(size)), key=size.__getitem__)
    for last, i in itertools.pairwise([order[0], *order]):
        rank += size[i] > size[last]
        ranks[i] = (rank + 1) * curve.side(samples[i]) * ((errors[i] > 0) - (errors[i] < 0))
    return [int(i) for i in curve_kernels.alternating(ranks, count)]


def _vertex(curve: Curve, samples: Sequence[Number], errors: Sequence[Number], i: int) -> Number:
    """The vertex of the parabola through the sampled extremum and its two neighbours."""
    s = samples[i]
    if s in curve.singular or not 0 < i < len(samples) - 1:
        return s
    (x0, x1, x2), (y0, y1, y2) = samples[i - 1 : i + 2], errors[i - 1 : i + 2]
    if curve.part(x0) != curve.part(x2):
        return s
    left, right = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
    curvature = (right - left) / (x2 - x0)
    if not (left * right < 0) or curvature == 0:
        return s
    vertex = curve.arithmetic.number((x0 + x1) / 2 - left / (2 * curvature))
    return min(max(vertex, x0), x2)


def _newton(
    curve: Curve, levelled: Levelled, points: Sequence[Number], third: Number
) -> tuple[list[Number], Number]:
    """One Newton step to every extremum by differences, and the excess found there.

    With steps of 10^(-digits/3) of the gaps, second order differences place an extremum to two
    thirds of the digits, and its height, which is stationary, to all of them.
    """
    number = curve.arithmetic.number
    stencils = []
    for i, s in enumerate(points):
        a, b = curve.intervals[curve.part(s)]
        room = _room(curve, points, i)
        h = number(room * third)
        side = 1 if s - h < a else -1 if s + h > b else 0
        triple = [number(s + (side + k) * h) for k in (-1, 0, 1)]
        stencils.append((s, h, room, side, triple))
    values = iter(curve.errors(levelled, [x for *_, triple in stencils for x in triple])[0])
    moved, maxima = [], []
    for s, h, room, side, _ in stencils:
        low, middle, high = next(values), next(values), next(values)
        curvature = (high - 2 * middle + low) / (h * h)
        slope = (high - low) / (2 * h) - side * h * curvature
        centre = low if side == 1 else high if side == -1 else middle
        step = _step(centre, slope, curvature, room)
        if s in curve.singular and abs(low) < abs(middle) > abs(high):
            step = number(0)
        a, b = curve.intervals[curve.part(s)]
        target = number(min(max(s + step, a), b))
        step = target - s
        moved.append(target)
        maxima.append(abs(number(centre + slope * step + curvature * step * step / 2)))
    return moved, max(maxima) / abs(levelled.error) - 1


def _step(centre: Number, slope: Number, curvature: Number, room: Number) -> Number:
    """Newton's step to the extremum, at most a quarter of the room."""
    if (curvature if centre > 0 else -curvature) < 0:
        step = -slope / curvature
        return max(min(step, room / 4), -room / 4)
    return room / 4 if (slope > 0) == (centre > 0) else -room / 4


def _room(curve: Curve, points: Sequence[Number], i: int) -> Number:
    """The distance to the nearest other point of the interval, or to its ends without one."""
    s = points[i]
    a, b = curve.intervals[curve.part(s)]
    near = [x for x in (*points[max(i - 1, 0) : i], *points[i + 1 : i + 2]) if a <= x <= b]
    return curve.arithmetic.number(min(abs(s - x) for x in near or (a, b) if x != s))
