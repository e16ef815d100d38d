"""The functions `fit` and `fit_samples`, and the class `Fit` of their results.

This is the only module that imports the solver, the verification and the code generator.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.polynomial import Chebyshev
from numpy.typing import ArrayLike

from remez.compilation import interruptible
from remez.errors import CodeError, ConvergenceError, DegreeError, RemezError, TargetError, shown
from remez.files import write_text
from remez.functions.callable import Function
from remez.functions.catalogue import as_target
from remez.problem import Problem, check_degree, check_number
from remez.rational.combination import Combinable
from remez.rational.protocol import Record, Values
from remez.solution import IterationRecord, Solution
from remez.solver.discrete import samples_problem, solve_samples
from remez.solver.driver import solve
from remez.solver.history import History
from remez.solver.tolerance import smallest_degree

if TYPE_CHECKING:
    from remez.code.generate import Code
    from remez.rational.bases import Chebyshev as ChebyshevForm
    from remez.rational.bases import Monomial, SafePade

    CoefficientForm = ChebyshevForm | Monomial
    from remez.verification.certificate import Certificate

__all__ = ["Fit", "certify", "fit", "fit_samples", "load"]

MAX_DIGITS = 10_000  # one exchange step of low degree takes seconds at this precision
WITNESS = 25  # digits of the rational that proves the lower bound of a double fit


class Fit(Solution, Combinable):
    """A `Solution` with methods that evaluate, refine, prove, convert and draw it.

    Attributes:
        rational: The rational function r.
        problem: The problem that was solved.
        error: The verified maximum of ``weight * |fn - r|`` over the domain.
        lower_bound: A lower bound on the best error of the type.
        reference: The alternation points, increasing.
        status: Whether the fit is accepted, and why or why not.
        iterations: The number of exchange steps of the start that led to the answer.
        evaluations: The number of points at which ``fn`` was evaluated.
        method: The name of the start that led to the answer.
        defect: ``min(m - deg p, n - deg q)`` of r in lowest terms, usually 0.
        precision: Decimal digits of a multiprecision fit, None for double precision.
        steps: A function that returns `history`, one `IterationRecord` for every exchange step.

    >>> import remez
    >>> fit = remez.fit(np.exp, (2, 2))
    >>> print(f"{fit.error:.4e}")
    8.6900e-05
    """

    @classmethod
    def of(cls, solution: Solution, history: History | None = None) -> Self:
        """The solution as a `Fit`.

        Args:
            solution: The solution whose fields are taken over.
            history: The steps of its search; those of the solution by default.
        """
        known = {one.name: getattr(solution, one.name) for one in fields(solution)}
        return cls(**known if history is None else {**known, "steps": history.records})

    @property
    def numerator(self) -> Chebyshev:
        """p in the Chebyshev basis of the domain's hull, cut at the outer extrema if infinite."""
        return self._polynomials[0]

    @property
    def denominator(self) -> Chebyshev:
        """q in the same basis, positive, with maximum 1 on the sampled hull."""
        return self._polynomials[1]

    @cached_property
    def _polynomials(self) -> tuple[Chebyshev, Chebyshev]:
        low, high = self.domain.hull
        inner = [float(x) for x in self.reference]
        inner = inner[1:-1] or inner  # an end of the reference may stand for infinity
        low = low if math.isfinite(low) else min(inner[0], high - 1)
        high = high if math.isfinite(high) else max(inner[-1], low + 1)
        return self.rational.polynomials((low, high))

    def poles(self) -> np.ndarray:
        """The poles of r, complex."""
        return self.rational.poles()

    def zeros(self) -> np.ndarray:
        """The zeros of r, complex."""
        return self.rational.zeros()

    def residues(self) -> np.ndarray:
        """The residues of r at `poles()`."""
        return self.rational.residues()

    def partial_fractions(self) -> tuple[np.ndarray, np.ndarray, Chebyshev]:
        """``(poles, residues, polynomial part)``."""
        return self.rational.partial_fractions()

    def derivative(self) -> Callable[[Values], Values]:
        """The function r'."""
        return self.rational.derivative()

    def refined(self, digits: int) -> Fit:
        """Solve the same problem to ``digits`` decimal digits.

        The solver starts from this fit if it has converged. The ends of the domain keep their
        exact float64 values, whereas `remez.fit` with ``precision=`` reads 0.1 as 1/10. Check
        ``converged`` of the result: a fit that is not accepted is returned with its status.

        Args:
            digits: The number of decimal digits.

        Raises:
            TargetError: This is a fit of samples, or was read from a file without its ``fn``.
            ConvergenceError: No start led to an alternating error.
        """
        from remez.solver.precise.driver import fit_precise

        domain = self.problem.domain
        domain = replace(domain, exact=domain.exact or domain.intervals)
        problem = replace(self.problem, domain=domain)
        history = History()
        start = self if self.converged else None
        return Fit.of(fit_precise(problem, digits, start=start, history=history), history)

    def certify(self) -> Certificate:
        """A rigorous enclosure of the error, and a proof that r has no pole in the domain."""
        from remez.verification.certificate import certify

        return certify(self, lambda: self if self.precision else self.refined(WITNESS))

    def to_code(self, lang: str, dtype: str = "float64", *, clamp: bool = False) -> Code:
        """Source code that evaluates r, as `remez.generate_code` writes it.

        Args:
            lang: The language, one of "c", "python", "numba" and "torch".
            dtype: The type of the coefficients, "float64", "float32" or "bfloat16".
            clamp: Whether an x outside the domain is replaced by the nearer end of the domain.
        """
        from remez.code.generate import generate_code

        return generate_code(self, lang, dtype=dtype, clamp=clamp)

    def coefficients(self, basis: str = "chebyshev") -> CoefficientForm:
        """Coefficients of p and q in a scaled variable t, for use in other programs.

        The result has the attributes ``p``, ``q``, ``variable`` (the map from x to t) and ``loss``
        (the error that rounding to float64 in this basis adds). It can be called like r, and its
        ``to_dict`` returns plain types for JSON.

        Args:
            basis: The basis, "chebyshev" for T_k(t) or "monomial" for powers of t.

        Raises:
            CodeError: The basis is unknown.
            DomainError: The domain is the whole line.

        >>> import remez
        >>> form = remez.fit(np.exp, (2, 0)).coefficients()
        >>> print(form.p.round(4), form.q)
        [1.2661 1.1302 0.277 ] [1.]
        """
        from remez.rational import bases

        if basis == "chebyshev":
            return bases.chebyshev(self)
        if basis == "monomial":
            return bases.monomial(self)
        raise CodeError(f"basis {shown(basis)} is unknown: use 'chebyshev' or 'monomial'")

    def safe_pade(self) -> SafePade:
        """r in the form ``P(t)/(1 + |Q(t)|)`` of a safe Padé activation unit."""
        from remez.rational.bases import safe_pade

        return safe_pade(self)

    def save(self, path: str | Path) -> None:
        """Write the fit to a JSON file, every number exactly; `remez.load` reads it.

        An expression or a target of the catalogue is written as text, another ``fn`` is lost. The
        folder must exist; a file that cannot be written raises a `RemezError`.
        """
        text = getattr(self.problem.fn, "text", None)
        record = {"expression": text, **self.to_dict()}
        write_text(path, json.dumps(record, indent=1) + "\n")

    def _repr_html_(self) -> str:
        from remez.pictures.html import fit_to_html

        return fit_to_html(self)

    def _repr_latex_(self) -> str:
        from remez.pictures.html import fit_to_latex

        return fit_to_latex(self)

    def plot(self, ax: Any = None) -> Any:
        """Plot the error curve and its alternation points with matplotlib; returns the axes.

        Args:
            ax: The axes to draw on; a new figure by default.
        """
        from remez.pictures.plotting import plot_error

        return plot_error(self, ax)

    def __repr__(self) -> str:
        state = "converged" if self.converged else "NOT converged"
        return (
            f"Fit(type {self.degree} on {self.domain}, error {float(self.error):.6e}, "
            f"{state} by {self.method} in {self.iterations} iterations)"
        )


