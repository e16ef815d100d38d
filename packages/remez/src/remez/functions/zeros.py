"""Zeros of a callable, their orders, and accurate values of f next to them.

Next to a zero some callables are accurate relative to their own size (``np.sin`` at pi, ``np.log``
at 1). Others suffer from cancellation (``1 - np.cos(x)`` at 0); they are replaced near the zero by
a polynomial that is fitted to accurate values farther away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.polynomial import Chebyshev
from numpy.polynomial.chebyshev import chebvander

from remez.domain import Domain
from remez.errors import TargetError
from remez.functions.callable import Target

__all__ = ["LocalZero", "Smoothed", "Zero", "zeros_of"]

EPS = float(np.finfo(float).eps)
LOOK = 256  # grid points per interval in the search for zeros
SHALLOW = 0.02  # minima of |f| above this share of its maximum are not zeros
ROUNDING = 16 * EPS  # minima of |f| below this share of its maximum are zeros
CLEAR = 1e5 * EPS  # values above this share of max |f| determine the order of a zero
TERMS = 13  # largest number of coefficients of the polynomial near a zero
WINDOW = 64  # points to which the polynomial is fitted
UNDERFLOW = 1e-290  # smaller numbers lose relative accuracy
UNEVEN = 0.7310585786300049  # arbitrary, since rounding may vanish at powers of two
LIMIT = 1e-17  # relative distance from a zero at which the quotient equals its limit
SAID = 1e-7  # relative distance at which a zero is moved to a stated zero, an end or 0
SHORT = 12  # bits: a zero is moved to a number of so few, such as 2 or -1.25, as well


@dataclass(frozen=True)
class Zero:
    """A zero ``high + low`` of fn in about twice double precision, and its order."""

    high: float
    low: float
    order: int

    def distance(self, x: np.ndarray) -> np.ndarray:
        """``x - z`` with a small relative error."""
        return (x - self.high) - self.low


@dataclass(frozen=True, eq=False)
class LocalZero:
    """A zero with a polynomial in x - z for ``f/(x - z)^order``, used within ``radius``.

    Within the radius, rounding makes fn inaccurate relative to its own size. If fn is accurate
    everywhere, the radius is 0 and the polynomial is the constant value at z. The length is that of
    the neighbourhood of the zero.
    """

    zero: Zero
    quotient: Chebyshev
    radius: float
    length: float


class Smoothed:
    """fn and its quotient by the factors of its zeros, both with a small relative error."""

    def __init__(self, target: Target, zeros: Sequence[LocalZero]) -> None:
        self.target = target
        self.zeros = tuple(zeros)

    def __call__(self, x: np.ndarray | float) -> np.ndarray | float:
        """f at the points, computed from the polynomial within the radius of a zero.

        It is 0 at points so close to a zero that the quotient equals its limit to rounding.
        """
        points = np.atleast_1d(np.asarray(x, float))
        out = np.array(self.target(points))
        for one in self.zeros:
            gap = one.zero.distance(points)
            near = np.abs(gap) <= one.radius
            if near.any():
                out[near] = one.quotient(gap[near]) * gap[near] ** one.zero.order
            out[np.abs(gap) <= LIMIT * one.length] = 0.0
        return out if np.ndim(x) else float(out[0])

    def side(self, x: np.ndarray) -> np.ndarray:
        """The sign of the product of the factors, by which a relative error is multiplied."""
        out = np.ones_like(x)
        for one in self.zeros:
            if one.zero.order % 2:
                out *= np.sign(one.zero.distance(x))
        return out

    def quotient(self, x: np.ndarray | float) -> np.ndarray | float:
        """``f(x)/prod (x - z)^order``, of the same shape as x."""
        points = np.atleast_1d(np.asarray(x, float))
        gaps = [one.zero.distance(points) for one in self.zeros]
        powers = [gap**one.zero.order for gap, one in zip(gaps, self.zeros, strict=True)]
        out = np.array(self.target(points))
        for power in powers:
            out = np.divide(out, power, out=np.zeros_like(out), where=power != 0)
        for i, one in enumerate(self.zeros):
            near = np.abs(gaps[i]) <= max(one.radius, UNDERFLOW ** (1 / one.zero.order))
            if near.any():
                others = np.prod([p[near] for j, p in enumerate(powers) if j != i], axis=0)
                out[near] = one.quotient(gaps[i][near]) / others
        return out if np.ndim(x) else float(out[0])


def zeros_of(target: Target, domain: Domain, said: Sequence[float] = ()) -> tuple[LocalZero, ...]:
    """The zeros of the target in the domain, increasing.

    Sign changes and minima of |f| on a grid bracket the zeros; ratios of values give the order. If
    rounding hides the exact position, it is that of the zero of a polynomial fitted to f nearby.

    Args:
        target: The function.
        domain: The domain.
        said: Points that are stated to be zeros.

    Raises:
        TargetError: f vanishes at a point z, but not like a power of x - z.
    """
    places: list[tuple[float, tuple[float, float]]] = []
    sampled = []
    for pair in domain.intervals:
        x = Domain((pair,)).spread(LOOK)
        special = [end for end in (*pair, 0.0, *said) if np.isfinite(end)]
        x = np.unique(np.append(x, [c for c in special if pair[0] <= c <= pair[1]]))
        sampled.append((pair, x, target(x)))
    height = max(float(np.abs(f).max()) for _, _, f in sampled)
    for pair, x, f in sampled:
        places += [(c, pair) for c in _candidates(target, x, f, height)]
    found: list[LocalZero] = []
    for i, (c, pair) in enumerate(places):
        others = [abs(c - other) for j, (other, _) in enumerate(places) if j != i]
        found.append(_local(target, c, pair, min(others, default=np.inf), height, said))
    return tuple(_mirrored(found, domain))


def _candidates(target: Target, x: np.ndarray, f: np.ndarray, height: float) -> list[float]:
    """Points next to zeros: sign changes, bisected to neighbouring floats, and minima of |f|."""
    size = np.abs(f)
    if np.count_nonzero((f[1:] == 0) & (f[:-1] == 0)) > 4:
        raise TargetError(
            "fn is 0 on a part of the domain, where its relative error has no meaning: leave "
            "that part out"
        )
    found = [float(c) for c in x[size == 0]]
    change = np.flatnonzero(f[:-1] * f[1:] < 0)
    found += _bisected(target, x[change], x[change + 1], f[change])
    low = np.flatnonzero((size[1:-1] <= size[:-2]) & (size[1:-1] <= size[2:])) + 1
    same = (f[low - 1] * f[low] > 0) & (f[low] * f[low + 1] > 0)
    for i in low[same & (size[low] <= SHALLOW * height)]:
        found += _minimum(target, float(x[i - 1]), float(x[i + 1]), height)
    found += [float(x[i]) for i in (0, -1) if 0 < size[i] <= ROUNDING * height]
    return _clusters(found, x)


def _clusters(found: list[float], x: np.ndarray) -> list[float]:
    """One candidate for each group of candidates that are too close to be distinct zeros."""
    out: list[float] = []
    for c in sorted(found):
        step = float(np.diff(x)[max(min(int(np.searchsorted(x, c)), x.size - 1) - 1, 0)])
        if not out or c - out[-1] > 1e-3 * step:
            out.append(c)
        elif c == 0:
            out[-1] = c
    return out


def _bisected(target: Target, a: np.ndarray, b: np.ndarray, f_a: np.ndarray) -> list[float]:
    """One of the two neighbouring floats between which f changes sign, for each bracket."""
    if not a.size:
        return []
    a, b, sign = a.copy(), b.copy(), np.sign(f_a)
    for _ in range(1100):  # enough halvings for the whole range of float64
        product = a * b
        with np.errstate(all="ignore"):
            root = np.sign(a) * np.sqrt(np.abs(a)) * np.sqrt(np.abs(b))
        wide = (product > 0) & (np.maximum(np.abs(a / b), np.abs(b / a)) > 4)
        middle = np.where(wide, root, 0.5 * a + 0.5 * b)
        if not ((middle > a) & (middle < b)).any():
            break
        f = target(middle)
        left = np.sign(f) == sign
        a, b = np.where(left, middle, a), np.where(left, b, middle)
        exact = f == 0
        a = np.where(exact, middle, a)
        b = np.where(exact, middle, b)
    size_a, size_b = np.abs(target(a)), np.abs(target(b))
    return [float(c) for c in np.where(size_a <= size_b, a, b)]


def _minimum(target: Target, a: float, b: float, height: float) -> list[float]:
    """The point between a and b at which |f| is 0 to rounding, if any; by bisection on a sign."""
    for _ in range(60):
        x = np.linspace(a, b, 9)
        f = target(x)
        if (f.min() < 0) and (f.max() > 0):
            change = np.flatnonzero(f[:-1] * f[1:] < 0)
            return _bisected(target, x[change], x[change + 1], f[change])
        i = int(np.abs(f).argmin())
        if abs(f[i]) <= ROUNDING * height:
            return [float(x[i])]
        a, b = float(x[max(i - 1, 0)]), float(x[min(i + 1, 8)])
    return []


def _local(
    target: Target,
    c: float,
    pair: tuple[float, float],
    apart: float,
    height: float,
    said: Sequence[float],
) -> LocalZero:
    """The order and position of the zero near c, and the quotient around it."""
    a, b = pair
    length = min(b - a, apart, max(1.0, abs(c)) if np.isinf(b - a) else np.inf)
    order = _order(target, c, pair, length, height)
    places = (0.0, a, b, *said, _short(c))
    special = [p for p in places if a <= p <= b and abs(p - c) <= SAID * length]
    exact = [p for p in special if abs(target(np.array([p]))[0]) <= 4 * EPS * EPS * height]
    c = exact[0] if exact else c
    limit = _limit(target, Zero(c, 0.0, order), pair, length)
    if limit is not None:  # fn has a small relative error next to its zero
        zero = Zero(c, -float(target(np.array([c]))[0]) / limit if order == 1 else 0.0, order)
        limit = _limit(target, zero, pair, length) or limit
        zero = replace(zero, low=zero.low and -float(target(np.array([c]))[0]) / limit)
        return LocalZero(zero, Chebyshev([limit]), 0.0, length)
    zero = Zero(c, 0.0, order)
    found = _polynomial(target, zero, pair, length, height)
    if not exact:
        shift = _root(found.whole.deriv(order - 1) if order > 1 else found.whole)
        place = c + shift
        zero = Zero(place, (c - place) + shift, order)
        found = _polynomial(target, zero, pair, length, height)
    return LocalZero(zero, found.quotient, _radius(target, zero, found, pair), length)


def _short(c: float) -> float:
    """The number of few bits that is nearest to c."""
    fraction, exponent = np.frexp(c)
    return float(np.ldexp(np.round(np.ldexp(fraction, SHORT)), exponent - SHORT))


def _order(
    target: Target, c: float, pair: tuple[float, float], length: float, height: float
) -> int:
    """The order k with ``f ~ (x - z)^k`` on each side of z in the domain."""
    found = []
    for side in (1.0, -1.0):
        steps = UNEVEN * length * 2.0 ** -np.arange(2.0, 44.0)
        x = c + side * steps
        inside = (x >= pair[0]) & (x <= pair[1]) & (steps > 1e4 * EPS * abs(c))
        if inside.sum() < 4:
            continue
        f = target(x[inside])
        clear = np.flatnonzero(np.abs(f) > CLEAR * height)
        last = max(int(clear[-1]) if clear.size else 0, 3)
        ratio = np.abs(f[last - 1] / f[last]) if f[last] else np.inf
        before = np.abs(f[last - 2] / f[last - 1]) if f[last - 1] else np.inf
        with np.errstate(all="ignore"):
            power, earlier = np.log2(ratio), np.log2(before)
        found.append(
            (
                float(power),
                float(earlier),
                np.sign(f[last]) * side ** round(power) if np.isfinite(power) else 0.0,
            )
        )
    powers = {round(power) for power, _, _ in found if np.isfinite(power)}
    good = all(
        np.isfinite(p) and abs(p - round(p)) < 0.03 and abs(p - q) < 0.05 for p, q, _ in found
    )
    if len(powers) != 1 or not good or min(powers) < 1 or len({sign for *_, sign in found}) > 1:
        raise TargetError(
            f"fn vanishes at x = {c:.9g}, but not like a power of x - {c:.9g}, so that every "
            "rational has relative error 1 or more: leave an interval around it out of the domain"
        )
    return powers.pop()


def _limit(target: Target, zero: Zero, pair: tuple[float, float], length: float) -> float | None:
    """``f/(x - z)^k`` at z, extrapolated from points very close to z.

    None if the quotients at these points are dominated by rounding.
    """
    if zero.order == 1 and not _linear(target, zero.high, pair, length):
        return None
    near = UNEVEN * length * 2.0 ** -np.arange(20.0, 40.0, 2.0)
    near = near[near > 1e3 * abs(np.spacing(zero.high))]
    limits = []
    for side in (1.0, -1.0):
        x = np.concatenate([zero.high + side * near, zero.high + 0.5 * side * near])
        if near.size < 3 or (x < pair[0]).any() or (x > pair[1]).any():
            continue
        values = target(x) / zero.distance(x) ** zero.order
        far, close = np.split(values, 2)
        level = float(np.median(close))
        slack = 1e-6 if zero.order > 1 else 1e-6 + abs(np.spacing(zero.high)) / near
        if (np.abs(far - close) > slack * abs(level)).any():
            return None
        ulp = abs(np.spacing(zero.high))
        at = int(np.argmin(near / length + (ulp / near if zero.order == 1 else 0.0)))
        limits.append(2 * close[at] - far[at])
    return float(np.mean(limits)) if limits else None


def _linear(target: Target, c: float, pair: tuple[float, float], length: float) -> bool:
    """Whether f is linear over some floats next to its zero, to a small relative error."""
    step = abs(np.spacing(c)) if c else 1e-20 * length
    k = np.arange(-8.0, 9.0)
    k = k[(c + step * k >= pair[0]) & (c + step * k <= pair[1])]
    f = target(c + step * k)
    slope, start = np.polyfit(k, f, 1)
    return bool(np.abs(f - (slope * k + start)).max() <= 1e-6 * abs(slope))


@dataclass(frozen=True, eq=False)
class _Fitted:
    """Polynomials in x - z for f and for ``f/(x - z)^k``, over a window of some width."""

    whole: Chebyshev
    quotient: Chebyshev
    width: float


def _polynomial(
    target: Target, zero: Zero, pair: tuple[float, float], length: float, height: float
) -> _Fitted:
    """The polynomials of the window and degree for which rounding of f affects g(z) least."""
    best, least = None, np.inf
    for halvings in range(8):
        reach = length * 2.0**-halvings
        low, high = max(zero.high - reach, pair[0]), min(zero.high + reach, pair[1])
        x = _nodes(low, high)
        f, gap = target(x), zero.distance(x)
        domain = [float(gap.min()), float(gap.max())]
        enough = 8 * EPS * max(4 * float(np.abs(f).max()), height)
        for terms in range(3, TERMS + 1, 2):
            whole = Chebyshev.fit(gap, f, terms + zero.order - 1, domain=domain)
            rest = float(np.abs(f - whole(gap)).max())
            if rest > enough:
                continue
            t = (2 * gap - domain[0] - domain[1]) / (domain[1] - domain[0])
            basis = chebvander(t, terms - 1) * (gap**zero.order)[:, None]
            inverse = np.linalg.pinv(basis, rcond=1e-14)
            centre = -(domain[0] + domain[1]) / (domain[1] - domain[0])
            doubt = rest * float(np.linalg.norm(chebvander(centre, terms - 1) @ inverse))
            if doubt < least:
                best, least = _Fitted(whole, Chebyshev(inverse @ f, domain), high - low), doubt
            break
    if best is None:
        raise TargetError(
            f"fn is neither smooth nor accurate around its zero x = {zero.high:.9g}, so that its "
            "relative error has no meaning there: leave an interval around it out of the domain"
        )
    return best


def _nodes(low: float, high: float) -> np.ndarray:
    t = np.cos(np.pi * (np.arange(WINDOW) + 0.5) / WINDOW)
    return np.clip(0.5 * (low + high) + 0.5 * (high - low) * t, low, high)


def _root(polynomial: Chebyshev) -> float:
    """The zero of the polynomial next to 0, by Newton's method."""
    slope, at = polynomial.deriv(), 0.0
    for _ in range(20):
        tilt = float(slope(at))
        if tilt == 0:
            break
        step = float(polynomial(at)) / tilt
        at -= step
        if abs(step) <= EPS * abs(at):
            break
    return at


