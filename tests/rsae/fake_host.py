"""A host of a few numbers: its residual stream is a function of token and position alone."""

import json
import random
from dataclasses import dataclass, field

import torch

from rsae.data.text import Tokens
from rsae.errors import HookError
from rsae.language_model.host import SINK_POSITIONS

HOOKS = ("blocks.0.hook_resid_post", "blocks.1.hook_resid_post")


class Tokenizer:
    def encode(self, text, **_):
        return [3 + len(word) for word in text.split()]


@dataclass
class FakeHost:
    d_model: int = 6
    d_vocab: int = 90
    scale: float = 1.0
    stop_after: int | None = None
    name: str = "fake"
    fingerprint: str = "f" * 64
    special_token_ids: tuple[int, ...] = (0, 1)
    bos_token_id: int = 0
    pad_token_id: int = 1
    calls: int = 0
    tokenizer: Tokenizer = field(default_factory=Tokenizer)

    def check_hook(self, hook_name):
        if hook_name not in HOOKS:
            raise HookError(f"no hook {hook_name}")
        return HOOKS.index(hook_name)

    def is_special(self, ids):
        special = torch.isin(ids, torch.tensor(self.special_token_ids))
        special[:, :SINK_POSITIONS] = True
        return special

    def residuals(self, ids, hook_names):
        if self.calls == self.stop_after:
            raise KeyboardInterrupt
        self.calls += 1
        place = torch.arange(ids.shape[1])[:, None] + torch.arange(self.d_model)
        return {
            name: self.scale * torch.sin(ids[..., None] * 0.37 + place + 10 * self.check_hook(name))
            for name in hook_names
        }

    def residual(self, ids, hook_name):
        return self.residuals(ids, [hook_name])[hook_name]


def tokens(host, n_seq, ctx=12, seed=0):
    ids = torch.randint(2, 90, (n_seq, ctx), generator=torch.Generator().manual_seed(seed))
    ids[:, 0] = host.bos_token_id
    ids[-1, -3:] = host.pad_token_id
    return Tokens(ids, host.is_special(ids), torch.arange(n_seq))


def long_words(count, seed):
    """Words whose lengths, the tokens of `Tokenizer`, are random: no run of them occurs twice."""
    rng = random.Random(seed)
    return " ".join("x" * rng.randint(1, 15) for _ in range(count))


def write_text(folder, lengths):
    """A text in a folder: a document for each number of words."""
    documents = [{"title": str(i), "text": long_words(n, i)} for i, n in enumerate(lengths)]
    (folder / "text.jsonl").write_text("\n".join(map(json.dumps, documents)))
