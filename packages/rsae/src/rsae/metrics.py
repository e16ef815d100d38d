"""Strict L0, error and alive features of an SAE, measured in chunks of the activations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from rsae.data import Activations
from rsae.errors import TrainingError
from rsae.memory import rows_at_once
from rsae.sae.model import RSAE

__all__ = ["Measured", "match_l0", "measure", "spread"]

_CHUNK = 2048
_TOLERANCE = 5e-4
_ROUNDS = 20


@dataclass(frozen=True)
class Measured:
    """Means over tokens.

    Attributes:
        mse: squared error summed over d_out.
        l0: Mean number of active features per token.
        frac_alive: share of features that fired at all.
        n_tokens: how many tokens that was.
    """

    mse: float
    l0: float
    frac_alive: float
    n_tokens: int


@torch.no_grad()
def measure(sae: RSAE, x: Tensor | Activations) -> Measured:
    """Evaluate an SAE on (n, d_in) activations, of which one chunk is read at a time.

    A transcoder is evaluated on rows (n, d_in + d_out), see `RSAE.sides`.
    """
    error, active, n = 0.0, torch.zeros(sae.cfg.d_sae, dtype=torch.int64, device=sae.device), 0
    for rows in _chunks(x, sae):
        n += len(rows)
        inputs, wanted = sae.sides(rows)
        codes = sae.encode(inputs)
        error += (wanted - sae.decode(codes, inputs)).square().sum().item()
        active += (codes != 0).sum(dim=0)
    alive = (active > 0).sum().item() / sae.cfg.d_sae
    return Measured(error / n, active.sum().item() / n, alive, n)


def spread(x: Tensor | Activations, n: int) -> Tensor:
    """At most n rows of x, evenly spaced: rows come by document, and the first are a few's.

    Of `Activations` no other row is read.
    """
    if isinstance(x, Activations):
        return x.tensor() if x.n_tokens <= n else x.rows(_even(x.n_tokens, n))
    return x if len(x) <= n else x[_even(len(x), n).to(x.device)]


def _even(length: int, n: int) -> Tensor:
    return torch.linspace(0, length - 1, n, device="cpu").round().long()


@torch.no_grad()
def match_l0(sae: RSAE, x: Tensor, target: float) -> float:
    """Shift all thresholds by one number so that strict L0 on x equals `target`; return it.

    Where the thresholds are not trained (a ReLU), and for what would take a threshold below 0,
    the encoder's bias is shifted instead: the support is the same. A TopK support is left alone.

    Raises:
        TrainingError: no shift reaches the target.
    """
    if sae.cfg.support == "topk":
        return 0.0
    threshold, b_enc = sae.threshold.clone(), sae.b_enc.clone()
    trained = sae.threshold.requires_grad

    def l0(shift: float) -> float:
        wanted = threshold + shift
        kept = wanted.clamp(min=0) if trained else threshold
        sae.threshold.copy_(kept)
        sae.b_enc.copy_(b_enc + (kept - wanted))
        fired = ((sae.encode(sae.sides(rows)[0]) != 0).sum() for rows in _chunks(x, sae))
        return sum(int(one) for one in fired) / len(x)

    low, high = _bracket(l0, target, _step(sae, x))
    for _ in range(_ROUNDS):
        shift = (low + high) / 2
        got = l0(shift)
        if abs(got - target) <= _TOLERANCE * target:
            break
        low, high = (shift, high) if got > target else (low, shift)
    return shift


def _bracket(l0: Callable[[float], float], target: float, step: float) -> tuple[float, float]:
    """Shifts (low, high) with l0(low) >= target >= l0(high); raising the shift lowers l0."""
    at_zero = l0(0.0)
    direction = 1.0 if at_zero > target else -1.0
    inner = 0.0
    for doubling in range(_ROUNDS):
        outer = direction * step * 2**doubling
        if (l0(outer) - target) * direction <= 0:
            return (inner, outer) if direction > 0 else (outer, inner)
        inner = outer
    raise TrainingError(
        f"no shift of the thresholds brings L0 from {at_zero:.2f} to {target:.2f}; "
        "train longer, or lower the learning rates"
    )


def _step(sae: RSAE, x: Tensor) -> float:
    """A first shift: a hundredth of the active feature activations' size."""
    codes = sae.encode(sae.sides(x[: rows_at_once(sae.cfg.d_sae, _CHUNK)])[0])
    active = codes[codes != 0]
    return 0.01 * (active.abs().mean().item() if len(active) else 1.0)


def _chunks(x: Tensor | Activations, sae: RSAE) -> Iterator[Tensor]:
    size = rows_at_once(sae.cfg.d_sae, _CHUNK)
    chunks = x.batches(size) if isinstance(x, Activations) else x.split(size)
    return (chunk.to(sae.device) for chunk in chunks)
