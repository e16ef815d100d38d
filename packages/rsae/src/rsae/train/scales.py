"""The scales of one SAE on one data set, measured once before training.

Shapes: n tokens, d_in, d_sae features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rsae.sae.model import RSAE
from rsae.train.forward import Pass, forward
from rsae.train.losses import Penalty, mse, penalty

__all__ = ["Units", "measure_units"]

_SMALL = 1e-6


@dataclass(frozen=True)
class Units:
    """Scales that make learning rates, kernel and sparsity coefficient independent of units.

    Attributes:
        variance: Total variance of x, sum over d_in; the loss's squared error is divided by it.
        penalty: Mean penalty at the start, which the penalty is divided by.
        activation: Root mean square of the active pre-activations.
        bandwidth: Width of the straight-through estimator's kernel that holds the wanted number of
            entries.
        weight: The first sparsity coefficient lambda. For L0 that of hard thresholding: an
            activation z_j lowers the loss where |z_j W_dec_j|^2 > lambda, so lambda is that
            square at the thresholds. For L1 the value at which a common shift of the encoder's
            biases leaves the loss unchanged.
    """

    variance: float
    penalty: float
    activation: float
    bandwidth: float
    weight: float


def measure_units(sae: RSAE, x: Tensor, name: Penalty, window: float) -> Units:
    """Measure on (n, d_in) activations, a few thousand tokens.

    Args:
        sae: The RSAE before training.
        x: Activations, (n, d_in).
        name: The penalty of the training.
        window: Mean number of entries within the kernel, as a fraction of L0.
    """
    variance = (x - x.mean(dim=0)).square().sum(dim=-1).mean().item()
    bandwidth = _bandwidth(sae, x, window) if sae.threshold.requires_grad else 0.0
    step = forward(sae, x, bandwidth)
    error, cost = mse(step, x) / variance, penalty(name, step, sae)
    with torch.no_grad():
        active = step.pre_acts[step.support > 0]
        activation = active.square().mean().sqrt().item() if len(active) else 1.0
    scale = max(cost.item(), _SMALL)
    if name == "l0":
        weight = _price_at_thresholds(sae, step, bandwidth) * scale / variance
    else:
        weight = _balance(sae, error, cost / scale) if name == "l1" else 0.0
    return Units(variance, scale, activation, bandwidth, max(weight, _SMALL))


@torch.no_grad()
def _price_at_thresholds(sae: RSAE, step: Pass, bandwidth: float) -> float:
    """Mean of |z_j W_dec_j|^2 over active features within the kernel."""
    cols = step.entries.cols
    near = (step.support > 0) & (step.pre_acts - sae.threshold[cols] < bandwidth / 2)
    sizes = step.codes[near].square() * sae.W_dec.square().sum(dim=1)[cols[near]]
    return sizes.mean().item() if len(sizes) else 0.0


def _bandwidth(sae: RSAE, x: Tensor, window: float) -> float:
    """Twice the distance from the thresholds within which `window` * L0 positive entries lie."""
    with torch.no_grad():
        step: Pass = forward(sae, x, float("inf"))
        distance = (step.pre_acts - sae.threshold[step.entries.cols]).abs()
        count = int(window * step.support.sum().item())
        nearest = distance.kthvalue(max(1, min(count, len(distance)))).values
    return 2 * nearest.item()


def _balance(sae: RSAE, error: Tensor, cost: Tensor) -> float:
    (gain,) = torch.autograd.grad(error, sae.b_enc, retain_graph=True)
    (price,) = torch.autograd.grad(cost, sae.b_enc)
    return -gain.sum().item() / max(price.sum().item(), _SMALL)
