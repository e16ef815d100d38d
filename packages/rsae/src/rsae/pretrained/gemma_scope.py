"""Gemma Scope: one `params.npz` (Gemma 2) or `params.safetensors` (Gemma 3) per SAE.

Entries `w_enc (d_in, d_sae)`, `b_enc`, `w_dec (d_sae, d_in)`, `b_dec`, `threshold (d_sae,)`; some
releases write `W_enc` and `W_dec`.

Definition (Lieberum et al. 2024, arXiv 2408.05147, section 2, and DeepMind's tutorial notebook):

    h = x @ W_enc + b_enc                       b_dec is not subtracted
    z = relu(h) * (h > threshold)
    x_hat = z @ W_dec + b_dec

The folders are named `layer_20/width_16k/average_l0_71`; which site of the layer an SAE reads is
only in the name of its repository (`…-res`, `…-mlp`, `…-att`).
"""

import re
from pathlib import Path
from typing import Any

from rsae.errors import TeacherError
from rsae.pretrained.base import Teacher
from rsae.pretrained.checks import assemble, need, only
from rsae.pretrained.files import Weights

FORMAT = "gemma_scope"

_SITES = {
    "res": "hook_resid_post",
    "resid_post": "hook_resid_post",
    "mlp": "hook_mlp_out",
    "mlp_out": "hook_mlp_out",
    "att": "attn.hook_z",
    "attn_out": "attn.hook_z",
}


_NAMES = {"W_enc", "b_enc", "W_dec", "b_dec", "threshold"}


def claims(weights: Weights) -> bool:
    """Whether a file's entries are named as Gemma Scope names them."""
    names = weights.content.keys()
    if weights.container == "npz":
        return bool({"w_enc", "w_dec", "W_enc", "W_dec"} & names)
    return bool({"w_enc", "w_dec"} & names)


def read(weights: Weights) -> Teacher:
    """Build the teacher.

    Raises:
        TeacherError: it is a transcoder, or the tensors do not fit.
    """
    path = weights.path
    _refuse_transcoder(weights)
    content = {_current_name(name): value for name, value in weights.content.items()}
    only(content, _NAMES, "a Gemma Scope SAE", path)
    return assemble(
        "jumprelu",
        need(content, "W_enc", path),
        need(content, "b_enc", path),
        need(content, "W_dec", path),
        need(content, "b_dec", path),
        path=path,
        format=FORMAT,
        threshold=need(content, "threshold", path),
        apply_b_dec_to_input=False,
        metadata=_metadata(path),
    )


def _current_name(name: str) -> str:
    return {"w_enc": "W_enc", "w_dec": "W_dec"}.get(name, name)


def _refuse_transcoder(weights: Weights) -> None:
    """A transcoder's file differs by its skip connection at most, so the folder's name counts."""
    named = any("transcoder" in part or part == "clt" for part in weights.path.parent.parts)
    if named or "affine_skip_connection" in weights.content:
        raise TeacherError(
            f"{weights.path}: this is a transcoder, which predicts another site than it reads; "
            "use an autoencoder (…-res, …-mlp, …-att)"
        )


def _metadata(path: Path) -> dict[str, Any]:
    """What the folders' names say, where they say it as the releases do."""
    folder = path.parent.as_posix()
    layer = re.search(r"layer_(\d+)", folder)
    site = re.search(r"gemma-scope-[^/]*-(res|mlp|att)\b|/(resid_post|mlp_out|attn_out)/", folder)
    if layer is None or site is None:
        return {}
    return {"hook_name": f"blocks.{layer[1]}.{_SITES[site[1] or site[2]]}"}
