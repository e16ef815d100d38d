"""A world in which the truth is known: a dictionary, data that it made, a teacher, an RSAE."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
import torch

from rsae import RSAE, RationalActivation
from rsae.data.text import Tokens
from rsae.pretrained import Teacher

D_IN, D_SAE, VOCAB, CONTEXT = 48, 40, 50, 16


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="session")
def dictionary():
    """(d_sae, d_in), orthonormal rows: reading a feature off is not disturbed by the others."""
    square = torch.randn(D_IN, D_IN, generator=generator(1))
    return torch.linalg.qr(square).Q[:D_SAE].contiguous()


@pytest.fixture(scope="session")
def data(dictionary):
    """(4096, d_in): a few features of the dictionary each, of size 0.5 to 2, and some noise."""
    fires = torch.rand(4096, D_SAE, generator=generator(2)) < 0.06
    size = 0.5 + 1.5 * torch.rand(4096, D_SAE, generator=generator(3))
    noise = 0.05 * torch.randn(4096, D_IN, generator=generator(4))
    return (fires * size) @ dictionary + noise


@pytest.fixture(scope="session")
def teacher(dictionary):
    """Reads with a threshold that is too high for the smallest, and shrinks by a tenth."""
    return Teacher(
        "jumprelu",
        dictionary.T.contiguous(),
        torch.zeros(D_SAE),
        0.9 * dictionary,
        torch.zeros(D_IN),
        threshold=torch.full((D_SAE,), 0.8),
    )


@pytest.fixture
def rsae(teacher):
    return RSAE.from_teacher(teacher, RationalActivation.constant((3, 2), input_scale=3.0))


@dataclass(frozen=True)
class SmallHost:
    """A causal model of two maps: embed, then mix with the mean of what came before, then read."""

    name: str = "small"
    fingerprint: str = "5" * 64
    d_model: int = D_IN
    special_token_ids: tuple[int, ...] = (0, 1)
    bos_token_id: int = 0
    pad_token_id: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    embedding: torch.Tensor = field(
        default_factory=lambda: torch.randn(VOCAB, D_IN, generator=generator(5))
    )
    tokenizer: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(decode=lambda ids: f"<{ids[0]}>")
    )

    def encode(self, text):
        return [0, *(2 + sum(map(ord, word)) % (VOCAB - 2) for word in text.split())]

    def is_special(self, ids):
        return torch.isin(ids, torch.tensor(self.special_token_ids))

    def residuals(self, ids, hook_names):
        return {name: self.residual(ids, name) for name in hook_names}

    def residual(self, ids, hook_name):
        return self.embedding[ids]

    def logits(self, ids, hook_name=None, replace=None):
        residual = self.embedding[ids].clone()
        if replace is not None:
            ordinary = ~self.is_special(ids)
            residual[ordinary] = replace(residual[ordinary])
        steps = torch.arange(1, ids.shape[1] + 1)[None, :, None]
        mixed = residual + residual.cumsum(dim=1) / steps
        return mixed @ self.embedding.T / D_IN**0.5


@pytest.fixture(scope="session")
def small_host():
    return SmallHost()


@pytest.fixture(scope="session")
def tokens():
    ids = torch.randint(2, VOCAB, (24, CONTEXT), generator=generator(6))
    ids[:, 0] = 0
    ids[5, 10:] = 1  # padding
    special = (ids == 0) | (ids == 1)
    return Tokens(ids, special, torch.arange(24) // 6)
