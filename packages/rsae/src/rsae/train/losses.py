"""The loss: squared error and a sparsity penalty, as functions of a pass.

Shapes: n tokens, d_in, nnz entries.
"""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor

from rsae.errors import ConfigError
from rsae.sae.model import RSAE
from rsae.train.forward import Pass

__all__ = ["Penalty", "check_penalty", "mse", "penalty"]

Penalty = Literal["l0", "l1", "none"]


def check_penalty(name: str) -> None:
    """Refuse a penalty that does not exist."""
    if name not in get_args(Penalty):
        raise ConfigError(f"penalty {name!r} is not one of {get_args(Penalty)}")


def mse(step: Pass, y: Tensor) -> Tensor:
    """Mean over tokens of the squared error summed over d_out, y what is reconstructed."""
    return (y - step.x_hat).square().sum(dim=-1).mean()


def penalty(name: Penalty, step: Pass, sae: RSAE) -> Tensor:
    """The penalty of one pass, a scalar per token.

    - "l0": L0, with the straight-through estimator of arXiv 2407.14435;
    - "l1": sum of |z_j| * |W_dec_j|, which scaling a decoder row does not change (Bricken et al.
      2024, "Update on how we train SAEs");
    - "none": 0, for a support that is sparse by construction.
    """
    if name == "l0":
        return step.l0
    if name == "l1":
        norms = sae.W_dec.norm(dim=1).index_select(0, step.entries.cols)
        return (step.codes.abs() * norms).sum() / step.entries.shape[0]
    return step.x_hat.new_zeros(())
