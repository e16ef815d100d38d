"""EleutherAI sparsify (once `sae`): a folder per hook with `cfg.json` and `sae.safetensors`.

Entries `encoder.weight (d_sae, d_in)`, `encoder.bias (d_sae,)`, `W_dec (d_sae, d_in)`,
`b_dec (d_in,)` and, with `skip_connection`, `W_skip (d_in, d_in)`.

Definition (EleutherAI/sparsify `sparse_coder.py`, `fused_encoder.py`):

    h = (x - b_dec) @ encoder.weight.T + encoder.bias
    z = the k largest of relu(h), else 0
    x_hat = z @ W_dec + b_dec  (+ x @ W_skip.T)

`multi_topk`, `normalize_decoder` and `expansion_factor` speak of training and change nothing here.
A transcoder (`transcode`) has the same tensors, W_skip included, but b_dec is not subtracted, and
x_hat predicts the output of the module whose input is x. Refused are the first transcoders, whose
`transcode` is in the run's `config.json` above, SAEs with W_skip, matching pursuit, the lookups and
skips that add to x_hat what no dictionary holds, `groupmax`, and the `signed` selection by |h| of
old versions.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsae.errors import TeacherError, quoted
from rsae.files import exists
from rsae.pretrained.base import Teacher
from rsae.pretrained.checks import agree, assemble, flag, need, need_linear, only, whole
from rsae.pretrained.files import Weights, read_object

FORMAT = "sparsify"

_NAMES = {"encoder.weight", "encoder.bias", "W_dec", "b_dec", "W_skip"}

_REFUSED = {
    "signed": "it keeps negative values, which no gate on one side does",
    "embed_skip": "it adds a map of the embeddings to its output",
    "gram_lookup": "it adds a table of n-grams to its output",
    "matching_pursuit": "its feature activations come from an iteration",
}


def claims(weights: Weights) -> bool:
    """Whether a file's entries are named as sparsify names them."""
    names = weights.content.keys()
    return weights.container == "safetensors" and bool({"encoder.weight", "encoder.bias"} & names)


def read(weights: Weights) -> Teacher:
    """Build the teacher from `sae.safetensors` and the `cfg.json` beside it.

    Raises:
        TeacherError: there is no `cfg.json`, it is refused (the message says why), or the tensors
            do not fit.
        CorruptFileError: a file is damaged.
    """
    content, path = weights.content, weights.path
    if "cfg.json" not in weights.beside:
        raise TeacherError(f"{path}: there is no cfg.json beside it, which has k; put theirs there")
    config = weights.beside["cfg.json"]
    _refuse(config, content, path)
    transcodes = flag(config, "transcode", False, path)
    teacher = assemble(
        "topk",
        need_linear(content, "encoder.weight", path),
        need(content, "encoder.bias", path),
        need(content, "W_dec", path),
        need(content, "b_dec", path),
        path=path,
        format=FORMAT,
        k=whole(config.get("k"), "k", path),
        apply_b_dec_to_input=not transcodes,
        metadata=_metadata(path, transcodes),
        transcodes=transcodes,
        W_skip=need(content, "W_skip", path) if transcodes and "W_skip" in content else None,
    )
    agree(config, "d_in", teacher.d_in, path)
    if config.get("num_latents") != 0:  # 0: it is expansion_factor * d_in
        agree(config, "num_latents", teacher.d_sae, path)
    only(content, _NAMES, "a TopK autoencoder of sparsify", path)
    return teacher


def _refuse(config: Mapping[str, Any], content: Mapping[str, Any], path: Path) -> None:
    reasons = [reason for key, reason in _REFUSED.items() if config.get(key)]
    if _run(path).get("transcode") and "transcode" not in config:
        reasons.append("it is a transcoder of a version that does not say so in its cfg.json")
    if config.get("activation", "topk") != "topk":
        reasons.append(f"its activation is {quoted(config['activation'])}")
    skips = "W_skip" in content and not config.get("transcode")
    if skips and need(content, "W_skip", path).count_nonzero():
        reasons.append("it adds a linear map of its input to its output")
    if reasons:
        raise TeacherError(
            f"{path}: it is not supported: {reasons[0]}; use a plain TopK autoencoder"
        )


def _run(path: Path) -> dict[str, Any]:
    """The settings of the run that trained it, where they lie above the hook's folder."""
    file = path.parent.parent / "config.json"
    return read_object(file) if exists(file) else {}


def _metadata(path: Path, transcodes: bool) -> dict[str, Any]:
    """The hook by the folder's name, and the model by the run's `config.json` above it."""
    metadata: dict[str, Any] = {}
    if isinstance(model := _run(path).get("model"), str):
        metadata["model_name"] = model
    layer = re.fullmatch(r"(?:.*\.)?(?:layers|h)\.(\d+)(\.mlp)?", path.parent.name)
    if layer is not None:
        inside, out = (
            ("mlp.hook_in", "hook_mlp_out") if layer[2] else ("hook_resid_pre", "hook_resid_post")
        )
        metadata["hook_name"] = f"blocks.{layer[1]}.{inside if transcodes else out}"
        if transcodes:
            metadata["hook_name_out"] = f"blocks.{layer[1]}.{out}"
    return metadata
