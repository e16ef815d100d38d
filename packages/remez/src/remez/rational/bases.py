"""Conversion of a rational to other bases; each form states the error of the conversion.

The barycentric form of a `Fit` is the most accurate. The forms here serve generated code, files and
other programs; the composite form of sign is in `zolotarev`. Conversions run in multiprecision
(`polynomials`, `factors`); the stored coefficients are rounded to float64, and `loss` is the
maximum of ``|form(x) - r(x)|`` measured in float64 on a grid of the domain: rounding and
instability of the basis together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, TypeVar

import numpy as np
from mpmath import mp
from numpy.polynomial.chebyshev import chebval
from numpy.polynomial.polynomial import polyder, polyroots, polyval
from numpy.typing import ArrayLike

from remez.domain import Domain
from remez.errors import CodeError, DomainError
from remez.functions.working_precision import working_digits
from remez.rational.factors import factors_of
from remez.rational.polynomials import Variable, chebyshev_pair, monomial_pair, variable_of
from remez.rational.protocol import Approximation, Real, Record

__all__ = [
    "Chebyshev",
    "ContinuedFraction",
    "Form",
    "Monomial",
    "Product",
    "SafePade",
    "chebyshev",
    "continued_fraction",
    "monomial",
    "product",
    "safe_pade",
]

GRID = 2000  # points per interval at which the loss is measured
WORKING_DIGITS = 100
VANISHED = 1e-40  # smaller leading coefficients, relatively, count as zero


@dataclass(frozen=True, eq=False)
class Form(ABC):
    """A rational function written in the scaled variable t of its domain.

    Attributes:
        variable: The map from x to t.
        loss: The maximum of ``|form(x) - r(x)|`` on a grid of the domain, measured in float64; NaN
            for a form that was not converted from a rational.
    """

    variable: Variable
    loss: float = field(default=np.nan, kw_only=True)

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """The value at points x, an array of any shape."""
        return self._value(self.variable(np.asarray(x, float)))

    def to_dict(self) -> Record:
        """The object as plain types that JSON keeps exactly."""
        plain = {f.name: _plain(getattr(self, f.name)) for f in fields(self)}
        return {"form": type(self).__name__, **plain, "variable": asdict(self.variable)}

    @abstractmethod
    def _value(self, t: np.ndarray) -> np.ndarray:
        """The value at points of the scaled variable."""


@dataclass(frozen=True, eq=False)
class Chebyshev(Form):
    """``sum_k p_k T_k(t) / sum_k q_k T_k(t)``, numerically stable on an interval."""

    p: np.ndarray
    q: np.ndarray

    def _value(self, t: np.ndarray) -> np.ndarray:
        quotient: np.ndarray = chebval(t, self.p) / chebval(t, self.q)
        return quotient


@dataclass(frozen=True, eq=False)
class Monomial(Form):
    """``sum_k p_k t^k / sum_k q_k t^k`` in the scaled variable, accurate to degree 20 or so."""

    p: np.ndarray
    q: np.ndarray

    def _value(self, t: np.ndarray) -> np.ndarray:
        quotient: np.ndarray = polyval(t, self.p) / polyval(t, self.q)
        return quotient


@dataclass(frozen=True, eq=False)
class ContinuedFraction(Form):
    """``a_0(t) + 1/(a_1(t) + 1/(a_2(t) + ...))`` with polynomial quotients, by Euclid's algorithm.

    For type (n, n) the quotients past the first are linear: n divisions and n additions of a
    linear term, the fewest operations of all forms. It can lose accuracy where a partial quotient
    vanishes; `loss` states the error.
    """

    quotients: tuple[np.ndarray, ...]

    def _value(self, t: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            value: np.ndarray = polyval(t, self.quotients[-1])
            for quotient in self.quotients[-2::-1]:
                value = polyval(t, quotient) + 1 / value
        return value


@dataclass(frozen=True, eq=False)
class Product(Form):
    """``gain * prod_k n_k(t) / prod_k d_k(t)`` with factors of degree at most two.

    A factor ``(a, b)`` is ``(t - a)² + b²``, a conjugate pair of roots, or ``t - a`` when b = 0.
    It preserves the relative accuracy of roots that cluster at t = 0, and is accurate at degrees
    at which sums of powers are not.
    """

    gain: float
    zeros: tuple[tuple[float, float], ...]
    poles: tuple[tuple[float, float], ...]

    def _value(self, t: np.ndarray) -> np.ndarray:
        """The value; factors of numerator and denominator alternate to avoid overflow."""
        value = np.full_like(t, self.gain)
        with np.errstate(all="ignore"):
            for k in range(max(len(self.zeros), len(self.poles))):
                if k < len(self.zeros):
                    value = value * _factor(t, *self.zeros[k])
                if k < len(self.poles):
                    value = value / _factor(t, *self.poles[k])
        return value


def _plain(value: Any) -> Any:
    """An array, or a tuple of arrays, as lists."""
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


def _factor(t: np.ndarray, a: float, b: float) -> np.ndarray:
    return (t - a) ** 2 + b * b if b else t - a


@dataclass(frozen=True, eq=False)
class SafePade(Form):
    """``P(t) / (1 + |Q(t)|)``, which has no real pole for any coefficients.

    A rational p/q with q > 0 on the domain has this form: divide p and q by the minimum of q, so
    that Q = q - 1 >= 0. The constant term b_0 of Q makes this possible.

    Attributes:
        p: The coefficients p_0..p_m of P in powers of t.
        q: The coefficients b_0..b_n of Q in powers of t.
        domain: The hull of the domain, which corresponds to t in [-1, 1].
    """

    p: np.ndarray
    q: np.ndarray
    domain: tuple[float, float]

    def _value(self, t: np.ndarray) -> np.ndarray:
        quotient: np.ndarray = polyval(t, self.p) / (1 + np.abs(polyval(t, self.q)))
        return quotient

    def to_dict(self) -> Record:
        """The object as plain types that JSON keeps exactly."""
        return {
            "p": self.p.tolist(),
            "q": self.q.tolist(),
            "domain": list(self.domain),
            "loss": self.loss,
        }

    @classmethod
    def from_dict(cls, data: Record) -> SafePade:
        """Restore the object from the dictionary that `to_dict` returned."""
        low, high = data["domain"]
        variable = variable_of(Domain.of((low, high)))
        p, q = np.array(data["p"]), np.array(data["q"])
        return cls(variable, p, q, (low, high), loss=data["loss"])


def chebyshev(fit: Approximation) -> Chebyshev:
    """A fit in the Chebyshev basis of its domain's hull."""
    variable = _variable(fit)
    p, q = chebyshev_pair(fit.rational, variable)
    return _measured(Chebyshev(variable, _floats(p), _floats(q)), fit)


