r"""A certificate: bounds of the best error that anybody can prove again.

Upper bound: Taylor panels of ball arithmetic over the whole domain (`balls`) bound
``max weight |f - r|`` for the very numbers that r is made of, and show that its denominator keeps
its sign on every interval. Lower bound: a rational of type (m - d, n - d) whose error alternates on
m + n + 2 - d points with modulus at least ``lower``. Were another p/q of type (m, n) closer, with a
denominator of the same signs on the domain, the difference of the two would change sign
m + n + 1 - d times, while its numerator has degree at most m + n - d (de la Vallée Poussin; E. W.
Cheney, "Introduction to Approximation Theory", 1966, chapter 5).

Nothing here imports the solver: only `certify` asks the fit for a rational to prove things with.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .domain import Domain
from .errors import RemezError
from .expression import Expression, as_expression, parse

if TYPE_CHECKING:
    from flint import arb, arb_poly

    from .result import Fit

__all__ = ["Certificate", "Verdict", "certify", "verify"]

FORMAT = "remez certificate 1"
BITS = (192, 384, 768, 1536, 3072)  # tried in turn until the error is resolved
RESOLVED = 40  # bits to which the error must be known on the reference
WITNESS = 25  # digits of the rational behind the lower bound of a double fit


@dataclass(frozen=True)
class Certificate:
    """What is known of the best error.

    Attributes:
        lower, upper: the best error of the type lies between them; upper also bounds the error
            of the rational itself.
        pole_free: the denominator has no zero in the domain.
        rigorous: both bounds and ``pole_free`` are proved, rounding errors included.
        method: how, or why not rigorously.
        panels: how many panels, or sample points, the domain was cut into.
        claim: everything needed to prove it again, in plain types.
    """

    lower: float
    upper: float
    pole_free: bool
    rigorous: bool
    method: str
    panels: int
    claim: dict[str, Any] = field(repr=False)

    @property
    def gap(self) -> float:
        """``upper / lower - 1``."""
        return self.upper / self.lower - 1 if self.lower else float("inf")

    def to_dict(self) -> dict[str, Any]:
        """Plain types, with a digest of all the rest."""
        data = {
            "format": FORMAT,
            "lower": self.lower.hex(),
            "upper": self.upper.hex(),
            "pole_free": self.pole_free,
            "rigorous": self.rigorous,
            "method": self.method,
            "panels": self.panels,
            "claim": self.claim,
        }
        return {**data, "digest": _digest(data)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Certificate:
        """Read what `to_dict` wrote, without proving it: see `verify`."""
        return cls(
            float.fromhex(data["lower"]),
            float.fromhex(data["upper"]),
            data["pole_free"],
            data["rigorous"],
            data["method"],
            data["panels"],
            data["claim"],
        )

    def save(self, path: str | Path) -> None:
        """Write it as JSON."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=1), encoding="utf-8")


@dataclass(frozen=True)
class Verdict:
    """Whether a certificate was proved again, and the reason if not."""

    ok: bool
    reason: str
    lower: float = 0.0
    upper: float = float("inf")

    def __bool__(self) -> bool:
        return self.ok

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        return {"ok": self.ok, "reason": self.reason, "lower": self.lower, "upper": self.upper}


def certify(fit: Fit) -> Certificate:
    """Enclose the best error, rigorously when f and the weight are expressions.

    >>> import remez
    >>> certificate = remez.fit(remez.targets.exp, (3, 3)).certify()
    >>> certificate.rigorous, certificate.pole_free, certificate.gap < 1e-5
    (True, True, True)
    """
    obstacle = _obstacle(fit)
    if obstacle is not None:
        return _sampled(fit, obstacle)
    claim = _claim(fit)
    try:
        lower, upper, panels = _prove(claim)
    except _Unproved as cause:
        return _sampled(fit, str(cause))
    method = "de la Vallée Poussin on the reference; Taylor panels of ball arithmetic"
    return Certificate(lower, upper, True, True, method, panels, claim)


