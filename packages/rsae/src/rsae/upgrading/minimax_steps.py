"""Fixed step sizes of a refinement, from the best polynomial approximation of 1/t."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.optimize import brentq

import remez
from rsae.errors import ConfigError

__all__ = ["contraction", "step_sizes"]


def step_sizes(low: float, high: float, steps: int) -> tuple[float, ...]:
    r"""Sizes tau_1 … tau_K of the K fixed steps that are best on every spectrum in [low, high].

    Steps y <- y + tau_i D r multiply the error's component at an eigenvalue t of G by

        prod_i (1 - tau_i t) = 1 - t p(t),      p of degree K - 1,

    whose largest value on [low, high] is the relative error of p as an approximation of 1/t. The
    best p is `remez.fit` with weight t, and tau_i are the reciprocals of the zeros of 1 - t p(t).
    Large and small steps alternate (Leja's order), so that no partial product is large.

    Args:
        low, high: 0 < low < high.
        steps: K, 1 to 16.

    Raises:
        ConfigError: an interval or a number of steps outside these ranges.

    Example:
        >>> [round(size, 3) for size in step_sizes(1.0, 3.0, 2)]
        [0.369, 0.773]

    References:
        Young 1953, doi:10.1002/sapm1953321243 (Richardson's method with Chebyshev's points);
        Reichel 1990, doi:10.1007/BF01931695 (Leja's order).
    """
    if not (0 < low < high < np.inf and 1 <= steps <= 16):
        raise ConfigError(f"fixed steps need 0 < low < high and 1 to 16 steps, not {low}, {high}")
    fit = remez.fit(lambda t: 1 / t, (steps - 1, 0), (low, high), weight=lambda t: t)
    reference = np.sort(np.asarray(fit.reference, dtype=float))
    zeros = [
        brentq(lambda t: float(1 - t * fit(np.array([t]))[0]), *ends)
        for ends in pairwise(reference)
    ]
    return tuple(float(1 / zero) for zero in _leja(np.array(zeros)))


def contraction(low: float, high: float, steps: int) -> float:
    """The factor 1 / T_K((high + low) / (high - low)) by which these steps shrink the error."""
    return float(1 / np.cosh(steps * np.arccosh((high + low) / (high - low))))


def _leja(points: np.ndarray) -> np.ndarray:
    """From the largest on, always the point whose product of distances to those before is largest.

    The first step is the smallest then, which no eigenvalue in the interval turns into growth.
    """
    left = list(points)
    ordered: list[float] = []
    while left:
        distances = [np.prod([abs(one - other) for other in ordered] or [one]) for one in left]
        ordered.append(left.pop(int(np.argmax(distances))))
    return np.array(ordered)
