"""How often features fire; a feature fires where z ≠ 0.

Shapes: n tokens, d_sae features.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsae.devices import widest_dtype
from rsae_evals.results import Histogram


def firing(z: Tensor) -> tuple[Tensor, Tensor]:
    """Strict L0 of each row and number of rows each feature fires on: (n, d_sae) → (n,), (d_sae,).

    Any value but exact zero counts, however small and of either sign: an activation that is never
    exactly zero has L0 = d_sae.
    """
    fires = z != 0
    return fires.sum(dim=-1), fires.sum(dim=0)


def l1(z: Tensor) -> Tensor:
    """Sum of |z| of each row, (n, d_sae) → (n,), in float64 where the device has it."""
    return torch.linalg.vector_norm(z, ord=1, dim=-1, dtype=widest_dtype(z.device))


def histogram(values: NDArray, edges: NDArray) -> Histogram:
    """Counts of ``values`` between ``edges``; values outside fall into the end bins."""
    inside = np.clip(values[np.isfinite(values)], edges[0], edges[-1])
    counts, _ = np.histogram(inside, bins=edges)
    return Histogram(tuple(map(float, edges)), tuple(map(int, counts)))


def density_histogram(density: NDArray) -> Histogram:
    """Histogram of log10 density of the features that fire at all, by quarter decades."""
    return histogram(np.log10(density[density > 0]), np.linspace(-6, 0, 25))
