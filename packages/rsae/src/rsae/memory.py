"""A budget for dense (tokens, d_sae) blocks: how many tokens are computed on at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rsae.errors import ConfigError, quoted

__all__ = ["memory_budget", "parse_size", "rows_at_once"]

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}
_SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)\s*([KMG]I?)?B?", re.IGNORECASE)
_LEAST = 2**20
_BLOCKS = 6  # of one number per token and feature, of 4 bytes, alive at once in the worst stage
_budget: ContextVar[int | None] = ContextVar("budget", default=None)


def parse_size(text: str) -> int:
    """Bytes from a number and a unit.

    Args:
        text: Such as "2GB", "1.5 GiB" or "800M"; K, M and G are powers of 1000, Ki, Mi and Gi of
            1024.

    Raises:
        ConfigError: It is no size, or one below 1 MiB.

    Example:
        >>> parse_size("2GB"), parse_size("1.5 GiB")
        (2000000000, 1610612736)
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{quoted(text)} is no size of memory; give one such as 2GB or 800MB")
    size = int(float(found[1]) * _UNITS[(found[2] or "").upper()])
    if size < _LEAST:
        raise ConfigError(f"{quoted(text)} of memory holds nothing; give 1MiB at the very least")
    return size


@contextmanager
def memory_budget(n_bytes: int | None) -> Iterator[None]:
    """Within it, dense (tokens, d_sae) blocks together take about `n_bytes` at most.

    A block has one token at least. Weights, their gradients and the optimiser's moments are not
    counted: they do not depend on the number of tokens.

    Args:
        n_bytes: The budget in bytes; None for no budget.

    Raises:
        ConfigError: It is no whole number above 0.
    """
    if n_bytes is not None and not (type(n_bytes) is int and n_bytes > 0):
        raise ConfigError(f"{quoted(n_bytes)} is no number of bytes; see rsae.memory.parse_size")
    token = _budget.set(n_bytes)
    try:
        yield
    finally:
        _budget.reset(token)


def rows_at_once(d_sae: int, most: int) -> int:
    """Tokens whose dense blocks fit into the budget, between 1 and `most`.

    Example:
        >>> rows_at_once(24_576, 1024)
        1024
        >>> with memory_budget(2**28):
        ...     rows_at_once(24_576, 1024)
        455
    """
    budget = _budget.get()
    if budget is None:
        return most
    return max(1, min(most, budget // (4 * _BLOCKS * d_sae)))
