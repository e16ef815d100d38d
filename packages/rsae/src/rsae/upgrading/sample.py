"""Activations in three disjoint parts, from whatever holds them.

Shapes: n tokens, d_in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rsae.data import Activations, ActivationStore, ActivationStream
from rsae.data.sample import Pairs, floats
from rsae.errors import ConfigError

__all__ = ["PARTS", "Array", "Sample", "rows_at", "sample_of"]

PARTS = ("train", "calibration", "heldout")
Array = Tensor | np.ndarray


@dataclass(frozen=True)
class Sample:
    """Activations in three disjoint parts; those to train on may be made while they are read."""

    train: Activations | ActivationStream
    calibration: Activations
    heldout: Activations


def sample_of(
    activations: Activations | ActivationStore | Array | Iterable[Array],
    hook_name: str | None = None,
    target_hook: str | None = None,
) -> Sample:
    """Three parts of whatever holds activations.

    A store has them already, at `hook_name` where it holds several hooks, and for transcoders at
    `target_hook` beside it. Of a tensor or array (…, d_in), or the batches of an iterator, the last
    tenth is held out, the tenth before it calibrates; a transcoder's rows are (…, d_in + d_out).

    Raises:
        ConfigError: there are fewer than 100 activations, or they are no numbers.
    """
    if isinstance(activations, ActivationStore):
        return Sample(*(rows_at(activations, name, hook_name, target_hook) for name in PARTS))
    if not isinstance(activations, Activations):
        activations = Activations.from_tensor(_rows(activations))
    n = activations.n_tokens
    if n < 100:
        raise ConfigError(f"{n} activations are too few to split; give 100 at the very least")
    ends = (0, n - 2 * (n // 10), n - n // 10, n)
    return Sample(*(activations.part(*between) for between in pairwise(ends)))


def rows_at(
    store: ActivationStore, name: str, hook_name: str | None, target_hook: str | None
) -> Activations:
    """A split of a store, for transcoders the pairs of two hooks."""
    x = store.split(name, hook_name)
    return x if target_hook is None else Pairs.of(x, store.split(name, target_hook))


def _rows(activations: Array | Iterable[Array]) -> Tensor:
    """(n, d_in) rows of an array of two or more dimensions, or of batches of such."""
    if isinstance(activations, Tensor | np.ndarray):
        batches = [activations]
    elif isinstance(activations, Iterable):
        batches = list(activations)
    else:
        raise ConfigError(f"activations are a {type(activations).__name__}; give a tensor or array")
    tensors = [_tensor(batch) for batch in batches]
    if len({tensor.shape[-1] for tensor in tensors}) != 1:
        raise ConfigError(
            "there are no batches of activations, or batches of several widths; "
            "give (…, d_in) of one d_in"
        )
    return torch.cat([tensor.reshape(-1, tensor.shape[-1]) for tensor in tensors])


def _tensor(batch: Any) -> Tensor:
    dense = floats(batch)
    if dense is None or dense.ndim < 2:
        what = f"{batch.dtype} of {batch.ndim} dimensions" if hasattr(batch, "dtype") else ""
        raise ConfigError(
            f"activations are {what or type(batch).__name__}; give dense floating-point (…, d_in)"
        )
    return dense.detach().float().cpu()