@interruptible()
@np.errstate(all="ignore")
def fit(
    fn: Function | str,
    degree: Sequence[int] | None = None,
    domain: Any = None,
    *,
    weight: Function | str | None = None,
    parity: str | None = "auto",
    interpolate: Sequence[Sequence[float]] | None = None,
    tol: float | None = None,
    precision: int | None = None,
    start: Solution | None = None,
    max_iterations: int = 40,
    callback: Callable[[IterationRecord], object] | None = None,
    throw: bool = True,
) -> Fit:
    r"""The best rational approximation of type (m, n) in the maximum norm.

    Minimises ``max_x weight(x) |fn(x) - p(x)/q(x)|`` over p of degree <= m and q of degree
    <= n without zeros in the domain. A Remez exchange levels the error on m + n + 2 points. The
    result is accepted only if its error alternates on m + n + 2 - defect points, if the upper and
    lower bounds on the best error agree to a relative 1e-3 (or to the rounding error of fn), and
    if no pole lies in the domain (`remez.verification.judge`). On a union of intervals, q may have
    different signs on different intervals; these choices are compared as well
    (`remez.solver.sign_patterns`).

    Args:
        fn: A real function, vectorised or not (this is detected); or a string: the name of a
            target of `remez.targets`, or an expression such as ``"exp(x)/(1 + x**2)"``.
        degree: The type ``(m, n)``; with ``tol`` only m - n matters, 0 by default.
        domain: An interval ``(a, b)`` or a list of disjoint intervals; outer ends may be infinite.
            The default is the interval of a target of `remez.targets`, ``(-1, 1)`` otherwise.
        weight: A positive function, ``"relative"`` for 1/|fn|, or None for 1. If it grows at
            infinity as |x|^k, m is lowered to n - k, as the error is finite only then. A relative
            error is finite at a zero of fn only if r has the same zero: the zeros of fn in the
            domain are located and divided out, with or without ``interpolate``. If fn is accurate
            relative to its own size there, the error bound holds at every float64. If the values
            of fn next to a zero are dominated by rounding, as those of ``1 - np.cos(x)`` at 0, fn
            is replaced there by a polynomial fitted to the surrounding values.
        parity: ``"auto"`` detects even and odd fn and then solves in x²; ``"even"`` and ``"odd"``
            require that symmetry of r; None assumes no symmetry.
        interpolate: Pairs (x, y) at which r(x) = y is required, such as ``[(0, 0)]``.
        tol: Error tolerance; the smallest degree whose error does not exceed it is chosen.
        precision: Number of decimal digits for the multiprecision solver; None for double
            precision.
        start: An earlier fit of a similar problem, whose alternation points are tried first.
        max_iterations: The largest number of exchange steps from each start.
        callback: Called after every exchange step with its `remez.IterationRecord`.
        throw: Whether to raise an error when the result is not accepted; otherwise it is
            returned with its status.

    Returns:
        A `Fit`. `Fit.method` names the initial reference that led to it: "warm start" (``start``),
        "zolotarev" (closed form), "chebyshev" (Chebyshev points), "half the degree" (the
        reference of a fit of half the degree), "zero" (r = 0), "survey" (adaptive sampling of f),
        "degree stepping", "lower degree" (which reaches rounding), "monotone exchange" (whose lower
        bound never decreases), "AAA-Lawson", "differential correction", or "another pattern" (q
        has different signs on the intervals of a union, and r therefore poles in the gaps).

    Raises:
        TargetError: fn is NaN or infinite, discontinuous, noisy or has a pole in the domain.
        DomainError: The domain is invalid.
        DegreeError: The degree or another option is invalid, or they contradict each other.
        ConvergenceError: No result was accepted; ``.fit`` holds the best one.

    References:
        S.-I. Filip, Y. Nakatsukasa, L. N. Trefethen, B. Beckermann, SIAM J. Sci. Comput. 40
        (2018), doi:10.1137/17M1132409.

    >>> fit(np.exp, (5, 4))
    Fit(type (5, 4) on [-1, 1], error 4.29...e-12, converged by chebyshev in 3 iterations)
    """
    _check_options(tol, precision, start, max_iterations, callback)
    if degree is None and tol is None:
        raise DegreeError("give a degree (m, n), or tol= for the smallest degree that reaches it")
    history = History(callback)

    def solved(problem: Problem, start: Solution | None) -> Solution:
        if precision is None:
            return solve(problem, start=start, max_iterations=max_iterations, history=history)
        from remez.solver.precise.driver import fit_precise

        return fit_precise(
            problem, precision, start=start, max_iterations=max_iterations, history=history
        )

    options: Record = {"weight": weight, "parity": parity, "interpolate": interpolate}
    if tol is None:
        found = solved(Problem.of(fn, degree, domain, **options), start)  # type: ignore[arg-type]
        return _concluded(found, history, throw)
    spare = len(interpolate or ())  # so that the conditions leave something to optimise
    m, n = check_degree((0, 0) if degree is None else degree)
    problem = Problem.of(fn, (m + spare, n + spare), domain, **options)
    found = smallest_degree(problem, tol, start, solved)
    reached = found.converged and found.error <= tol
    missing = (
        f"tol = {tol:g} was not reached: type {found.degree} has error {float(found.error):.3g}; "
        "raise tol or use precision="
    )
    return _concluded(found, history, throw, None if reached else missing)


