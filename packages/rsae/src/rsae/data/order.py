"""The one order in which activations are trained on, whether from a store or from a stream.

The rows of a text, in the order of the text, are cut into blocks of at most `SHUFFLE_ROWS`, and the
rows of every block are permuted. So a store is read shard after shard, a stream holds a block or
two whatever its length, and a run that was interrupted begins again with the block it was in.
"""

import torch
from torch import Tensor

__all__ = ["SHUFFLE_ROWS", "block_rows", "permutation"]

SHUFFLE_ROWS = 131_072
"""Rows that are permuted together: 32 batches of 4096, or 150 MB of float16 at d_in 576."""


def block_rows(batch_size: int, shuffle_rows: int = SHUFFLE_ROWS) -> int:
    """Rows of a block: as many whole batches as `shuffle_rows` holds, and at least one.

    Example:
        >>> block_rows(300, 1000)
        900
    """
    return max(1, shuffle_rows // batch_size) * batch_size


def permutation(n: int, seed: int | None, number: int) -> Tensor:
    """Order of the n rows of a block, (n,) int64.

    Args:
        n: Rows of this block.
        seed: Random seed; None keeps the order of the text.
        number: How many blocks came before, those of earlier passes included.
    """
    if seed is None:
        return torch.arange(n, device="cpu")
    generator = torch.Generator().manual_seed((seed * 1_000_003 + number) % 2**63)
    return torch.randperm(n, generator=generator, device="cpu")
