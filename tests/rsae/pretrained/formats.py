"""Write SAEs in the formats that are read, in the originals' own keys, layouts and libraries.

`Parts` are the tensors in the layout of `Teacher`; each writer stores them as its format does and
returns the folder. `convert` writes an existing teacher into another format, where that can hold
the same function.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from rsae.pretrained import Teacher


@dataclass(frozen=True)
class Parts:
    W_enc: Tensor
    b_enc: Tensor
    W_dec: Tensor
    b_dec: Tensor
    threshold: Tensor
    k: int = 2

    @classmethod
    def random(cls, d_in: int, d_sae: int, seed: int = 0, k: int = 2) -> "Parts":
        g = torch.Generator().manual_seed(seed)
        return cls(
            torch.randn(d_in, d_sae, generator=g) / d_in**0.5,
            torch.randn(d_sae, generator=g) / 4,
            torch.randn(d_sae, d_in, generator=g) / d_in**0.5,
            torch.randn(d_in, generator=g) / 4,
            torch.rand(d_sae, generator=g),
            k,
        )

    def to(self, dtype: torch.dtype) -> "Parts":
        names = ("W_enc", "b_enc", "W_dec", "b_dec", "threshold")
        return replace(self, **{name: getattr(self, name).to(dtype) for name in names})


def saelens(folder: Path, p: Parts, architecture: str, **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {"W_enc": p.W_enc, "b_enc": p.b_enc, "W_dec": p.W_dec, "b_dec": p.b_dec}
    if architecture == "jumprelu":
        tensors["threshold"] = p.threshold
    if architecture == "topk":
        config = {"k": p.k, "rescale_acts_by_decoder_norm": False, **config}
    d_in, d_sae = p.W_enc.shape
    cfg = {
        "d_in": d_in,
        "d_sae": d_sae,
        "dtype": str(p.W_enc.dtype).removeprefix("torch."),
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {"sae_lens_version": "6.54.12", "hook_name": "blocks.3.hook_resid_post"},
        "architecture": architecture,
        **config,
    }
    save_file(contiguous(tensors), folder / "sae_weights.safetensors")
    (folder / "cfg.json").write_text(json.dumps(cfg))
    return folder


def gemma_scope(folder: Path, p: Parts, *, w: str = "W", container: str = "npz") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{w}_enc": p.W_enc,
        f"{w}_dec": p.W_dec,
        "b_enc": p.b_enc,
        "b_dec": p.b_dec,
        "threshold": p.threshold,
    }
    if container == "npz":
        np.savez(folder / "params.npz", **{n: as_numpy(t) for n, t in tensors.items()})
    else:
        save_file(contiguous(tensors), folder / "params.safetensors")
    return folder


def dictionary_learning(folder: Path, p: Parts, dict_class: str, **trainer: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    d_in, d_sae = p.W_enc.shape
    linear = {
        "encoder.weight": p.W_enc.T,
        "encoder.bias": p.b_enc,
        "decoder.weight": p.W_dec.T,
    }
    plain = {"W_enc": p.W_enc, "b_enc": p.b_enc, "W_dec": p.W_dec, "b_dec": p.b_dec}
    buffers = {"k": torch.tensor(p.k, dtype=torch.int), "threshold": torch.tensor(-1.0)}
    estimated = {**buffers, "threshold": p.threshold[0]}
    state = {
        "AutoEncoder": {"bias": p.b_dec, **linear},
        "AutoEncoderNew": {**linear, "decoder.bias": p.b_dec},
        "AutoEncoderTopK": {"b_dec": p.b_dec, **buffers, **linear},
        "BatchTopKSAE": {"b_dec": p.b_dec, **estimated, **linear},
        "MatryoshkaBatchTopKSAE": {
            **plain,
            **estimated,
            "group_sizes": torch.tensor([1, d_sae - 1]),
        },
        "JumpReluAutoEncoder": {**plain, "threshold": p.threshold},
        "GatedAutoEncoder": {
            "decoder_bias": p.b_dec,
            "r_mag": p.b_enc,
            "gate_bias": p.b_enc,
            "mag_bias": p.b_enc,
            "encoder.weight": p.W_enc.T,
            "decoder.weight": p.W_dec.T,
        },
    }[dict_class]
    config = {
        "trainer": {
            "dict_class": dict_class,
            "activation_dim": d_in,
            "dict_size": d_sae,
            "k": p.k,
            "layer": 5,
            "lm_name": "EleutherAI/pythia-70m-deduped",
            "submodule_name": "resid_post_layer_5",
            **trainer,
        },
        "buffer": {"ctx_len": 128},
    }
    torch.save(contiguous(state), folder / "ae.pt")
    (folder / "config.json").write_text(json.dumps(config, indent=4))
    return folder


def openai(folder: Path, p: Parts, activation: str | None, postact_fn: str = "ReLU") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    d_sae = p.b_enc.numel()
    state: dict[str, Any] = {
        "pre_bias": p.b_dec,
        "latent_bias": p.b_enc,
        "stats_last_nonzero": torch.zeros(d_sae, dtype=torch.long),
        "latents_activation_frequency": torch.ones(d_sae),
        "latents_mean_square": torch.zeros(d_sae),
        "encoder.weight": p.W_enc.T.contiguous(),
        "decoder.weight": p.W_dec.T.contiguous(),
    }
    if activation is not None:
        state["activation"] = activation
        topk = {"k": p.k, "postact_fn": postact_fn}
        state["activation_state_dict"] = topk if activation == "TopK" else {}
    torch.save(state, folder / "8.pt")
    return folder


def sparsify(folder: Path, p: Parts, W_skip: Tensor | None = None, **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    d_in = p.W_enc.shape[0]
    tensors = {
        "encoder.weight": p.W_enc.T,
        "encoder.bias": p.b_enc,
        "W_dec": p.W_dec,
        "b_dec": p.b_dec,
    }
    if W_skip is not None:
        tensors["W_skip"] = W_skip
    cfg = {
        "activation": "topk",
        "expansion_factor": 32,
        "normalize_decoder": True,
        "num_latents": 0,
        "k": p.k,
        "multi_topk": False,
        "skip_connection": W_skip is not None,
        "transcode": False,
        "d_in": d_in,
        **config,
    }
    save_file(contiguous(tensors), folder / "sae.safetensors")
    (folder / "cfg.json").write_text(json.dumps(cfg))
    return folder


def llama_scope(folder: Path, p: Parts, norm: float = 3.0, threshold: float = 0.4) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    d_in, d_sae = p.W_enc.shape
    hook = "blocks.15.hook_resid_post"
    config = {
        "hook_point_in": hook,
        "hook_point_out": hook,
        "act_fn": "jumprelu",
        "jump_relu_threshold": threshold,
        "d_model": d_in,
        "d_sae": d_sae,
        "norm_activation": "dataset-wise",
        "dataset_average_activation_norm": {"in": norm, "out": norm},
    }
    save_file(contiguous(linear(p)), folder / "final.safetensors")
    (folder / "hyperparams.json").write_text(json.dumps(config))
    return folder


def goodfire(folder: Path, p: Parts) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    state = {name.replace(".", "_linear."): tensor for name, tensor in linear(p).items()}
    torch.save(contiguous(state), folder / "Llama-3.1-8B-Instruct-SAE-l19.pth")
    return folder


def qwen_scope(folder: Path, p: Parts) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    state = {"W_enc": p.W_enc.T, "b_enc": p.b_enc, "W_dec": p.W_dec.T, "b_dec": p.b_dec}
    torch.save(contiguous(state), folder / "layer7.sae.pt")
    (folder / "config.json").write_text(json.dumps({"k": p.k}))
    return folder


def linear(p: Parts) -> dict[str, Tensor]:
    """As two `nn.Linear` have them."""
    return {
        "encoder.weight": p.W_enc.T,
        "encoder.bias": p.b_enc,
        "decoder.weight": p.W_dec.T,
        "decoder.bias": p.b_dec,
    }


def convert(teacher: Teacher, format: str, folder: Path) -> Path | None:
    """Write a teacher in another format; None where that format has no such function.

    A format that does not subtract b_dec gets it in b_enc: (x - b_dec) W + b = x W + (b - b_dec W).
    """
    p = Parts(
        teacher.W_enc,
        teacher.b_enc,
        teacher.W_dec,
        teacher.b_dec,
        torch.zeros_like(teacher.b_enc) if teacher.threshold is None else teacher.threshold,
        teacher.k or teacher.d_sae,
    )
    subtracts = teacher.apply_b_dec_to_input
    shifted = replace(p, b_enc=p.b_enc - p.b_dec @ p.W_enc) if subtracts else p
    unshifted = p if subtracts else replace(p, b_enc=p.b_enc + p.b_dec @ p.W_enc)
    normalized = teacher.normalize_activations
    family = teacher.family
    if format == "saelens":
        architecture = {"relu": "standard"}.get(family, family)
        return saelens(folder, unshifted, architecture, normalize_activations=normalized)
    if format == "openai" and family == "topk" and normalized == "layer_norm":
        return openai(folder, unshifted, "TopK")
    if normalized != "none":
        return None
    if format == "openai" and family == "relu":
        return openai(folder, unshifted, "ReLU")
    if format == "gemma_scope" and family != "topk":
        return gemma_scope(folder, shifted)
    if format == "goodfire" and family == "relu":
        return goodfire(folder, shifted)
    if format == "qwen_scope" and family != "jumprelu":
        return qwen_scope(folder, shifted)
    if format == "sparsify" and family != "jumprelu":
        return sparsify(folder, unshifted)  # all of relu(h) are its d_sae largest
    if format == "dictionary_learning":
        classes = {
            "relu": "AutoEncoder",
            "topk": "AutoEncoderTopK",
            "jumprelu": "JumpReluAutoEncoder",
        }
        return dictionary_learning(
            folder, shifted if family == "jumprelu" else unshifted, classes[family]
        )
    return None


def contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def as_numpy(tensor: Tensor) -> np.ndarray:
    """As numpy stores it: a bfloat16 of ml_dtypes is two opaque bytes to it."""
    if tensor.dtype is torch.bfloat16:
        return tensor.contiguous().view(torch.int16).numpy().view("V2")
    return tensor.contiguous().numpy()
