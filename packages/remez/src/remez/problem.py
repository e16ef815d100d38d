"""The approximation problem: the function, the degree, the domain and all side conditions."""

from __future__ import annotations

import itertools
import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from remez.domain import Domain
from remez.errors import DegreeError, TargetError, shown
from remez.functions.callable import Function, Target
from remez.functions.catalogue import Target as Listed
from remez.functions.catalogue import as_target
from remez.rational.protocol import Record
from remez.samples import SampleSet

__all__ = ["Problem", "check_degree", "check_number"]

Degree = tuple[int, int]
PARITIES = ("auto", "even", "odd")
MAX_DEGREE = 10_000  # limit of each degree
NO_WEIGHT = (
    "weight is 0, or so small that errors underflow, at every point tried: return a positive "
    "number, or multiply it by a constant"
)
MAX_RATIONAL = 500  # limit of min(m, n); the cost of a step is its cube, a second at 500


def _one(x: np.ndarray) -> np.ndarray:
    return np.ones(x.shape)


@dataclass(frozen=True)
class Problem:
    """Minimise ``max over the domain of weight(x) * |fn(x) - p(x)/q(x)|``.

    p has degree at most m, q at most n. Callables are not saved: a Problem that was pickled or read
    from JSON has ``fn = None``.

    Args:
        fn: A real function of a real variable, vectorised or not.
        degree: The type ``(m, n)``.
        domain: A union of intervals, see `Domain.of`.
        weight: A function that is positive, or 0 at some points such as an end, ``"relative"`` for
            ``1/|fn|``, or None for 1.
        parity: ``"even"``, ``"odd"``, None, or ``"auto"`` to detect it.
        interpolate: Pairs ``(x, y)`` at which ``r(x) = y`` is required.
        samples: Samples that replace ``fn`` and ``weight``; the maximum is over their points.

    Raises:
        DegreeError, DomainError, TargetError: The degree, the domain or another argument is
            invalid.
    """

    fn: Function | None
    degree: Degree
    domain: Domain
    weight: Function | str | None = None
    parity: str | None = "auto"
    interpolate: tuple[tuple[float, float], ...] = ()
    samples: SampleSet | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "degree", check_degree(self.degree))
        object.__setattr__(self, "domain", Domain.of(self.domain))
        if not (self.parity is None or (isinstance(self.parity, str) and self.parity in PARITIES)):
            raise DegreeError(
                f"parity {shown(self.parity)} is unknown: use 'even', 'odd', None or 'auto'"
            )
        known = isinstance(self.weight, str) and self.weight == "relative"
        if not (self.weight is None or known or callable(self.weight)):
            raise TargetError(
                f"weight {shown(self.weight)} is unknown: use a callable, 'relative' or None"
            )
        if len(self.interpolate) > self.degree[0] + self.degree[1]:
            raise DegreeError(
                f"{len(self.interpolate)} interpolation conditions leave nothing to optimise in "
                f"type {self.degree}: raise the degree or drop conditions"
            )

    @classmethod
    def of(
        cls,
        fn: Function | str,
        degree: Sequence[int],
        domain: Any = None,
        *,
        weight: Function | str | None = None,
        parity: str | None = "auto",
        interpolate: Sequence[Sequence[float]] | None = None,
    ) -> Problem:
        """Create a problem from the arguments of `remez.fit`.

        Args:
            fn: A function, the name of a target of the catalogue, or an expression as text.
            degree: The type ``(m, n)``.
            domain: An interval or a list of intervals; the default is the interval of a target of
                the catalogue, and ``(-1, 1)`` for other functions.
            weight: A positive function, ``"relative"`` for ``1/|fn|``, or None for 1.
            parity: ``"even"``, ``"odd"``, None, or ``"auto"`` to detect it.
            interpolate: Pairs ``(x, y)`` at which ``r(x) = y`` is required.

        Returns:
            The problem.

        Raises:
            TargetError, DegreeError, DomainError: `fn`, the type or the domain cannot be.
        """
        fn = as_target(fn)
        if not callable(fn):
            raise TargetError(f"fn must be callable or an expression as text, not {shown(fn)}")
        if domain is None:
            domain = fn.interval if isinstance(fn, Listed) else (-1, 1)
        pairs = _check_pairs(interpolate)
        return cls(fn, check_degree(degree), Domain.of(domain), weight, parity, pairs)

    def with_degree(self, degree: Degree) -> Problem:
        """The same problem with another type.

        Args:
            degree: The type ``(m, n)``.
        """
        return replace(self, degree=degree)

    def target(self) -> Target:
        """fn as a function of arrays that counts its evaluations."""
        if self.samples is not None:
            samples = self.samples
            return Target(lambda x: samples.y[samples.nearest(x)])
        if self.fn is None:
            raise TargetError(
                "this problem was read from a file, which does not hold fn: pass fn= to from_dict"
            )
        if not callable(self.fn):
            raise TargetError(f"fn must be callable, not {type(self.fn).__name__}")
        return Target(self.fn)

    def weight_of(self, x: np.ndarray, fx: np.ndarray) -> np.ndarray:
        """The weight at points of the domain.

        Args:
            x: The points, shape (K,).
            fx: The values of fn at the points, shape (K,), for a relative weight.

        Raises:
            TargetError: A weight is negative or NaN.
        """
        if self.samples is not None:
            known: np.ndarray = self.samples.weight[self.samples.nearest(x)]
            return known
        if self.weight is None:
            return _one(x)
        if self.weight == "relative":
            with np.errstate(divide="ignore"):
                inverse: np.ndarray = 1 / np.abs(fx)
            return inverse
        weight: np.ndarray = self._weight_target.raw(x)
        if not (weight >= 0).all():  # negative or NaN
            first = int(np.argmin(weight >= 0))
            raise TargetError(
                f"weight is {weight[first]:g} at x = {x[first]:.17g}: return a number >= 0 on all "
                "of the domain"
            )
        return weight

    @cached_property
    def _weight_target(self) -> Target:
        assert callable(self.weight)
        return Target(self.weight, "weight")

    def to_dict(self) -> Record:
        """All fields except the callables, as plain types."""
        return {
            "degree": list(self.degree),
            "domain": self.domain.to_list(),
            "weight": self.weight if self.weight in (None, "relative") else "callable",
            "parity": self.parity,
            "interpolate": [list(pair) for pair in self.interpolate],
            "samples": None if self.samples is None else self.samples.to_list(),
        }

    @classmethod
    def from_dict(
        cls,
        data: Record,
        fn: Function | None = None,
        weight: Function | None = None,
    ) -> Problem:
        """Restore a problem from the dictionary that `to_dict` returned.

        Args:
            data: The dictionary, possibly after a round trip through JSON.
            fn: The approximated function, which the dictionary does not contain.
            weight: The weight, if it was a callable.

        Returns:
            The problem.
        """
        known = data["weight"] if data["weight"] != "callable" else weight or _lost_weight
        pairs = tuple((x, y) for x, y in data["interpolate"])
        domain = Domain.of(data["domain"])
        rows = data.get("samples")
        samples = None if rows is None else SampleSet.of(*rows)
        degree = tuple(data["degree"])
        return cls(as_target(fn), degree, domain, known, data["parity"], pairs, samples)

    def __getstate__(self) -> Record:
        state = {field.name: getattr(self, field.name) for field in fields(self)}
        weight = _lost_weight if callable(self.weight) else self.weight
        return {**state, "fn": None, "weight": weight}


