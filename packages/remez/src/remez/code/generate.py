"""Source code that evaluates a fit, with an error bound that includes rounding errors.

The stages: write the rational in powers of a scaled variable; round the coefficients jointly to the
target type (`coefficient_rounding`); choose the best of several straight-line programs (`program`,
`candidates`); bound its error in exact arithmetic (`verification.taylor_bounds`) and the rounding
error of its arithmetic (`rounding_error`); write the source (`languages`).
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from remez.code.candidates import DTYPES, Powers, draft_composite, draft_fit, draft_powers
from remez.code.languages import LANGUAGES, is_function_name, write
from remez.code.program import Program
from remez.domain import Domain
from remez.errors import CodeError, shown
from remez.rational.protocol import Record
from remez.rational.zolotarev import Composite
from remez.solution import Solution

__all__ = ["SCHEMES", "Code", "generate_code"]

SCHEMES = ("horner", "estrin")
GRADUAL = "Valid in IEEE arithmetic with gradual underflow: no -ffast-math, no flush to zero."
FLUSHING = "Valid in IEEE arithmetic, also with flush to zero, but not with -ffast-math."


@dataclass(frozen=True)
class Code:
    """Generated source code and bounds on its error; ``str(code)`` is the source.

    All errors are in the norm of the fit, ``max weight |f - value|`` over its domain.

    Attributes:
        source: The source code.
        language: The language, "c", "python", "numba" or "torch".
        dtype: The type of the coefficients; with bfloat16 the arithmetic is float32.
        name: The name of the function.
        program: The operations as a program that can be run in NumPy.
        best: The error of the fit.
        error: The error with the rounded coefficients, in exact arithmetic.
        naive_error: The error with every coefficient rounded to nearest, in exact arithmetic.
        evaluation_error: A bound on the rounding error of the evaluation.
        certified: Whether `error` is proved in ball arithmetic; otherwise it is measured.
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
        """A bound on the total error: `error` + `evaluation_error`."""
        return self.error + self.evaluation_error

    @property
    def digits_lost(self) -> float:
        """The decimal logarithm of `bound` divided by the error of the fit, at least 0."""
        if self.bound <= self.best:
            return 0.0
        return math.log10(self.bound / self.best) if self.best > 0 else math.inf

    def __str__(self) -> str:
        return self.source

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.source)}</pre>"

    def to_dict(self) -> Record:
        """The result as plain types, without the program."""
        names = ("language", "dtype", "name", "best", "error", "naive_error", "evaluation_error")
        record = {name: getattr(self, name) for name in names}
        return record | {"bound": self.bound, "certified": self.certified, "source": self.source}


