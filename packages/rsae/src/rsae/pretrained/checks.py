"""From raw tensors of any origin to a `Teacher`: shapes, types and values checked once, here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rsae.errors import TeacherError
from rsae.pretrained.base import Family, Normalization, Teacher


def need(tensors: Mapping[str, Any], key: str, path: Path) -> Tensor:
    """The tensor of that name in a file, in float32.

    Raises:
        TeacherError: it is missing, or no dense array of floating-point numbers.
    """
    if key not in tensors:
        have = ", ".join(sorted(str(name) for name in tensors)[:8]) or "nothing"
        raise TeacherError(f"{path}: {key} is missing (it holds {have}); use a complete file")
    value = tensors[key]
    if not _is_dense_float(value):
        raise TeacherError(f"{path}: {key} is no array of real numbers; use a sound file")
    return value.detach().to(torch.float32)


def need_linear(tensors: Mapping[str, Any], key: str, path: Path) -> Tensor:
    """The matrix of an `nn.Linear` in a file, which lies as (out, in), turned to (in, out).

    Raises:
        TeacherError: as `need`.
    """
    value = need(tensors, key, path)
    return value.T if value.ndim == 2 else value  # another shape is refused by `assemble`


def _is_dense_float(value: Any) -> bool:
    """Whether it is a plain float tensor whose numbers are all there (no stride-0 giants)."""
    return (
        isinstance(value, Tensor)
        and value.is_floating_point()
        and value.layout is torch.strided
        and value.device.type != "meta"
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )


def whole(value: Any, name: str, path: Path) -> int:
    """A whole number from a config or from a tensor of one element.

    Raises:
        TeacherError: it is none.
    """
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not float(value).is_integer():
        raise TeacherError(f"{path}: {name} is {value!r}, not a whole number; use a sound config")
    return int(value)


def agree(config: Mapping[str, Any], key: str, actual: int, path: Path) -> None:
    """Refuse a config whose width is not that of the tensors.

    Raises:
        TeacherError: `config[key]` is given and is not `actual`.
    """
    if config.get(key) and whole(config[key], key, path) != actual:
        raise TeacherError(
            f"{path}: the config says {key} = {config[key]}, the tensors say {actual}; "
            "use the config that belongs to these weights"
        )


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
    metadata: Mapping[str, Any] | None = None,
    notes: tuple[str, ...] = (),
) -> Teacher:
    """Build a `Teacher` from tensors in its layout, or say what is wrong with them.

    The widths come from the biases: d_sae is the length of b_enc, d_in that of b_dec. A
    transposed matrix is refused; where d_in = d_sae it cannot be told, and a note says so.

    Args:
        path: the file, for messages and `Teacher.source`.
        format: its format, for `Teacher.format`.
        threshold: (d_sae,), or one number for all features.

    Raises:
        TeacherError: a shape does not fit, a matrix is transposed, a value is not finite.
    """
    if b_enc.ndim != 1 or b_dec.ndim != 1 or 0 in (b_enc.numel(), b_dec.numel()):
        raise TeacherError(
            f"{path}: the biases have shapes {tuple(b_enc.shape)} and {tuple(b_dec.shape)} where "
            "(d_sae,) and (d_in,) are due; use a sound file"
        )
    d_sae, d_in = b_enc.numel(), b_dec.numel()
    _check_matrix("the encoder", W_enc, (d_in, d_sae), path)
    _check_matrix("the decoder", W_dec, (d_sae, d_in), path)
    if threshold is not None:
        threshold = _per_feature(threshold, d_sae, path)
    named = {"W_enc": W_enc, "b_enc": b_enc, "W_dec": W_dec, "b_dec": b_dec, "threshold": threshold}
    _check_finite(named, path)
    if d_in == d_sae:
        notes += (
            f"d_in = d_sae = {d_in}, so that a transposed matrix cannot be told by its shape; "
            "both were taken to lie as the format has them",
        )
    return Teacher(
        family,
        W_enc.contiguous(),
        b_enc.contiguous(),
        W_dec.contiguous(),
        b_dec.contiguous(),
        threshold=threshold,
        k=k,
        apply_b_dec_to_input=apply_b_dec_to_input,
        normalize_activations=normalize_activations,
        metadata=dict(metadata or {}),
        source=str(path),
        format=format,
        notes=notes,
    )


def _check_matrix(name: str, matrix: Tensor, shape: tuple[int, int], path: Path) -> None:
    if matrix.shape == shape:
        return
    if matrix.shape == shape[::-1]:
        raise TeacherError(
            f"{path}: {name} is transposed (in this package's layout it is {tuple(matrix.shape)} "
            f"where the biases ask for {shape}); transpose it in the file"
        )
    raise TeacherError(
        f"{path}: {name} is {tuple(matrix.shape)} where the biases ask for {shape}; "
        "these tensors do not belong together, use a sound file"
    )


def _per_feature(threshold: Tensor, d_sae: int, path: Path) -> Tensor:
    if threshold.numel() == 1:
        threshold = threshold.reshape(1).expand(d_sae)
    if threshold.shape != (d_sae,):
        raise TeacherError(
            f"{path}: the thresholds are {tuple(threshold.shape)} where ({d_sae},) is due; "
            "use a sound file"
        )
    # relu(h) * (h > t) with t < 0 is relu(h), which is what t = 0 gives.
    return threshold.clamp(min=0).contiguous()


def _check_finite(tensors: Mapping[str, Tensor | None], path: Path) -> None:
    for name, tensor in tensors.items():
        if tensor is not None and not torch.isfinite(tensor).all():
            bad = int((~torch.isfinite(tensor)).sum())
            raise TeacherError(
                f"{path}: {bad} values of {name} are NaN or infinite; use a sound file"
            )
