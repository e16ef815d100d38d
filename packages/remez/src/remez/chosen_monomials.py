r"""Best polynomials over chosen powers of x, some of their coefficients prescribed.

Minimises ``max_x weight(x) |fn(x) - sum_k c_k x^k|`` over the coefficients c_k of the chosen
powers. Powers with gaps need not satisfy Haar's condition (x and x² both vanish at 0), so that no
alternation characterises the best. A linear program on a finite set of points is solved instead,
its optimum a lower bound, and the largest errors of its solution are added to the points until the
bound meets the maximum over the domain (a cutting-plane method, as Remez's is).

References:
    E. W. Cheney, Introduction to Approximation Theory, 2nd ed., AMS Chelsea 1982, ch. 2;
    N. Brisebarre, S. Chevillard, Efficient polynomial L∞-approximations, ARITH 2007,
    doi:10.1109/ARITH.2007.17, for what such polynomials are needed for.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.polynomial import Polynomial
from scipy.optimize import linprog

from remez.domain import Domain
from remez.errors import ConvergenceError, DegreeError, DomainError, shown
from remez.functions.callable import Function
from remez.problem import Problem
from remez.rational.protocol import Record

if TYPE_CHECKING:
    from remez.code.generate import Code

__all__ = ["MonomialFit", "fit_monomials"]

GRID = 4000  # points per interval on which extrema are looked for
LARGEST_POWER = 100
STEPS = 40  # linear programs
TIGHT = 1e-6  # relative gap between the bounds that ends the search
ACCEPTED = 1e-3  # relative gap up to which an answer is accepted, as that of `remez.fit`
LP_ACCURACY = 1e-7  # of the solver, relative to the largest error


@dataclass(frozen=True, eq=False)
class MonomialFit:
    """A best polynomial over chosen powers.

    Attributes:
        coefficients: By power, the prescribed ones included, exactly as they were given.
        domain: Where it approximates.
        error: Maximum of the weighted error, at its refined extrema.
        lower_bound: No polynomial over these powers has a smaller one: the optimum of the last
            linear program, to the accuracy of its solver.
        points: Where the error is within a relative 1e-3 of its maximum, increasing.
        problem: The problem, whose type is that of all powers up to the largest.
    """

    coefficients: dict[int, float]
    domain: Domain
    error: float
    lower_bound: float
    points: np.ndarray
    problem: Problem = field(repr=False)

    @property
    def polynomial(self) -> Polynomial:
        """The same as a `numpy.polynomial.Polynomial` in x."""
        dense = np.zeros(max(self.coefficients) + 1)
        for power, c in self.coefficients.items():
            dense[power] = c
        return Polynomial(dense)

    def __call__(self, x: Any) -> Any:
        """The value at x, of the shape of x."""
        return self.polynomial(x)

    def to_code(self, lang: str, dtype: str = "float64", *, clamp: bool = False) -> Code:
        """Source code that evaluates the polynomial in powers of x, without the powers left out.

        The error of the coefficients is proved where fn is an expression and python-flint is
        installed.

        Args:
            lang: The language, one of "c", "python", "numba" and "torch".
            dtype: The type of the coefficients, "float64", "float32" or "bfloat16"; they are
                rounded to nearest, the prescribed ones too.
            clamp: Whether an x outside the domain is replaced by the nearer end of the domain.

        >>> p = fit_monomials("sin(x)", [1, 3, 5], (-0.75, 0.75))
        >>> print(str(p.to_code("python")).splitlines()[-3].strip())
        x2 = x * x
        """
        from remez.code.candidates import Powers
        from remez.code.generate import generate_code

        source = Powers(self.polynomial.coef, self.problem, self.error)
        return generate_code(source, lang, dtype=dtype, clamp=clamp)

    def to_dict(self) -> Record:
        """The object as plain types that JSON keeps exactly."""
        return {
            "coefficients": {str(power): c for power, c in self.coefficients.items()},
            "domain": self.domain.to_list(),
            "error": self.error,
            "lower_bound": self.lower_bound,
            "points": self.points.tolist(),
        }

    def __repr__(self) -> str:
        powers = ", ".join(map(str, self.coefficients))
        return f"MonomialFit(powers {powers} on {self.domain}, error {self.error:.6e})"


def fit_monomials(
    fn: Function | str,
    basis: Sequence[int],
    domain: Any = None,
    *,
    fixed: Mapping[int, float] | None = None,
    weight: Function | str | None = None,
) -> MonomialFit:
    """The best polynomial over chosen powers of x, with some coefficients prescribed.

    Args:
        fn: The function or its text, as in `remez.fit`.
        basis: The powers, such as ``[1, 3, 5]``.
        domain: As in `remez.fit`, but bounded.
        fixed: Prescribed coefficients by power, such as ``{1: 1.0}``; a power that is not in the
            basis is added to it.
        weight: As in `remez.fit`. The relative error is not looked at where fn is 0.

    Returns:
        A `MonomialFit`.

    Raises:
        DegreeError: a power is no integer from 0 to 100, is named twice, or none is free.
        DomainError: The domain is unbounded.
        TargetError: fn is NaN or infinite in the domain.
        ConvergenceError: The bounds did not meet.

    >>> p = fit_monomials("sin(x)", [1, 3, 5], (-0.7853981633974483, 0.7853981633974483),
    ...                   fixed={1: 1.0})
    >>> p.coefficients[1], f"{p.error:.2e}"
    (1.0, '9.39e-07')
    """
    fixed = dict(fixed or {})
    free = _free_powers(basis, fixed)
    problem = Problem.of(fn, (max([*free, *fixed]), 0), domain, weight=weight)
    if not problem.domain.is_finite:
        raise DomainError("powers of x are unbounded on this domain: give a bounded one")
    search = _Search(problem, free, {power: float(c) for power, c in fixed.items()})
    return search.run()


def _free_powers(basis: Any, fixed: Mapping[int, float]) -> list[int]:
    """The powers whose coefficients are sought, increasing.

    Raises:
        DegreeError: a power is impossible or doubled, a coefficient is no number, or none is free.
    """
    try:
        powers = list(basis)
    except TypeError as cause:
        raise DegreeError(f"basis = {shown(basis)}: give the powers, such as [1, 3, 5]") from cause
    for power in [*powers, *fixed]:
        whole = isinstance(power, numbers.Integral) and not isinstance(power, bool)
        if not (whole and 0 <= power <= LARGEST_POWER):
            raise DegreeError(f"{shown(power)} is no power from 0 to {LARGEST_POWER}")
    if len(set(powers)) < len(powers):
        raise DegreeError(f"basis = {shown(basis)} names a power twice: name each once")
    for power, c in fixed.items():
        if not (isinstance(c, numbers.Real) and np.isfinite(float(c))):
            raise DegreeError(f"the coefficient {shown(c)} of x^{power} must be a finite number")
    free = sorted(int(power) for power in set(powers) - set(fixed))
    if not free:
        raise DegreeError("every coefficient is prescribed: leave one free")
    return free


class _Search:
    """The cutting-plane method on one problem; coefficients are those of (x/size)^k."""

    def __init__(self, problem: Problem, free: list[int], fixed: dict[int, float]) -> None:
        self.problem, self.free, self.fixed = problem, free, fixed
        self.target = problem.target()
        self.size = max(map(abs, problem.domain.hull))
        self.ends = np.array(problem.domain.intervals).ravel()
        self.grid = np.unique(np.concatenate([problem.domain.spread(GRID), self.ends]))
        self.weight = self._weight_of(self.grid, self.target(self.grid))
        columns = self.weight[:, None] * self._powers(self.grid)
        _, self.triangle = np.linalg.qr(columns / np.sqrt(self.grid.size))
        if np.linalg.cond(self.triangle) > 1e14:
            raise DegreeError(
                "these powers are the same function up to rounding on the domain: choose fewer, or "
                "a domain that reaches further from 0"
            )

    def run(self) -> MonomialFit:
        """Add points until the bounds meet; the best coefficients on the way."""
        share = np.linspace(0, self.grid.size - 1, 8 * len(self.free) + 8).astype(int)
        points = self.grid[np.unique(share)]
        c, lower = np.zeros(len(self.free)), 0.0
        best = np.inf, c, points
        for _ in range(STEPS):
            c, bound = self._programmed(points, c)
            lower = max(lower, bound)
            x, error = self._extrema(c)
            top = float(error.max(initial=0.0))
            if top < best[0]:
                best = top, c, x[error > (1 - ACCEPTED) * top]
            if best[0] <= lower * (1 + TIGHT):
                break
            points = np.unique(np.append(points, x[error > lower]))
        return self._concluded(best[0], best[1], best[2], min(lower, best[0]))

    def _concluded(
        self, error: float, c: np.ndarray, points: np.ndarray, lower: float
    ) -> MonomialFit:
        found = {k: float(v / self.size**k) for k, v in zip(self.free, c, strict=True)}
        coefficients = dict(sorted({**self.fixed, **found}.items()))
        fit = MonomialFit(coefficients, self.problem.domain, error, lower, points, self.problem)
        size = self.weight * np.abs(self.target(self.grid))
        rounding = 64 * np.finfo(float).eps * float(size.max())
        if error - lower > ACCEPTED * error + rounding:
            raise ConvergenceError(
                f"the bounds {lower:.3g} and {error:.3g} of the best error did not meet: fn is "
                "noisy, or discontinuous in the domain; smooth it or split the domain",
                fit,
            )
        return fit

    def _programmed(self, points: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, float]:
        """The best coefficients on the points, and their error: one program, then a second on
        what the first leaves, whose accuracy is relative to that."""
        basis = np.linalg.solve(self.triangle.T, self._weighted_powers(points).T).T
        for _ in range(2):
            rest = self._error(points, c)
            scale = float(np.abs(rest).max()) or 1.0
            upper = np.column_stack([-basis, -np.ones(points.size)])
            lower = np.column_stack([basis, -np.ones(points.size)])
            done = linprog(
                np.append(np.zeros(basis.shape[1]), 1.0),
                A_ub=np.concatenate([upper, lower]),
                b_ub=np.concatenate([-rest, rest]) / scale,
                bounds=[(None, None)] * basis.shape[1] + [(0, None)],
                method="highs",
            )
            if done.x is None:
                return c, 0.0
            *step, least = done.x.tolist()
            c = c + scale * np.linalg.solve(self.triangle, np.array(step))
        return c, scale * max(float(least) - LP_ACCURACY, 0.0)

    def _extrema(self, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Local maxima of the modulus of the error, one step of a parabola finer than the grid."""
        x, e = self.grid, np.abs(self._error(self.grid, c))
        inner = np.flatnonzero((e[1:-1] >= e[:-2]) & (e[1:-1] >= e[2:])) + 1
        left, mid, right = x[inner - 1], x[inner], x[inner + 1]
        with np.errstate(all="ignore"):
            a = (e[inner] - e[inner - 1]) / (mid - left)
            b = (e[inner + 1] - e[inner]) / (right - mid)
            vertex = 0.5 * (left + mid) - a * (right - left) / (2 * (b - a))
        finer = np.where((vertex > left) & (vertex < right), vertex, mid)
        finer = finer[self.problem.domain.contains(finer)]
        where = np.unique(np.concatenate([finer, mid, self.ends]))
        return where, np.abs(self._error(where, c))

    def _error(self, x: np.ndarray, c: np.ndarray) -> np.ndarray:
        f = self.target(x)
        fixed = sum((v * x**k for k, v in self.fixed.items()), np.zeros_like(x))
        error: np.ndarray = self._weight_of(x, f) * ((f - fixed) - self._powers(x) @ c)
        return error

    def _weight_of(self, x: np.ndarray, f: np.ndarray) -> np.ndarray:
        weight = self.problem.weight_of(x, f)
        return np.where(np.isfinite(weight), weight, 0.0)

    def _powers(self, x: np.ndarray) -> np.ndarray:
        powers: np.ndarray = (x[:, None] / self.size) ** np.array(self.free)
        return powers

    def _weighted_powers(self, x: np.ndarray) -> np.ndarray:
        columns: np.ndarray = self._weight_of(x, self.target(x))[:, None] * self._powers(x)
        return columns
