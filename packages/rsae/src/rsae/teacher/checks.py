"""From raw tensors of any origin to a `Teacher`: shapes, types and values checked once, here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import TeacherError
from .base import Family, Normalization, Teacher


def need(tensors: Mapping[str, Any], key: str, path: Path) -> Tensor:
    """The tensor of that name in a file, as float32.

    Raises:
        TeacherError: it is missing, or is not an array of real floating-point numbers.
    """
    if key not in tensors:
        have = ", ".join(sorted(map(str, tensors))[:8]) or "nothing"
        raise TeacherError(f"{path}: {key} is missing (it holds {have}); use a complete file")
    value = tensors[key]
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.is_sparse:
        raise TeacherError(f"{path}: {key} is not a floating-point tensor; use a complete file")
    return value.detach().to(torch.float32)


def assemble(
    family: Family,
    W_enc: Tensor,
    b_enc: Tensor,
    W_dec: Tensor,
    b_dec: Tensor,
    *,
    path: Path,
    format: str,
    threshold: Tensor | None = None,
    k: int | None = None,
    apply_b_dec_to_input: bool = True,
    normalize_activations: Normalization = "none",
    metadata: dict[str, Any] | None = None,
    notes: tuple[str, ...] = (),
) -> Teacher:
    """Build a `Teacher` from tensors in its layout, or say what is wrong with them.

    The widths come from the biases: d_sae is the length of b_enc, d_in that of b_dec.

    Args:
        path: the file, for messages and `Teacher.source`.
        format: its format, for `Teacher.format`.
        threshold: (d_sae,), or one number for all features.

    Raises:
        TeacherError: a shape does not fit, a matrix is transposed, a value is not finite.
    """
    if b_enc.ndim != 1 or b_dec.ndim != 1 or not b_enc.numel() or not b_dec.numel():
        raise TeacherError(
            f"{path}: the biases have shapes {tuple(b_enc.shape)} and {tuple(b_dec.shape)}, "
            "not (d_sae,) and (d_in,); use a complete file"
        )
    d_sae, d_in = b_enc.numel(), b_dec.numel()
    _check_matrix("W_enc", W_enc, (d_in, d_sae), path)
    _check_matrix("W_dec", W_dec, (d_sae, d_in), path)
    if threshold is not None:
        if threshold.numel() == 1:
            threshold = threshold.reshape(1).expand(d_sae)
        if threshold.shape != (d_sae,):
            raise TeacherError(
                f"{path}: threshold has shape {tuple(threshold.shape)}, not ({d_sae},)"
            )
    _check_finite(path, W_enc=W_enc, b_enc=b_enc, W_dec=W_dec, b_dec=b_dec, threshold=threshold)
    if d_in == d_sae:
        notes += (
            f"d_in = d_sae = {d_in}: a transposed matrix cannot be told by its shape; "
            "the matrices are taken to lie as the format says",
        )
    return Teacher(
        family,
        W_enc.contiguous(),
        b_enc.contiguous(),
        W_dec.contiguous(),
        b_dec.contiguous(),
        # relu(h) * (h > t) with t < 0 is relu(h), which is what t = 0 gives.
        threshold=None if threshold is None else threshold.clamp(min=0).contiguous(),
        k=k,
        apply_b_dec_to_input=apply_b_dec_to_input,
        normalize_activations=normalize_activations,
        metadata=metadata or {},
        source=str(path),
        format=format,
        notes=notes,
    )


def _check_matrix(name: str, matrix: Tensor, shape: tuple[int, int], path: Path) -> None:
    if matrix.shape == shape:
        return
    if matrix.shape == shape[::-1]:
        raise TeacherError(
            f"{path}: {name} is transposed: its shape is {tuple(matrix.shape)} where the biases "
            f"ask for {shape}; transpose it in the file"
        )
    raise TeacherError(
        f"{path}: {name} has shape {tuple(matrix.shape)} where the biases ask for {shape}; "
        "the tensors belong to different SAEs or are damaged"
    )


def _check_finite(path: Path, **tensors: Tensor | None) -> None:
    for name, tensor in tensors.items():
        if tensor is not None and not torch.isfinite(tensor).all():
            bad = int((~torch.isfinite(tensor)).sum())
            raise TeacherError(
                f"{path}: {name} has {bad} values that are NaN or infinite; use a sound file"
            )