@interruptible()
@np.errstate(all="ignore")
def fit_samples(
    x: ArrayLike,
    y: ArrayLike,
    degree: Sequence[int],
    *,
    weight: ArrayLike | None = None,
    max_iterations: int = 60,
    throw: bool = True,
) -> Fit:
    """The best rational approximation of samples: minimise ``max_i w_i |y_i - r(x_i)|``.

    r has no pole between the first and the last point. If no r attains the minimum, as for many
    noisy samples, its error is within 0.1 % of the infimum, and its ``reference`` is shorter.

    Args:
        x: At least m + n + 2 distinct points, shape (N,), in any order; equal samples are merged.
        y: The values at the points, shape (N,).
        degree: The type ``(m, n)``.
        weight: The positive weights at the points, shape (N,); 1 by default.
        max_iterations, throw: As in `fit`.

    Returns:
        A `Fit` whose error is the maximum over the samples.

    Raises:
        TargetError: The shapes are not (N,), a value is not finite, a weight is not positive, or a
            point is given with two different values.
        DegreeError: There are so few samples that r of this type interpolates them.
        ConvergenceError: No result was accepted; ``.fit`` holds the best one.

    >>> x = np.linspace(-1, 1, 201)
    >>> print(f"{fit_samples(x, np.abs(x), (4, 4)).error:.3e}")
    8.489e-03
    """
    check_number("max_iterations", max_iterations, 1, integer=True)
    history = History()
    found = solve_samples(samples_problem(x, y, degree, weight), max_iterations, history)
    return _concluded(found, history, throw)


