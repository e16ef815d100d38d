"""The size of a language model, from its settings alone: no weight is read or made."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rsae.errors import HostError
from rsae.files import exists
from rsae.language_model.site import HOOK
from rsae.language_model.weights import load_config

__all__ = ["ModelShape", "model_shape"]

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")


@dataclass(frozen=True)
class ModelShape:
    """What a forward pass of a language model costs.

    Attributes:
        name: The name that it was found by.
        n_layers: Number of blocks.
        parameters: Number of parameters, embeddings included.
        block_parameters: Number of parameters of one block, the mean over blocks.
        d_model: Width of the residual stream.
        d_vocab: Size of the vocabulary.
        n_heads, d_head: Number of attention heads, and the width of one.
        download_bytes: Size of what is still to be downloaded; 0 where it is on this machine.
    """

    name: str
    n_layers: int
    parameters: int
    block_parameters: int
    d_model: int
    d_vocab: int
    n_heads: int
    d_head: int
    download_bytes: int

    def flops_to(self, hook_name: str, context_size: int) -> float:
        """Operations for one token of a pass that ends at a hook.

        Two for each weight that multiplies it, and for attention two products with as many keys
        and values as the context has tokens.
        """
        found = HOOK.fullmatch(hook_name)
        layers = self.n_layers
        if found:
            layers = min(layers, int(found[1]) + (found[2] != "hook_resid_pre"))
        return layers * (
            2.0 * self.block_parameters + 4.0 * context_size * self.n_heads * self.d_head
        )

    def flops(self, context_size: int) -> float:
        """Operations for one token of a whole pass, with the logits."""
        blocks = self.flops_to("", context_size)
        return blocks + 2.0 * self.d_model * self.d_vocab


def model_shape(name: str | Path | None) -> ModelShape:
    """The shape of a language model by the names that `rsae.load_host` takes.

    Its settings are read, from the hub if need be, and the model is built on PyTorch's device
    "meta", which holds no numbers.

    Raises:
        HostError: Its settings cannot be read, or `transformers` has no such model.
    """
    known_as = "smollm2" if name is None else str(name)
    config = load_config(known_as)
    model = _on_meta(config, known_as)
    text = config.get_text_config()
    try:
        n_layers, heads = int(text.num_hidden_layers), int(text.num_attention_heads)
        width = int(getattr(text, "head_dim", None) or text.hidden_size // heads)
        d_model, d_vocab = int(text.hidden_size), int(text.vocab_size)
        if min(n_layers, heads, width, d_model, d_vocab) < 1:
            raise ValueError
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
        raise HostError(
            f"the settings of {known_as} give no number of layers, heads, words or no width; "
            "use another model"
        ) from error
    parameters = _count(model)
    lists = (m for m in model.modules() if isinstance(m, torch.nn.ModuleList))
    blocks = max((_count(m) for m in lists if len(m) == n_layers), default=parameters)
    return ModelShape(
        name=known_as,
        n_layers=n_layers,
        parameters=parameters,
        block_parameters=blocks // n_layers,
        d_model=d_model,
        d_vocab=d_vocab,
        n_heads=heads,
        d_head=width,
        download_bytes=0 if _is_here(known_as, config) else _stored_bytes(config, parameters),
    )


def _on_meta(config: Any, name: str) -> Any:
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except Exception as error:  # another program's code on settings of any kind
        raise HostError(
            f"transformers has no language model with the settings of {name} "
            f"({type(error).__name__}); use another model"
        ) from error


def _count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _is_here(name: str, config: Any) -> bool:
    """Whether the weights are in a file or folder, in a package, or in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache

    place = str(config._name_or_path or name)  # the hub's full name, or a folder
    if exists(os.path.expanduser(name)) or exists(place):
        return True
    return any(isinstance(try_to_load_from_cache(place, file), str) for file in _WEIGHTS)


def _stored_bytes(config: Any, parameters: int) -> int:
    dtype = getattr(config, "dtype", None)
    return parameters * (dtype.itemsize if isinstance(dtype, torch.dtype) else 4)
