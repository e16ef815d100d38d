"""SAELens: a folder with `cfg.json` and `sae_weights.safetensors`.

Definition (SAELens 6, `saes/sae.py`, `saes/{standard,jumprelu,topk}_sae.py`):

    u = normalize(x)                            as `normalize_activations` says
    h = (u - b_dec) @ W_enc + b_enc             b_dec only if `apply_b_dec_to_input`
    z = relu(h)                                 standard
        relu(h) * (h > threshold)               jumprelu
        relu of the k largest of h, else 0      topk
        gated                                   as `rsae.pretrained.gated` has it
    x_hat = denormalize(z @ W_dec + b_dec)

Of a transcoder (`saes/transcoder.py`: `transcoder`, `jumprelu_transcoder` and both with a skip
connection) b_dec is not subtracted, and y_hat = z @ W_dec + b_dec + x @ W_skip.T.

What differs between files, and is folded into the tensors without changing a code or a
reconstruction:

- `rescale_acts_by_decoder_norm` (topk): selection by h * |row of W_dec|, decoding of
  z / |row of W_dec|;
- `activation_scaler.json` of a training checkpoint (`expected_average_only_in`): the factor by
  which the trainer scaled x, as in `SAE.fold_activation_norm_scaling_factor`;
- `scaling_factor` (fine-tuned files of SAELens < 6): codes are scaled before decoding;
- `log_threshold` (older JumpReLU checkpoints): threshold = exp(log_threshold);
- `topk_threshold` (batch-topk checkpoints): SAELens itself saves the finished SAE as jumprelu.

Configs older than SAELens 6 are read by SAELens' own rules (`handle_config_defaulting`).
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rsae.errors import TeacherError, quoted
from rsae.files import exists
from rsae.pretrained.base import Family, Teacher
from rsae.pretrained.checks import (
    agree,
    assemble,
    check_finite,
    flag,
    need,
    only,
    positive,
    whole,
)
from rsae.pretrained.files import Weights, read_object
from rsae.pretrained.gated import GATED_NOTE, without_gate
from rsae.pretrained.metadata import read_sketches
from rsae.pretrained.scale import fold_scale

if TYPE_CHECKING:
    from sae_lens import SAE

FORMAT = "saelens"

_FAMILIES: dict[str, Family] = {
    "standard": "relu",
    "jumprelu": "jumprelu",
    "topk": "topk",
    "batchtopk": "jumprelu",
    "matryoshka_batchtopk": "jumprelu",
    "gated": "jumprelu",
    "transcoder": "relu",
    "skip_transcoder": "relu",
    "jumprelu_transcoder": "jumprelu",
    "jumprelu_skip_transcoder": "jumprelu",
}

_THRESHOLDS = {"threshold", "log_threshold", "topk_threshold"}
_NAMES = {"W_enc", "b_enc", "W_dec", "b_dec", "scaling_factor", "finetuning_scaling_factor"}

_REFUSED = {
    "abstopk": "it keeps negative values, which no gate on one side does",
    "matching_pursuit": "its feature activations come from an iteration",
    "temporal": "its feature activations depend on other tokens",
    "rational": "it is a rational SAE already",
}

TRANSCODERS = tuple(name for name in _FAMILIES if name.endswith("transcoder"))
"""The architectures that predict an MLP's output from its input."""


def claims(weights: Weights) -> bool:
    """Whether a file's entries are named as SAELens names them."""
    names = weights.content.keys()
    return (
        weights.container == "safetensors"
        and bool({"W_enc", "W_dec"} & names)
        and not any(name.startswith("encoder.") for name in names)
    )