def generate_code(
    source: Solution | Composite | Powers,
    language: str,
    *,
    dtype: str = "float64",
    scheme: str = "horner",
    name: str | None = None,
    clamp: bool = False,
) -> Code:
    """Generate source code for a fit or for a composite approximation of sign.

    Args:
        source: A `Fit`, a `zolotarev.Composite`, or the `Powers` of `MonomialFit.to_code`.
        language: The language, "c", "python", "numba" (a ufunc) or "torch".
        dtype: The type of the coefficients, "float64", "float32" or "bfloat16".
        scheme: "horner", or "estrin" with fewer dependent operations.
        name: The name of the function; derived from the target by default. It must not be a
            keyword, a name of the C library, or a name that the code imports.
        clamp: Whether an x outside the domain is replaced by the nearer end of the domain.

    Returns:
        The source with its error bounds; `str` of it is the text.

    Raises:
        CodeError: The language, type or scheme is unknown, the name is invalid, or the type is
            too narrow to bound the error.
        DomainError: The domain is the whole line.

    Example:
        >>> import numpy as np, remez
        >>> code = remez.fit(np.exp, (2, 2)).to_code("python")
        >>> print(str(code).splitlines()[-1])
            return r
        >>> code.bound < 1.001 * code.best
        True
    """
    for value, allowed in ((language, LANGUAGES), (dtype, DTYPES), (scheme, SCHEMES)):
        if value not in allowed:
            raise CodeError(f"unknown {value!r}; choose one of {', '.join(allowed)}")
    if name is not None and not (isinstance(name, str) and is_function_name(name, language)):
        raise CodeError(
            f"{shown(name)} cannot name a function in {language}; use letters, digits and _, "
            "but no keyword or library name"
        )
    kind = DTYPES[dtype]
    if isinstance(source, Composite):
        (draft, domain), best, text = draft_composite(source, kind), source.error, "sign(x)"
    else:
        if isinstance(source, Powers):
            draft = draft_powers(source, kind, scheme)
        else:
            draft = draft_fit(source, kind, scheme)
        domain, best = source.domain, float(source.error)
        text = _text(source.problem.fn)
    if not math.isfinite(draft.bound):
        raise CodeError(
            f"the rounding error of {dtype} code cannot be bounded: use a wider type, or scale "
            "the function"
        )
    name = name or _identifier(text, language)
    errors = draft.error, draft.naive, draft.evaluation, draft.certified
    code = Code("", language, dtype, name, draft.program, best, *errors)
    header = _header(code, text, source.degree, domain, draft.form, draft.flushes)
    bounds = _bounds(domain, kind.name) if clamp else None
    if clamp:
        header.insert(-1, "Outside the domain: the value at its nearer end.")
    program = _filling(draft.program) if language in ("python", "torch") else draft.program
    return replace(code, source=write(program, language, kind.name, name, header, bounds))


def _bounds(domain: Domain, dtype: str) -> tuple[float, float]:
    """The ends of the hull, rounded inwards to numbers of the type."""
    low, high = (np.dtype(dtype).type(end) for end in domain.hull)
    low = np.nextafter(low, np.inf, dtype=dtype) if low < domain.hull[0] else low
    high = np.nextafter(high, -np.inf, dtype=dtype) if high > domain.hull[1] else high
    return float(low), float(high)


def _filling(program: Program) -> Program:
    """The program for arrays: a constant result gets the shape of x."""
    (*rest, (name, tree)) = program.assignments
    if rest or not isinstance(tree, float):
        return program
    return Program(((name, (("x", "*", 0.0), "+", tree)),))


def _text(fn: Any) -> str:
    """The text of the target: an expression, or the name of a callable."""
    return str(getattr(fn, "text", None) or f"{getattr(fn, '__name__', 'f')}(x)")


def _identifier(text: str, language: str) -> str:
    name = f"{text.partition('(')[0]}_approx"
    plain = name.isascii() and text.count("(") == 1
    return name if plain and is_function_name(name, language) else "rational"


def _header(
    code: Code, text: str, degree: Any, domain: Domain, form: str, flushes: bool
) -> list[str]:
    where = " and ".join(f"[{low:.17g}, {high:.17g}]" for low, high in domain.intervals)
    kind = "rational" if degree[1] else "polynomial"
    arithmetic = DTYPES[code.dtype].name
    wide = "" if code.dtype == arithmetic else f", arithmetic in {arithmetic}"
    evidence = "certified" if code.certified else "measured"
    saved = f"; {code.naive_error:.3g} if rounded one by one" if code.dtype != "float64" else ""
    return [
        f"{text} on {where}",
        f"Best {kind} of type {degree}, {form}, {code.dtype} coefficients{wide}.",
        f"  error of the best approximation    {code.best:.4g}",
        f"  with these coefficients            {code.error:.4g}, {evidence}{saved}",
        f"  rounding of the arithmetic adds    {code.evaluation_error:.3g} at most",
        f"  together at most                   {code.bound:.4g}, "
        f"{code.digits_lost:.2f} digits lost",
        FLUSHING if flushes else GRADUAL,
    ]
