"""SAELens folders: `cfg.json` beside `sae_weights.safetensors`.

Definition (SAELens 6, `saes/sae.py` and `saes/{standard,jumprelu,topk}_sae.py`):

    u = normalize(x)                          `normalize_activations`
    h = (u - b_dec) @ W_enc + b_enc           b_dec only if `apply_b_dec_to_input`
    z = relu(h) | relu(h) * (h > threshold) | relu of the k largest of h
    x_hat = denormalize(z @ W_dec + b_dec)

A topk SAE with `rescale_acts_by_decoder_norm` chooses by h * |W_dec row| and decodes
z / |W_dec row|; the norms are folded into its tensors on loading, which changes no code. Batch-topk
is saved by SAELens as jumprelu. Files older than SAELens 6 are read by SAELens' own rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import TeacherError
from .base import Family, Teacher
from .checks import assemble, need

FORMAT = "saelens"

_FAMILIES: dict[str, Family] = {
    "standard": "relu",
    "jumprelu": "jumprelu",
    "topk": "topk",
    "batchtopk": "jumprelu",
    "matryoshka_batchtopk": "jumprelu",
}


def matches(tensors: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether a file's tensors and the config beside it are SAELens'."""
    return "W_dec" in tensors and "encoder.weight" not in tensors and bool(config)


def read(tensors: Mapping[str, Any], config: dict[str, Any], path: Path) -> Teacher:
    """Build the teacher.

    Args:
        tensors: content of `sae_weights.safetensors`.
        config: content of `cfg.json`.
        path: the weights file, for messages.

    Raises:
        TeacherError: an architecture that is no plain SAE, or tensors that do not fit.
    """
    config = _modern(config, path)
    family = _family(config, path)
    W_enc, b_enc = need(tensors, "W_enc", path), need(tensors, "b_enc", path)
    W_dec, b_dec = need(tensors, "W_dec", path), need(tensors, "b_dec", path)
    return assemble(
        family,
        W_enc,
        b_enc,
        W_dec,
        b_dec,
        path=path,
        format=FORMAT,
        threshold=need(tensors, "threshold", path) if family == "jumprelu" else None,
        k=config.get("k") if family == "topk" else None,
        apply_b_dec_to_input=bool(config.get("apply_b_dec_to_input", True)),
        normalize_activations=config.get("normalize_activations") or "none",
        metadata=dict(config.get("metadata") or {}),
    )


def _modern(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """The config in SAELens 6's form."""
    from sae_lens.loading.pretrained_sae_loaders import handle_config_defaulting

    return handle_config_defaulting(config)


def _family(config: dict[str, Any], path: Path) -> Family:
    architecture = config.get("architecture", "standard")
    if architecture not in _FAMILIES:
        raise TeacherError(
            f"{path}: architecture {architecture!r} has no single activation to replace; "
            f"use one of {', '.join(_FAMILIES)}"
        )
    return _FAMILIES[architecture]
