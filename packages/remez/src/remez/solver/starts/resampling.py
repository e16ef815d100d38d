"""Initial references that are resampled from those of another degree or a similar problem."""

from __future__ import annotations

import numpy as np

from remez.domain import Domain
from remez.solver.problem_reduction import Reduced

__all__ = ["carried", "completed", "resample", "warm", "with_end"]

CLOSE = 0.01  # of the smallest distance, by which mirrored alternation points may differ
FEW = 2  # largest number of points of a former reference that are left out


def resample(reduced: Reduced, old: np.ndarray) -> np.ndarray:
    """A reference of ``reduced.size`` points distributed as ``old`` is.

    Positions between neighbours are interpolated geometrically about the nearest centre when
    their distances from it differ much, as extrema that cluster at a singularity do.
    """
    if reduced.line:
        return _into_components(_around(old, reduced.size), reduced.components)
    for centre in reduced.centres:
        distance = np.abs(old - centre)
        if old.size > 2 and distance.min() < 1e-8 * np.partition(distance, 1)[1]:
            old = np.where(distance == distance.min(), centre, old)
    place = np.linspace(0, old.size - 1, reduced.size)
    index = np.minimum(place.astype(int), old.size - 2)
    fraction = place - index
    low, high = old[index], old[index + 1]
    new = low + (high - low) * fraction
    for centre in reduced.centres:
        a, b = low - centre, high - centre
        product = a * b
        with np.errstate(all="ignore"):
            bent = centre + a * (b / a) ** fraction
            wide = (product > 0) & (np.maximum(a / b, b / a) > 2)
        nearest = np.minimum(np.abs(a), np.abs(b)) <= 2 * _distance(reduced.centres, low, high)
        new = np.where(wide & nearest, bent, new)
        new = _towards(new, centre, old, low, high, fraction)
    return _into_components(
        _crowd(new, reduced, np.sqrt(reduced.size / old.size)), reduced.components
    )


def _around(old: np.ndarray, size: int) -> np.ndarray:
    """``size`` points on the line, a circle of angles, distributed as ``old`` is."""
    angle = np.arctan(old)
    closed = np.concatenate([[angle[-1] - np.pi], angle, [angle[0] + np.pi]])
    place = (np.arange(size) + 0.5) * old.size / size + 0.5
    return np.sort(np.tan(np.interp(place, np.arange(closed.size), closed)))


def _crowd(u: np.ndarray, reduced: Reduced, power: float) -> np.ndarray:
    """Raise distances from the nearest centre to ``power``, in units of half its neighbourhood.

    Extrema near an algebraic singularity lie at distances exp(-c sqrt(n)), near a smooth end
    at 1/n²: both move in so when the degree grows.
    """
    centres = reduced.centres
    nearest = np.abs(u[:, None] - centres).argmin(1)
    offset = u - centres[nearest]
    reach = np.empty(u.size)
    for i, k in enumerate(nearest):
        side = centres[k + 1 :] if offset[i] > 0 else centres[:k]
        reach[i] = 0.5 * np.abs(side - centres[k]).min(initial=np.inf)
    inside = np.isfinite(reach) & (offset != 0)
    share = np.abs(offset[inside]) / reach[inside]
    out = u.copy()
    out[inside] = centres[nearest][inside] + offset[inside] * share ** (power - 1)
    return out


def _towards(
    new: np.ndarray,
    centre: float,
    old: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    fraction: np.ndarray,
) -> np.ndarray:
    """In the gap next to a centre that is itself a point, carry the geometric spacing on."""
    distance = np.sort(np.abs(old - centre))
    if distance.size < 4 or distance[0] != 0 or distance[2] <= 3 * distance[1]:
        return new
    ratio = distance[1] / distance[2]
    right = (low == centre) & (fraction > 0)
    left = (high == centre) & (fraction < 1) & (fraction > 0)
    new = np.where(right, centre + (high - centre) * ratio ** (1 - fraction), new)
    return np.where(left, centre - (centre - low) * ratio**fraction, new)


