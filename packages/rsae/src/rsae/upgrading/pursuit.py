"""Calibration of a pursuit: thresholds at which every feature fires as often as before."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rsae.errors import ConfigError
from rsae.memory import rows_at_once
from rsae.sae.model import RSAE
from rsae.sae.refinement import UNCALIBRATED, Pursuit, Refinement

__all__ = ["LEAST_TOKENS", "CalibratedPursuit", "calibrate_pursuit"]

LEAST_TOKENS = 4_000
"""A feature that fires on one token in 500 then has about 8 firings to take its threshold from."""

_STEPS = (0.25, 0.5, 0.75, 1.0)  # candidates for eta
_ENOUGH = 0.9  # of the best candidate's gain: a smaller eta leaves more firings where they were
_BATCH = 1024
_SAMPLE = 4096  # tokens on which candidates are compared and the shift is set
_ELEMENTS = 1 << 24  # of u held at once: 64 MiB
_TOGETHER = 256  # features: few enough that they fire about equally often
_TOLERANCE = 1e-3  # of the mean L0
_ROUNDS = 12


@dataclass(frozen=True, eq=False)
class CalibratedPursuit:
    """A refinement with pursuit, its thresholds, and what they gave on the calibration tokens.

    Attributes:
        refinement: The refinement with its `Pursuit`.
        threshold: (d_sae,) t_j; -1 for features that did not fire.
        n_tokens: Number of tokens they were calibrated on.
        l0_before: mean L0 of the encoder on them.
        mse: Squared error summed over d_in, in units of the normalised input, with the pursuit.
        l0: mean L0 with the pursuit.
    """

    refinement: Refinement
    threshold: Tensor
    n_tokens: int
    l0_before: float
    mse: float
    l0: float


@torch.no_grad()
def calibrate_pursuit(
    sae: RSAE, x: Tensor, refinement: Refinement, *, exact_k: bool = False
) -> CalibratedPursuit:
    """Set eta, the thresholds t_j and kappa from activations; no weight changes.

    Every feature's threshold is the value that u exceeds on as many tokens as the encoder made the
    feature fire; kappa makes up for activations that the last refinement drops, so that the mean L0
    is the encoder's; eta is the smallest candidate with 9/10 of the largest gain in squared error,
    because the larger it is, the more firings move.

    Args:
        sae: The SAE; its own refinement, if any, is ignored.
        x: (n, d_in) activations of its hook, at least 4,000.
        refinement: The steps after the pursuit.
        exact_k: Whether to keep exactly k features per token, for an SAE of support "topk".

    Raises:
        ConfigError: fewer than 4,000 tokens, no feature fires, or `exact_k` without a k.
    """
    if len(x) < LEAST_TOKENS:
        raise ConfigError(
            f"pursuit sets a threshold for each feature from at least {LEAST_TOKENS:,} tokens, "
            f"and these are {len(x):,}; give more, or refine without pursuit"
        )
    if exact_k and sae.cfg.k is None:
        raise ConfigError("exactly k features per token needs an SAE of support 'topk'")
    first = _FirstPass.of(sae, x, refinement)
    if not first.fired.any():
        raise ConfigError("no feature fires on these activations; use those of the SAE's own hook")
    few = first.sample(_SAMPLE)
    k = sae.cfg.k if exact_k else None
    tried: list[tuple[float, float, Tensor]] = []
    for step in _STEPS:
        threshold = first.thresholds(step)
        error, _ = few.measure(replace(refinement, pursuit=Pursuit(step, 0.0, k)), threshold)
        tried.append((error, step, threshold))
    wanted = few.error_before - _ENOUGH * (few.error_before - min(error for error, *_ in tried))
    _, step, threshold = next(one for one in tried if one[0] <= wanted)
    found = replace(refinement, pursuit=Pursuit(step, 0.0, k))
    if not exact_k:
        found = replace(refinement, pursuit=Pursuit(step, _shift(few, found, threshold)))
    return CalibratedPursuit(found, threshold, len(x), first.l0, *few.measure(found, threshold))


def _shift(few: _FirstPass, refinement: Refinement, threshold: Tensor) -> float:
    """kappa for which the mean L0 after the last steps is the encoder's, by bisection."""
    assert refinement.pursuit is not None
    step = refinement.pursuit.step
    size = few.typical_activation

    def excess(shift: float) -> float:
        moved = replace(refinement, pursuit=Pursuit(step, shift))
        return few.measure(moved, threshold)[1] - few.l0

    # L0 falls as the shift rises, smoothly enough for secants within a bracket.
    low, high = -size, size
    below, above = excess(low), excess(high)
    shift = 0.0
    for _ in range(_ROUNDS):
        found = excess(shift)
        if abs(found) <= _TOLERANCE * few.l0:
            break
        low, below, high, above = (
            (shift, found, high, above) if found > 0 else (low, below, shift, found)
        )
        slope = (above - below) / (high - low)
        guess = shift - found / slope if slope < 0 else (low + high) / 2
        shift = guess if low < guess < high else (low + high) / 2
    return shift


