"""Candidate programs for a fit, with the error of their coefficients and of their arithmetic.

Powers of the scaled variable need the fewest operations. If they lose accuracy when centred at the
middle of the hull, powers and factors centred at its ends and at the focus of r are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from remez.code.coefficient_rounding import round_pair, to_nearest
from remez.code.program import Program, of_composite, of_monomial, of_product
from remez.code.rounding_error import Arithmetic, evaluation_bound
from remez.domain import Domain
from remez.errors import RemezError
from remez.functions.expression import as_expression
from remez.problem import Problem
from remez.rational import bases
from remez.rational.polynomials import PARITY_TOLERANCE, Variable, monomial_pair, variable_of
from remez.rational.protocol import Real
from remez.rational.zolotarev import Composite
from remez.solution import Solution
from remez.verification.taylor_bounds import enclose_error

__all__ = ["DTYPES", "Draft", "Kind", "Powers", "draft_composite", "draft_fit", "draft_powers"]

SAMPLE = 4000  # points on which coefficients are rounded and errors are measured
NOISE = 1e3 * np.finfo(float).eps  # errors below this share of |f| are hidden by rounding
EXACT = 1e-15  # relative accuracy of the square of a square root in float64
FLUSHED = 1 + 1e-6  # growth of a bound that flushing subnormal numbers to zero may cause
MEASURED = 1 + 1e-6  # safety factor for a maximum that is measured on a sample


@dataclass(frozen=True)
class Kind:
    """A coefficient type of ``bits`` significant bits, and the arithmetic with its NumPy name."""

    bits: int
    arithmetic: Arithmetic
    name: str


# 2^-1070 covers also the underflow in the float64 analysis of a program
_DOUBLE = Arithmetic(53, 2.0**-1070, float(np.finfo(np.float64).max), 2.0**-1022)
_SINGLE = Arithmetic(24, 2.0**-150, float(np.finfo(np.float32).max), 2.0**-126)

DTYPES = {
    "float64": Kind(53, _DOUBLE, "float64"),
    "float32": Kind(24, _SINGLE, "float32"),
    "bfloat16": Kind(8, _SINGLE, "float32"),
}


@dataclass(frozen=True)
class Draft:
    """A program, and errors in the norm of the fit.

    Attributes:
        program: The operations.
        form: A description of the form in words.
        error: The error with the rounded coefficients, in exact arithmetic.
        naive: The error with every coefficient rounded to nearest.
        evaluation: A bound on the rounding error of the evaluation.
        certified: Whether ``error`` is proved; otherwise it is measured.
        flushes: Whether the bound also holds if subnormal numbers are flushed to zero.
    """

    program: Program
    form: str
    error: float
    naive: float
    evaluation: float
    certified: bool = False
    flushes: bool = False

    @property
    def bound(self) -> float:
        """A bound on the total error."""
        return self.error + self.evaluation


@dataclass(frozen=True, eq=False)
class Powers:
    """A polynomial in powers of x itself, for code that keeps its vanishing coefficients 0.

    Attributes:
        coefficients: The coefficients of 1, x, x², …
        problem: The problem that it solves.
        error: Its error.
    """

    coefficients: np.ndarray
    problem: Problem
    error: float

    @property
    def domain(self) -> Domain:
        """The domain of the problem."""
        return self.problem.domain

    @property
    def degree(self) -> tuple[int, int]:
        """The type (m, 0)."""
        return self.coefficients.size - 1, 0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The value at points."""
        return np.polyval(self.coefficients[::-1], x)


def draft_powers(source: Powers, kind: Kind, scheme: str) -> Draft:
    """The program of a polynomial with coefficients rounded to nearest."""
    rounded = to_nearest(source.coefficients, kind.bits)
    program = of_monomial(bases.Monomial(Variable(0.0, 1.0), rounded, np.ones(1)), scheme)
    x = source.domain.spread(SAMPLE)
    weight, error, unseen = _error_sample(source, x, np.polyval(rounded[::-1], x))
    after = max(unseen, float(np.abs(error).max()))
    if unseen:
        after += float(np.abs(weight * (np.polyval(rounded[::-1], x) - source(x))).max())
    after = max(after, source.error if np.array_equal(rounded, source.coefficients) else 0.0)
    evaluation = _evaluation(program, source, kind, 0.0)
    words = f"{scheme.capitalize()} form in powers of x"
    draft = Draft(program, words, after * MEASURED, after, evaluation)
    return _flushing(_certified(draft, source), source, kind, 0.0)


def draft_fit(fit: Solution, kind: Kind, scheme: str) -> Draft:
    """The candidate with the smallest bound; its error is proven where the target allows it."""
    best = None
    for draft in _candidates(fit, kind, scheme):
        if best is None or draft.bound < best.bound:
            best = draft
        if best.bound < 1.5 * float(fit.error):
            break
    assert best is not None
    return _flushing(_certified(best, fit), fit, kind, fit.rational.focus)