def read(weights: Weights) -> Teacher:
    """Build the teacher from `sae_weights.safetensors` and the `cfg.json` beside it.

    Raises:
        TeacherError: there is no `cfg.json`, the architecture is refused (the message says why),
            or the tensors do not fit.
        CorruptFileError: a file is damaged.
    """
    if "cfg.json" not in weights.beside:
        raise TeacherError(
            f"{weights.path}: there is no cfg.json beside it; put SAELens' own there"
        )
    teacher = _read(weights.content, weights.beside["cfg.json"], weights.path)
    sketches = read_sketches(weights.path.parent)
    return replace(teacher, metadata={**teacher.metadata, **sketches})


def from_sae(sae: "SAE[Any]", source: str) -> Teacher:
    """The teacher that an SAE in memory is, for those that SAELens loads from the hub.

    Raises:
        TeacherError: its architecture is refused.
    """
    return _read(sae.state_dict(), sae.cfg.to_dict(), Path(source))


def _read(content: Mapping[str, Any], config: dict[str, Any], path: Path) -> Teacher:
    current = _current(config, path)
    family = _family(current, path)
    _check_activation(config, family, path)
    architecture = current.get("architecture", "standard")
    gated, transcodes = architecture == "gated", architecture in TRANSCODERS
    skips = transcodes and "skip" in architecture
    if gated:
        content = without_gate(content, ("W_enc", "b_gate", "b_mag", "r_mag"), path)
    teacher = assemble(
        family,
        need(content, "W_enc", path),
        need(content, "b_enc", path),
        need(content, "W_dec", path),
        need(content, "b_dec", path),
        path=path,
        format=FORMAT,
        threshold=_threshold(content, path) if family == "jumprelu" else None,
        k=whole(current.get("k"), "k", path) if family == "topk" else None,
        apply_b_dec_to_input=flag(current, "apply_b_dec_to_input", not transcodes, path),
        normalize_activations=current.get("normalize_activations") or "none",
        metadata=current["metadata"],
        transcodes=transcodes,
        W_skip=need(content, "W_skip", path) if skips else None,
    )
    _check_transcoder(teacher, path)
    if gated:
        teacher = replace(teacher, notes=(*teacher.notes, GATED_NOTE))
    agree(current, "d_in", teacher.d_in, path)
    agree(current, "d_sae", teacher.d_sae, path)
    if transcodes:
        agree(current, "d_out", teacher.d_out, path)
    own = (
        _NAMES | (_THRESHOLDS if family == "jumprelu" else set()) | ({"W_skip"} if skips else set())
    )
    only(content, own, f"the architecture {architecture!r}", path)
    by_norm = flag(current, "rescale_acts_by_decoder_norm", False, path)
    teacher = _fold_training_scale(teacher, path, by_norm)
    teacher = _fold_finetuning_scale(teacher, content, config, path)
    teacher = _fold_decoder_norm(teacher) if by_norm else teacher
    tensors = {name: getattr(teacher, name) for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
    check_finite(tensors, path)
    return teacher


def _family(config: Mapping[str, Any], path: Path) -> Family:
    architecture = config.get("architecture", "standard")
    if not isinstance(architecture, str) or architecture not in _FAMILIES:
        reason = _REFUSED.get(str(architecture), "it is not one of an SAE with one activation")
        raise TeacherError(
            f"{path}: the architecture {quoted(architecture)} is not supported: {reason}; "
            f"use one of {', '.join(_FAMILIES)}"
        )
    return _FAMILIES[architecture]


def _check_transcoder(teacher: Teacher, path: Path) -> None:
    """Refuse settings of a transcoder that its class has no meaning for."""
    if not teacher.transcodes:
        return
    if teacher.apply_b_dec_to_input:
        raise TeacherError(
            f"{path}: apply_b_dec_to_input is true, and the b_dec of a transcoder is one of its "
            "output; set it to false"
        )
    if teacher.normalize_activations == "expected_average_only_in":
        raise TeacherError(
            f"{path}: the transcoder was trained on inputs scaled by a factor that its file does "
            "not have; fold it in with SAELens' fold_activation_norm_scaling_factor"
        )


def _check_activation(config: Mapping[str, Any], family: Family, path: Path) -> None:
    """Refuse what SAELens < 6 could be told to use instead of ReLU, and a topk that has no k."""
    activation = config.get("activation_fn_str", config.get("activation_fn", "relu"))
    if activation not in ("relu", "topk"):
        raise TeacherError(
            f"{path}: the activation {quoted(activation)} is not supported; use relu or topk"
        )
    if activation == "topk" and family != "topk":
        raise TeacherError(
            f"{path}: the activation is topk, but cfg.json has no k in activation_fn_kwargs or "
            "another architecture; use the cfg.json that belongs to these weights"
        )


def _current(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """The config in the form of SAELens 6, which is the one that has `metadata`."""
    if "metadata" not in config:
        from sae_lens.loading.pretrained_sae_loaders import handle_config_defaulting

        try:
            config = handle_config_defaulting(config)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise TeacherError(
                f"{path}: SAELens cannot read the cfg.json beside it ({quoted(error)}); restore it"
            ) from error
    if not isinstance(config["metadata"], dict):
        raise TeacherError(f"{path}: metadata in cfg.json is no object; restore it")
    return config


def _threshold(content: Mapping[str, Any], path: Path) -> Tensor:
    if "log_threshold" in content:
        return torch.exp(need(content, "log_threshold", path))
    key = "topk_threshold" if "topk_threshold" in content else "threshold"
    return need(content, key, path)


def _fold_training_scale(teacher: Teacher, path: Path, by_norm: bool) -> Teacher:
    """Fold the factor of x that a training checkpoint keeps beside its weights."""
    if teacher.normalize_activations != "expected_average_only_in":
        return teacher
    scaler = path.parent / "activation_scaler.json"
    factor = read_object(scaler).get("scaling_factor") if exists(scaler) else None
    if factor is None:
        note = (
            "trained on activations scaled to a mean norm of sqrt(d_in), by a factor that is not "
            "in the file: it has to be estimated from activations"
        )
        return replace(teacher, notes=(*teacher.notes, note))
    factor = positive(factor, f"scaling_factor in {scaler.name}", path)
    if teacher.threshold is not None and by_norm:  # in units of h * |row of W_dec|
        teacher = replace(teacher, threshold=teacher.threshold / factor)
    return fold_scale(teacher, factor, f"the training factor {factor} of x is folded in")


def _fold_finetuning_scale(
    teacher: Teacher, content: Mapping[str, Any], config: Mapping[str, Any], path: Path
) -> Teacher:
    """Fold the scale of the feature activations into the decoder; SAELens writes ones for none."""
    key = next((k for k in ("scaling_factor", "finetuning_scaling_factor") if k in content), None)
    if key is None:
        return teacher
    scale = need(content, key, path)
    if scale.shape != (teacher.d_sae,) or not torch.isfinite(scale).all():
        raise TeacherError(f"{path}: {key} is not {teacher.d_sae} finite numbers; use a sound file")
    if torch.allclose(scale, torch.ones_like(scale)):
        return teacher
    if not flag(config, "finetuning_scaling_factor", False, path):
        raise TeacherError(
            f"{path}: {key} is there, but cfg.json has no finetuning_scaling_factor; "
            "set it there if the SAE was fine-tuned"
        )
    note = f"{key} is folded into the decoder"
    return replace(teacher, W_dec=teacher.W_dec * scale[:, None], notes=(*teacher.notes, note))


def _fold_decoder_norm(teacher: Teacher) -> Teacher:
    """Fold |row of W_dec| into the encoder, since features were selected by it."""
    norm = teacher.W_dec.norm(dim=1).clamp(min=1e-8)
    return replace(
        teacher,
        W_enc=teacher.W_enc * norm,
        b_enc=teacher.b_enc * norm,
        W_dec=teacher.W_dec / norm[:, None],
        notes=(*teacher.notes, "the norms of the decoder's rows are folded into the encoder"),
    )
