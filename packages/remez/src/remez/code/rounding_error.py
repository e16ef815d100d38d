"""A rigorous bound on the rounding error of a straight-line program over a domain.

Running error analysis on intervals: the domain is cut into panels, and along the program every
quantity carries an enclosure of its exact values on each panel and a bound on the error of its
computed value. For an operation with computed operands ``a + δa, b + δb``::

    a ± b   |δa| + |δb|          a b   |a||δb| + |b||δa| + |δa||δb|
    a / b   (|δa| + |a/b| |δb|) / (|b| - |δb|)

to which the operation's own rounding adds half an ulp of the largest result, and half the
smallest subnormal number (gradual underflow), or the smallest normal number where results are
flushed to zero. If a value may overflow, there is no bound.
Multiplication by a power of two is exact except for underflow, and subtraction of numbers within a
factor of two is exact (Sterbenz). Fused multiply-add can only reduce the error.

References:
    N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., SIAM 2002, §3.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from remez.code.program import Program, Tree
from remez.domain import Domain

__all__ = ["Arithmetic", "evaluation_bound"]

PANELS = (2**10, 2**13, 2**16)
NARROWEST = 1e-18  # smallest width of a graded panel, relative to the interval
SLACK = 1 + 1e-9  # covers the float64 rounding errors of this analysis
FAR = 1e-8  # infinity is represented by this share of the largest number of the type


@dataclass(frozen=True)
class Arithmetic:
    """A binary floating-point type with gradual underflow.

    Attributes:
        bits: The number of bits of the significand, including the hidden bit.
        smallest: The absolute error of one rounding next to zero, at least half the smallest
            subnormal number.
        largest: The largest finite number.
        normal: The smallest normal number.
        flushes: Whether subnormal operands and results may be replaced by 0.
    """

    bits: int
    smallest: float
    largest: float
    normal: float
    flushes: bool = False

    @property
    def unit(self) -> float:
        """The relative error of one rounding, 2^-bits."""
        return 2.0**-self.bits

    def flushing(self) -> Arithmetic:
        """The same type where subnormal operands and results may be replaced by 0."""
        return replace(self, smallest=self.normal, flushes=True)

    def read(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """The error of exact operands between the bounds: their size where they are flushed."""
        size = np.minimum(np.maximum(np.abs(low), np.abs(high)), self.normal)
        near = (low < self.normal) & (high > -self.normal)
        error: np.ndarray = np.where(near & self.flushes, size, 0.0)
        return error


@dataclass(frozen=True)
class _Quantity:
    """Enclosures ``[low, high]`` of exact values and bounds on errors, one of each per panel."""

    low: np.ndarray
    high: np.ndarray
    error: np.ndarray

    @property
    def size(self) -> np.ndarray:
        largest: np.ndarray = np.maximum(np.abs(self.low), np.abs(self.high))
        return largest


def evaluation_bound(
    program: Program,
    domain: Domain,
    arithmetic: Arithmetic,
    weight: Callable[[np.ndarray], np.ndarray] | None = None,
    focus: float = 0.0,
) -> float:
    """A bound on ``max |computed(x) - exact(x)|`` over the floating-point numbers x of the domain.

    Args:
        program: The program; its constants must be numbers of the arithmetic.
        domain: The domain; infinity is represented by 1e-8 of the largest number of the type.
        arithmetic: The arithmetic of every operation.
        weight: A weight by which the error is multiplied. It is evaluated at the middle of each
            panel, so that the result is then an estimate.
        focus: A point at which small panels are used, as at the ends of the intervals.

    Returns:
        The bound; infinity if a denominator cannot be kept away from zero on the finest panels.
    """
    for count in PANELS:
        panels = _panels(domain, count, focus, FAR * arithmetic.largest)
        panels = replace(panels, error=arithmetic.read(panels.low, panels.high))
        error = _analyse(program, panels, arithmetic).error
        if weight is not None:
            error = error * weight(0.5 * panels.low + 0.5 * panels.high)
        if np.isfinite(error).all():
            return float(error.max()) * SLACK
    return math.inf


def _panels(domain: Domain, count: int, focus: float, far: float) -> _Quantity:
    edges = [_edges(low, high, count, focus, far) for low, high in domain.intervals]
    low = np.concatenate([e[:-1] for e in edges])
    high = np.concatenate([e[1:] for e in edges])
    return _Quantity(low, high, np.zeros_like(low))


def _edges(low: float, high: float, count: int, focus: float, far: float) -> np.ndarray:
    if math.isfinite(low) and math.isfinite(high):
        even = np.linspace(low, high, count + 1)
        graded = (high - low) * np.geomspace(NARROWEST, 0.5, count // 2)
        near = np.concatenate([even, low + graded, high - graded, focus + graded, focus - graded])
        return np.unique(np.append(near[(near >= low) & (near <= high)], [low, high]))
    if math.isinf(low) and math.isinf(high):
        right = _edges(0.0, math.inf, count, focus, far)
        return np.concatenate([-right[::-1], right[1:]])
    if math.isinf(low):
        return -_edges(-high, math.inf, count, focus, far)[::-1]
    near = np.concatenate([[0.0], np.geomspace(1e-6, 1e6, count), np.geomspace(1e7, far, 64)])
    return low + near


def _analyse(program: Program, x: _Quantity, arithmetic: Arithmetic) -> _Quantity:
    known = {"x": x}
    with np.errstate(all="ignore"):
        for name, tree in program.assignments:
            known[name] = _walk(tree, known, arithmetic)
    result = known[name]
    bad = ~(np.isfinite(result.low) & np.isfinite(result.high))
    return _Quantity(result.low, result.high, np.where(bad, np.inf, result.error))


def _walk(tree: Tree, known: dict[str, _Quantity], arithmetic: Arithmetic) -> _Quantity:
    if isinstance(tree, str):
        return known[tree]
    if not isinstance(tree, tuple):
        value = np.full_like(known["x"].low, tree)
        return _Quantity(value, value, arithmetic.read(value, value))
    left, sign, right = tree
    if sign == "*" and left == right:
        return _rounded(_square(_walk(left, known, arithmetic)), arithmetic)
    a, b = _walk(left, known, arithmetic), _walk(right, known, arithmetic)
    result = {"+": _add, "-": _subtract, "*": _multiply, "/": _divide}[sign](a, b)
    if sign == "*" and any(map(_is_power_of_two, (left, right))):
        return _bounded(result, arithmetic, 0.0)
    if sign == "-" and _is_near(a, b):
        return result
    return _rounded(result, arithmetic)


def _is_power_of_two(tree: Tree) -> bool:
    return isinstance(tree, float) and math.frexp(abs(tree))[0] == 0.5


def _is_near(a: _Quantity, b: _Quantity) -> bool:
    """Whether exact operands are within a factor of two of each other on every panel."""
    within = (a.low >= 0.5 * b.high) & (0.5 * a.high <= b.low) & (b.low > 0)
    return not (a.error.any() or b.error.any()) and bool(within.all())


def _rounded(v: _Quantity, arithmetic: Arithmetic) -> _Quantity:
    """Half an ulp of the largest computed value in the panel."""
    _, exponent = np.frexp(v.size + v.error)
    return _bounded(v, arithmetic, np.ldexp(arithmetic.unit, exponent - 1))


def _bounded(v: _Quantity, arithmetic: Arithmetic, rounding: np.ndarray | float) -> _Quantity:
    """Add the errors of one rounding and of underflow; infinite after an overflow."""
    error = v.error + rounding + arithmetic.smallest
    return _Quantity(v.low, v.high, np.where(v.size + error <= arithmetic.largest, error, np.inf))


def _outward(low: np.ndarray, high: np.ndarray, error: np.ndarray) -> _Quantity:
    return _Quantity(np.nextafter(low, -np.inf), np.nextafter(high, np.inf), error)


def _add(a: _Quantity, b: _Quantity) -> _Quantity:
    return _outward(a.low + b.low, a.high + b.high, a.error + b.error)


def _subtract(a: _Quantity, b: _Quantity) -> _Quantity:
    return _outward(a.low - b.high, a.high - b.low, a.error + b.error)


def _multiply(a: _Quantity, b: _Quantity) -> _Quantity:
    corners = np.stack([a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high])
    error = a.size * b.error + b.size * a.error + a.error * b.error
    return _outward(corners.min(0), corners.max(0), error)


def _square(a: _Quantity) -> _Quantity:
    ends = np.stack([a.low * a.low, a.high * a.high])
    low = np.where((a.low < 0) & (a.high > 0), 0.0, ends.min(0))
    v = _outward(low, ends.max(0), 2 * a.size * a.error + a.error**2)
    return _Quantity(np.maximum(v.low, 0.0), v.high, v.error)


def _divide(a: _Quantity, b: _Quantity) -> _Quantity:
    corners = np.stack([a.low / b.low, a.low / b.high, a.high / b.low, a.high / b.high])
    smallest = np.minimum(np.abs(b.low), np.abs(b.high)) - b.error
    smallest = np.where((b.low <= 0) & (b.high >= 0), 0.0, smallest)
    size = np.abs(corners).max(0)
    error = np.where(smallest > 0, (a.error + size * b.error) / smallest, np.inf)
    return _outward(corners.min(0), corners.max(0), error)