def _flushing(draft: Draft, fit: Solution | Powers, kind: Kind, focus: float) -> Draft:
    """The draft with a bound for flushing to zero too, where that makes no difference.

    A weight may be infinite at 0, where flushing loses all digits.
    """
    if fit.problem.weight is not None:
        return draft
    arithmetic = kind.arithmetic.flushing()
    evaluation = _evaluation(draft.program, fit, replace(kind, arithmetic=arithmetic), focus)
    if not draft.error + evaluation <= FLUSHED * draft.bound:
        return draft
    return replace(draft, evaluation=max(evaluation, draft.evaluation), flushes=True)


def draft_composite(form: Composite, kind: Kind) -> tuple[Draft, Domain]:
    """The program of a composite with constants rounded to nearest, and its domain."""
    layers = tuple(
        replace(
            layer,
            scale=float(to_nearest(np.array(layer.scale), kind.bits)),
            zeros_squared=to_nearest(layer.zeros_squared, kind.bits),
            poles_squared=to_nearest(layer.poles_squared, kind.bits),
        )
        for layer in form.layers
    )
    rounded = replace(form, layers=layers)
    domain = Domain.of([(-1.0, -form.delta), (form.delta, 1.0)])
    error = float(np.abs(rounded(np.geomspace(form.delta, 1.0, SAMPLE)) - 1).max()) * MEASURED
    program = of_composite(rounded)
    evaluation = evaluation_bound(program, domain, kind.arithmetic)
    return Draft(program, "composed layers", error, error, evaluation), domain


def _candidates(fit: Solution, kind: Kind, scheme: str) -> Iterator[Draft]:
    variables = _variables(fit, kind)
    for variable in variables:
        yield _powers(fit, kind, scheme, variable)
    for variable in variables:
        yield _factors(fit, kind, variable)


def _variables(fit: Solution, kind: Kind) -> list[Variable]:
    """Variables scaled by powers of two, shifted by numbers of the type; the centre first."""
    variable = variable_of(fit.domain, fit.reference, binary=True)
    if variable.mobius:  # the variable must be exact at the end of a half-line
        return [variable]
    (low, high), origin = fit.domain.hull, fit.rational.focus
    shifts = [variable.shift, *([origin] if low <= origin <= high else []), low, high]
    rounded = to_nearest(np.array(shifts), kind.bits).tolist()
    return [
        Variable(shift, variable.scale / (1 if k == 0 else 2))
        for k, shift in enumerate(dict.fromkeys(rounded))
    ]


def _powers(fit: Solution, kind: Kind, scheme: str, variable: Variable) -> Draft:
    p, q = monomial_pair(fit.rational, variable)
    largest = max(q, key=abs)
    p, q = [c / largest for c in p], [c / largest for c in q]
    p, exact_offset = _split(p, q, _value_at(fit, variable.shift))
    offset = float(to_nearest(np.array(float(exact_offset)), kind.bits))
    x = bases.sample(fit.domain, variable, SAMPLE)
    t = variable(x)
    weight, error, unseen = _error_sample(fit, x, offset + _ratio(p, q, t))
    if kind.bits == 53:
        rounded_p, rounded_q = _floats(p), _floats(q)
        moved = abs(float(offset - exact_offset)) * float(weight.max())
        after = naive = float(fit.error) + _drift(p, q, t, weight) + moved
    else:
        pair = round_pair(_floats(p), _floats(q), kind.bits, t, weight, error)
        moved = abs(float(offset - exact_offset)) * float(weight.max()) if unseen else 0.0
        rounded_p, rounded_q = pair.p, pair.q
        after, naive = unseen + pair.error + moved, unseen + pair.naive + moved
    form = _folded(bases.Monomial(variable, rounded_p, rounded_q))
    program = of_monomial(form, scheme, offset)
    words = f"{scheme.capitalize()} form in powers"
    return Draft(
        program, words, after * MEASURED, naive, _evaluation(program, fit, kind, fit.rational.focus)
    )


def _value_at(fit: Solution, x: float) -> float | None:
    """fn at a point, None if it is not known."""
    with suppress(RemezError):
        return float(fit.problem.target().raw(np.array([x]))[0])
    return None


def _split(p: list[Real], q: list[Real], centre: float | None) -> tuple[list[Real], Real]:
    """Write r as ``p/q + c`` with odd p if q is even and p - c q is odd up to rounding.

    For the logistic function this halves the number of terms of the numerator. c is the value
    ``centre`` of fn at t = 0 if it agrees with that of r: the rounding of r depends on the
    processor.
    """
    c = p[0] / q[0] if q[0] else 0
    if centre is not None and abs(c - centre) <= PARITY_TOLERANCE * abs(c):
        c = centre + 0 * c
    if not c or any(q[1::2]) or not any(p[1::2]):
        return p, 0
    longer = [*q, *([0] * len(p))]
    rest = [a - c * b for a, b in zip(p, longer, strict=False)]
    if len(q) > len(p) or max(map(abs, rest[::2])) > PARITY_TOLERANCE * max(map(abs, p)):
        return p, 0
    return [a if k % 2 else 0 * a for k, a in enumerate(rest)], c


