"""From raw tensors of any origin to a `Teacher`: shapes, types and values checked once, here."""

from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rsae.errors import TeacherError, quoted
from rsae.pretrained.base import Family, Normalization, Teacher
from rsae.pretrained.metadata import checked_metadata

_LARGEST = 2**63  # whole numbers of a config are below it


def need(tensors: Mapping[str, Any], key: str, path: Path) -> Tensor:
    """The tensor of that name in a file, in float32.

    Raises:
        TeacherError: it is missing, or no dense array of floating-point numbers.
    """
    if key not in tensors:
        raise TeacherError(
            f"{path}: {key} is missing (it holds {named(tensors)}); use a sound file"
        )
    value = tensors[key]
    if not _is_dense_float(value):
        raise TeacherError(f"{path}: {key} is no array of real numbers; use a sound file")
    return value.detach().to(torch.float32)


def named(names: Iterable[Any]) -> str:
    """The first names of a file's entries, for a message."""
    return ", ".join(sorted(str(name)[:60] for name in names)[:8]) or "nothing"


def only(
    tensors: Mapping[str, Any], known: Set[str], what: str, path: Path, refused: str = ""
) -> None:
    """Refuse entries that this kind of SAE does not have: they would be part of what it computes.

    Args:
        known: the names that it may have.
        what: the kind, for the message.
        refused: A further sentence for the message.

    Raises:
        TeacherError: there are others.
    """
    if stray := [name for name in tensors if name not in known]:
        raise TeacherError(
            f"{path}: {what} has no {named(stray)}{refused}; "
            "use the config that belongs to these weights, or a file of that kind"
        )


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
    number = _scalar(value)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if not isinstance(number, int) or isinstance(number, bool) or abs(number) >= _LARGEST:
        raise TeacherError(
            f"{path}: {name} is {quoted(value)}, not a whole number; use a sound config"
        )
    return number


def positive(value: Any, name: str, path: Path) -> float:
    """A factor from a config or from a tensor of one element: finite and above 0 in float32.

    Raises:
        TeacherError: it is none.
    """
    number = _scalar(value)
    if isinstance(number, int) and not isinstance(number, bool) and abs(number) < _LARGEST:
        number = float(number)
    float32 = torch.finfo(torch.float32)
    if not isinstance(number, float) or not float32.tiny <= number <= float32.max:
        raise TeacherError(
            f"{path}: {name} is {quoted(value)}, not a positive number; use a sound config"
        )
    return number


def flag(config: Mapping[str, Any], name: str, default: bool, path: Path) -> bool:
    """A yes or no from a config; absent or null is `default`.

    Raises:
        TeacherError: it is something else, such as the text "false".
    """
    value = config.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise TeacherError(
            f"{path}: {name} is {quoted(value)}, not true or false; use a sound config"
        )
    return value


def _scalar(value: Any) -> Any:
    """The number in a plain tensor of one element, or the value itself."""
    plain = isinstance(value, Tensor) and value.layout is torch.strided and value.is_cpu
    return value.item() if plain and value.numel() == 1 and not value.is_quantized else value


def agree(config: Mapping[str, Any], key: str, actual: int, path: Path) -> None:
    """Refuse a config whose width is not that of the tensors.

    Raises:
        TeacherError: `config[key]` is given and is not `actual`.
    """
    said = config.get(key)
    if said is not None and whole(said, key, path) != actual:
        raise TeacherError(
            f"{path}: the config says {key} = {quoted(said)}, the tensors say {actual}; "
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
    transcodes: bool = False,
    W_skip: Tensor | None = None,
) -> Teacher:
    """Build a `Teacher` from tensors in its layout, or say what is wrong with them.

    The widths come from the biases: d_sae is the length of b_enc, d_out that of b_dec, and d_in is
    d_out but for a transcoder. A transposed matrix is refused; where d_out = d_sae it cannot be
    detected, and a note says so.

    Args:
        path: the file, for messages and `Teacher.source`.
        format: its format, for `Teacher.format`.
        threshold: (d_sae,), or one number for all features.
        transcodes: whether it is a transcoder, whose d_in is that of its encoder.
        W_skip: (d_out, d_in), of a skip transcoder.

    Raises:
        TeacherError: a shape does not fit, a matrix is transposed, a value is not finite.
    """
    if b_enc.ndim != 1 or b_dec.ndim != 1 or 0 in (b_enc.numel(), b_dec.numel()):
        raise TeacherError(
            f"{path}: the biases have shapes {tuple(b_enc.shape)} and {tuple(b_dec.shape)} where "
            "(d_sae,) and (d_in,) are due; use a sound file"
        )
    d_sae, d_out = b_enc.numel(), b_dec.numel()
    d_in = W_enc.shape[0] if transcodes and W_enc.ndim == 2 else d_out
    _check_matrix("the encoder", W_enc, (d_in, d_sae), path)
    _check_matrix("the decoder", W_dec, (d_sae, d_out), path)
    if threshold is not None:
        threshold = _per_feature(threshold, d_sae, path)
    said, left_out = checked_metadata(metadata or {})
    values = {"W_enc": W_enc, "b_enc": b_enc, "W_dec": W_dec, "b_dec": b_dec}
    if threshold is not None:
        values["threshold"] = threshold
    if W_skip is not None:
        _check_matrix("the skip connection", W_skip, (d_out, d_in), path)
        values["W_skip"] = W_skip
    check_finite(values, path)
    if d_out == d_sae:
        notes += (
            f"d_in = d_sae = {d_out}, so a transposed matrix cannot be detected by its shape; "
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
        metadata=said,
        source=str(path),
        format=format,
        notes=notes + left_out,
        transcodes=transcodes,
        W_skip=W_skip,
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


def check_finite(tensors: Mapping[str, Tensor], path: Path | str) -> None:
    """Refuse NaN and infinity, in a file or after a factor was folded in.

    Raises:
        TeacherError: there are some.
    """
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            bad = int((~torch.isfinite(tensor)).sum())
            raise TeacherError(
                f"{path}: {bad} values of {name} are NaN or infinite; use a sound file"
            )
