"""Small teachers and worlds for the tests of activation, model, training and upgrade."""

import torch
from hypothesis import strategies as st
from torch import Tensor

from rsae import Teacher

FAMILIES = ("relu", "jumprelu", "topk")


def teacher(
    family: str, seed: int = 0, d_in: int = 12, d_sae: int = 40, scale: float = 1.0, **settings
) -> Teacher:
    """Random weights; thresholds of both signs, for a loader has clamped them or should."""
    g = torch.Generator().manual_seed(seed)
    own = {
        "relu": {},
        "jumprelu": {"threshold": (torch.rand(d_sae, generator=g) * scale).clamp(min=0)},
        "topk": {"k": 1 + seed % min(7, d_sae)},
    }[family]
    return Teacher(
        family,
        torch.randn(d_in, d_sae, generator=g) / d_in**0.5,
        0.3 * scale * torch.randn(d_sae, generator=g),
        torch.randn(d_sae, d_in, generator=g) / d_in**0.5,
        0.3 * scale * torch.randn(d_in, generator=g),
        **own,
        **settings,
    )


def inputs(n: int, d_in: int = 12, seed: int = 0, scale: float = 1.0) -> Tensor:
    g = torch.Generator().manual_seed(seed + 1000)
    return scale * torch.randn(n, d_in, generator=g)


def sparse_world(n: int = 4000, d_in: int = 16, d_sae: int = 48) -> tuple[Tensor, Tensor]:
    """Activations that are sparse sums of directions, and the directions (d_sae, d_in)."""
    g = torch.Generator().manual_seed(7)
    directions = torch.nn.functional.normalize(torch.randn(d_sae, d_in, generator=g), dim=1)
    on = torch.rand(n, d_sae, generator=g) < 0.06
    codes = on * (0.3 + 2 * torch.rand(n, d_sae, generator=g))
    return codes @ directions + 0.05 * torch.randn(n, d_in, generator=g), directions


def world_teacher(family: str) -> Teacher:
    """A teacher of `sparse_world` that is decent and leaves room for training."""
    _, directions = sparse_world(1)
    d_sae, d_in = directions.shape
    g = torch.Generator().manual_seed(3)
    noise = 0.05 * torch.randn(d_sae, d_in, generator=g)
    own = {"relu": {}, "jumprelu": {"threshold": torch.full((d_sae,), 0.5)}, "topk": {"k": 4}}
    return Teacher(
        family,
        (directions + noise).T.contiguous(),
        torch.full((d_sae,), -0.4 if family == "relu" else 0.0),
        directions + noise,
        torch.zeros(d_in),
        **own[family],
    )


families = st.sampled_from(FAMILIES)
seeds = st.integers(0, 10_000)
