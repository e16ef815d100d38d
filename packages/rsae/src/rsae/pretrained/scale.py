"""The factor by which some SAEs' training scaled their input, folded into the weights.

SAELens' `expected_average_only_in` trains on f x with f = sqrt(d_in) / E|x|, so that the mean norm
is sqrt(d_in), and the factor is not among the weights. Codes of f x by the SAE are codes of x by

    W_enc f,   b_enc,   W_dec / f,   b_dec / f,   the same thresholds.
"""

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from rsae.errors import TeacherError
from rsae.pretrained.base import Teacher
from rsae.pretrained.checks import check_finite

__all__ = ["estimated_factor", "fold_scale", "needs_scale", "with_estimated_scale"]


def needs_scale(teacher: object) -> bool:
    """Whether it is a teacher whose factor was not in its file."""
    return isinstance(teacher, Teacher) and (
        teacher.normalize_activations == "expected_average_only_in"
    )


def fold_scale(teacher: Teacher, factor: float, note: str) -> Teacher:
    """The teacher whose feature activations of x are those of factor * x.

    Raises:
        TeacherError: the weights are not finite any more.
    """
    W_enc, W_dec, b_dec = teacher.W_enc * factor, teacher.W_dec / factor, teacher.b_dec / factor
    check_finite({"W_enc": W_enc, "W_dec": W_dec, "b_dec": b_dec}, teacher.source)
    return replace(
        teacher,
        W_enc=W_enc,
        W_dec=W_dec,
        b_dec=b_dec,
        normalize_activations="none",
        notes=(*teacher.notes, note),
    )


def with_estimated_scale(teacher: Teacher, batches: Iterable[Tensor]) -> Teacher:
    """The teacher with the factor of its training estimated as sqrt(d_in) / E|x| and folded in.

    A teacher that misses no factor is given back as it is.

    Args:
        teacher: the teacher.
        batches: activations of its hook, (n, d_in) each, without special tokens.

    Raises:
        TeacherError: the activations have no mean norm by which one could divide.

    Source: SAELens 6, `training/activation_scaler.py`.
    """
    if not needs_scale(teacher):
        return teacher
    factor, note = estimated_factor(teacher.d_in, batches, teacher.source)
    return fold_scale(teacher, factor, note)


def estimated_factor(d_in: int, batches: Iterable[Tensor], source: str) -> tuple[float, str]:
    """The factor sqrt(d_in) / E|x|, and the sentence that says so.

    Args:
        d_in: the width of the activations.
        batches: activations, (n, d_in) each, without special tokens.
        source: what a message calls the SAE.

    Raises:
        TeacherError: the activations have no mean norm by which one could divide.
    """
    total, count = 0.0, 0
    for x in batches:
        total += torch.linalg.vector_norm(x.cpu().double(), dim=-1).sum().item()
        count += x.shape[:-1].numel()
    mean = total / max(count, 1)
    factor = d_in**0.5 / mean if mean > 0 else float("inf")
    if not 1e-30 < factor < 1e30:
        raise TeacherError(
            f"{source}: it was trained on scaled activations, and these have a mean norm "
            f"of {mean:.3g}, from which no factor follows; give activations of its hook"
        )
    note = f"the training factor of x is not in its file; {factor:.4g} was estimated and folded in"
    return factor, note
