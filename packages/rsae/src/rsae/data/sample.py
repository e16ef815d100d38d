"""A sample of activations, in memory or mapped from shards."""

import hashlib
from collections.abc import Generator
from dataclasses import dataclass
from itertools import accumulate, count
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rsae.data.order import SHUFFLE_ROWS, block_rows, permutation
from rsae.errors import StoreError
from rsae.files import sha256

__all__ = ["Activations", "Pairs", "floats"]


def floats(x: Any) -> Tensor | None:
    """A tensor or NumPy array of floating-point numbers as a dense tensor; None for anything else.

    Example:
        >>> floats([1.0]) is None, floats(torch.eye(2).to_sparse()) is None
        (True, True)
    """
    if isinstance(x, np.ndarray):
        if x.dtype.kind != "f" or isinstance(x, np.ma.MaskedArray):
            return None
        # Another byte order, long doubles and negative strides are not torch's.
        kind = np.dtype(f"f{min(x.dtype.itemsize, 8)}")
        x = torch.from_numpy(np.ascontiguousarray(x, dtype=kind))
    dense = isinstance(x, Tensor) and x.layout is torch.strided and x.device.type != "meta"
    return x if dense and x.is_floating_point() else None


@dataclass(frozen=True, eq=False)
class Activations:
    """The activations of n tokens, (n, d_in).

    Attributes:
        parts: Tensors of shape (n_i, d_in) in any floating type, in order. Those of a store are
            mapped from its files, so that they take memory only while they are read.
        sha256: Checksum of the whole.

    Example:
        >>> sample = Activations.from_tensor(torch.arange(6.0).reshape(3, 2))
        >>> [batch.tolist() for batch in sample.batches(2)]
        [[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0]]]
    """

    parts: tuple[Tensor, ...]
    sha256: str

    @classmethod
    def from_tensor(cls, x: Tensor | np.ndarray) -> "Activations":
        """Take a tensor or NumPy array of shape (n, d_in).

        Raises:
            StoreError: it has another shape, no rows, or values that are not finite.
        """
        dense = floats(x)
        if dense is None or dense.ndim != 2 or not len(dense):
            what = (
                f"{x.dtype} of shape {tuple(x.shape)}" if hasattr(x, "dtype") else type(x).__name__
            )
            raise StoreError(
                f"activations are {what}; give dense floats of shape (tokens, d_in) with at least "
                "one token"
            )
        x = dense
        if not torch.isfinite(x).all():
            raise StoreError("the activations hold NaN or infinity; remove those tokens")
        return cls((x.detach().cpu(),), sha256(x))

    @property
    def n_tokens(self) -> int:
        """Number of tokens n."""
        return sum(len(part) for part in self.parts)

    @property
    def d_in(self) -> int:
        """Width of one activation."""
        return self.parts[0].shape[1]

    def part(self, begin: int, stop: int) -> "Activations":
        """Rows `begin` to `stop`, which are not read or copied for that."""
        parts, first = [], 0
        for part in self.parts:
            parts.append(part[max(0, begin - first) : max(0, stop - first)])
            first += len(part)
        checksum = hashlib.sha256(f"{self.sha256} {begin} {stop}".encode()).hexdigest()
        return Activations(tuple(filter(len, parts)), checksum)

    def tensor(self) -> Tensor:
        """All activations as one float32 tensor of shape (n, d_in)."""
        return torch.cat([part.float() for part in self.parts])

    def rows(self, index: Tensor) -> Tensor:
        """The activations at ``index``, (len(index), d_in) in float32."""
        begins = torch.tensor([0, *accumulate(map(len, self.parts))], device="cpu")
        which = torch.bucketize(index, begins[1:], right=True)
        found = torch.empty(len(index), self.d_in, device="cpu")
        for number in which.unique().tolist():
            here = which == number
            found[here] = self.parts[number][index[here] - begins[number]].float()
        return found

    def batches(
        self,
        batch_size: int,
        *,
        seed: int | None = None,
        epochs: int | None = 1,
        start: int = 0,
        shuffle_rows: int = SHUFFLE_ROWS,
    ) -> Generator[Tensor]:
        """Batches of shape (batch_size, d_in) in float32; an epoch's last may be smaller.

        The order is that of `rsae.data.order`: a batch touches only the files of its block.

        Args:
            batch_size: Tokens per batch.
            seed: Random seed of the order, new in every epoch; None keeps the order.
            epochs: How often to pass over the sample; None has no end.
            start: Batches to leave out at the beginning, to take up an interrupted pass.
            shuffle_rows: Rows that are shuffled together.
        """
        n, size = self.n_tokens, block_rows(batch_size, shuffle_rows)
        starts, blocks = range(0, n, batch_size), -(-n // size)
        held, order = -1, torch.empty(0, dtype=torch.int64, device="cpu")
        for epoch in count(start // len(starts)):
            if epochs is not None and epoch >= epochs:
                return
            for begin in starts[start % len(starts) :]:
                block = begin // size
                if (number := epoch * blocks + block) != held:
                    rows = min(size, n - block * size)
                    held, order = number, block * size + permutation(rows, seed, number)
                yield self.rows(order[begin - block * size :][:batch_size])
            start = 0


@dataclass(frozen=True, eq=False)
class Pairs(Activations):
    """What transcoders are trained on: x, and beside it what is to be predicted from it, y.

    A row is (x, y), of width d_in + d_out; make it with `Pairs.of`.

    Attributes:
        parts: The tensors of x, see `Activations`.
        sha256: Checksum of both.
        targets: The activations y of the same tokens.

    Example:
        >>> x, y = torch.zeros(3, 2), torch.ones(3, 1)
        >>> pairs = Pairs.of(*map(Activations.from_tensor, (x, y)))
        >>> next(pairs.batches(2)).tolist()
        [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]
    """

    targets: Activations

    @classmethod
    def of(cls, x: Activations, y: Activations) -> "Pairs":
        """Pair the activations of two hooks at the same tokens.

        Raises:
            StoreError: They are not of as many tokens.
        """
        if x.n_tokens != y.n_tokens:
            raise StoreError(
                f"there are {x.n_tokens} inputs and {y.n_tokens} outputs; give both of the same "
                "tokens in the same order"
            )
        both = hashlib.sha256(f"{x.sha256} {y.sha256}".encode()).hexdigest()
        return cls(x.parts, both, y)

    @property
    def inputs(self) -> Activations:
        """The activations x alone."""
        return Activations(self.parts, self.sha256)

    @property
    def d_in(self) -> int:
        """Width of a row, d_in + d_out."""
        return self.inputs.d_in + self.targets.d_in

    def part(self, begin: int, stop: int) -> "Pairs":
        """Rows `begin` to `stop`, which are not read or copied for that."""
        return Pairs.of(self.inputs.part(begin, stop), self.targets.part(begin, stop))

    def tensor(self) -> Tensor:
        """All rows as one float32 tensor of shape (n, d_in + d_out)."""
        return torch.cat([self.inputs.tensor(), self.targets.tensor()], dim=1)

    def rows(self, index: Tensor) -> Tensor:
        """The rows at ``index``, (len(index), d_in + d_out) in float32."""
        return torch.cat([self.inputs.rows(index), self.targets.rows(index)], dim=1)
