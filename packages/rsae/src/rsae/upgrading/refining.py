"""`refine`: a trained SAE with a refinement after its encoder; nothing is trained."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from sae_lens.saes.sae import SAEMetadata
from torch import Tensor

from rsae.data import Activations, ActivationStore
from rsae.data.sample import floats
from rsae.errors import ConfigError, StoreError
from rsae.metrics import spread
from rsae.pretrained import Teacher, load_teacher
from rsae.pretrained.metadata import with_sketches
from rsae.pretrained.scale import needs_scale, with_estimated_scale
from rsae.sae.activation import RationalActivation
from rsae.sae.config import Support
from rsae.sae.load import is_rsae, load_rsae
from rsae.sae.model import RSAE
from rsae.sae.refinement import Gradient, Method, Refinement
from rsae.sae.refinement_steps import largest_eigenvalues
from rsae.settings import check_kind
from rsae.upgrading.minimax_steps import step_sizes
from rsae.upgrading.pursuit import calibrate_pursuit

__all__ = ["as_rsae", "calibrate_sizes", "refine"]

_SPECTRUM_TOKENS = 1_024
_SPECTRUM_SHARE = 0.999
_LEAST_HIGH = 1.0 + 1e-3  # G has a diagonal of 1s
_RATIOS = (1.5, 3.0, 6.0, 12.0, 25.0, 50.0, 100.0)  # high / low, about doubling
_CALIBRATION_TOKENS = 16_384  # a larger sample changes thresholds by less than their own noise


def refine(
    source: RSAE | Teacher | str | Path,
    activations: Activations | ActivationStore | Tensor | None = None,
    *,
    method: Method = "cg",
    steps: int = 3,
    pursuit: bool = False,
    exact_k: bool = False,
    gradient: Gradient = "steps",
) -> RSAE:
    """A copy of a trained SAE whose encoder is followed by a refinement; no weight is trained.

    Without pursuit the same features fire on the same tokens, but for those whose activation comes
    out at or below 0, and no token's error rises. With pursuit each feature still fires as often
    as before, on the calibration tokens, and some on other tokens.

    Args:
        source: An RSAE, a `Teacher`, or whatever `rsae.load_teacher` reads: a folder, a file, a
            name such as "demo:topk". A teacher keeps its activation exactly.
        activations: Those of its hook, for pursuit and for method "minimax" only: (n, d_in), or a
            store, whose calibration split is taken. Pursuit needs at least 4,000 tokens; more than
            16,384 are not looked at.
        method: "cg", "minimax" or "exact", see `Refinement`. The step sizes of "minimax" are
            calibrated.
        steps: Number of steps K.
        pursuit: Choose the support anew once, with thresholds calibrated on the activations.
        exact_k: With pursuit of a TopK SAE, exactly k features per token instead of k on average.
        gradient: "steps" or "first_pass", see `Refinement`.

    Returns:
        The refined SAE, in SAELens' layout when it is saved.

    Raises:
        ConfigError: activations are missing, pursuit is given fewer than 4,000 tokens, or `exact_k`
            comes without pursuit.
        StoreError: the activations are of another width.
        TeacherError, CorruptFileError: the source is no SAE.

    Example:
        >>> import torch
        >>> import rsae
        >>> refined = rsae.refine("demo:topk")
        >>> refined.encode(torch.randn(2, 576)).count_nonzero(dim=1).max().item() <= 48
        True

    References:
        See `rsae.Refinement`.
    """
    sae = copy.deepcopy(as_rsae(source, activations))
    if exact_k and not pursuit:
        raise ConfigError("exactly k features per token need pursuit; ask for both")
    if not pursuit and method != "minimax":
        return sae.set_refinement(Refinement(method, steps, gradient=gradient))
    if activations is None:
        raise ConfigError(
            "pursuit and fixed steps are calibrated on activations; give those of the SAE's hook"
        )
    x = _calibration(activations, sae.cfg.d_in, sae.cfg.metadata.to_dict()).to(sae.device)
    if isinstance(activations, ActivationStore):
        used = activations.tokens("calibration").sketch()  # evaluations refuse these tokens
        known = sae.cfg.metadata.to_dict()
        sae.cfg.metadata = SAEMetadata(**with_sketches(known, calibration_sketches=[used]))
    sizes = calibrate_sizes(sae, x, steps) if method == "minimax" else ()
    refinement = Refinement(method, steps, sizes, gradient)
    if not pursuit:
        return sae.set_refinement(refinement)
    found = calibrate_pursuit(sae, x, refinement, exact_k=exact_k)
    return sae.set_refinement(found.refinement, found.threshold)


@torch.no_grad()
def calibrate_sizes(sae: RSAE, x: Tensor, steps: int) -> tuple[float, ...]:
    """Step sizes for the spectra of G on (n, d_in) activations, see `step_sizes`.

    The interval ends where all but one token in a thousand have their largest eigenvalue; it
    begins where the error on the activations is least, since smallest eigenvalues are near 0.
    """
    few = spread(x, _SPECTRUM_TOKENS)
    z, target = sae.first_pass(few)
    highest = largest_eigenvalues(z, sae.W_dec)
    high = max(float(highest.cpu().double().quantile(_SPECTRUM_SHARE)), _LEAST_HIGH)

    def error(low: float) -> float:
        refinement = Refinement("minimax", steps, step_sizes(low, high, steps))
        refined = refinement(z, target, sae.W_dec)
        return (target - refined @ sae.W_dec).square().sum().item()

    return step_sizes(min((high / ratio for ratio in _RATIOS), key=error), high, steps)


def as_rsae(
    source: RSAE | Teacher | str | Path,
    activations: Activations | ActivationStore | Tensor | None = None,
) -> RSAE:
    """The SAE as an `RSAE` that computes the same, its activation the constant magnitude 1.

    Raises:
        ConfigError: its training scaled the input by a factor that its file does not have, and
            there are no activations to estimate it from.
    """
    if isinstance(source, RSAE):
        return source
    check_kind(source, (Teacher, str, Path), "the SAE", "give a path, an RSAE or a Teacher")
    if isinstance(source, str | Path):
        if is_rsae(source):
            return load_rsae(source)
        source = load_teacher(source)
    if needs_scale(source):
        if activations is None:
            raise ConfigError(
                f"{source.source or 'this SAE'} was trained on inputs scaled by a factor that its "
                "file does not have; give activations of its hook to estimate it from"
            )
        x = _calibration(activations, source.d_in, source.metadata)
        source = with_estimated_scale(source, [x])
    identity = RationalActivation.constant((0, 0))
    support: Support = "topk" if source.family == "topk" else "threshold"
    return RSAE.from_teacher(source, identity, support=support)


def _calibration(
    activations: Activations | ActivationStore | Tensor, d_in: int, metadata: Mapping[str, Any]
) -> Tensor:
    if isinstance(activations, ActivationStore):
        activations = activations.split("calibration", metadata.get("hook_name"))
    x = activations
    if isinstance(activations, Activations):
        x = spread(activations, _CALIBRATION_TOKENS)
    dense = floats(x)
    if dense is None:
        raise ConfigError(
            f"the calibration data are a {type(x).__name__} that holds no dense floats; give a "
            "tensor (n, d_in) or a store"
        )
    if dense.ndim != 2 or dense.shape[1] != d_in or not len(dense):
        raise StoreError(
            f"the activations have shape {tuple(dense.shape)}, the SAE reads vectors of {d_in}; "
            "give those of its own hook"
        )
    if not torch.isfinite(x := spread(dense, _CALIBRATION_TOKENS).float()).all():
        raise StoreError("the activations hold NaN or infinity; remove those tokens")
    return x