def monomial(fit: Approximation) -> Monomial:
    """A fit in powers of the scaled variable."""
    variable = _variable(fit)
    p, q = monomial_pair(fit.rational, variable)
    return _measured(Monomial(variable, _floats(p), _floats(q)), fit)


def continued_fraction(fit: Approximation) -> ContinuedFraction:
    """A fit as a continued fraction with polynomial quotients."""
    variable = _variable(fit)
    with working_digits(WORKING_DIGITS):
        p, q = monomial_pair(fit.rational, variable)
        quotients = tuple(map(_floats, _euclid(p, q)))
    return _measured(ContinuedFraction(variable, quotients), fit)


def product(fit: Approximation, variable: Variable | None = None) -> Product:
    """A fit as a product of linear and quadratic factors over its zeros and poles.

    Args:
        fit: a `Fit`.
        variable: by default scaled to the domain, and centred where the rational's own
            coordinates are, if that lies in the hull.
    """
    if variable is None:
        low, high = fit.domain.hull
        origin = fit.rational.focus
        variable = _variable(fit)
        if fit.domain.is_finite and low <= origin <= high:
            variable = Variable(origin, 1 / max(high - origin, origin - low))
    gain, zeros, poles = factors_of(fit.rational, variable)
    return _measured(Product(variable, gain, tuple(zeros), tuple(poles)), fit)


