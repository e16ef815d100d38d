"""Sparse products on the active entries of the matrix of feature activations.

At most a few percent of the entries are active, so one dense product per step is enough: the one
that finds the entries near or above their thresholds. All that follows, gradients included, is
computed on those entries alone.

Shapes: n_rows tokens, n_cols features, nnz entries.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor

from rsae.threads import in_parts

__all__ = ["Entries", "decode", "gather_pre_acts"]


@dataclass(frozen=True, eq=False)
class Entries:
    """Positions in an (n_rows, n_cols) matrix, row by row: the pattern of a CSR matrix.

    Attributes:
        rows, cols: (nnz,) indices, rows ascending.
        row_starts: (n_rows + 1,), where each row begins.
        shape: (n_rows, n_cols).
    """

    rows: Tensor
    cols: Tensor
    row_starts: Tensor
    shape: tuple[int, int]

    @classmethod
    def of(cls, mask: Tensor) -> Self:
        """The true entries of a boolean matrix."""
        rows, cols = mask.nonzero(as_tuple=True)
        row_starts = torch.zeros(len(mask) + 1, dtype=torch.int64, device=mask.device)
        torch.cumsum(mask.sum(dim=1), 0, out=row_starts[1:])
        return cls(rows, cols, row_starts, (mask.shape[0], mask.shape[1]))

    @classmethod
    def above(cls, h: Tensor, cut: Tensor) -> tuple[Self, Tensor]:
        """The entries of h (n_rows, n_cols) above `cut` (n_cols,), and their values."""
        if not _compiled(h):
            entries = cls.of(h > cut)
            return entries, entries.gather(h)
        from rsae.train import sparse_kernels

        starts = torch.zeros(len(h) + 1, dtype=torch.int64, device=h.device)
        given = h.contiguous().numpy(), cut.contiguous().numpy()
        _each_row(sparse_kernels.count_above, len(h), *given, starts.numpy()[1:])
        starts.cumsum_(0)
        rows, cols = starts.new_empty(2, int(starts[-1]))
        values = h.new_empty(len(rows))
        written = (t.numpy() for t in (starts, rows, cols, values))
        _each_row(sparse_kernels.write_above, len(h), *given, *written)
        return cls(rows, cols, starts, (h.shape[0], h.shape[1])), values

    def gather(self, dense: Tensor) -> Tensor:
        """(n_rows, n_cols) → (nnz,), the values at the entries."""
        return dense.flatten().index_select(0, self.rows * self.shape[1] + self.cols)

    def times(self, values: Tensor, dense: Tensor) -> Tensor:
        """S @ dense, (n_cols, k) → (n_rows, k), S holding `values` at the entries."""
        return _product(self.row_starts, self.cols, values, self.shape, dense)

    def transposed_times(self, values: Tensor, dense: Tensor) -> Tensor:
        """S^T @ dense, (n_rows, k) → (n_cols, k)."""
        order, col_starts = self._by_column
        pattern = (self.shape[1], self.shape[0])
        return _product(col_starts, self.rows[order], values[order], pattern, dense)

    def sampled(self, left: Tensor, right: Tensor) -> Tensor:
        """left @ right at the entries only, (n_rows, k), (k, n_cols) → (nnz,)."""
        if _compiled(left):
            return _sampled(self, left, right)
        zeros = torch.zeros_like(self.rows, dtype=left.dtype)
        pattern = _csr(self.row_starts, self.cols, zeros, self.shape)
        return torch.sparse.sampled_addmm(pattern, left, right, beta=0.0).values()

    def sum_by_column(self, values: Tensor) -> Tensor:
        """(nnz,) → (n_cols,)."""
        return values.new_zeros(self.shape[1]).index_add_(0, self.cols, values)

    @cached_property
    def _by_column(self) -> tuple[Tensor, Tensor]:
        """The order of the entries column by column, and where each column begins.

        PyTorch would multiply by a transposed CSR matrix through copies of the dense factor.
        """
        order = self.cols.argsort(stable=True)
        counts = torch.bincount(self.cols, minlength=self.shape[1])
        starts = torch.zeros(self.shape[1] + 1, dtype=torch.int64, device=self.cols.device)
        torch.cumsum(counts, 0, out=starts[1:])
        return order, starts


def _csr(starts: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    with warnings.catch_warnings():  # "beta state", and that we leave the checks of indices out
        warnings.simplefilter("ignore", UserWarning)
        return torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=False)


def _compiled(like: Tensor) -> bool:
    """Whether `rsae.train.sparse_kernels` computes this: two to seven times as fast on a CPU.

    PyTorch copies the dense factors there, and has sparse products only where it has MKL.
    """
    return like.device.type == "cpu" and like.dtype in (torch.float32, torch.float64)


def _product(
    starts: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int], dense: Tensor
) -> Tensor:
    if not _compiled(dense):
        return _csr(starts, columns, values, shape) @ dense
    from rsae.train import sparse_kernels

    out = dense.new_empty(shape[0], dense.shape[1])
    given = (starts, columns, values.detach(), dense.detach().contiguous(), out)
    _each_row(sparse_kernels.multiply, shape[0], *(t.numpy() for t in given))
    return out


def _sampled(entries: Entries, left: Tensor, right: Tensor) -> Tensor:
    from rsae.train import sparse_kernels

    out = left.new_empty(len(entries.cols))
    factors = (left.detach().contiguous(), right.detach().t().contiguous())
    given = (entries.row_starts, entries.cols, *factors, out)
    _each_row(sparse_kernels.sample, len(left), *(t.numpy() for t in given))
    return out


def _each_row(kernel: Callable[..., None], n_rows: int, *arrays: Any) -> None:
    in_parts(lambda begin, end: kernel(*arrays, begin, end), n_rows)


class _GatherPreActs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, W_enc: Tensor, b_enc: Tensor, values: Tensor, entries: Entries
    ) -> Tensor:
        ctx.save_for_backward(inputs, W_enc)
        ctx.entries = entries
        return values

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        inputs, W_enc = ctx.saved_tensors
        entries, grad = ctx.entries, grads[0].contiguous()
        needs = ctx.needs_input_grad
        to_inputs = entries.times(grad, W_enc.t()) if needs[0] else None
        to_weight = entries.transposed_times(grad, inputs).t() if needs[1] else None
        to_bias = entries.sum_by_column(grad) if needs[2] else None
        return to_inputs, to_weight, to_bias, None, None


def gather_pre_acts(
    inputs: Tensor, W_enc: Tensor, b_enc: Tensor, values: Tensor, entries: Entries
) -> Tensor:
    """inputs @ W_enc + b_enc at the entries, (nnz,), whose `values` are known already.

    Only the gradients are computed here: those of (n_rows, d_in) inputs, (d_in, n_cols) weights
    and (n_cols,) biases.
    """
    return _GatherPreActs.apply(inputs, W_enc, b_enc, values, entries)  # type: ignore[no-any-return]


class _Decode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, W_dec: Tensor, entries: Entries) -> Tensor:
        ctx.save_for_backward(values, W_dec)
        ctx.entries = entries
        return entries.times(values, W_dec)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        values, W_dec = ctx.saved_tensors
        entries, grad = ctx.entries, grads[0].contiguous()
        to_values = entries.sampled(grad, W_dec.t()) if ctx.needs_input_grad[0] else None
        to_weight = entries.transposed_times(values, grad) if ctx.needs_input_grad[1] else None
        return to_values, to_weight, None


def decode(values: Tensor, W_dec: Tensor, entries: Entries) -> Tensor:
    """Z @ W_dec, (n_rows, d_in), where Z holds `values` at the entries and zeros elsewhere."""
    return _Decode.apply(values, W_dec, entries)  # type: ignore[no-any-return]
