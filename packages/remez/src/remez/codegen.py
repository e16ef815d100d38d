"""Source code that evaluates a fit, with an error bound that covers its own rounding.

The stages: the rational in powers of a variable scaled by a power of two; coefficients rounded
together to the target type (`rounding`); a straight-line program (`program`); a rigorous bound on
the rounding of its arithmetic (`evaluation`); text (`languages`).
"""

from __future__ import annotations

import keyword
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import bases
from .domain import Domain
from .errors import CodeError
from .evaluation import Arithmetic, evaluation_bound
from .languages import LANGUAGES, write
from .polynomials import Variable, monomial_pair, variable_of
from .program import Program, of_composite, of_monomial, of_product
from .rounding import round_pair, to_nearest
from .zolotarev import Composite

__all__ = ["DTYPES", "SCHEMES", "Code", "generate"]

SCHEMES = ("horner", "estrin")
SAMPLE = 4000  # points on which coefficients are rounded and their error is measured


@dataclass(frozen=True)
class _Type:
    """Coefficients of ``bits``, in an arithmetic that may be wider."""

    bits: int
    arithmetic: Arithmetic
    name: str


_DOUBLE = Arithmetic(53, 2.0**-1074)
_SINGLE = Arithmetic(24, 2.0**-150)

DTYPES = {
    "float64": _Type(53, _DOUBLE, "float64"),
    "float32": _Type(24, _SINGLE, "float32"),
    "bfloat16": _Type(8, _SINGLE, "float32"),
}


@dataclass(frozen=True)
class Code:
    """Generated source and what is known about its error; ``str(code)`` is the source.

    All errors are in the norm of the fit, ``max weight |f - value|`` over its domain.

    Attributes:
        source: the text.
        language: "c", "python", "numba" or "torch".
        dtype: of the coefficients; bfloat16 coefficients are used in float32 arithmetic.
        name: of the function.
        program: the arithmetic, which can be run in NumPy.
        best: the error of the fit.
        error: the error with the rounded coefficients in exact arithmetic.
        naive_error: the same with every coefficient rounded to nearest.
        evaluation_error: a bound on what rounding in the arithmetic adds.
        certified: whether `error` is proven by ball arithmetic rather than measured.
    """

    source: str
    language: str
    dtype: str
    name: str
    program: Program
    best: float
    error: float
    naive_error: float
    evaluation_error: float
    certified: bool = False

    @property
    def bound(self) -> float:
        """The error of the computed values: coefficients and arithmetic together."""
        return self.error + self.evaluation_error

    @property
    def digits_lost(self) -> float:
        """Decimal digits between the error of the fit and `bound`."""
        return math.log10(self.bound / self.best) if self.best > 0 else math.inf

    def __str__(self) -> str:
        return self.source

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        names = ("language", "dtype", "name", "best", "error", "naive_error", "evaluation_error")
        record = {name: getattr(self, name) for name in names}
        return record | {"bound": self.bound, "certified": self.certified, "source": self.source}


@dataclass(frozen=True)
class _Draft:
    """A program with the error of its coefficients."""

    program: Program
    error: float
    naive: float
    evaluation: float
    form: str
    pair: Any = None

    @property
    def bound(self) -> float:
        return self.error + self.evaluation


