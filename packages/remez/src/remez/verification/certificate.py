"""Certificates: proved bounds on the best error, with the data needed to prove them again.

A certificate contains the rational, a second one with the points on which its error alternates, and
the expressions of f and the weight. `proof` describes what is proved from them. Neither module
imports the solver; `certify` receives the second rational from the caller.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from remez.errors import RemezError
from remez.files import write_text
from remez.functions.expression import as_expression
from remez.rational.protocol import Record
from remez.solution import Solution

__all__ = ["Certificate", "Verdict", "certify", "verify"]

FORMAT = "remez certificate 2"
NEEDED = "python-flint is not installed (pip install remez[rigorous])"


@dataclass(frozen=True)
class Certificate:
    """Bounds on the best error.

    Attributes:
        lower, upper: The best error of the type lies between them; upper also bounds the error
            of the rational itself.
        pole_free: Whether the denominator has no zero in the domain.
        rigorous: Whether the bounds and ``pole_free`` are proved, including rounding errors.
        method: How the bounds were obtained and, if they are not proved, why.
        panels: The number of panels of the proof, or of sample points without a proof.
        claim: The numbers and expressions needed to prove the bounds again, as plain types.
    """

    lower: float
    upper: float
    pole_free: bool
    rigorous: bool
    method: str
    panels: int
    claim: Record = field(repr=False)

    @property
    def gap(self) -> float:
        """``upper / lower - 1``."""
        return self.upper / self.lower - 1 if self.lower else float("inf")

    def to_dict(self) -> Record:
        """The certificate as plain types, with a digest of its contents."""
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
    def from_dict(cls, data: Record) -> Certificate:
        """Restore a certificate from its dictionary, without verifying it.

        Args:
            data: The dictionary that `to_dict` returned.
        """
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
        """Write the certificate as JSON.

        Args:
            path: The path of the file; its folder must exist.

        Raises:
            RemezError: The file cannot be written.
        """
        write_text(path, json.dumps(self.to_dict(), indent=1))


@dataclass(frozen=True)
class Verdict:
    """The result of `verify`.

    Attributes:
        ok: Whether the bounds were proved again.
        reason: Why not, if they were not.
        lower: The proved lower bound on the best error.
        upper: The proved upper bound on the error of the rational.
    """

    ok: bool
    reason: str
    lower: float = 0.0
    upper: float = float("inf")

    def __bool__(self) -> bool:
        return self.ok

    def to_dict(self) -> Record:
        """The object as plain types, for JSON."""
        return {"ok": self.ok, "reason": self.reason, "lower": self.lower, "upper": self.upper}


def certify(fit: Solution, witness: Callable[[], Solution]) -> Certificate:
    """Enclose the best error, rigorously when f and the weight are expressions.

    If the bounds of a double precision fit differ by more than a relative 1e-5, rounding its
    coefficients has increased the error by that much; certify ``fit.refined(25)`` instead.

    Args:
        fit: The solution whose error is bounded from above.
        witness: A function that returns a multiprecision solution of the same problem, whose
            alternation bounds the best error from below.

    >>> import remez
    >>> certificate = remez.fit(remez.targets.exp, (3, 3)).certify()
    >>> certificate.rigorous, certificate.pole_free, certificate.gap < 1e-5
    (True, True, True)
    """
    obstacle = _obstacle(fit)
    if obstacle is not None:
        return _sampled(fit, obstacle)
    from remez.verification.proof import prove

    try:
        claim = _claim(fit, witness())
        proof = prove(claim)
    except RemezError as cause:
        return _sampled(fit, str(cause))
    method = "de la Vallée Poussin on the reference; Taylor panels of ball arithmetic"
    if len(fit.domain.intervals) > 1:
        method += "; best among denominators of the same signs on the intervals"
    return Certificate(proof.lower, proof.upper, True, True, method, proof.panels, claim)


def verify(source: str | Path | Record) -> Verdict:
    """Prove the bounds of a certificate again from the numbers and expressions that it contains.

    Args:
        source: The path of a JSON file, or the dictionary that `Certificate.to_dict` returned.

    Returns:
        What was proved; false as a truth value where a bound was not.
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
        if not _has_flint():
            return Verdict(False, NEEDED)
        from remez.verification.proof import prove

        proof = prove(stated.claim)
    except RemezError as cause:
        return Verdict(False, str(cause))
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
    lower, upper = proof.lower, proof.upper
    if stated.pole_free and stated.lower <= lower and stated.upper >= upper:
        return Verdict(True, "proved again", lower, upper)
    claimed, proved = (
        f"[{a:.17g}, {b:.17g}]" for a, b in ((stated.lower, stated.upper), (lower, upper))
    )
    reason = f"the claim {claimed} is tighter than what can be proved: {proved}"
    return Verdict(False, reason, lower, upper)


def _digest(data: Record) -> str:
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _obstacle(fit: Solution) -> str | None:
    """The reason why no rigorous proof is possible, if there is one."""
    problem = fit.problem
    if as_expression(problem.fn) is None:
        return "fn is no expression or catalogue target, so ball arithmetic cannot evaluate it"
    if callable(problem.weight) and as_expression(problem.weight) is None:
        return "the weight is no expression, so ball arithmetic cannot evaluate it"
    return None if _has_flint() else NEEDED


def _has_flint() -> bool:
    return importlib.util.find_spec("flint") is not None


def _claim(fit: Solution, witness: Solution) -> Record:
    """The data of the proof: the rational, the witness of the lower bound, and the problem.

    Floats in interpolation conditions are read as their shortest decimal form, as in a fit with
    ``precision=``.
    """
    from remez.number_types import write_number

    problem = fit.problem
    weight = problem.weight
    return {
        "expression": str(as_expression(problem.fn)),
        "weight": str(as_expression(weight)) if callable(weight) else weight,
        "degree": list(problem.degree),
        "domain": [list(map(_finite, pair)) for pair in problem.domain.to_list()],
        "interpolate": [[str(Fraction(repr(v))) for v in pair] for pair in problem.interpolate],
        "rational": fit.rational.to_dict(),
        "witness": witness.rational.to_dict(),
        "points": [write_number(x) for x in witness.reference],
    }


def _finite(x: float | str) -> float | str:
    """An end of an interval; infinity, which JSON lacks, becomes a string."""
    return str(x) if isinstance(x, float) and math.isinf(x) else x


def _sampled(fit: Solution, reason: str) -> Certificate:
    """A certificate that is not rigorous: the bounds of the fit, and its computed poles."""
    poles = [complex(z) for z in fit.rational.exact_roots()[1]]
    near = [z.real for z in poles if abs(z.imag) <= 1e-12 * (1 + abs(z))]
    free = not any(a <= x <= b for x in near for a, b in fit.domain.intervals)
    method = f"extrema of the sampled error and the computed poles; not rigorous: {reason}"
    claim = {"degree": list(fit.degree), "rational": fit.rational.to_dict()}
    bounds = float(fit.lower_bound), float(fit.error)
    return Certificate(*bounds, free, False, method, int(fit.evaluations), claim)