def verify(source: str | Path | dict[str, Any]) -> Verdict:
    """Prove a certificate again from the numbers and the expression that it holds.

    Args:
        source: the path of a JSON file, or what `Certificate.to_dict` gave.
    """
    try:
        data = source if isinstance(source, dict) else json.loads(Path(source).read_text("utf-8"))
        if data["format"] != FORMAT:
            return Verdict(False, f"the format is {data['format']!r}, not {FORMAT!r}")
        if data["digest"] != _digest({k: v for k, v in data.items() if k != "digest"}):
            return Verdict(False, "the digest does not match: the file was changed")
        stated = Certificate.from_dict(data)
        if not stated.rigorous:
            return Verdict(False, f"nothing to verify: {stated.method}")
        lower, upper, _ = _prove(stated.claim)
    except _Unproved as cause:
        return Verdict(False, str(cause))
    except RemezError as cause:
        return Verdict(False, f"not a certificate: {cause}")
    except (
        OSError,
        KeyError,
        TypeError,
        ValueError,
        IndexError,
        AttributeError,
        ArithmeticError,
    ) as cause:
        return Verdict(False, f"not a certificate: {type(cause).__name__}: {cause}")
    if not (stated.pole_free and stated.lower <= lower and stated.upper >= upper):
        bounds = f"[{stated.lower:.17g}, {stated.upper:.17g}]"
        return Verdict(
            False,
            f"the claim {bounds} is tighter than what can be proved: [{lower:.17g}, {upper:.17g}]",
            lower,
            upper,
        )
    return Verdict(True, "proved again", lower, upper)


class _Unproved(RemezError):
    """The bounds cannot be proved; the message says why."""


def _digest(data: dict[str, Any]) -> str:
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _obstacle(fit: Fit) -> str | None:
    """Why no rigorous proof is possible, or None."""
    problem = fit.problem
    if as_expression(problem.fn) is None:
        return "fn is no expression or catalogue target, so it has no ball form"
    if callable(problem.weight) and as_expression(problem.weight) is None:
        return "the weight is no expression, so it has no ball form"
    if problem.interpolate:
        return "the prescribed values hold only to rounding"
    if not problem.domain.is_finite:
        return "the domain is unbounded"
    try:
        import flint  # noqa: F401 - asked for here, used in balls
    except ImportError:
        return "python-flint is not installed (pip install remez[rigorous])"
    return None


def _claim(fit: Fit) -> dict[str, Any]:
    """The numbers of the rational and of a witness for the lower bound."""
    from .precise_rational import write_number

    problem = fit.problem
    weight = problem.weight
    witness = fit if fit.precision is not None else fit.refined(WITNESS)
    return {
        "expression": str(as_expression(problem.fn)),
        "weight": str(as_expression(weight)) if callable(weight) else weight,
        "degree": list(problem.degree),
        "domain": problem.domain.to_list(),
        "rational": fit.rational.to_dict(),
        "witness": witness.rational.to_dict(),
        "points": [write_number(x) for x in witness.reference],
    }


def _sampled(fit: Fit, reason: str) -> Certificate:
    """What the fit itself found, and a look at its poles: evidence, not proof."""
    poles = [complex(z) for z in fit.poles()]
    near = [z.real for z in poles if abs(z.imag) <= 1e-12 * (1 + abs(z))]
    free = not any(a <= x <= b for x in near for a, b in fit.domain.intervals)
    method = f"extrema of the sampled error and the computed poles; not rigorous: {reason}"
    claim = {"degree": list(fit.degree), "rational": fit.rational.to_dict()}
    bounds = float(fit.levelled_error), float(fit.error)
    return Certificate(*bounds, free, False, method, int(fit.evaluations), claim)


def _prove(claim: dict[str, Any]) -> tuple[float, float, int]:
    """Lower bound, upper bound and number of panels, from the claim's numbers alone."""
    from .balls import ErrorCurve, exact, working
    from .precise_rational import read_number

    expression = parse(claim["expression"])
    domain = Domain.of(claim["domain"])
    degree = tuple(int(k) for k in claim["degree"])
    numbers = [read_number(text) for text in claim["points"]]
    for bits in BITS:
        with working(bits):
            weight = _weight(claim["weight"], expression)
            ends = [(exact(a), exact(b)) for a, b in (domain.exact or domain.intervals)]
            points = _clamped([exact(x) for x in numbers], ends)
            judged = ErrorCurve(expression.ball, weight, *_polynomials(claim["witness"]))
            errors = [judged.at(x) for x in points]
            if min(e.rel_accuracy_bits() for e in errors) < RESOLVED:
                continue
            lower = _alternation(claim["witness"], degree, points, ends, judged, errors)
            curve = ErrorCurve(expression.ball, weight, *_polynomials(claim["rational"]))
            sizes = [abs(curve.at(x)).upper() for x in points]
            found = curve.supremum(_panels(points, ends), max(sizes))
            if not found.bound.is_finite():
                raise _Unproved(
                    "no bound was reached: f has a singularity that resists, or r a pole"
                )
            return _down(lower), _up(found.bound), found.panels
    raise _Unproved(f"the error is not resolved with {BITS[-1]} bits on the reference")


