"""dictionary_learning: `trainer_0/ae.pt`, a state dict, beside `config.json`.

Definition (saprmarks/dictionary_learning `dictionary.py`, `trainers/top_k.py`,
`trainers/batch_top_k.py`, `trainers/matryoshka_batch_top_k.py`), by
`config["trainer"]["dict_class"]`:

    AutoEncoder             h = (x - bias) @ encoder.weight.T + encoder.bias,  z = relu(h),
                            x_hat = z @ decoder.weight.T + bias
    AutoEncoderNew          h = x @ encoder.weight.T + encoder.bias,  z = relu(h),
                            x_hat = z @ decoder.weight.T + decoder.bias
    AutoEncoderTopK         as AutoEncoder with b_dec for bias, z = the k largest of relu(h)
    BatchTopKSAE            as AutoEncoderTopK, z = relu(h) * (relu(h) > threshold)
    MatryoshkaBatchTopKSAE  as BatchTopKSAE, its matrices W_enc (d_in, d_sae), W_dec (d_sae, d_in)
    JumpReluAutoEncoder     h = x @ W_enc + b_enc,  z = relu(h * (h > threshold)),
                            x_hat = z @ W_dec + b_dec

These are the classes' own `encode` and `decode` on the tensors as they are stored.
(`AutoEncoder.from_pretrained` of late versions first rescales the rows of the decoder to norm 1,
which changes the unit of each code and no reconstruction.)

Without a config the class is told by the names of the tensors, all of which must be known (the
JumpAutoEncoder of 2024 has one more than an AutoEncoder); AutoEncoderTopK and BatchTopKSAE have the
same ones, so they need it. A batch-topk SAE whose threshold was never estimated (-1) has
no rule for a single token, and is refused.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from rsae.errors import TeacherError
from rsae.pretrained.base import Family, Teacher
from rsae.pretrained.checks import agree, assemble, need, need_linear, whole
from rsae.pretrained.files import Weights

FORMAT = "dictionary_learning"

_GATED_NAMES = {"r_mag", "gate_bias", "mag_bias"}
_NAMES = {"encoder.weight", "decoder.weight", "W_enc", "W_dec", *_GATED_NAMES}
_VECTORS = {"bias", "encoder.bias", "decoder.bias", "b_enc", "b_dec"}
_KNOWN = _NAMES | _VECTORS | {"k", "threshold", "group_sizes"}


class _Class(NamedTuple):
    """How one of their classes stores and uses its tensors."""

    family: Family
    linear: bool  # nn.Linear's (out, in) matrices, or plain (in, out) ones
    b_dec: str
    subtracts: bool  # whether the encoder sees x - b_dec


_CLASSES = {
    "AutoEncoder": _Class("relu", True, "bias", True),
    "AutoEncoderNew": _Class("relu", True, "decoder.bias", False),
    "AutoEncoderTopK": _Class("topk", True, "b_dec", True),
    "BatchTopKSAE": _Class("jumprelu", True, "b_dec", True),
    "MatryoshkaBatchTopKSAE": _Class("jumprelu", False, "b_dec", True),
    "MatroyshkaBatchTopKSAE": _Class("jumprelu", False, "b_dec", True),  # their first spelling
    "JumpReluAutoEncoder": _Class("jumprelu", False, "b_dec", False),
}


def claims(weights: Weights) -> bool:
    """Whether a file's entries are named as dictionary_learning names them."""
    names = weights.content.keys()
    ours = bool(_NAMES & names) and not {"pre_bias", "latent_bias"} & names
    return weights.container == "torch" and ours


def read(weights: Weights) -> Teacher:
    """Build the teacher from `ae.pt` and, where it is needed, the `config.json` beside it.

    Raises:
        TeacherError: the class is gated, unknown, ambiguous or has no threshold, or the tensors
            do not fit.
        CorruptFileError: a file is damaged.
    """
    content, path = weights.content, weights.path
    config = weights.beside.get("config.json", {}).get("trainer", {})
    if not isinstance(config, dict):
        raise TeacherError(f"{path}: trainer in config.json is no object; restore it")
    name = _class_name(weights, config)
    kind = _CLASSES[name]
    W_enc, b_enc, W_dec = _matrices(weights, kind)
    teacher = assemble(
        kind.family,
        W_enc,
        b_enc,
        W_dec,
        need(content, kind.b_dec, path),
        path=path,
        format=FORMAT,
        threshold=_threshold(weights, name) if kind.family == "jumprelu" else None,
        k=_k(weights, config) if kind.family == "topk" else None,
        apply_b_dec_to_input=kind.subtracts,
        metadata=_metadata(config),
    )
    agree(config, "activation_dim", teacher.d_in, path)
    agree(config, "dict_size", teacher.d_sae, path)
    return teacher


