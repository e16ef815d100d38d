"""Initial references in any precision: Chebyshev points, resampled references, double fits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from remez.errors import RemezError
from remez.problem import Problem
from remez.rational.arithmetic import Arithmetic, Number
from remez.solution import Solution, Status
from remez.solver.driver import solve
from remez.solver.precise.exchange import Curve
from remez.solver.precise.problem_reduction import Reduction

__all__ = ["chebyshev", "compared", "double_fit", "first", "folded", "inside", "resample"]

MANY = 121  # points at which f is sampled


def inside(curve: Curve, points: Sequence[Number]) -> list[Number]:
    """The points, those that rounding put outside moved to the nearest end."""
    ends = [end for pair in curve.intervals for end in pair]
    return [
        s if any(a <= s <= b for a, b in curve.intervals) else min(ends, key=lambda e: abs(s - e))
        for s in points
    ]


def _shares(counts: Sequence[float], total: int) -> list[int]:
    """Whole numbers proportional to ``counts`` with the given sum, at least 1 each if they can."""
    scale = total / sum(counts)
    out = [max(1, math.floor(c * scale)) for c in counts]
    order = sorted(range(len(counts)), key=lambda i: counts[i] * scale - out[i], reverse=True)
    for k in range(abs(total - sum(out))):
        if sum(out) < total:
            out[order[k % len(out)]] += 1
        else:
            out[out.index(max(out))] -= 1
    return out


def first(curve: Curve) -> list[Number]:
    """Points where f varies; two of them where it is least and largest."""
    if curve.fixed:
        return chebyshev(curve, curve.size)
    many = chebyshev(curve, MANY)
    values = [curve.value(curve.place(s)) for s in many]
    if curve.size == 2 and min(values) < max(values):
        return [many[i] for i in sorted(values.index(pick(values)) for pick in (min, max))]
    low, high = curve.intervals[0][0], curve.intervals[-1][1]
    height = max(values) - min(values)
    share = [0.0]
    for (s, y), (t, z) in itertools.pairwise(zip(many, values, strict=True)):
        vary = float(abs(z - y) / height) if height > 0 else 0.0
        share.append(share[-1] + vary + float((t - s) / (high - low)))
    wanted = np.linspace(0.0, share[-1], curve.size)
    return _usable(curve, [many[i] for i in _nearest(np.array(share), wanted)])


def _nearest(share: np.ndarray, wanted: np.ndarray) -> list[int]:
    """Increasing indices of the shares next to those wanted."""
    found = np.searchsorted(share, wanted - 1e-12)
    for i in range(1, found.size):
        found[i] = max(found[i], found[i - 1] + 1)
    return [int(k) for k in found - max(found[-1] - share.size + 1, 0)]


def chebyshev(curve: Curve, size: int) -> list[Number]:
    """``size`` Chebyshev points, more in an interval that is longer."""
    number = curve.arithmetic.number
    counts = _shares([float(b - a) for a, b in curve.intervals], size)
    out: list[Number] = []
    for (a, b), count in zip(curve.intervals, counts, strict=True):
        cosines = [-math.cos(math.pi * k / (count - 1)) if count > 1 else 0.0 for k in range(count)]
        out += [number((a + b) / 2 + (b - a) / 2 * number(c)) for c in cosines]
    return _usable(curve, out)


def resample(curve: Curve, path: Sequence[tuple[int, Sequence[Number]]], goal: int) -> list[Number]:
    """A larger reference whose logarithmic spacings continue those of one or two smaller ones."""
    parts = [[[s for s in points if a <= s <= b] for a, b in curve.intervals] for _, points in path]
    counts = _shares([max(len(part), 0.5) for part in parts[-1]], curve.size)
    # spacings at a singular point go like exp(-c sqrt(n)), so sqrt(n) is what they are linear in
    roots = [math.sqrt(level) for level in (path[0][0], path[-1][0], goal)]
    reach = (roots[2] - roots[1]) / (roots[1] - roots[0]) if len(path) > 1 else 0.0
    out: list[Number] = []
    for i, ((a, b), count) in enumerate(zip(curve.intervals, counts, strict=True)):
        out += _respaced(curve.arithmetic, (a, b), [part[i] for part in parts], count, reach)
    return _usable(curve, out)


def _respaced(
    arithmetic: Arithmetic,
    interval: tuple[Number, Number],
    parts: Sequence[Sequence[Number]],
    count: int,
    reach: float,
) -> list[Number]:
    """``count`` points of one interval, ``reach`` steps of the path beyond its last reference."""
    number, (a, b), part = arithmetic.number, interval, parts[-1]
    if len(part) < 2 or count < 2:
        return [number(a + (b - a) * k / (count + 1)) for k in range(1, count + 1)]
    spacing = _spacing(arithmetic, part, count)
    if reach and len(parts[0]) > 2:
        spacing = spacing + reach * (spacing - _spacing(arithmetic, parts[0], count))
    shrink = number((len(part) / count) ** 2)
    low = number(max(a + (part[0] - a) * shrink, 2 * part[0] - part[1]))
    high = number(min(b - (b - part[-1]) * shrink, 2 * part[-1] - part[-2]))
    lengths = [arithmetic.exp(float(v)) for v in spacing]
    unit = (high - low) / sum(lengths)
    out = [low]
    for length in lengths[:-1]:
        out.append(number(out[-1] + unit * length))
    return [*out, high]


def _spacing(arithmetic: Arithmetic, points: Sequence[Number], count: int) -> np.ndarray:
    """Logarithms of the gaps as a function of the share of points, read off at ``count - 1``."""
    pairs = itertools.pairwise(points)
    logs = np.array([arithmetic.log(arithmetic.number(y - x)) for x, y in pairs])
    old = (np.arange(logs.size) + 0.5) / logs.size
    new = (np.arange(count - 1) + 0.5) / (count - 1)
    spacing: np.ndarray = np.interp(new, old, logs)
    if logs.size > 1:
        first, last = (logs[1] - logs[0]) * logs.size, (logs[-1] - logs[-2]) * logs.size
        spacing = np.where(new < old[0], logs[0] + first * (new - old[0]), spacing)
        spacing = np.where(new > old[-1], logs[-1] + last * (new - old[-1]), spacing)
    return spacing


def _usable(curve: Curve, points: list[Number]) -> list[Number]:
    """Points moved into the domain, off zeros of the weight and off fixed points."""
    number, points = curve.arithmetic.number, inside(curve, points)
    bad = {*(z for z, _ in curve.fixed)}
    out = []
    for i, s in enumerate(points):
        if any(s == z for z in bad) or curve.weight(curve.place(s)) == 0:
            other = points[i + 1] if i + 1 < len(points) else points[i - 1]
            s = number(s + (other - s) / 5)
        out.append(s)
    return out


def compared(problem: Problem) -> tuple[Problem, Solution | None]:
    """On a union, the double fit as the start: it has compared the signs that q may have there.

    Its q may lack the symmetry of f; therefore no symmetry is used.
    """
    double = double_fit(problem)
    if double is None or double.status is not Status.CONVERGED:
        return problem, None
    if double.rational.parity is None:
        problem = replace(problem, parity=None)
    return problem, double


def folded(reduction: Reduction) -> Problem:
    """The problem with the least type that has the reduced one's freedom."""
    (m, n), power = reduction.degree, reduction.power
    degree = (power * m + (reduction.parity == "odd"), power * n)
    return replace(reduction.problem, degree=degree)


def double_fit(problem: Problem) -> Solution | None:
    """The double fit, unless double precision cannot evaluate f."""
    try:
        return solve(problem)
    except (
        RemezError,
        ArithmeticError,
        ValueError,
        TypeError,
        OverflowError,
        IndexError,
        AttributeError,
    ):
        return None  # not available in double precision; continuation is used