def _lost_weight(x: Any) -> Any:
    """Placeholder for the weight of a problem that was read from a file.

    Raises:
        TargetError: Always.
    """
    raise TargetError(
        "this problem was read from a file, which does not hold its weight: pass weight="
    )


def check_degree(degree: Any) -> Degree:
    """Validate a type (m, n).

    Args:
        degree: The type, a pair of integers.

    Raises:
        DegreeError: It is not a pair of integers >= 0, or is too large.
    """
    try:
        m, n = degree
        ok = isinstance(m, numbers.Real) and isinstance(n, numbers.Real)
        ok = ok and int(m) == m and int(n) == n and int(m) >= 0 and int(n) >= 0
    except (TypeError, ValueError, OverflowError):
        ok = False
    if not ok:
        raise DegreeError(f"degree {shown(degree)} is invalid: give (m, n), two integers >= 0")
    if max(m, n) > MAX_DEGREE or min(m, n) > MAX_RATIONAL:
        raise DegreeError(
            f"type ({int(m)}, {int(n)}) is too large: each degree is at most {MAX_DEGREE}, the "
            f"smaller one at most {MAX_RATIONAL}; lower it or split the domain"
        )
    return int(m), int(n)


def _check_pairs(interpolate: Any) -> tuple[tuple[float, float], ...]:
    """The interpolation conditions as sorted pairs of finite numbers."""
    if interpolate is None:
        return ()
    try:
        pairs = sorted((float(x), float(y)) for x, y in interpolate)
    except (TypeError, ValueError, OverflowError) as cause:
        raise TargetError(
            f"cannot read interpolate = {shown(interpolate)}: give pairs (x, y) of numbers"
        ) from cause
    if not np.isfinite(pairs).all():
        raise TargetError("an interpolation condition is NaN or infinite: give finite numbers")
    for (x, _), (y, _) in itertools.pairwise(pairs):
        if x == y:
            raise TargetError(f"two interpolation conditions at x = {x:.17g}: give one of them")
    return tuple(pairs)


def check_number(
    name: str, value: Any, low: float, high: float = np.inf, *, integer: bool = False
) -> None:
    """Check that an option is a number between ``low`` and ``high``.

    Args:
        name: The name of the option, for the message.
        value: The value to check.
        low: The smallest valid value.
        high: The largest valid value.
        integer: Whether the value must be an integer.

    Raises:
        DegreeError: The value is not such a number.
    """
    kind = numbers.Integral if integer else numbers.Real
    real = isinstance(value, kind) and not isinstance(value, bool)
    if not (real and low <= value <= high):
        what = "an integer" if integer else "a number"
        most = "" if high == np.inf else f" and <= {high:g}"
        raise DegreeError(f"{name} = {shown(value)} is invalid: give {what} >= {low:g}{most}")


def halved(degree: Degree, parity: str | None) -> Degree:
    """The type in ``t = d²`` of an even r of the given type in d, or of an odd r divided by d."""
    (m, n), odd = degree, parity == "odd"
    return degree if parity is None else ((m - odd) // 2, n // 2)


def unfolded(degree: Degree, parity: str | None) -> Degree:
    """The type in d of R(d²) for an R of the given type, or of d R(d²) where r is odd."""
    (m, n), odd = degree, parity == "odd"
    return degree if parity is None else (2 * m + odd, 2 * n)


def attainable(problem: Problem) -> Degree:
    """The largest type up to the requested one whose rationals are bounded on the domain.

    On an unbounded domain without a weight p must not outgrow q, and on the whole line q has even
    degree, since it has no real zero.
    """
    (m, n), domain = problem.degree, problem.domain
    if problem.weight is not None or domain.is_finite:
        return m, n
    n -= n % 2 if all(map(math.isinf, domain.hull)) else 0
    return min(m, n), n
