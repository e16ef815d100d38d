"""`refine`: a trained SAE with a refinement after its encoder; nothing is trained."""

from __future__ import annotations

import copy
from pathlib import Path

from torch import Tensor

from rsae.data import Activations, ActivationStore
from rsae.errors import ConfigError, StoreError
from rsae.metrics import spread
from rsae.pretrained import Teacher, load_teacher
from rsae.sae.activation import RationalActivation
from rsae.sae.load import is_rsae, load_rsae
from rsae.sae.model import RSAE, Support
from rsae.sae.refinement import Refinement
from rsae.upgrading.pursuit import calibrate_pursuit

__all__ = ["as_rsae", "refine"]

_CALIBRATION_TOKENS = 16_384  # a larger sample changes thresholds by less than their own noise


def refine(
    source: RSAE | Teacher | str | Path,
    activations: Activations | ActivationStore | Tensor | None = None,
    *,
    refinement: Refinement | None = None,
    pursuit: bool = False,
    exact_k: bool = False,
) -> RSAE:
    """A copy of a trained SAE whose encoder is followed by a refinement; no weight is trained.

    Without pursuit the same features fire on the same tokens, but for those whose activation comes
    out at or below 0, and no token's error rises. With pursuit each feature still fires as often
    as before, on the calibration tokens, and some on other tokens.

    Args:
        source: an RSAE, a `Teacher`, or whatever `rsae.load_teacher` reads: a folder, a file, a
            name such as "demo:topk". A teacher keeps its activation exactly.
        activations: of its hook, needed for pursuit only: (n, d_in), or a store, whose
            calibration split is taken. At least 4,000 tokens; more than 16,384 are not looked at.
        refinement: the steps; `Refinement()` by default.
        pursuit: choose the support anew once, with thresholds calibrated on the activations.
        exact_k: with pursuit of a TopK SAE, exactly k features per token instead of k on average.

    Returns:
        The refined SAE, in SAELens' layout when it is saved.

    Raises:
        ConfigError: pursuit without activations or with fewer than 4,000, or `exact_k` alone.
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
    coder = copy.deepcopy(as_rsae(source))
    refinement = refinement or Refinement()
    if not pursuit:
        if exact_k:
            raise ConfigError("exactly k features per token is a matter of pursuit; ask for both")
        return coder.set_refinement(refinement)
    if activations is None:
        raise ConfigError("pursuit calibrates its thresholds; give activations of the SAE's hook")
    x = _calibration(activations, coder)
    found = calibrate_pursuit(coder, x, refinement, exact_k=exact_k)
    if isinstance(activations, ActivationStore):
        used = activations.tokens("calibration").sketch()  # evaluations refuse these tokens
        known = coder.cfg.metadata.get("calibration_sketches") or []
        coder.cfg.metadata.calibration_sketches = [*known, used]
    return coder.set_refinement(found.refinement, found.threshold)


def as_rsae(source: RSAE | Teacher | str | Path) -> RSAE:
    """The SAE as an `RSAE` that computes the same, its activation the constant magnitude 1."""
    if isinstance(source, RSAE):
        return source
    if isinstance(source, str | Path):
        if is_rsae(source):
            return load_rsae(source)
        source = load_teacher(source)
    identity = RationalActivation.constant((0, 0))
    support: Support = "topk" if source.family == "topk" else "threshold"
    return RSAE.from_teacher(source, identity, support=support)


def _calibration(activations: Activations | ActivationStore | Tensor, coder: RSAE) -> Tensor:
    if isinstance(activations, ActivationStore):
        activations = activations.split("calibration", coder.cfg.metadata.get("hook_name"))
    x = activations.tensor() if isinstance(activations, Activations) else activations
    if x.ndim != 2 or x.shape[1] != coder.cfg.d_in:
        raise StoreError(
            f"the activations have shape {tuple(x.shape)}, the SAE reads vectors of "
            f"{coder.cfg.d_in}; give those of its own hook"
        )
    return spread(x, _CALIBRATION_TOKENS).to(coder.device)