def generate(
    source: Any,
    language: str,
    *,
    dtype: str = "float64",
    scheme: str = "horner",
    name: str | None = None,
) -> Code:
    """Code for a fit or for a composite approximant of sign.

    Args:
        source: a `Fit`, or a `zolotarev.Composite`.
        language: "c", "python", "numba" (a ufunc) or "torch".
        dtype: "float64", "float32" or "bfloat16".
        scheme: "horner", or "estrin" with its shorter chain of dependent operations.
        name: of the function; by default that of the target.

    Raises:
        CodeError: an unknown language, type or scheme, or a name that is no identifier.
        DomainError: the domain is the whole line, or the rounding error cannot be bounded.

    Example:
        >>> import numpy as np, remez
        >>> code = remez.fit(np.exp, (2, 2)).code("python")
        >>> print(str(code).splitlines()[-1])
            return r
        >>> code.bound < 1.001 * code.best
        True
    """
    for value, allowed in ((language, LANGUAGES), (dtype, DTYPES), (scheme, SCHEMES)):
        if value not in allowed:
            raise CodeError(f"unknown {value!r}; choose one of {', '.join(allowed)}")
    if name is not None and (not name.isidentifier() or keyword.iskeyword(name)):
        raise CodeError(f"{name!r} is not a function name; use letters, digits and _")
    kind = DTYPES[dtype]
    if isinstance(source, Composite):
        draft, domain, best = _draft_composite(source, kind), _gapped(source), source.error
        text, degree = "sign(x)", source.degree
    else:
        draft, domain, best = _draft(source, kind, scheme), source.domain, float(source.error)
        text, degree = _text(source.problem.fn), source.degree
    name = name or _identifier(text)
    code = Code(
        "", language, dtype, name, draft.program, best, draft.error, draft.naive, draft.evaluation
    )
    header = _header(code, text, degree, domain, draft.form)
    return replace(code, source=write(draft.program, language, kind.name, name, header))


def _draft(fit: Any, kind: _Type, scheme: str) -> _Draft:
    """Powers of the scaled variable; where they lose too much in double, factors."""
    variable = _binary_variable(fit, kind)
    draft = _draft_monomial(fit, kind, scheme, variable)
    if kind.bits < 53 or draft.bound < 2 * float(fit.error):
        return draft
    form = bases.product(fit)
    program = of_product(form)
    error = float(fit.error) + form.loss
    other = _Draft(program, error, error, _evaluation(program, fit, kind), "factors")
    return min(draft, other, key=lambda one: one.bound)


def _draft_monomial(fit: Any, kind: _Type, scheme: str, variable: Variable) -> _Draft:
    p, q = monomial_pair(fit.rational, variable)
    largest = max(q, key=abs)
    p, q = [c / largest for c in p], [c / largest for c in q]
    x = bases.sample(fit.domain, variable, SAMPLE)
    t = variable(x)
    weight, error, unseen = _error_sample(fit, x, t, p, q)
    if kind.bits == 53:
        rounded_p, rounded_q = _floats(p), _floats(q)
        after = naive = float(fit.error) + _drift(p, q, t, weight)
    else:
        pair = round_pair(_floats(p), _floats(q), kind.bits, t, weight, error)
        rounded_p, rounded_q = pair.p, pair.q
        after, naive = unseen + pair.error, unseen + pair.naive
    folded = _folded(bases.Monomial(rounded_p, rounded_q, variable))
    program = of_monomial(folded, scheme)
    evaluation = _evaluation(program, fit, kind)
    return _Draft(program, after, naive, evaluation, f"{scheme} form in powers", folded)


def _drift(p: list[Any], q: list[Any], t: np.ndarray, weight: np.ndarray) -> float:
    """What rounding to nearest in double changes: ``max |weight (dP - r dQ)/Q|``."""
    drift_p, drift_q = ([float(float(c) - c) for c in pair] for pair in (p, q))
    change = np.polyval(drift_p[::-1], t) - _ratio(p, q, t) * np.polyval(drift_q[::-1], t)
    return float(np.abs(weight * change / np.polyval(_floats(q)[::-1], t)).max())


def _draft_composite(form: Composite, kind: _Type) -> _Draft:
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
    domain = _gapped(form)
    x = np.geomspace(form.delta, 1.0, SAMPLE)
    error = float(np.abs(rounded(x) - 1).max())
    program = of_composite(rounded)
    evaluation = evaluation_bound(program, domain, kind.arithmetic)
    return _Draft(program, error, error, evaluation, "composed layers")


def _gapped(form: Composite) -> Domain:
    return Domain.of([(-1.0, -form.delta), (form.delta, 1.0)])


