"""A fixed set of tokens, handed to SAELens' and SAEBench's evaluations and to ours."""

from dataclasses import dataclass
from typing import Any

import torch

from rsae.data.text import Tokens


@dataclass
class FrozenStore:
    """What `run_evals` asks of an activation store: batches of tokens, always from the start."""

    ids: torch.Tensor
    store_batch_size_prompts: int = 8
    position: int = 0

    @property
    def context_size(self) -> int:
        return self.ids.shape[1]

    def get_batch_tokens(self, n: int) -> torch.Tensor:
        batch = self.ids[self.position : self.position + n]
        self.position += n
        return batch

    def reset_input_dataset(self) -> None:
        self.position = 0


@dataclass(frozen=True)
class HookedHost:
    """A TransformerLens model as the `Host` that our metrics splice into."""

    model: Any
    special_token_ids: tuple[int, ...]
    name: str = "hooked"

    @property
    def d_model(self) -> int:
        return self.model.cfg.d_model

    def is_special(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.isin(ids, torch.tensor(self.special_token_ids))

    def residual(self, ids: torch.Tensor, hook_name: str) -> torch.Tensor:
        with torch.no_grad():
            return self.model.run_with_cache(ids, names_filter=[hook_name])[1][hook_name]

    def logits(self, ids, hook_name=None, replace=None):
        ordinary = ~self.is_special(ids)

        def edit(residual, hook):
            edited = residual.clone()
            edited[ordinary] = replace(residual[ordinary])
            return edited

        hooks = [] if replace is None else [(hook_name, edit)]
        with torch.no_grad():
            return self.model.run_with_hooks(ids, fwd_hooks=hooks)


def small_model(seed: int = 0):
    """A random two-layer transformer (no download) and the tokenizer stub that SAELens reads."""
    from types import SimpleNamespace

    from transformer_lens import HookedTransformer, HookedTransformerConfig

    torch.manual_seed(seed)
    config = HookedTransformerConfig(
        n_layers=2, d_model=32, n_ctx=32, d_head=8, n_heads=4, d_mlp=64, d_vocab=61, act_fn="gelu",
        seed=seed, init_weights=True,
    )  # fmt: skip
    model = HookedTransformer(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    model.tokenizer = SimpleNamespace(
        padding_side="right", bos_token_id=0, eos_token_id=0, pad_token_id=1, sep_token_id=None,
        all_special_ids=[0, 1],
        unk_token_id=None, cls_token_id=None, mask_token_id=None, additional_special_tokens_ids=[],
    )  # fmt: skip
    return model


def small_tokens(n: int = 32, context: int = 32, seed: int = 0) -> Tokens:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(2, 61, (n, context), generator=generator)
    ids[:, 0] = 0
    special = ids < 2
    return Tokens(ids, special, torch.arange(n))


def small_sae(x: torch.Tensor, hook_name: str, d_sae: int = 128):
    """A SAELens JumpReLU SAE: random directions, thresholds at which about a tenth fires."""
    from sae_lens import JumpReLUSAE, JumpReLUSAEConfig
    from sae_lens.saes.sae import SAEMetadata

    metadata = SAEMetadata(hook_name=hook_name, model_name="small", context_size=32)
    sae = JumpReLUSAE(JumpReLUSAEConfig(d_in=x.shape[1], d_sae=d_sae, metadata=metadata))
    generator = torch.Generator().manual_seed(3)
    rows = torch.nn.functional.normalize(torch.randn(d_sae, x.shape[1], generator=generator), dim=1)
    with torch.no_grad():
        sae.W_dec.copy_(rows)
        sae.W_enc.copy_(rows.T)
        sae.b_dec.copy_(x.mean(0))
        h = (x - sae.b_dec) @ sae.W_enc + sae.b_enc
        sae.threshold.copy_(torch.quantile(h, 0.9, dim=0).clamp(min=0))
        sae.W_dec.mul_(0.3)
    return sae