def _factors(fit: Solution, kind: Kind, variable: Variable) -> Draft:
    form = bases.product(fit, variable)
    rounded = replace(
        form,
        gain=float(to_nearest(np.array(form.gain), kind.bits)),
        zeros=_nearest_factors(form.zeros, kind.bits),
        poles=_nearest_factors(form.poles, kind.bits),
    )
    x = bases.sample(fit.domain, variable, SAMPLE)
    weight, error, unseen = _error_sample(fit, x, rounded(x))
    after = unseen + float(np.abs(error).max())
    if unseen:
        after += float(np.abs(weight * (rounded(x) - np.asarray(fit(x), float))).max())
    program = of_product(rounded)
    return Draft(
        program,
        "factors",
        after * MEASURED,
        after,
        _evaluation(program, fit, kind, fit.rational.focus),
    )


def _nearest_factors(
    factors: tuple[tuple[float, float], ...], bits: int
) -> tuple[tuple[float, float], ...]:
    """Factors ``(t - a)² + b²`` whose a and b² are numbers of the type."""
    rounded = to_nearest(np.array([(a, b * b) for a, b in factors]).reshape(-1, 2), bits)
    return tuple((float(a), float(np.sqrt(square))) for a, square in rounded)


def _certified(draft: Draft, fit: Solution | Powers) -> Draft:
    """The draft with a proved error, if ball arithmetic can evaluate the target."""
    expression, weight = as_expression(fit.problem.fn), fit.problem.weight
    if expression is None or weight not in (None, "relative"):
        return draft
    bound = enclose_error(
        expression,
        draft.program.run,
        fit.domain,
        near=0.5 * float(fit.error),
        relative=weight == "relative",
    )
    if bound is None:
        return draft
    return replace(draft, error=bound, certified=True)


def _error_sample(
    fit: Solution | Powers, x: np.ndarray, r: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """(weight, weight * (f - r), error not contained in it) at the points.

    If f is not available, or its rounding hides the error, the sampled error is 0 and the error of
    the fit is returned separately, to be added by the triangle inequality.
    """
    best = float(fit.error)
    if fit.problem.fn is None:
        return _weight(fit)(x), np.zeros_like(x), best
    f = fit.problem.target().raw(x)
    weight = fit.problem.weight_of(x, f)
    if best < NOISE * np.abs(weight * f).max():
        return weight, np.zeros_like(x), best
    error = weight * (f - r)
    return weight, np.where(np.isfinite(error), error, 0.0), 0.0


def _weight(fit: Solution | Powers) -> Callable[[np.ndarray], np.ndarray]:
    """The weight as a function of x alone; without f, 1/|f| is at most (1 + error)/|r|."""
    problem = fit.problem
    if problem.fn is None and problem.weight == "relative":
        return lambda x: (1 + float(fit.error)) / np.abs(np.asarray(fit(x), float))
    if problem.weight is None and problem.samples is None:
        return np.ones_like
    values = problem.target().raw if problem.weight == "relative" else np.ones_like
    return lambda x: problem.weight_of(x, values(x))


def _drift(p: list[Real], q: list[Real], t: np.ndarray, weight: np.ndarray) -> float:
    """The change of r by rounding coefficients to double: ``max |weight (dP - r dQ)/Q|``."""
    drift_p, drift_q = ([float(float(c) - c) for c in pair] for pair in (p, q))
    change = np.polyval(drift_p[::-1], t) - _ratio(p, q, t) * np.polyval(drift_q[::-1], t)
    return float(np.abs(weight * change / np.polyval(_floats(q)[::-1], t)).max())


def _folded(form: bases.Monomial) -> bases.Monomial:
    """Move the power of two of an affine variable into the coefficients, which is exact."""
    variable = form.variable
    if variable.mobius:
        return form
    p, q = (c * variable.scale ** np.arange(c.size) for c in (form.p, form.q))
    sizes = np.abs(np.concatenate([p[p != 0], q[q != 0]]))
    if sizes.size and (sizes.min() < 2.0**-100 or sizes.max() > 2.0**100):
        return form
    return replace(form, p=p, q=q, variable=replace(variable, scale=1.0))


def _evaluation(program: Program, fit: Solution | Powers, kind: Kind, focus: float) -> float:
    """The bound on the rounding error in the norm of the fit; infinite if there is no bound."""
    plain = fit.problem.weight is None and fit.problem.samples is None
    weight = None if plain else _weight(fit)
    if not _fits(program, kind):
        return np.inf
    return evaluation_bound(program, fit.domain, kind.arithmetic, weight, focus)


def _fits(program: Program, kind: Kind) -> bool:
    """Whether the constants are numbers of the arithmetic, an infinity or a power of two that it
    does not reach apart."""
    c = np.array(program.constants())
    nearest = to_nearest(c, kind.arithmetic.bits)
    return bool(np.isfinite(c).all() and (np.abs(nearest - c) <= EXACT * np.abs(c)).all())


def _floats(c: list[Real]) -> np.ndarray:
    return np.array([float(value) for value in c])


def _ratio(p: list[Real], q: list[Real], t: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.polyval(_floats(p)[::-1], t) / np.polyval(_floats(q)[::-1], t)
