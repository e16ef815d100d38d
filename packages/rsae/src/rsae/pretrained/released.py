"""Goodfire and Qwen Scope: one file of weights each, what else there is to know in its name.

Goodfire, `Llama-3.1-8B-Instruct-SAE-l19.pth`, entries `encoder_linear.weight (d_sae, d_in)`,
`encoder_linear.bias`, `decoder_linear.weight (d_in, d_sae)`, `decoder_linear.bias`:

    z = relu(x @ encoder_linear.weight.T + encoder_linear.bias)
    x_hat = z @ decoder_linear.weight.T + decoder_linear.bias

Qwen Scope, `SAE-Res-Qwen3-1.7B-Base-W32K-L0_50/layer0.sae.pt`, entries `W_enc (d_sae, d_in)`,
`b_enc`, `W_dec (d_in, d_sae)`, `b_dec`; k is the 50 of the folder's name:

    z = relu of the k largest of x @ W_enc.T + b_enc, else 0
    x_hat = z @ W_dec.T + b_dec

Source: the model cards of both, and SAELens 6, `loading/pretrained_sae_loaders.py`.
"""

import re
from pathlib import Path

from torch import Tensor

from rsae.errors import TeacherError
from rsae.pretrained.base import Teacher
from rsae.pretrained.checks import assemble, need, need_linear, only, whole
from rsae.pretrained.files import Weights

GOODFIRE = "goodfire"
QWEN_SCOPE = "qwen_scope"

_GOODFIRE_NAMES = {
    f"{part}_linear.{kind}" for part in ("encoder", "decoder") for kind in ("weight", "bias")
}
_QWEN_NAMES = {"W_enc", "b_enc", "W_dec", "b_dec"}
_GOODFIRE_FILE = re.compile(r"(?P<model>[\w.-]+)-SAE-l(?P<layer>\d{1,3})$")
_QWEN_FILE = re.compile(r"layer(?P<layer>\d{1,3})\.sae$")
_QWEN_FOLDER = re.compile(r"SAE-Res-(?P<model>[\w.-]+?)-W\d+K-L0_(?P<k>\d{1,9})(?!\d)")


def claims_goodfire(weights: Weights) -> bool:
    """Whether a file's entries are named as Goodfire names them."""
    return bool(_GOODFIRE_NAMES & weights.content.keys())


def claims_qwen_scope(weights: Weights) -> bool:
    """Whether a file's entries are named, and lie as (out, in), as Qwen Scope has them.

    A JumpReluAutoEncoder of dictionary_learning that lost its threshold has the same names.
    """
    content = weights.content
    if weights.container != "torch" or not content.keys() <= _QWEN_NAMES:
        return False
    pairs = [(content.get(f"W_{part}"), content.get(f"b_{part}")) for part in ("enc", "dec")]
    return any(
        isinstance(matrix, Tensor) and isinstance(bias, Tensor) and matrix.shape[:1] == bias.shape
        for matrix, bias in pairs
    )


def read_goodfire(weights: Weights) -> Teacher:
    """Build the teacher.

    Raises:
        TeacherError: the tensors do not fit.
    """
    content, path = weights.content, weights.path
    only(content, _GOODFIRE_NAMES, "a Goodfire SAE", path)
    name = _GOODFIRE_FILE.search(path.stem)
    metadata = (
        {
            "model_name": f"meta-llama/{name['model']}",
            "hook_name": f"blocks.{int(name['layer'])}.hook_resid_post",
        }
        if name
        else {}
    )
    return assemble(
        "relu",
        need_linear(content, "encoder_linear.weight", path),
        need(content, "encoder_linear.bias", path),
        need_linear(content, "decoder_linear.weight", path),
        need(content, "decoder_linear.bias", path),
        path=path,
        format=GOODFIRE,
        apply_b_dec_to_input=False,
        metadata=metadata,
    )


def read_qwen_scope(weights: Weights) -> Teacher:
    """Build the teacher.

    Raises:
        TeacherError: no folder's name tells k, or the tensors do not fit.
    """
    content, path = weights.content, weights.path
    only(content, _QWEN_NAMES, "a Qwen Scope SAE", path)
    folder, layer = _folder(path), _QWEN_FILE.search(path.stem)
    model = f"Qwen/{folder['model']}" if folder else None
    hook = f"blocks.{int(layer['layer'])}.hook_resid_post" if layer else None
    return assemble(
        "topk",
        need_linear(content, "W_enc", path),
        need(content, "b_enc", path),
        need_linear(content, "W_dec", path),
        need(content, "b_dec", path),
        path=path,
        format=QWEN_SCOPE,
        k=_k(weights, folder),
        apply_b_dec_to_input=False,
        metadata={"model_name": model, "hook_name": hook, "context_size": 1024},
    )


def _folder(path: Path) -> re.Match[str] | None:
    """The nearest folder whose name tells the model and k; a hub's cache has it above snapshots."""
    found = (_QWEN_FOLDER.search(folder.name) for folder in path.absolute().parents)
    return next(filter(None, found), None)


def _k(weights: Weights, folder: re.Match[str] | None) -> int:
    for config in weights.beside.values():
        if "k" in config:
            return whole(config["k"], "k", weights.path)
    if folder is None:
        raise TeacherError(
            f"{weights.path}: k of a Qwen Scope SAE is only in the name of its repository; put the "
            "file into a folder of that name, such as SAE-Res-Qwen3-1.7B-Base-W32K-L0_50, or "
            'write {"k": 50} into config.json beside it'
        )
    return int(folder["k"])