@dataclass(frozen=True, eq=False)
class _FirstPass:
    """What the encoder gives on n tokens, and its refinement, which a pursuit starts from.

    Attributes:
        target: (n, d_in) normalised input less b_dec.
        z: (n, d_sae) activations of the encoder, sparse (COO).
        refined: (n, d_sae) the same after a few steps, sparse (COO).
        W_dec: (d_sae, d_in) the decoder.
    """

    target: Tensor
    z: Tensor
    refined: Tensor
    W_dec: Tensor

    @classmethod
    def of(cls, sae: RSAE, x: Tensor, refinement: Refinement) -> _FirstPass:
        plain = replace(refinement, pursuit=None)
        targets, activations, refined = [], [], []
        for rows in x.split(rows_at_once(sae.cfg.d_sae, _BATCH)):
            z, target = sae.first_pass(rows.to(sae.device))
            targets.append(target.float())
            activations.append(z.float().to_sparse())
            refined.append(plain.before_pursuit(z.float(), target, sae.W_dec).to_sparse())
        return cls(torch.cat(targets), torch.cat(activations), torch.cat(refined), sae.W_dec)

    def sample(self, n: int) -> _FirstPass:
        """At most n of the tokens, evenly spaced."""
        last, n = len(self.target) - 1, min(n, len(self.target))
        index = torch.linspace(0, last, n, device="cpu").round().long().to(self.target.device)
        z, refined = (t.index_select(0, index).coalesce() for t in (self.z, self.refined))
        return _FirstPass(self.target[index], z, refined, self.W_dec)

    @property
    def fired(self) -> Tensor:
        """(d_sae,) number of tokens on which the encoder makes each feature fire."""
        return torch.bincount(self.z.coalesce().indices()[1], minlength=self.z.shape[1])

    @property
    def l0(self) -> float:
        """Mean L0 of the encoder."""
        return self.z.coalesce().values().count_nonzero().item() / len(self.target)

    @property
    def typical_activation(self) -> float:
        """Root mean square of the refined activations, in units of decoder norms."""
        found = self.refined.coalesce()
        norms = self.W_dec.float().norm(dim=1)[found.indices()[1]]
        return (found.values() * norms).square().mean().sqrt().item()

    @property
    def error_before(self) -> float:
        """Mean squared error of the encoder's activations."""
        residual = self.target - torch.sparse.mm(self.z, self.W_dec.float())
        return residual.square().sum(dim=1).mean().item()

    def thresholds(self, step: float) -> Tensor:
        """(d_sae,) values that u reaches on as many tokens as the feature fires; -1 where none.

        Features are taken in the order of their firings, some at a time, so that only a block of
        u is held and only as many of its largest values as the block's features fire.
        """
        residual = self.target - torch.sparse.mm(self.refined, self.W_dec.float())
        fired = self.fired
        found = torch.full_like(self.W_dec[:, 0], UNCALIBRATED, dtype=torch.float32)
        order = fired.argsort(descending=True)
        for block in order[fired[order] > 0].split(
            max(1, min(_TOGETHER, _ELEMENTS // len(residual)))
        ):
            rows = self.W_dec[block].float()
            norms = rows.norm(dim=1, keepdim=True)
            norms = torch.where(norms > 0, norms, torch.ones_like(norms))
            own = self.refined.index_select(1, block).to_dense().T
            u = own * norms + step * (rows / norms) @ residual.T
            largest = u.topk(int(fired[block].max()), dim=1).values
            value = largest.gather(1, fired[block, None] - 1)[:, 0]
            # u > threshold is asked for, so the smallest value that counts has to exceed it.
            found[block] = torch.nextafter(value, torch.full_like(value, -math.inf)).clamp(min=0)
        return found

    def measure(self, refinement: Refinement, threshold: Tensor) -> tuple[float, float]:
        """Mean squared error and mean L0 with a pursuit."""
        error = count = 0.0
        every = torch.arange(len(self.target), device=self.target.device)
        for index in every.split(rows_at_once(len(self.W_dec), _BATCH)):
            target = self.target[index]
            z, refined = (t.index_select(0, index).to_dense() for t in (self.z, self.refined))
            out = refinement.after_pursuit(refined, z, target, self.W_dec, threshold)
            error += (target - out @ self.W_dec.float()).square().sum().item()
            count += out.count_nonzero().item()
        return error / len(self.target), count / len(self.target)
