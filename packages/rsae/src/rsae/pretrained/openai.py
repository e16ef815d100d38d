"""OpenAI: one `.pt` per autoencoder, the state dict of their `Autoencoder`.

Entries `pre_bias (d_in,)`, `encoder.weight (d_sae, d_in)`, `latent_bias (d_sae,)`,
`decoder.weight (d_in, d_sae)`, three statistics, and two that are no tensors: the name of the
`activation` (absent: ReLU) and its `activation_state_dict` (`k`, `postact_fn`). A decoder tied to
the encoder stands there as `decoder.linear.weight`, which is encoder.weight again.

Definition (openai/sparse_autoencoder `model.py`; Gao et al. 2024, arXiv 2406.04093):

    u = (x - mean x) / (std x + 1e-5)           TopK only, std with Bessel's correction; else u = x
    h = (u - pre_bias) @ encoder.weight.T + latent_bias
    z = relu of the k largest of h, else 0      TopK
        relu(h)                                 ReLU
    x_hat = (z @ decoder.weight.T + pre_bias) * std x + mean x

Their `state_dict` writes what is in `activation_state_dict` a second time, as `activation.k` and
`activation.postact_fn`.

The non-tensors are read by torch's restricted unpickler (`weights_only`), which admits plain
strings and numbers.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from rsae.errors import TeacherError, quoted
from rsae.pretrained.base import Teacher
from rsae.pretrained.checks import agree, assemble, need, need_linear, only, whole
from rsae.pretrained.files import Weights

FORMAT = "openai"

_TIED = "decoder.linear.weight"

_NAMES = {
    "pre_bias",
    "encoder.weight",
    "latent_bias",
    "decoder.weight",
    _TIED,
    "stats_last_nonzero",
    "latents_activation_frequency",
    "latents_mean_square",
    "activation",
    "activation_state_dict",
    "activation.k",
    "activation.postact_fn",
}

_SITES = {
    "mlp_post_act": "mlp.hook_post",
    "resid_delta_attn": "hook_attn_out",
    "resid_delta_mlp": "hook_mlp_out",
    "resid_post_attn": "hook_resid_mid",
    "resid_post_mlp": "hook_resid_post",
}


def claims(weights: Weights) -> bool:
    """Whether a file's entries are named as OpenAI names them."""
    return weights.container == "torch" and bool(
        {"pre_bias", "latent_bias"} & weights.content.keys()
    )


def read(weights: Weights) -> Teacher:
    """Build the teacher.

    Raises:
        TeacherError: The activation keeps negative values, or the tensors do not fit.
    """
    content, path = weights.content, weights.path
    activation = content.get("activation", "ReLU")
    if not isinstance(activation, str) or activation not in ("ReLU", "TopK"):
        raise TeacherError(
            f"{path}: the activation {quoted(activation)} is not supported; use ReLU or TopK"
        )
    k = _k(content, path) if activation == "TopK" else None
    only(content, _NAMES, "an autoencoder of OpenAI", path)
    return assemble(
        "relu" if k is None else "topk",
        need_linear(content, "encoder.weight", path),
        need(content, "latent_bias", path),
        _decoder(content, path),
        need(content, "pre_bias", path),
        path=path,
        format=FORMAT,
        k=k,
        # Theirs too is "hacky": that inputs are normalised is known by the activation only.
        normalize_activations="none" if k is None else "layer_norm",
        metadata=_metadata(path),
    )


def _decoder(content: Mapping[str, Any], path: Path) -> Tensor:
    """W_dec (d_sae, d_in), of a decoder of its own or of one tied to the encoder."""
    if _TIED in content:
        return need(content, _TIED, path)
    return need_linear(content, "decoder.weight", path)


def _k(content: Any, path: Path) -> int:
    state = content.get("activation_state_dict")
    if not isinstance(state, dict) or "k" not in state:
        raise TeacherError(f"{path}: activation_state_dict.k is missing; use a complete file")
    postact = state.get("postact_fn", "ReLU")
    if not isinstance(postact, str) or postact != "ReLU":
        raise TeacherError(
            f"{path}: TopK with {quoted(postact)} after it keeps negative values, which no "
            "gate on one side does; use a TopK with ReLU"
        )
    k = whole(state["k"], "k", path)
    agree(content, "activation.k", k, path)
    return k


def _metadata(path: Path) -> dict[str, Any]:
    """The hook, where the path is that of their release (`resid_post_mlp_v5_32k/…/8.pt`)."""
    site = re.search("|".join(_SITES), path.parent.as_posix())
    if site is None or not path.stem.isdigit():
        return {}
    return {"model_name": "gpt2-small", "hook_name": f"blocks.{path.stem}.{_SITES[site[0]]}"}
