"""Relative error where fn has zeros: their factors are divided out and restored afterwards.

If f has a zero z of order k, an r of finite relative error has one too. So ``f = G g`` and
``r = G s`` with ``G(x) = prod (x - z)^k``, and ``|f - r|/|f| = |g - s|/|g|``: s is the best
approximation of type (m - K, n) to g, which has no zeros, K being the sum of the orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from remez.errors import DegreeError
from remez.functions.callable import Function, Target
from remez.functions.zeros import LocalZero, Smoothed, Zero, zeros_of
from remez.problem import Problem
from remez.rational.factored import FactoredRational
from remez.rational.protocol import RationalFunction

__all__ = ["Division", "divide", "divided"]


@dataclass(frozen=True, eq=False)
class Division:
    """A problem in relative error with the zeros of its target divided out.

    Attributes:
        problem: The problem for g, of type (m - K, n).
        zeros: The zeros that were divided out.
    """

    problem: Problem
    zeros: tuple[LocalZero, ...]

    def target(self, target: Target) -> Target:
        """g as a counted function of arrays; the target itself where it has no zeros."""
        return self.problem.target() if self.zeros else target

    def lift(self, s: RationalFunction) -> RationalFunction:
        """``G s``."""
        zeros = (one.zero for one in self.zeros)
        roots = tuple((zero.high, zero.low, zero.order) for zero in zeros)
        return FactoredRational(roots, s) if roots else s


def divide(problem: Problem, target: Target) -> Division:
    """Find the zeros of the target, and divide them out where the error is relative.

    Raises:
        TargetError: The function vanishes, but not like a power of x - z.
        DegreeError: The function has more zeros than a numerator of degree m.
    """
    if problem.weight != "relative":
        return Division(problem, ())
    said = tuple(x for x, y in problem.interpolate if y == 0)
    found = zeros_of(target, problem.domain, said)
    if not found:
        return Division(problem, ())
    quotient = Smoothed(target, found).quotient
    return Division(divided(problem, [one.zero for one in found], quotient), found)


def divided(problem: Problem, zeros: Sequence[Zero], quotient: Function) -> Problem:
    """The problem for ``quotient``; conditions at the zeros are met by the factors."""
    total = sum(zero.order for zero in zeros)
    m, n = problem.degree
    if total > m:
        places = ", ".join(f"{zero.high:.6g}" for zero in zeros)
        raise DegreeError(
            f"fn has {total} zeros in the domain (at {places}), where a finite relative error "
            f"needs a numerator of degree {total}: raise m, or shorten the domain"
        )
    low, high = problem.domain.hull
    reach = 1e-9 * min(high - low, 1.0 + abs(zeros[0].high))
    pairs = []
    for x, y in problem.interpolate:
        if y == 0 and any(abs(x - zero.high) <= reach for zero in zeros):
            continue
        factor = float(np.prod([zero.distance(np.array(x)) ** zero.order for zero in zeros]))
        pairs.append((x, y / factor))
    parity = problem.parity
    if total % 2 and parity in ("even", "odd"):
        parity = "odd" if parity == "even" else "even"
    return replace(
        problem, fn=quotient, degree=(m - total, n), parity=parity, interpolate=tuple(pairs)
    )