def _class_name(weights: Weights, config: Mapping[str, Any]) -> str:
    """The class by the config (old ones write `<class '….AutoEncoder'>`), or by the tensors."""
    words = re.findall(r"\w+", str(config.get("dict_class", "")))
    name = words[-1] if words else _class_by_names(weights)
    if name == "GatedAutoEncoder" or _GATED_NAMES & weights.content.keys():
        raise TeacherError(
            f"{weights.path}: a GatedAutoEncoder cannot be upgraded: its gate and its magnitude "
            f"are two affine maps; use one of {', '.join(_CLASSES)}"
        )
    if name not in _CLASSES:
        raise TeacherError(
            f"{weights.path}: the class {name!r} cannot be upgraded; "
            f"use one of {', '.join(_CLASSES)}"
        )
    return name


def _class_by_names(weights: Weights) -> str:
    names = weights.content.keys()
    if _GATED_NAMES & names:
        return "GatedAutoEncoder"
    if unknown := sorted(map(str, names - _KNOWN)):
        raise TeacherError(
            f"{weights.path}: none of {', '.join(_CLASSES)} has {', '.join(unknown[:4])}; "
            "if it is one of them, name it in a config.json beside it"
        )
    if "W_enc" in names or "W_dec" in names:
        return "MatryoshkaBatchTopKSAE" if "group_sizes" in names else "JumpReluAutoEncoder"
    if "b_dec" in names:
        raise TeacherError(
            f"{weights.path}: AutoEncoderTopK and BatchTopKSAE store the same tensors; "
            "put their config.json, which names the class, beside it"
        )
    return "AutoEncoderNew" if "decoder.bias" in names else "AutoEncoder"


def _matrices(weights: Weights, kind: _Class) -> tuple[Tensor, Tensor, Tensor]:
    """(W_enc, b_enc, W_dec) in the layout of `Teacher`."""
    content, path = weights.content, weights.path
    if kind.linear:
        return (
            need_linear(content, "encoder.weight", path),
            need(content, "encoder.bias", path),
            need_linear(content, "decoder.weight", path),
        )
    return need(content, "W_enc", path), need(content, "b_enc", path), need(content, "W_dec", path)


def _threshold(weights: Weights, name: str) -> Tensor:
    threshold = need(weights.content, "threshold", weights.path)
    if name != "JumpReluAutoEncoder" and bool((threshold < 0).any()):
        raise TeacherError(
            f"{weights.path}: the threshold of this {name} was never estimated (-1), so that it "
            "has no rule for a single token; train it past threshold_start_step, or call it an "
            "AutoEncoderTopK in config.json"
        )
    return threshold


def _k(weights: Weights, config: Mapping[str, Any]) -> int:
    """k of the buffer and of the config, which must agree where both are there."""
    found = [v for v in (weights.content.get("k"), config.get("k")) if v is not None]
    if not found:
        raise TeacherError(f"{weights.path}: k is missing; put their config.json beside it")
    values = {whole(value, "k", weights.path) for value in found}
    if len(values) > 1:
        raise TeacherError(
            f"{weights.path}: k is {values.pop()} in one place and {values.pop()} in another; "
            "use the config that belongs to these weights"
        )
    return values.pop()


def _metadata(config: Mapping[str, Any]) -> dict[str, Any]:
    """The model, and the hook where the site is the residual stream (their default)."""
    found: dict[str, Any] = {}
    if isinstance(config.get("lm_name"), str):
        found["model_name"] = config["lm_name"]
    site = config.get("submodule_name") or "resid_post"
    if isinstance(config.get("layer"), int) and str(site).startswith("resid_post"):
        found["hook_name"] = f"blocks.{config['layer']}.hook_resid_post"
    return found
