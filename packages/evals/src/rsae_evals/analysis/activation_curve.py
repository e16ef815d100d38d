"""The learned activation against the best rational of its degree, on the data that it sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator
from scipy.sparse import csr_array
from torch import Tensor

from rsae_evals.coder import Coder
from rsae_evals.data.evaluation_set import EvaluationSet
from rsae_evals.metrics.measurement import Array
from rsae_evals.metrics.sparsity import histogram
from rsae_evals.results import ActivationCurve

__all__ = ["Magnitudes", "activation_curve", "best_rational", "magnitudes"]

_TOKENS, _BINS, _POINTS = 1024, 24, 240


@dataclass(frozen=True, eq=False)
class Magnitudes:
    """MSE as a function of the shared magnitude m in z = base · m(u), everything else held fixed.

    With the pre-activations of all entries in the support cut into K bins of equal count, and
    m constant on each, the error is a quadratic,

        MSE(m) = c - 2 bᵀm + mᵀGm,   G_kl = E⟨v_k, v_l⟩,  b_k = E⟨v_k, x - b_dec⟩,

    v_k the part of the reconstruction that bin k contributes at m = 1. Its minimiser is the best
    pointwise activation that this SAE can have on these data.

    Attributes:
        u: (K,) mean argument of each bin. G: (K, K). b: (K,). c: E‖x - b_dec‖².
        energy: (K,) mean of Σ base² per token in each bin, the weight of the data.
        learned: (K,) the magnitude at work, energy-weighted in each bin.
    """

    u: Array
    G: Array
    b: Array
    c: float
    energy: Array
    learned: Array

    def mse(self, m: Array) -> float:
        """MSE with magnitude ``m`` (K,) on the bins."""
        return float(self.c - 2 * self.b @ m + m @ self.G @ m)

    def optimum(self) -> Array:
        """The magnitude of least MSE, (K,); slightly ridged where bins can stand for each other."""
        ridge = 1e-8 * np.trace(self.G) / len(self.b)
        ridged = self.G + ridge * np.eye(len(self.b))
        try:
            return np.linalg.solve(ridged, self.b)
        except np.linalg.LinAlgError:  # such as of an SAE whose decoder is 0: every m is best
            return np.linalg.lstsq(ridged, self.b)[0]


@torch.no_grad()
def magnitudes(sae: Coder, x: Tensor, y: Tensor | None = None) -> Magnitudes | None:
    """Bin the feature activations of ``x`` (n, d_in); None for fewer than two bins.

    A transcoder reconstructs ``y`` (n, d_out), an SAE x.
    """
    h = sae.pre_activations(x).cpu()
    z = sae.activation(h).cpu().float()
    row, feature = torch.nonzero(z, as_tuple=True)
    base, u = _base(sae, h, feature, row), _argument(sae, h, feature, row)
    code = z[row, feature].double()
    if len(row) < 10 * _BINS:
        return None
    edges = torch.quantile(_thinned(u), torch.linspace(0, 1, _BINS + 1, dtype=u.dtype)[1:-1])
    bins = torch.bucketize(u.contiguous(), edges)
    decoder = sae.weight("W_dec")
    assert decoder is not None
    spread = csr_array(
        (base.numpy(), ((row * _BINS + bins).numpy(), feature.numpy())),
        shape=(len(x) * _BINS, sae.d_sae),
    )
    v = torch.from_numpy(spread @ decoder.cpu().double().numpy()).view(len(x), _BINS, -1)
    without = sae.decode(torch.zeros(1, sae.d_sae), x).cpu().double()
    residual = (x if y is None else y).double() - without
    energy = torch.zeros(_BINS, dtype=torch.float64).index_add_(0, bins, base**2)
    dot = torch.zeros(_BINS, dtype=torch.float64).index_add_(0, bins, base * code)
    count = torch.bincount(bins, minlength=_BINS).double()
    where = torch.zeros(_BINS, dtype=torch.float64).index_add_(0, bins, u)
    if (count == 0).any() or (energy == 0).any():
        return None
    n = len(x)
    flat = v.permute(1, 0, 2).reshape(_BINS, -1)
    return Magnitudes(
        u=(where / count).numpy(),
        G=(flat @ flat.T / n).numpy(),
        b=(flat @ residual.reshape(-1) / n).numpy(),
        c=float(residual.square().sum() / n),
        energy=(energy / n).numpy(),
        learned=(dot / energy).numpy(),
    )


def best_rational(found: Magnitudes, degree: tuple[int, int]) -> Array | None:
    """The rational of type ``degree`` nearest to the optimum, weighted by the data, on the bins.

    The optimum is joined by monotone cubics and handed to `remez.fit` with the weight
    sqrt(energy): its best weighted uniform approximation. None where remez finds none, or where
    the degree has as many parameters as there are bins (it then reaches the optimum itself).
    """
    import remez

    if sum(degree) + 1 >= len(found.u):
        return None
    target = PchipInterpolator(found.u, found.optimum())
    weight = PchipInterpolator(found.u, np.sqrt(found.energy / found.energy.max()).clip(1e-2))
    span = (float(found.u[0]), float(found.u[-1]))
    try:
        fit = remez.fit(target, degree, span, weight=weight, parity=None, throw=False)
    except remez.RemezError:
        return None
    values = np.asarray(fit(found.u), dtype=np.float64)
    return values if np.isfinite(values).all() else None


def activation_curve(
    sae: Coder, reference: Coder, heldout: EvaluationSet
) -> ActivationCurve | None:
    """The activation of a feature with the median threshold, over real pre-activations.

    ``metrics``, on about a thousand tokens (see `Magnitudes`):

        gate_mse           MSE with the learned magnitude, constant on each bin
        gate_mse_optimal   MSE with the best pointwise magnitude of all
        gate_mse_best      MSE with the best rational of the learned one's degree (None: no
                           rational, or remez has no answer)
        gate_error         energy-weighted rms of m - 1: how far from the teacher's primitive

    None where the SAE shows no pre-activations, or normalises its input.
    """
    if not sae.shows_activation or sae.normalization != "none":
        return None
    n = heldout.activations.n_tokens
    chosen = torch.linspace(0, n - 1, min(_TOKENS, n)).long()
    x = heldout.activations.rows(chosen)
    y = None if heldout.targets is None else heldout.targets.rows(chosen)
    found = magnitudes(sae, x, y)
    if found is None:
        return None
    degree = sae.degree
    best = best_rational(found, degree) if degree is not None else None
    relative = found.energy / found.energy.sum()
    metrics: dict[str, float | None] = {
        "gate_mse": found.mse(found.learned),
        "gate_mse_optimal": found.mse(found.optimum()),
        "gate_mse_best": found.mse(best) if best is not None else None,
        "gate_error": float(np.sqrt(relative @ (found.learned - 1) ** 2)),
    }
    return _curve(sae, reference, x, found, best, degree, metrics)


@torch.no_grad()
def _curve(
    sae: Coder,
    reference: Coder,
    x: Tensor,
    found: Magnitudes,
    best: Array | None,
    degree: tuple[int, int] | None,
    metrics: dict[str, float | None],
) -> ActivationCurve:
    feature, threshold = _median_feature(sae)
    pre = sae.pre_activations(x).cpu()
    low, high = (float(torch.quantile(_thinned(pre.flatten()), q)) for q in (0.001, 0.9999))
    high = max(high, float(found.u[-1]), 2 * abs(threshold))
    h = torch.linspace(low, high, _POINTS)
    learned = _alone(sae, h, feature)
    teacher = h.double().numpy() * (h.numpy() > threshold)
    if reference.shows_activation and reference.d_sae == sae.d_sae:
        teacher = _alone(reference, h, feature)
    curve = None
    if best is not None:
        offset = threshold if sae.form == "gate" else 0.0
        inside = np.interp(h.numpy() - offset, found.u, best)
        curve = tuple((h.double().numpy() * inside * (learned != 0)).tolist())
    edges = np.linspace(low, high, 61)
    return ActivationCurve(
        h=tuple(h.tolist()),
        learned=tuple(learned.tolist()),
        teacher=tuple(teacher.tolist()),
        best=curve,
        threshold=threshold,
        degree=degree,
        pre_activations=histogram(pre.flatten().numpy(), edges),
        metrics=metrics,
        n_tokens=len(x),
    )


def _alone(sae: Coder, h: Tensor, feature: int) -> Array:
    """Activations of one feature at pre-activations ``h`` (n,), all other features inactive."""
    rows = torch.full((len(h), sae.d_sae), -1e6)
    rows[:, feature] = h
    return sae.activation(rows)[:, feature].cpu().double().numpy()


def _median_feature(sae: Coder) -> tuple[int, float]:
    threshold = sae.weight("threshold")
    if threshold is None:
        return 0, 0.0
    feature = int(torch.argsort(threshold.float())[len(threshold) // 2])
    return feature, float(threshold[feature])


def _base(sae: Coder, h: Tensor, feature: Tensor, row: Tensor) -> Tensor:
    """What the magnitude multiplies: the pre-activation, or in the direct form its scale."""
    scale = sae.weight("feature_scale")
    if sae.form == "direct" and scale is not None:
        return scale.cpu()[feature].double()
    return h[row, feature].double()


def _argument(sae: Coder, h: Tensor, feature: Tensor, row: Tensor) -> Tensor:
    """The argument of the magnitude, for each feature activation."""
    u = h[row, feature].double()
    threshold, scale = sae.weight("threshold"), sae.weight("feature_scale")
    if sae.form == "gate" and threshold is not None:
        u = u - threshold.cpu()[feature].double()
    return u / scale.cpu()[feature].double() if scale is not None else u


def _thinned(values: Tensor) -> Tensor:
    """At most a million of the values, evenly spaced: `torch.quantile` takes no more than 16."""
    return values[:: max(1, len(values) // 1_000_000)]
