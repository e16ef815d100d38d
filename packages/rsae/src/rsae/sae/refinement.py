"""`Refinement`: a few least-squares steps that follow the encoder, and `Pursuit` before them.

Shapes: … tokens, d_in, d_sae features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from rsae.errors import ConfigError, quoted
from rsae.sae.refinement_steps import refine

__all__ = ["UNCALIBRATED", "Gradient", "Method", "Pursuit", "Refinement"]

Method = Literal["cg", "minimax", "exact"]
Gradient = Literal["steps", "first_pass"]

UNCALIBRATED = -1.0
"""Pursuit threshold of a feature that never fired while thresholds were calibrated."""

_BEFORE_PURSUIT = 2  # steps before the support is chosen; more hardly change it

_MOST_STEPS = 2**31


@dataclass(frozen=True)
class Pursuit:
    r"""One change of the support between two refinements.

        u_j = y_j + eta D_j (x - x_hat)          y_j = z_j |W_dec_j|,   D_j = W_dec_j / |W_dec_j|
        support: u_j > t_j + kappa

    with the thresholds t_j of the SAE's buffer `pursuit_threshold`, at which feature j fires as
    often as it did in the encoder. A feature that never fired while they were calibrated fires
    exactly where the encoder makes it fire.

    Args:
        step: The step eta > 0.
        shift: The shift kappa, one number for all features, which sets the mean L0.
        k: If given, exactly the k largest of u_j - t_j per token are kept instead of those above
            the threshold, for programs that rely on k active features; u_j has to be positive.

    Raises:
        ConfigError: A value is outside its range.
    """

    step: float
    shift: float = 0.0
    k: int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.step) and self.step > 0 and math.isfinite(self.shift)):
            raise ConfigError("give a pursuit a positive finite step and a finite shift")
        if self.k is not None and self.k < 1:
            raise ConfigError(
                f"a pursuit that keeps k = {self.k} features keeps none; give 1 or more"
            )


@dataclass(frozen=True)
class Refinement:
    r"""Refinement of a token's activations on its own support, a part of `RSAE.encode`.

    An encoder computes activations in one pass; the best activations for its active features
    solve a least-squares problem. With y_j = z_j |W_dec_j|, D the active decoder rows scaled
    to norm 1, and x in the units of the normalised input,

        y* = G^-1 D (x - b_dec),      G = D D^T.

    A few steps from the encoder's activations come close to y*. Features whose activation comes
    out at or below 0 leave the support, and the steps are taken again on the others, so L0
    does not rise and no inactive feature becomes active. A token whose error would rise keeps
    the encoder's activations.

    Args:
        method: "cg" takes conjugate-gradient steps, the best that any K products with G allow for
            each token. "minimax" takes steps of fixed sizes: the distance to y* in the norm of G
            falls by the factor 1 / T_K((b + a) / (b - a)) or more where the spectrum of G lies in
            [a, b]. "exact" solves the problem by Cholesky's factorisation, at k times the cost.
        steps: Number of steps K, for "cg"; 3 reach 94 to 99 % of what the exact solution gains.
        step_sizes: The K sizes for "minimax", see `rsae.upgrading.minimax_steps`.
        gradient: "steps" differentiates the refined activations as they are computed, through the
            steps; "first_pass" passes gradients to the encoder's activations unchanged, as if the
            refinement were a constant added to them. The derivative of what the SAE computes, for
            attribution and steering, is "steps".
        pursuit: A change of the support before the steps, or None for none.

    Raises:
        ConfigError: The method or gradient is unknown, there is no step, there are step sizes
            without method "minimax", or a size is not positive.

    Example:
        >>> import torch
        >>> from rsae import Refinement
        >>> z, x = torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 3.0]])
        >>> Refinement()(z, x, torch.eye(2)).round(decimals=5)
        tensor([[2., 0.]])

    References:
        Hestenes & Stiefel 1952, doi:10.6028/jres.049.044 (conjugate gradients); Gregor & LeCun
        2010 (LISTA); Rajamanoharan et al. 2024, arXiv 2404.16014 (inference-time optimisation);
        O'Neill et al. 2024, arXiv 2411.13117 (amortisation gap).
    """

    method: Method = "cg"
    steps: int = 3
    step_sizes: tuple[float, ...] = ()
    gradient: Gradient = "steps"
    pursuit: Pursuit | None = None

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ConfigError(f"method {self.method!r} is not one of {get_args(Method)}")
        if self.gradient not in get_args(Gradient):
            raise ConfigError(f"gradient {self.gradient!r} is not one of {get_args(Gradient)}")
        if type(self.steps) is not int or not 1 <= self.steps < _MOST_STEPS:
            raise ConfigError(
                f"{quoted(self.steps)} steps are no refinement; take a whole number from 1"
            )
        if bool(self.step_sizes) != (self.method == "minimax"):
            raise ConfigError("step sizes go with the method 'minimax', and only with it")
        if not all(math.isfinite(size) and size > 0 for size in self.step_sizes):
            raise ConfigError("every step size is positive and finite")

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Refinement:
        """Inverse of `to_dict`.

        Raises:
            ConfigError: A setting is unknown or outside its range.
        """
        try:
            pursuit = content.get("pursuit")
            sizes = tuple(content.get("step_sizes", ()))
            changes = {"step_sizes": sizes, "pursuit": Pursuit(**pursuit) if pursuit else None}
            return cls(**{**content, **changes})
        except (TypeError, AttributeError) as error:
            raise ConfigError(f"these are not settings of a refinement ({error})") from error

    def to_dict(self) -> dict[str, Any]:
        """Its settings as plain JSON values, for `RSAEConfig.refinement`."""
        return {**asdict(self), "step_sizes": list(self.step_sizes)}

    def __call__(
        self,
        z: Tensor,
        target: Tensor,
        W_dec: Tensor,
        threshold: Tensor | None = None,
        overwrite_z: bool = False,
    ) -> Tensor:
        """Refined activations, (…, d_sae), in the dtype of z.

        Args:
            z: Activations of the encoder, (…, d_sae).
            target: Normalised input less b_dec, (…, d_in).
            W_dec: Decoder, (d_sae, d_in).
            threshold: Thresholds t_j, (d_sae,), for pursuit only.
            overwrite_z: Whether the result may be written over z, which saves memory where no
                gradient is wanted; z must not be read afterwards.
        """
        if self.pursuit is None:
            refined = self._steps(z, target, W_dec, self.steps, overwrite_z)
        else:
            assert threshold is not None
            refined = self.before_pursuit(z, target, W_dec)
            refined = self.after_pursuit(refined, z, target, W_dec, threshold)
        if self.gradient == "first_pass" and torch.is_grad_enabled():
            refined = z + (refined - z).detach()
        return refined.to(z.dtype)

    def before_pursuit(self, z: Tensor, target: Tensor, W_dec: Tensor) -> Tensor:
        """Activations refined on the encoder's support, from which a pursuit chooses another.

        Args:
            z: Activations of the encoder, (…, d_sae).
            target: Normalised input less b_dec, (…, d_in).
            W_dec: Decoder, (d_sae, d_in).
        """
        return self._steps(z, target, W_dec, _BEFORE_PURSUIT)

    def after_pursuit(
        self, refined: Tensor, z: Tensor, target: Tensor, W_dec: Tensor, threshold: Tensor
    ) -> Tensor:
        """Activations refined on the support that the pursuit chooses.

        Args:
            refined: The result of `before_pursuit`, (…, d_sae).
            z: Activations of the encoder, (…, d_sae).
            target: Normalised input less b_dec, (…, d_in).
            W_dec: Decoder, (d_sae, d_in).
            threshold: Thresholds t_j, (d_sae,).
        """
        assert self.pursuit is not None
        u, norms = _proposals(refined, target, W_dec, self.pursuit.step)
        chosen = _select(u, z != 0, threshold.to(u.dtype), self.pursuit)
        start = torch.where(chosen, u / norms, torch.zeros_like(u))
        return self._steps(start, target, W_dec, self.steps, overwrite_z=True)

    def _steps(
        self, z: Tensor, target: Tensor, W_dec: Tensor, steps: int, overwrite_z: bool = False
    ) -> Tensor:
        return refine(z, target, W_dec, self.method, steps, self.step_sizes, overwrite_z)


def _proposals(
    refined: Tensor, target: Tensor, W_dec: Tensor, step: float
) -> tuple[Tensor, Tensor]:
    """u = y + eta D (x - x_hat), (…, d_sae), and the decoder norms, 1 for zero rows."""
    decoder = W_dec.to(refined.dtype)
    norms = decoder.norm(dim=1)
    norms = torch.where(norms > 0, norms, torch.ones_like(norms))
    residual = target.to(refined.dtype) - refined @ decoder
    return refined * norms + step * (residual @ decoder.T) / norms, norms


def _select(u: Tensor, fired: Tensor, threshold: Tensor, pursuit: Pursuit) -> Tensor:
    """The new support, (…, d_sae) of booleans; `fired` is the encoder's."""
    uncalibrated = threshold < 0
    if pursuit.k is None:
        above = u > (threshold + pursuit.shift).clamp(min=0)
        return torch.where(uncalibrated, fired & (u > 0), above)
    excess = torch.where(u > 0, u - threshold, -math.inf)
    excess = torch.where(uncalibrated, torch.where(fired & (u > 0), math.inf, -math.inf), excess)
    largest = excess.topk(min(pursuit.k, u.shape[-1]), dim=-1, sorted=False)
    kept = torch.zeros_like(fired).scatter(-1, largest.indices, largest.values > -math.inf)
    return kept