def _radius(target: Target, zero: Zero, found: _Fitted, pair: tuple[float, float]) -> float:
    """The distance within which the polynomial is a better approximation of g than the quotient."""
    steps = 0.25 * UNEVEN * found.width * 2.0 ** -np.arange(50.0)
    steps = steps[steps > 2 * abs(np.spacing(zero.high))]
    radius = 0.0
    for side in (1.0, -1.0):
        x = zero.high + side * steps
        x = x[(x >= pair[0]) & (x <= pair[1])]
        if not x.size:
            continue
        gap = zero.distance(x)
        with np.errstate(all="ignore"):
            seen, smooth = target(x) / gap**zero.order, found.quotient(gap)
        off = np.abs(gap[~(np.abs(seen - smooth) <= 64 * EPS * np.abs(smooth))])
        radius = max(radius, float(off.max(initial=0.0)))
    return 2 * radius


def _mirrored(found: list[LocalZero], domain: Domain) -> list[LocalZero]:
    """Make zeros that are mirror images to rounding exactly symmetric."""
    found.sort(key=lambda one: one.zero.high)
    if not domain.is_symmetric(0.0):
        return found
    for i in range(len(found) // 2):
        left, right = found[i], found[-1 - i]
        a, b = left.zero, right.zero
        if a.order == b.order and abs(a.high + b.high) <= 1e-9 * abs(b.high):
            found[i] = replace(left, zero=Zero(-b.high, -b.low, a.order))
    return found
