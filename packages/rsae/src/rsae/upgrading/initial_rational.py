"""Stage 1: the rational, from remez, with a bound on its error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import remez
from remez.rational import zolotarev
from rsae.sae.activation import RationalActivation
from rsae.sae.config import Form
from rsae.upgrading.config import RationalConfig

__all__ = ["RationalFit", "fit_rational"]

_GRID = 4001


@dataclass(frozen=True)
class RationalFit:
    """A rational on [-1, 1] and its certificate.

    Attributes:
        form: What it approximates: the magnitude 1, the unit step, or max(t, 0).
        rational: The parameters of a `RationalActivation` with C_in = C_out = 1.
        delta: Half the gap around 0 that is left out of the error; 0 for none.
        error: Proven bound on |r - target| outside the gap: 0 for the magnitude, Zolotarev's
            closed form for a gate, the verified error of `remez.fit` for a direct fit.
        kernel_error: The same, measured through the float32 kernel on a grid of 4001 points.
        source: The origin of the parameters, in words.
    """

    form: Form
    rational: dict[str, Any]
    delta: float
    error: float
    kernel_error: float
    source: str


def fit_rational(config: RationalConfig) -> RationalFit:
    """Fit the rational of a form; it depends on no data, so once per form is enough.

    With error < 1/2 the set {gate > 1/2} is the teacher's support everywhere outside the gap.

    Example:
        >>> from rsae.upgrading.config import RationalConfig
        >>> fit_rational(RationalConfig(form="gate", layers=3, delta=1e-3)).error < 1e-6
        True

    Source: `remez.zolotarev` (best approximation of sign on a gapped set) and `remez.fit`.
    """
    if config.form == "magnitude":
        rational = RationalActivation.constant(config.degree)
        return _judged("magnitude", rational, 0.0, 0.0, "the constant 1, exactly")
    if config.form == "gate":
        composite = zolotarev.composite(config.layers, config.delta)
        layers = [_safe(p, q) for p, q in composite.coefficients(gate=True)]
        rational = RationalActivation([p for p, _ in layers], [b for _, b in layers])
        degree = "type ({}, {})".format(*composite.degree)
        return _judged(
            "gate", rational, config.delta, composite.gate_error, f"Zolotarev's gate, {degree}"
        )
    fit = remez.fit(lambda t: np.maximum(t, 0.0), config.degree, (-1.0, 1.0))
    return _judged("direct", RationalActivation.from_fit(fit), 0.0, fit.error, repr(fit))


def _safe(p: np.ndarray, q: np.ndarray) -> tuple[list[float], list[float]]:
    """P/q with q >= q(0) > 0, as P/(1 + |b|): divide both by q(0), the minimum of q."""
    lowest = q[0]
    b = q / lowest
    b[0] = 0.0
    p = np.pad(p, (0, max(0, 4 - len(p)))) / lowest
    return p.tolist(), b.tolist()


def _judged(
    form: Form, rational: RationalActivation, delta: float, error: float, source: str
) -> RationalFit:
    t = torch.linspace(-1, 1, _GRID)
    t = t[t.abs() >= delta]
    target = {
        "magnitude": torch.ones_like(t),
        "gate": (t > 0).to(t.dtype),
        "direct": t.clamp(min=0),
    }[form]
    with torch.no_grad():
        kernel_error = (rational(t).double() - target.double()).abs().max().item()
    return RationalFit(form, rational.to_dict(), delta, float(error), kernel_error, source)