def load(path: str | Path, fn: Function | str | None = None, weight: Function | None = None) -> Fit:
    """The fit in a file that `Fit.save` or ``remez fit --json --out`` wrote.

    Args:
        path: The file.
        fn: The function that was approximated, where it was no expression.
        weight: The weight, where it was a callable.

    Raises:
        RemezError: The file cannot be read or holds no fit.

    >>> import tempfile, pathlib, remez
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "gelu.json"
    >>> remez.fit("gelu", (4, 4)).save(path)
    >>> remez.load(path).domain.hull
    (-6.0, 6.0)
    """
    try:
        text = Path(path).read_bytes()
    except OSError as cause:
        raise RemezError(
            f"{path} cannot be read ({cause.strerror}): give a file that Fit.save wrote"
        ) from cause
    try:
        record = json.loads(text)
        known = record.get("expression") if fn is None else fn
    except (ValueError, AttributeError) as cause:
        raise RemezError(f"{path} holds no fit: give a file that Fit.save wrote") from cause
    return Fit.from_dict(record, as_target(known), weight)


def certify(fit: Fit) -> Certificate:
    """Enclose the best error, rigorously if f and the weight are expressions; as `Fit.certify`.

    Args:
        fit: The fit whose error is bounded from above.

    Returns:
        The certificate, whose bounds are proved where it is `rigorous`.
    """
    return fit.certify()


def _check_options(
    tol: object, precision: object, start: object, max_iterations: object, callback: object
) -> None:
    """Refuse options of the wrong type or range, before anything is computed.

    Raises:
        DegreeError, TargetError: An option is invalid.
    """
    if tol is not None:
        check_number("tol", tol, float(np.finfo(float).tiny), float(np.finfo(float).max))
    if precision is not None:
        check_number("precision", precision, 1, MAX_DIGITS, integer=True)
    check_number("max_iterations", max_iterations, 1, integer=True)
    if not (start is None or isinstance(start, Solution)):
        raise TargetError(f"start = {shown(start)} is not a fit: give the result of an earlier fit")
    if not (callback is None or callable(callback)):
        raise TargetError(f"callback = {shown(callback)} is not callable: give a function")


def _concluded(found: Solution, history: History, throw: bool, missing: str | None = None) -> Fit:
    """Convert the solver's result to a `Fit`.

    Raises:
        ConvergenceError: ``throw`` is set and the result is not accepted, or ``missing`` says
            that the tolerance was not reached.
    """
    fit = Fit.of(found, history)
    if throw and (missing or not fit.converged):
        raise ConvergenceError(missing or fit.status.value, fit)
    return fit
