"""Work on the rows of a matrix, divided among as many threads as PyTorch uses."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

__all__ = ["in_parts"]

_ROWS_PER_THREAD = 32  # below that, starting a thread costs more than it saves


def in_parts(work: Callable[[int, int], None], n_rows: int) -> None:
    """Call work(begin, end) for parts that cover 0 to n_rows; it has to release Python's lock."""
    threads = max(1, min(torch.get_num_threads(), n_rows // _ROWS_PER_THREAD))
    if threads == 1:
        work(0, n_rows)
        return
    bounds = np.linspace(0, n_rows, threads + 1).astype(int).tolist()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, bounds[:-1], bounds[1:]))
