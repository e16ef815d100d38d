"""One training pass of an RSAE, on the entries near or in its support.

Shapes: n tokens, d_in, d_sae features, nnz entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rsae.sae.model import RSAE
from rsae.train.sparse_codes import Entries, decode, gather_pre_acts

__all__ = ["Pass", "candidates", "forward"]


@dataclass(frozen=True, eq=False)
class Pass:
    """The results of a pass over n tokens.

    Attributes:
        entries: The entries in the support or near it.
        pre_acts: The (nnz,) pre-activations h at the entries.
        codes: The (nnz,) feature activations z, exactly 0 outside the support.
        support: (nnz,) 1 in the support, else 0, with the gradient of the straight-through
            estimator.
        x_hat: The (n, d_out) reconstruction, in the units of what is reconstructed.
    """

    entries: Entries
    pre_acts: Tensor
    codes: Tensor
    support: Tensor
    x_hat: Tensor

    @property
    def l0(self) -> Tensor:
        """Mean L0, differentiable by the straight-through estimator."""
        return self.support.sum() / self.entries.shape[0]


class _Jump(torch.autograd.Function):
    """w where active, else 0, with a straight-through estimator for the threshold's gradient.

    d z / d tau = - w K(h - tau), K the unit rectangle of a given bandwidth: the estimator of
    Rajamanoharan et al. 2024, arXiv 2407.14435, eq. 11–12.
    """

    @staticmethod
    def forward(ctx: Any, w: Tensor, threshold: Tensor, active: Tensor, kernel: Tensor) -> Tensor:
        ctx.save_for_backward(w, active, kernel)
        return torch.where(active, w, torch.zeros_like(w))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        w, active, kernel = ctx.saved_tensors
        to_w = torch.where(active, grads[0], torch.zeros_like(w))
        return to_w, -grads[0] * w * kernel, None, None


def forward(sae: RSAE, x: Tensor, bandwidth: float, mixed_precision: bool = False) -> Pass:
    """Encode and decode (n, d_in) activations with gradients for every parameter.

    Args:
        sae: The RSAE.
        x: Activations, (n, d_in).
        bandwidth: Width of the estimator's kernel in units of pre-activations; 0 for none.
        mixed_precision: Whether the dense product is in bfloat16; all else stays in float32.
    """
    inputs = sae.process_sae_in(x)
    with torch.no_grad():
        entries, values = candidates(sae, inputs, bandwidth, mixed_precision)
    pre_acts = gather_pre_acts(inputs, sae.W_enc, sae.b_enc, values, entries)
    threshold = sae.threshold.index_select(0, entries.cols)
    scale = sae.feature_scale.index_select(0, entries.cols)
    phi = sae.shape(pre_acts, threshold, scale)
    value = sae.value(pre_acts, scale, phi)
    with torch.no_grad():
        kernel = _rectangle(values - threshold, bandwidth)
        if sae.cfg.support == "topk":
            active = torch.ones_like(values, dtype=torch.bool)
        else:
            active = sae.support(values, threshold, scale, phi)
    codes = _Jump.apply(value, threshold, active, kernel)
    support = _Jump.apply(torch.ones_like(value), threshold, active, kernel)
    recons = decode(codes, sae.W_dec, entries) + sae.b_dec
    return Pass(entries, values, codes, support, sae.completed(recons, x))


def _dense_pre_acts(sae: RSAE, inputs: Tensor, mixed_precision: bool) -> Tensor:
    if not mixed_precision:
        return (inputs @ sae.W_enc).add_(sae.b_enc)
    product = inputs.to(torch.bfloat16) @ sae.W_enc.to(torch.bfloat16)
    return product.to(sae.dtype) + sae.b_enc


def candidates(
    sae: RSAE, inputs: Tensor, bandwidth: float, mixed_precision: bool = False
) -> tuple[Entries, Tensor]:
    """Entries in the support or within the estimator's kernel, with their pre-activations h.

    Args:
        sae: The RSAE.
        inputs: Normalised activations, (n, d_in).
        bandwidth: Width of the kernel; infinity takes every positive pre-activation.
        mixed_precision: Whether the dense product is in bfloat16.
    """
    h = _dense_pre_acts(sae, inputs, mixed_precision)
    reach = (sae.threshold - bandwidth / 2).clamp(min=0)
    if sae.cfg.support == "threshold":
        return Entries.above(h, reach)
    phi = h if sae.cfg.support == "topk" else sae.shape(h, sae.threshold, sae.feature_scale)
    mask = sae.support(h, sae.threshold, sae.feature_scale, phi)
    if sae.cfg.support == "level":
        mask |= h > reach
    entries = Entries.of(mask)
    return entries, entries.gather(h)


def _rectangle(distance: Tensor, bandwidth: float) -> Tensor:
    if bandwidth == 0:
        return torch.zeros_like(distance)
    return (distance.abs() < bandwidth / 2).to(distance.dtype) / bandwidth
