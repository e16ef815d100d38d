"""Llama Scope: `checkpoints/final.safetensors` with `hyperparams.json` a folder up.

Entries `encoder.weight (d_sae, d_in)`, `encoder.bias`, `decoder.weight (d_in, d_sae)`,
`decoder.bias`; one threshold for all features, and the mean norms of the activations, are in
`hyperparams.json`. The R1-Distill release has `sae_weights.safetensors` with a tensor
`log_jumprelu_threshold (d_sae,)` and `config.json` instead.

Definition (He et al. 2024, arXiv 2410.20526, section 3, as SAELens 6 loads it), f the factor that
brings the mean norm to sqrt(d_in):

    h = f x @ encoder.weight.T + encoder.bias
    z = relu(h) * (h > f jump_relu_threshold)          exp(log_jumprelu_threshold) in R1-Distill
    x_hat = (z @ decoder.weight.T + decoder.bias) / f

f = sqrt(d_in) / dataset_average_activation_norm["in"] is folded in where the file has that norm.
"""

import math
from typing import Any

from rsae.errors import TeacherError, quoted
from rsae.files import exists
from rsae.pretrained.base import Teacher
from rsae.pretrained.checks import agree, assemble, need, need_linear, only, positive
from rsae.pretrained.files import Weights, read_object
from rsae.pretrained.scale import fold_scale

FORMAT = "llama_scope"

_NAMES = {"encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias"}
_LOG_THRESHOLD = "log_jumprelu_threshold"
_CONFIGS = ("hyperparams.json", "config.json")
_MODEL = "meta-llama/Llama-3.1-8B"


def claims(weights: Weights) -> bool:
    """Whether a file's entries, and the config near it, are named as Llama Scope names them."""
    names = weights.content.keys()
    if weights.container != "safetensors":
        return False
    if {"decoder.weight", "decoder.bias", _LOG_THRESHOLD} & names:
        return True
    return "encoder.weight" in names and "jump_relu_threshold" in _config(weights)


def read(weights: Weights) -> Teacher:
    """Build the teacher.

    Raises:
        TeacherError: it is a transcoder, another activation than JumpReLU, or does not fit.
    """
    content, path, config = weights.content, weights.path, _config(weights)
    only(content, _NAMES | {_LOG_THRESHOLD}, "a Llama Scope SAE", path)
    hook, target = config.get("hook_point_in"), config.get("hook_point_out")
    if target is not None and target != hook:
        raise TeacherError(
            f"{path} reads {quoted(hook)} and predicts {quoted(target)}: a transcoder, whose "
            "target is not its input; use an SAE"
        )
    if (act := config.get("act_fn", config.get("activation_fn", "jumprelu"))) != "jumprelu":
        raise TeacherError(
            f"{path}: the activation {quoted(act)} is not that of Llama Scope; use a JumpReLU SAE"
        )
    b_enc, b_dec = need(content, "encoder.bias", path), need(content, "decoder.bias", path)
    agree(config, "d_model", b_dec.numel(), path)
    agree(config, "d_sae", b_enc.numel(), path)
    norms = config.get("dataset_average_activation_norm")
    factor = None
    if isinstance(norms, dict) and "in" in norms:
        norm = positive(norms["in"], "dataset_average_activation_norm.in", path)
        factor = math.sqrt(b_dec.numel()) / norm
    if _LOG_THRESHOLD in content:
        threshold = need(content, _LOG_THRESHOLD, path).exp()
    elif factor is None or "jump_relu_threshold" not in config:
        raise TeacherError(
            f"{path}: no hyperparams.json beside it or a folder up gives jump_relu_threshold and "
            "dataset_average_activation_norm; put the one that belongs to these weights there"
        )
    else:
        single = positive(config["jump_relu_threshold"], "jump_relu_threshold", path)
        threshold = b_enc.new_full((1,), single * factor)
    teacher = assemble(
        "jumprelu",
        need_linear(content, "encoder.weight", path),
        b_enc,
        need_linear(content, "decoder.weight", path),
        b_dec,
        path=path,
        format=FORMAT,
        threshold=threshold,
        apply_b_dec_to_input=False,
        normalize_activations="expected_average_only_in",
        metadata={"model_name": _MODEL, "hook_name": hook, "context_size": 1024},
    )
    if factor is None:
        return teacher
    return fold_scale(teacher, factor, f"the training's scale {factor:.4g} was folded in")


def _config(weights: Weights) -> dict[str, Any]:
    """The config beside the weights, or a folder up; empty where there is none."""
    folder = weights.path.parent
    found = (place / name for place in (folder, folder.parent) for name in _CONFIGS)
    return next((read_object(path) for path in found if exists(path)), {})