def _binary_variable(fit: Any, kind: _Type) -> Variable:
    """Scaled by a power of two; the shift is a number of the type."""
    nodes = [fit.rational.origin + z for z in fit.rational.nodes]
    variable = variable_of(fit.domain, nodes, binary=True)
    if variable.mobius:  # the end of a half-line has to be met exactly
        return variable
    return replace(variable, shift=float(to_nearest(np.array(variable.shift), kind.bits)))


def _error_sample(
    fit: Any, x: np.ndarray, t: np.ndarray, p: list[Any], q: list[Any]
) -> tuple[np.ndarray, np.ndarray, float]:
    """(weight, weight * (f - r), error not contained in it) at the points.

    Where f is not at hand, or its rounding hides the error, the error is left out of the sample
    and added whole: the triangle inequality.
    """
    best = float(fit.error)
    if fit.problem.fn is None:
        return np.ones_like(x), np.zeros_like(x), best
    f = fit.problem.target().raw(x)
    weight = fit.problem.weight_of(x, f)
    error = weight * (f - _ratio(p, q, t))
    if best < 1e3 * np.finfo(float).eps * np.abs(weight * f).max():
        return weight, np.zeros_like(x), best
    return weight, np.where(np.isfinite(error), error, 0.0), 0.0


def _floats(c: list[Any]) -> np.ndarray:
    return np.array([float(value) for value in c])


def _ratio(p: list[Any], q: list[Any], t: np.ndarray) -> np.ndarray:
    return np.polyval(_floats(p)[::-1], t) / np.polyval(_floats(q)[::-1], t)


def _folded(form: bases.Monomial) -> bases.Monomial:
    """The power of two of an affine variable moved into the coefficients, which is exact."""
    variable = form.variable
    if variable.mobius:
        return form
    p, q = (c * variable.scale ** np.arange(c.size) for c in (form.p, form.q))
    sizes = np.abs(np.concatenate([p[p != 0], q[q != 0]]))
    if sizes.size and (sizes.min() < 2.0**-100 or sizes.max() > 2.0**100):
        return form
    return replace(form, p=p, q=q, variable=replace(variable, scale=1.0))


def _evaluation(program: Program, fit: Any, kind: _Type) -> float:
    """The bound on rounding in the norm of the fit (a weight is sampled at panel midpoints)."""
    problem = fit.problem
    if problem.weight is None or problem.fn is None:
        return evaluation_bound(program, fit.domain, kind.arithmetic)
    target = problem.target()
    return evaluation_bound(
        program, fit.domain, kind.arithmetic, lambda x: problem.weight_of(x, target.raw(x))
    )


def _text(fn: Any) -> str:
    """The target as text: an expression, or the name of a callable."""
    return str(getattr(fn, "text", None) or f"{getattr(fn, '__name__', 'f')}(x)")


def _identifier(text: str) -> str:
    head = text.partition("(")[0]
    plain = head.isidentifier() and not keyword.iskeyword(head) and text.count("(") == 1
    return f"{head}_approx" if plain else "rational"


def _header(code: Code, text: str, degree: Any, domain: Domain, form: str) -> list[str]:
    where = " and ".join(f"[{low:.17g}, {high:.17g}]" for low, high in domain.intervals)
    arithmetic = DTYPES[code.dtype].name
    wide = "" if code.dtype == arithmetic else f", arithmetic in {arithmetic}"
    evidence = "certified" if code.certified else "measured"
    saved = f"; {code.naive_error:.3g} if rounded one by one" if code.dtype != "float64" else ""
    return [
        f"{text} on {where}",
        f"Best rational of type {degree}, {form}, {code.dtype} coefficients{wide}.",
        f"  error of the best approximation    {code.best:.4g}",
        f"  with these coefficients            {code.error:.4g}, {evidence}{saved}",
        f"  rounding of the arithmetic adds    {code.evaluation_error:.3g} at most",
        f"  together at most                   {code.bound:.4g}, "
        f"{code.digits_lost:.2f} digits lost",
        "Valid without -ffast-math and the like. Written by remez.",
    ]