def _distance(centres: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    gaps = np.minimum(np.abs(low[:, None] - centres), np.abs(high[:, None] - centres))
    gaps[gaps == 0] = np.inf
    nearest: np.ndarray = gaps.min(1)
    return nearest


def _into_components(u: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Move points out of the gaps between components, keeping the order."""
    if len(components) > 1:
        inside = np.minimum(np.maximum(u[:, None], components[:, 0]), components[:, 1])
        u = inside[np.arange(u.size), np.abs(inside - u[:, None]).argmin(1)]
        for _ in range(4):
            same = np.flatnonzero(np.diff(u) <= 0)
            if not same.size:
                break
            u = np.sort(u)
            near = 1e-3 * np.diff(components, axis=1).min()
            for i in same:
                step = near if np.any(u[i] == components[:, 0]) else -near
                u[i + (step > 0)] += step
            u = np.sort(u)
    return u


def carried(reference: np.ndarray, old: Domain, new: Domain, focus: float) -> np.ndarray:
    """Map points of an earlier domain to the new domain.

    Ends go to ends; the focus, near which points may cluster, stays where it is inside of both.
    """
    if len(old.intervals) != len(new.intervals) or not (old.is_finite and new.is_finite):
        return reference
    knots, places = np.ravel(old.intervals), np.ravel(new.intervals)
    at = int(np.searchsorted(knots, focus))
    inside = 0 < at < knots.size and knots[at - 1] < focus < knots[at]
    if inside and places[at - 1] < focus < places[at]:
        knots, places = np.insert(knots, at, focus), np.insert(places, at, focus)
    return np.asarray(np.interp(reference, knots, places))


def completed(reference: np.ndarray, domain: Domain) -> np.ndarray:
    """The reference with one end more, if only that is missing to its mirror symmetry.

    An even or odd error alternates once more than is necessary, and a solution has no more
    alternation points than that.
    """
    if reference.size < 3 or not domain.is_finite:
        return reference
    mirrored = sum(domain.hull) - reference[::-1]
    close = CLOSE * np.diff(reference).min()
    if (np.abs(reference[1:] - mirrored[:-1]) <= close).all():
        return np.append(reference, mirrored[-1])
    if (np.abs(reference[:-1] - mirrored[1:]) <= close).all():
        return np.append(mirrored[0], reference)
    return reference


def with_end(reference: np.ndarray, old: Domain, new: Domain) -> list[np.ndarray]:
    """The next reference up from a degenerate one, if the new interval extends one side further.

    The middle is that of the former interval. A degenerate best approximation, such as that of an
    even or odd function, is still nearly the best one on the largest interval about it. The rest is
    left to a pole and a zero that are close to each other and to the end: the error has one
    extremum more, about halfway between the end of the symmetric interval and the end.
    """
    if max(len(old.intervals), len(new.intervals)) > 1 or not (old.is_finite and new.is_finite):
        return []
    (a, b), (low, high) = old.hull, new.hull
    middle = 0.5 * a + 0.5 * b
    reach = min(high - middle, middle - low)
    if reach <= 0 or new.is_symmetric(middle):
        return []
    points = middle + (reference - middle) * (reach / (0.5 * b - 0.5 * a))
    if high - middle > reach:
        return [np.concatenate([points[:-1], [0.5 * points[-1] + 0.5 * high, high]])]
    return [np.concatenate([[low, 0.5 * points[0] + 0.5 * low], points[1:]])]


def warm(reduced: Reduced, reference: np.ndarray) -> list[np.ndarray]:
    """References in u from the points of a former fit: these, or resampled to the right number.

    Of one or two points too many, those at the ends are left out, in every possible way.
    """
    low, high = reduced.problem.domain.hull
    u = np.sort(reduced.u(np.clip(reference, low, high)))
    if reduced.parity is not None:  # the mirrored points are the same to rounding only
        u = u[(u.size - 1) % 2 :: 2]
    u = np.unique(u)
    excess = u.size - reduced.size
    if u.size < 2:
        return []
    if 0 <= excess <= FEW:
        return [u[k : k + reduced.size] for k in range(excess + 1)]
    return [resample(reduced, u)]
