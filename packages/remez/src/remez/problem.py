"""The approximation problem: the function, the degree, the domain and all side conditions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from remez.domain import Domain
from remez.errors import DegreeError, TargetError
from remez.functions.callable import Target

__all__ = ["Problem"]

Degree = tuple[int, int]
Samples = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]


def _one(x: np.ndarray) -> np.ndarray:
    return np.ones_like(x)


@dataclass(frozen=True)
class Problem:
    """Minimise ``max over the domain of weight(x) * |fn(x) - p(x)/q(x)|``.

    p has degree at most m, q at most n. A Problem that was pickled or read from JSON has its
    callables left out (``fn is None``).

    Args:
        fn: real function of a real variable, vectorised or not.
        degree: ``(m, n)``.
        domain: see `Domain.of`.
        weight: positive callable (zero at an end is allowed), ``"relative"`` for
            ``1/|fn|``, or None for 1.
        parity: ``"even"``, ``"odd"``, None, or ``"auto"`` to find out.
        interpolate: pairs ``(x, y)`` with ``r(x) = y`` demanded.
        samples: ``(x, y, w)`` in place of ``fn`` and ``weight``: the maximum is over x.

    Raises:
        DegreeError, DomainError: what is asked for is impossible.
    """

    fn: Callable[..., Any] | None
    degree: Degree
    domain: Domain
    weight: Callable[..., Any] | str | None = None
    parity: str | None = "auto"
    interpolate: tuple[tuple[float, float], ...] = ()
    samples: Samples | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "degree", _check_degree(self.degree))
        object.__setattr__(self, "domain", Domain.of(self.domain))
        if self.parity not in ("auto", "even", "odd", None):
            raise DegreeError(
                f"parity {self.parity!r} is unknown: use 'even', 'odd', None or 'auto'"
            )
        if isinstance(self.weight, str) and self.weight != "relative":
            raise TargetError(f"weight {self.weight!r} is unknown: use a callable or 'relative'")
        if len(self.interpolate) > self.degree[0] + self.degree[1]:
            raise DegreeError(
                f"{len(self.interpolate)} interpolation conditions leave nothing to optimise in "
                f"type {self.degree}: raise the degree or drop conditions"
            )

    @classmethod
    def of(
        cls,
        fn: Callable[..., Any],
        degree: Sequence[int],
        domain: Any = (-1, 1),
        *,
        weight: Callable[..., Any] | str | None = None,
        parity: str | None = "auto",
        interpolate: Sequence[Sequence[float]] | None = None,
    ) -> Problem:
        """Build a Problem from what a caller writes."""
        pairs = tuple(sorted((float(x), float(y)) for x, y in interpolate or ()))
        return cls(fn, tuple(degree), Domain.of(domain), weight, parity, pairs)  # type: ignore[arg-type]

    def with_degree(self, degree: Degree) -> Problem:
        """The same question at another degree."""
        return replace(self, degree=degree)

    def target(self) -> Target:
        """The target as a counted function of arrays."""
        if self.samples is not None:
            return Target(self._nearest(1))
        if self.fn is None:
            raise TargetError(
                "this problem was read from a file and has lost its callable: fit again with fn"
            )
        if not callable(self.fn):
            raise TargetError(f"fn must be callable, not {type(self.fn).__name__}")
        return Target(self.fn)

    def weight_of(self, x: np.ndarray, fx: np.ndarray) -> np.ndarray:
        """The weight at the points, given the target's values there."""
        if self.samples is not None:
            return self._nearest(2)(x)
        if self.weight is None:
            return _one(x)
        if self.weight == "relative":
            with np.errstate(divide="ignore"):
                return 1 / np.abs(fx)
        return np.abs(Target(self.weight, "weight").raw(x))  # type: ignore[arg-type]

    def _nearest(self, row: int) -> Callable[[np.ndarray], np.ndarray]:
        """y or w of the sample next to a point."""
        assert self.samples is not None
        x, values = np.array(self.samples[0]), np.array(self.samples[row])
        between = 0.5 * (x[1:] + x[:-1])
        return lambda points: values[np.searchsorted(between, points)]

    def to_dict(self) -> dict[str, Any]:
        """Everything but the callables, in plain types."""
        return {
            "degree": list(self.degree),
            "domain": self.domain.to_list(),
            "weight": self.weight if self.weight in (None, "relative") else "callable",
            "parity": self.parity,
            "interpolate": [list(pair) for pair in self.interpolate],
            "samples": None if self.samples is None else [list(row) for row in self.samples],
        }

    @classmethod
    def from_dict(
        cls,
        data: dict[str, Any],
        fn: Callable[..., Any] | None = None,
        weight: Callable[..., Any] | None = None,
    ) -> Problem:
        """Read what `to_dict` wrote; ``fn`` and a callable ``weight`` may be given back."""
        known = data["weight"] if data["weight"] != "callable" else weight or _lost_weight
        pairs = tuple((x, y) for x, y in data["interpolate"])
        domain = Domain.of(data["domain"])
        rows = data.get("samples")
        samples = None if rows is None else (tuple(rows[0]), tuple(rows[1]), tuple(rows[2]))
        degree = tuple(data["degree"])
        return cls(fn, degree, domain, known, data["parity"], pairs, samples)

    def __getstate__(self) -> dict[str, Any]:
        weight = _lost_weight if callable(self.weight) else self.weight
        callables = {"fn": None, "weight": weight}
        return {**self.__dict__, **callables}


def _lost_weight(x: Any) -> Any:
    """Stands for the weight of a problem that was read from a file.

    Raises:
        TargetError: always.
    """
    raise TargetError("this problem was read from a file and has lost its weight: give it again")


def _check_degree(degree: Any) -> Degree:
    try:
        m, n = degree
        ok = int(m) == m and int(n) == n and m >= 0 and n >= 0
    except (TypeError, ValueError):
        ok = False
    if not ok:
        raise DegreeError(f"degree {degree!r} is impossible: give (m, n), two integers >= 0")
    return int(m), int(n)