def safe_pade(fit: Approximation) -> SafePade:
    """A fit as ``P(t)/(1 + |Q(t)|)``; the domain must be bounded.

    Raises:
        DomainError: The domain is unbounded.
        CodeError: q changes sign in a gap of the domain.

    Example:
        >>> import numpy as np, remez
        >>> fit = remez.fit(np.tanh, (3, 2), (-2, 2))
        >>> pade = fit.safe_pade()
        >>> bool(pade.loss < 1e-15)
        True
    """
    if not fit.domain.is_finite:
        raise DomainError("a safe Padé form needs a bounded domain: fit on a finite interval")
    variable = _variable(fit)
    with working_digits(WORKING_DIGITS):
        p, q = monomial_pair(fit.rational, variable)
        lowest = _minimum(q, variable, fit.domain)
        if lowest <= 0:
            raise CodeError(
                "q changes sign in a gap of the domain, but 1 + |Q| is positive: fit on the hull, "
                "or raise m"
            )
        p, q = [c / lowest for c in p], [c / lowest for c in q]
        q[0] -= 1
    return _measured(SafePade(variable, _floats(p), _floats(q), fit.domain.hull), fit)


def sample(domain: Domain, variable: Variable, count: int = GRID) -> np.ndarray:
    """Points of the domain that cluster at both ends of every interval."""
    s = 0.5 - 0.5 * np.cos(np.pi * np.linspace(0, 1, count))
    parts = []
    for low, high in domain.intervals:
        if np.isfinite(high - low):
            parts.append(low + (high - low) * s)
        else:
            ends = sorted(1.0 if np.isinf(end) else variable(end) for end in (low, high))
            t = ends[0] + (ends[1] - ends[0]) * s
            parts.append(variable.inverse(t[t < 1]))
    return np.concatenate(parts)


def _variable(fit: Approximation) -> Variable:
    return variable_of(fit.domain, fit.reference)


def _floats(coefficients: Sequence[Real]) -> np.ndarray:
    return np.array([float(c) for c in coefficients])


FormT = TypeVar("FormT", bound=Form)


def _measured(form: FormT, fit: Approximation) -> FormT:
    """The form with its loss filled in."""
    x = sample(fit.domain, _variable(fit))
    with np.errstate(all="ignore"):
        gap = np.abs(form(x) - np.asarray(fit.rational(x), float))
    return replace(form, loss=float(np.max(np.where(np.isnan(gap), np.inf, gap))))


def _euclid(p: list[Real], q: list[Real]) -> list[list[Real]]:
    """The polynomial quotients of p/q, lowest coefficient first."""
    p, q, quotients = _trimmed(p), _trimmed(q), []
    while q:
        quotient, remainder = _divide(p, q)
        quotients.append(quotient)
        p, q = q, _trimmed(remainder, max(map(abs, p), default=mp.one))
    return quotients


def _divide(p: list[Real], q: list[Real]) -> tuple[list[Real], list[Real]]:
    rest, quotient = list(p), [mp.zero] * max(len(p) - len(q) + 1, 1)
    for shift in range(len(p) - len(q), -1, -1):
        quotient[shift] = rest[shift + len(q) - 1] / q[-1]
        for k, c in enumerate(q):
            rest[shift + k] -= quotient[shift] * c
    return quotient, rest[: min(len(p), len(q) - 1)]


def _trimmed(p: list[Real], scale: Real = None) -> list[Real]:
    scale = scale or max(map(abs, p), default=mp.zero)
    while p and abs(p[-1]) <= VANISHED * scale:
        p = p[:-1]
    return p


def _minimum(q: list[Real], variable: Variable, domain: Domain) -> Real:
    """The minimum of q over the domain: at an end or where q' = 0."""
    slope = polyder(_floats(q))
    critical = polyroots(slope) if np.any(slope) else np.empty(0)
    inside = variable.inverse(critical[np.abs(critical.imag) < 1e-6].real)
    ends = np.array(domain.intervals).ravel()
    points = np.concatenate([inside[domain.contains(inside)], ends])
    return min(mp.polyval(q[::-1], variable(mp.mpf(x))) for x in points.tolist())
