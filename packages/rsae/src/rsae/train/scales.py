"""The scales of one SAE on one data set, measured once before training.

Shapes: n tokens, d_in, d_sae features.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass

import torch
from torch import Tensor

from rsae.memory import rows_at_once
from rsae.sae.model import RSAE
from rsae.train.forward import candidates, forward
from rsae.train.losses import Penalty, mse, penalty

__all__ = ["Units", "measure_units"]

_SMALL = 1e-6
_CHUNK = 1024  # tokens whose dense pre-activations are held at once


@dataclass(frozen=True)
class Units:
    """Scales that make learning rates, kernel and sparsity coefficient independent of units.

    Attributes:
        variance: Total variance of what is reconstructed, summed over d_out; the loss's squared
            error is divided by it.
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
    """Measure on a few thousand tokens, some of them at once.

    Args:
        sae: The RSAE before training.
        x: What it is trained on, (n, d_in), for a transcoder (n, d_in + d_out).
        name: The penalty of the training.
        window: Mean number of entries within the kernel, as a fraction of L0.
    """
    inputs, wanted = sae.sides(x)
    variance = (wanted - wanted.mean(dim=0)).square().sum(dim=-1).mean().item()
    bandwidth = _bandwidth(sae, inputs, window) if sae.threshold.requires_grad else 0.0
    total = _Sums()
    for rows in _chunks(sae, x):
        total += _sums(sae, rows, name, bandwidth)
    activation = math.sqrt(total.squares / total.active) if total.active else 1.0
    scale = max(total.cost / len(x), _SMALL)
    weight = 0.0
    if name == "l0" and total.near:
        weight = total.sizes / total.near * scale / variance
    elif name == "l1":
        price = total.price / len(x) / scale
        weight = -total.gain / len(x) / variance / max(price, _SMALL)
    return Units(variance, scale, activation, bandwidth, max(weight, _SMALL))


@dataclass(frozen=True)
class _Sums:
    """Sums over tokens.

    Attributes:
        cost: The penalty.
        active, squares: Number of active entries, and their squared pre-activations.
        near, sizes: Number of active entries within the kernel, and |z_j W_dec_j|^2 there.
        gain, price: Gradient of squared error and penalty for a common shift of the encoder's
            biases; for L1 only.
    """

    cost: float = 0.0
    active: int = 0
    squares: float = 0.0
    near: int = 0
    sizes: float = 0.0
    gain: float = 0.0
    price: float = 0.0

    def __add__(self, other: _Sums) -> _Sums:
        both = zip(astuple(self), astuple(other), strict=True)
        return _Sums(*(a + b for a, b in both))


def _sums(sae: RSAE, rows: Tensor, name: Penalty, bandwidth: float) -> _Sums:
    x, y = sae.sides(rows)
    with torch.set_grad_enabled(name == "l1"):
        step = forward(sae, x, bandwidth)
        cost = penalty(name, step, sae) * len(x)
        gain = _shift(sae, mse(step, y) * len(x)) if name == "l1" else 0.0
        price = _shift(sae, cost) if name == "l1" else 0.0
    with torch.no_grad():
        cols, support = step.entries.cols, step.support > 0
        near = support & (step.pre_acts - sae.threshold[cols] < bandwidth / 2)
        sizes = step.codes[near].square() * sae.W_dec.square().sum(dim=1)[cols[near]]
        active = step.pre_acts[support]
        squares = active.square().sum().item()
        return _Sums(cost.item(), len(active), squares, len(sizes), sizes.sum().item(), gain, price)


def _shift(sae: RSAE, value: Tensor) -> float:
    """Derivative of a value for a common shift of the encoder's biases."""
    (gradient,) = torch.autograd.grad(value, sae.b_enc, retain_graph=True)
    return gradient.sum().item()


@torch.no_grad()
def _bandwidth(sae: RSAE, x: Tensor, window: float) -> float:
    """Twice the distance from the thresholds within which `window` * L0 positive entries lie."""
    active = sum(int(forward(sae, rows, 0.0).support.sum()) for rows in _chunks(sae, x))
    count = max(1, int(window * active))
    # Of each chunk only what can still be among the nearest of all.
    nearest = x.new_empty(0)
    for rows in _chunks(sae, x):
        entries, h = candidates(sae, sae.process_sae_in(rows), float("inf"))
        distance = torch.cat([nearest, (h - sae.threshold[entries.cols]).abs()])
        nearest = distance.topk(min(count, len(distance)), largest=False).values
    return 2 * nearest.max().item()


def _chunks(sae: RSAE, x: Tensor) -> tuple[Tensor, ...]:
    return x.split(rows_at_once(sae.cfg.d_sae, _CHUNK))