def _weight(weight: str | None, expression: Expression) -> Any:
    if weight is None:
        return None
    if weight == "relative":
        return lambda x: 1 / expression.ball(x)
    return parse(weight).ball


def _polynomials(rational: dict[str, Any]) -> tuple[arb_poly, arb_poly]:
    """Numerator and denominator as polynomials in x, from the numbers of either form."""
    from flint import arb_poly

    from .balls import barycentric, coefficients, exact
    from .precise_rational import read_number

    if "nodes" in rational:
        inner = arb_poly([-exact(rational["origin"]), 1])
        nodes, values, weights = (rational[key] for key in ("nodes", "values", "weights"))
        products = [exact(v) * exact(w) for v, w in zip(values, weights, strict=True)]
        return barycentric(nodes, products)(inner), barycentric(nodes, weights)(inner)
    centre, origin, scale = (exact(read_number(rational[k])) for k in ("centre", "origin", "scale"))
    d = arb_poly([-centre, 1])
    u = (d ** int(rational["power"]) - origin) * (1 / scale)
    p, q = (
        coefficients([read_number(text) for text in rational[key]], u)
        for key in ("numerator", "denominator")
    )
    return (p * d if rational["odd"] else p), q


def _clamped(points: Sequence[arb], ends: Sequence[tuple[arb, arb]]) -> list[arb]:
    """The points, those that coincide with an end replaced by it, all proved to be inside."""
    out = []
    for x in points:
        end = next((e for pair in ends for e in pair if abs(x - e) <= abs(e) * 2.0**-60), None)
        x = x if end is None else end
        if end is None and not any(a <= x <= b for a, b in ends):
            raise _Unproved("a point of the reference lies outside the domain")
        out.append(x)
    return out


def _alternation(
    witness: dict[str, Any],
    degree: Sequence[int],
    points: Sequence[arb],
    ends: Sequence[tuple[arb, arb]],
    curve: Any,
    errors: Sequence[arb],
) -> arb:
    """The lower bound of de la Vallée Poussin, all of its conditions checked."""
    m, n = _type(witness)
    defect = min(degree[0] - m, degree[1] - n)
    if defect < 0:
        raise _Unproved(f"the witness has type {(m, n)}, above {tuple(degree)}")
    if not all(a < b for a, b in itertools.pairwise(points)):
        raise _Unproved("the points of the reference do not increase")
    for a, b in ends:
        signs = {bool(curve.q(x) > 0) for x in points if a <= x <= b}
        if len(signs) > 1 or any(curve.q(x).contains(0) for x in points):
            raise _Unproved("the witness's denominator changes sign between points of an interval")
    needed = sum(degree) + 2 - defect
    best = None
    for first in range(len(points) - needed + 1):
        part = errors[first : first + needed]
        if all((a > 0 and b < 0) or (a < 0 and b > 0) for a, b in itertools.pairwise(part)):
            least = min(abs(e).lower() for e in part)
            best = least if best is None or least > best else best
    if best is None:
        raise _Unproved(f"the error does not alternate on {needed} points of the reference")
    return best


def _type(rational: dict[str, Any]) -> tuple[int, int]:
    """The degrees that the number of coefficients allows."""
    if "nodes" in rational:
        size = len(rational["nodes"]) - 1
        return size, size
    power, odd = int(rational["power"]), int(bool(rational["odd"]))
    return (
        power * (len(rational["numerator"]) - 1) + odd,
        power * (len(rational["denominator"]) - 1),
    )


def _panels(points: Sequence[arb], ends: Sequence[tuple[arb, arb]]) -> list[tuple[arb, arb]]:
    """Every interval cut at the points of the reference; ends rounded outwards."""
    out = []
    for a, b in ends:
        inner = [x.mid() for x in points if a < x < b]
        knots = [a.lower(), *inner, b.upper()]
        out += [(x, y) for x, y in itertools.pairwise(knots) if x < y]
    return out


def _down(x: arb) -> float:
    """A float at most x."""
    return _outward(x.lower(), -1)


def _up(x: arb) -> float:
    """A float at least x."""
    return _outward(x.upper(), 1)


def _outward(x: arb, direction: int) -> float:
    from math import inf, nextafter

    mantissa, exponent = x.mid().man_exp()
    value = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
    near = float(value)
    while (Fraction(near) - value) * direction < 0:
        near = nextafter(near, inf * direction)
    return near
