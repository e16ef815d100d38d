r"""Least-squares steps on each token's active features, as one differentiable PyTorch operator.

Shapes: n tokens, d = d_in, d_sae features, k the largest number of active features of a token.

For one token let D (k, d) be the decoder rows of the features that the encoder made active, scaled
to norm 1, y = z |W_dec| the activations in those units, t the target, r = t - D^T y:

    minimise |t - D^T y|^2    by steps    y <- y + alpha p,   p in the span of G^i D r,   G = D D^T

- conjugate gradients choose alpha and p so that the error is the least that this many products
  with G allow (Hestenes & Stiefel 1952, doi:10.6028/jres.049.044);
- fixed step sizes take p = D r, one size per step;
- "exact" solves G delta = D r by Cholesky's factorisation, in float64.

Then activations at or below 0 are set to 0 and leave the active set; where that happened, the
steps are taken once more on what is left, and what is at or below 0 then is dropped too. A token
whose error has risen all the same (fixed steps can do that, or dropping) keeps the encoder's
activations.

On a CPU in float32 the steps run in compiled loops (`rsae.sae.kernels`); elsewhere, and for
gradients, in batched products of gathered decoder rows. Both are the same algorithm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rsae.devices import widest_dtype
from rsae.sae.refinement_batches import Batch, batches
from rsae.threads import in_parts

__all__ = ["largest_eigenvalues", "refine"]

_CONJUGATE, _FIXED, _EXACT = "cg", "minimax", "exact"
_AFTER_DROP = 2  # conjugate-gradient steps after activations were dropped
_GRAM_FEATURES = 2_048  # up to which a Gram matrix of all decoder rows is made: 16 MiB
_GRAM_TOKENS = 4  # it takes as long to make as encoding d_sae tokens: made for a quarter of them
_GRAM_SAMPLE = 32  # tokens whose active features are counted
_KEPT = 4  # Gram matrices
_kept_gram_matrices: list[tuple[Tensor, Tensor]] = []
_JITTER_FLOAT32 = 1e-5  # the same as below, where the device has no float64
_JITTER = 1e-10  # on G's diagonal of 1s in float64, for decoder rows that are linearly dependent


def refine(
    z: Tensor,
    target: Tensor,
    decoder: Tensor,
    method: str,
    steps: int,
    sizes: Sequence[float],
    overwrite_z: bool = False,
) -> Tensor:
    """Refined activations, (…, d_sae), in float32 (float64 if z is).

    Args:
        z: Activations, (…, d_sae); those that are not 0 are active.
        target: The sum that the decoder rows should approximate, (…, d).
        decoder: The (d_sae, d) rows of any norm, in any floating type.
        method: The method, "cg", "minimax" or "exact".
        steps: Number of steps K for "cg".
        sizes: The K step sizes for "minimax".
        overwrite_z: Whether the result may be written over z. Where no gradient is wanted this
            saves allocating and clearing a matrix that is nearly all zeros.
    """
    dtype = torch.promote_types(z.dtype, torch.float32)
    flat = z.reshape(-1, z.shape[-1]).to(dtype).contiguous()
    goal = target.reshape(-1, target.shape[-1]).to(dtype)
    given = (flat, goal, decoder, method, steps, list(sizes))
    wanted = torch.is_grad_enabled() and any(t.requires_grad for t in given[:3])
    if overwrite_z and not wanted and _has_loops(flat, decoder, method):
        _refine_in_place(*given)
        return flat.reshape(z.shape)
    return _refine(*given).reshape(z.shape)


def _has_loops(z: Tensor, decoder: Tensor, method: str) -> bool:
    """Whether `rsae.sae.kernels` computes this case."""
    return z.device.type == "cpu" and z.dtype == decoder.dtype == torch.float32 and method != _EXACT


def largest_eigenvalues(z: Tensor, decoder: Tensor) -> Tensor:
    """Largest eigenvalue of G for each token of z (n, d_sae); 0 for one without active features."""
    z = z.to(torch.promote_types(z.dtype, torch.float32))
    parts = [
        torch.linalg.eigvalsh(batch.rows @ batch.rows.transpose(1, 2))[:, -1]
        for batch in batches(z, z.new_zeros(len(z), decoder.shape[1]), decoder)
    ]
    return torch.cat(parts)


@torch.library.custom_op("rsae::refine", mutates_args=())
def _refine(
    z: Tensor, target: Tensor, decoder: Tensor, method: str, steps: int, sizes: Sequence[float]
) -> Tensor:
    out = torch.zeros_like(z)
    if _has_loops(z, decoder, method):
        _compiled(z, target, decoder, out, _Schedule.of(method, steps, sizes))
        return out
    for batch in batches(z, target, decoder):
        out[batch.tokens] = batch.scatter(_forward(batch, _Schedule.of(method, steps, sizes)).out)
    return out


@_refine.register_fake
def _(
    z: Tensor, target: Tensor, decoder: Tensor, method: str, steps: int, sizes: Sequence[float]
) -> Tensor:
    return torch.empty_like(z)


@torch.library.custom_op("rsae::refine_in_place", mutates_args=("z",))
def _refine_in_place(
    z: Tensor, target: Tensor, decoder: Tensor, method: str, steps: int, sizes: Sequence[float]
) -> None:
    _compiled(z, target, decoder, z, _Schedule.of(method, steps, sizes))


@torch.library.custom_op("rsae::refine_backward", mutates_args=())
def _refine_backward(
    grad: Tensor,
    z: Tensor,
    target: Tensor,
    decoder: Tensor,
    method: str,
    steps: int,
    sizes: Sequence[float],
) -> tuple[Tensor, Tensor, Tensor]:
    to_z, to_target = torch.zeros_like(z), torch.zeros_like(target)
    to_decoder = torch.zeros_like(decoder, dtype=z.dtype)
    for batch in batches(z, target, decoder):
        solved = _forward(batch, _Schedule.of(method, steps, sizes))
        part = grad[batch.tokens].gather(1, batch.columns) * batch.inside
        of_z, of_target, of_rows = _backward(batch, solved, part)
        to_z[batch.tokens] = batch.scatter(of_z)
        to_target[batch.tokens] = of_target
        to_decoder.index_add_(0, batch.columns.flatten(), of_rows.flatten(0, 1))
    return to_z, to_target, to_decoder.to(decoder.dtype)


@_refine_backward.register_fake
def _(
    grad: Tensor,
    z: Tensor,
    target: Tensor,
    decoder: Tensor,
    method: str,
    steps: int,
    sizes: Sequence[float],
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(z), torch.empty_like(target), torch.empty_like(decoder)


def _keep_inputs(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    z, target, decoder, *ctx.settings = inputs
    ctx.save_for_backward(z, target, decoder)


def _through_the_steps(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    found = _refine_backward(grad.contiguous(), *ctx.saved_tensors, *ctx.settings)
    return (*found, None, None, None)


_refine.register_autograd(_through_the_steps, setup_context=_keep_inputs)


@dataclass(frozen=True)
class _Schedule:
    """How to step: before anything is dropped, and after.

    Attributes:
        method: "cg", "minimax" or "exact".
        first, last: step sizes; those of conjugate gradients are only counted.
    """

    method: str
    first: tuple[float, ...]
    last: tuple[float, ...]

    @classmethod
    def of(cls, method: str, steps: int, sizes: Sequence[float]) -> _Schedule:
        if method == _CONJUGATE:
            return cls(method, (1.0,) * steps, (1.0,) * _AFTER_DROP)
        fixed = tuple(sizes) if method == _FIXED else (1.0,)
        return cls(method, fixed, fixed)


def _compiled(z: Tensor, target: Tensor, decoder: Tensor, out: Tensor, schedule: _Schedule) -> None:
    """The loops of `rsae.sae.kernels` into `out`, zeros or z, on as many threads as PyTorch's."""
    from rsae.sae import kernels

    tensors = [z, target, decoder, out]
    run: Callable[..., None] = kernels.refine_rows
    if _gram_pays(z, decoder):
        run = kernels.refine_with_gram
        tensors.insert(3, _gram_matrix(decoder.detach()))
    arrays = [t.detach().contiguous().numpy() for t in tensors]
    first, last = (np.asarray(given, np.float32) for given in (schedule.first, schedule.last))
    sizes: tuple[Any, ...] = (first, last, schedule.method == _FIXED)

    def part(begin: int, end: int) -> None:
        run(*arrays, *sizes, begin, end)

    in_parts(part, len(z))


def _gram_pays(z: Tensor, decoder: Tensor) -> bool:
    """Whether gathering from D D^T is cheaper: few features, many tokens, and k at most d."""
    if len(decoder) > _GRAM_FEATURES or _GRAM_TOKENS * len(z) < len(decoder):
        return False
    some = z[:_GRAM_SAMPLE].detach()  # which k only decides what is faster
    return int(some.count_nonzero()) <= len(some) * decoder.shape[1]


def _gram_matrix(decoder: Tensor) -> Tensor:
    """D D^T of the decoder's own rows, kept for the decoders that were used last.

    They are compared by value, because weights can change in ways that leave no trace (`.data`).
    """
    for place, (rows, gram) in enumerate(_kept_gram_matrices):
        if np.array_equal(rows.numpy(), decoder.numpy()):  # half the time of torch.equal
            if place:
                _kept_gram_matrices[:] = [(rows, gram)] + [
                    one for one in _kept_gram_matrices if one[1] is not gram
                ]
            return gram
    gram = decoder @ decoder.T
    _kept_gram_matrices[:] = [(decoder.clone(), gram), *_kept_gram_matrices[: _KEPT - 1]]
    return gram


@dataclass(frozen=True, eq=False)
class _Step:
    """What one step had at hand; shapes (m, k), (m, d) and (m, 1)."""

    residual: Tensor
    gradient: Tensor
    direction: Tensor
    combined: Tensor  # D^T direction
    alpha: Tensor
    beta: Tensor
    square: Tensor  # |gradient|^2
    curvature: Tensor  # |D^T direction|^2


@dataclass(frozen=True, eq=False)
class _Descent:
    """Steps from `start` (m, k) on the features `inside` (m, k), in units of unit rows."""

    start: Tensor
    inside: Tensor
    steps: tuple[_Step, ...]
    y: Tensor
    residual: Tensor


@dataclass(frozen=True, eq=False)
class _Solved:
    """Both descents, what was kept after each, and the refined activations (m, k)."""

    schedule: _Schedule
    descents: tuple[_Descent, ...]
    kept: tuple[Tensor, ...]
    better: Tensor
    out: Tensor


def _combine(rows: Tensor, y: Tensor) -> Tensor:
    """D^T y, (m, k, d), (m, k) → (m, d)."""
    return torch.einsum("mkd,mk->md", rows, y)


def _project(rows: Tensor, q: Tensor) -> Tensor:
    """D q, (m, k, d), (m, d) → (m, k)."""
    return torch.einsum("mkd,md->mk", rows, q)


def _error(residual: Tensor) -> Tensor:
    return residual.square().sum(dim=1, keepdim=True)


def _forward(batch: Batch, schedule: _Schedule) -> _Solved:
    start = batch.z * batch.norms
    before = _error(batch.target - _combine(batch.rows, start))
    y, inside = start, batch.inside
    descents: list[_Descent] = []
    kept: list[Tensor] = []
    for sizes in (schedule.first, schedule.last):
        descents.append(_descend(batch, y, inside, schedule.method, sizes))
        y = descents[-1].y
        keep = torch.where((inside > 0) & ~(y > 0), 0.0, 1.0).to(y.dtype)
        kept.append(keep)
        y = y * keep
        again = (keep == 0).any(dim=1, keepdim=True)
        inside = inside * keep * again
        if not again.any():
            break
    after = _error(batch.target - _combine(batch.rows, y))
    better = torch.isfinite(after) & (after <= before)
    out = torch.where(better, y / batch.norms, batch.z)
    return _Solved(schedule, tuple(descents), tuple(kept), better, out)


def _descend(
    batch: Batch, y: Tensor, inside: Tensor, method: str, sizes: Sequence[float]
) -> _Descent:
    start, residual = y, batch.target - _combine(batch.rows, y)
    if method == _EXACT:
        step = _solve(batch.rows, inside, residual)
        y, residual = y + step.direction, residual - step.combined
        return _Descent(start, inside, (step,), y, residual)
    steps: list[_Step] = []
    alive = torch.ones_like(residual[:, :1], dtype=torch.bool)
    eps, k = torch.finfo(y.dtype).eps, y.shape[1]
    for size in sizes:
        gradient = inside * _project(batch.rows, residual)
        square = gradient.square().sum(dim=1, keepdim=True)
        # What is left of the gradient, below this, is rounding.
        alive = alive & (square > k * (8 * eps) ** 2 * _error(residual))
        beta = torch.zeros_like(square)
        direction = gradient
        if steps and method == _CONJUGATE:
            last = steps[-1]
            beta = torch.where(alive, square / last.square, beta)
            direction = gradient + beta * last.direction
        combined = _combine(batch.rows, direction)
        curvature = _error(combined)
        # Duplicate decoder rows cancel in such a direction.
        alive = alive & (curvature > k * eps * direction.square().sum(dim=1, keepdim=True))
        alpha = square / curvature if method == _CONJUGATE else torch.full_like(square, size)
        alpha = torch.where(alive, alpha, torch.zeros_like(alpha))
        steps.append(_Step(residual, gradient, direction, combined, alpha, beta, square, curvature))
        y, residual = y + alpha * direction, residual - alpha * combined
    return _Descent(start, inside, tuple(steps), y, residual)


def _solve(rows: Tensor, inside: Tensor, residual: Tensor) -> _Step:
    """The one step of the exact method: `direction` is the whole change, `gradient` solves it."""
    # Where more features than dimensions are active, G is singular, and what rounding adds to the
    # gradient outside of G's range is multiplied by 1 / jitter: float64 keeps that small.
    gradient = inside * _project(rows.double(), residual.double())
    change = _cholesky_solve(rows, inside, gradient).to(rows.dtype)
    gradient = gradient.to(rows.dtype)
    one = torch.ones_like(residual[:, :1])
    return _Step(residual, gradient, change, _combine(rows, change), one, one, one, one)


def _cholesky_solve(rows: Tensor, inside: Tensor, right: Tensor) -> Tensor:
    """(G + jitter)^-1 right on the features inside, in float64 where the device has it."""
    widest = widest_dtype(rows.device)
    masked = rows.to(widest) * inside[..., None]
    gram = masked @ masked.transpose(1, 2)
    jitter = _JITTER if widest is torch.float64 else _JITTER_FLOAT32
    gram.diagonal(dim1=1, dim2=2).add_(1 - inside + jitter)
    factor = torch.linalg.cholesky_ex(gram).L
    solved = torch.cholesky_solve(right.to(widest)[..., None], factor)[..., 0]
    return (solved * inside).to(right.dtype)


def _backward(batch: Batch, solved: _Solved, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of z (m, k), target (m, d) and decoder rows (m, k, d) from that of the output."""
    method = solved.schedule.method
    to_rows = torch.zeros_like(batch.rows)
    to_target = torch.zeros_like(batch.target)
    to_norms = torch.where(solved.better, -grad * solved.out / batch.norms, torch.zeros_like(grad))
    to_y = torch.where(solved.better, grad / batch.norms, torch.zeros_like(grad))
    for descent, keep in zip(reversed(solved.descents), reversed(solved.kept), strict=True):
        to_y, to_residual, of_rows = _descend_backward(batch, descent, method, to_y * keep)
        to_target += to_residual
        to_rows += of_rows
    to_norms += to_y * batch.z
    to_z = torch.where(solved.better, to_y * batch.norms, grad)
    # From unit rows and norms to the decoder's own rows; a zero row has no gradient.
    along = (to_rows * batch.rows).sum(dim=2, keepdim=True)
    nonzero = batch.rows.square().sum(dim=2, keepdim=True) > 0
    of_decoder = (to_rows - along * batch.rows) / batch.norms[..., None]
    of_decoder = (of_decoder + to_norms[..., None] * batch.rows) * nonzero
    return to_z * batch.inside, to_target, of_decoder


def _descend_backward(
    batch: Batch, descent: _Descent, method: str, to_y: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of a descent's start, of the target and of the unit rows, from that of its end.

    The adjoint of every line of `_descend`, last line first; a name `to_a` is the gradient of a.
    """
    rows = batch.rows
    to_rows = torch.zeros_like(rows)
    to_residual = torch.zeros_like(descent.residual)
    to_direction = torch.zeros_like(to_y)  # what the next step's direction passes back
    to_square = torch.zeros_like(to_y[:, :1])  # and what its beta does
    if method == _EXACT:
        to_residual, to_rows = _solve_backward(rows, descent, to_y)
    for i, step in reversed(list(enumerate(descent.steps if method != _EXACT else ()))):
        of_alpha = (to_y * step.direction).sum(dim=1, keepdim=True)
        of_alpha = of_alpha - (to_residual * step.combined).sum(dim=1, keepdim=True)
        to_direction = to_direction + step.alpha * to_y
        to_combined = -step.alpha * to_residual
        if method == _CONJUGATE:
            of_alpha = _quotient(of_alpha, step.curvature, step.alpha)
            to_square = to_square + of_alpha
            to_combined = to_combined - 2 * of_alpha * step.alpha * step.combined
        to_direction = to_direction + _project(rows, to_combined)
        to_rows += step.direction[..., None] * to_combined[:, None]
        to_gradient = to_direction
        if method == _CONJUGATE:
            before = descent.steps[i - 1] if i else None
            of_next = torch.zeros_like(to_square)
            if before is not None:
                of_beta = (to_direction * before.direction).sum(dim=1, keepdim=True)
                of_beta = _quotient(of_beta, before.square, step.beta)
                to_square = to_square + of_beta
                of_next = -of_beta * step.beta
            to_gradient = to_gradient + 2 * to_square * step.gradient
            to_square = of_next
        to_direction = step.beta * to_direction
        to_gradient = to_gradient * descent.inside
        to_residual = to_residual + _combine(rows, to_gradient)
        to_rows += to_gradient[..., None] * step.residual[:, None]
    to_start = to_y - _project(rows, to_residual)
    to_rows -= descent.start[..., None] * to_residual[:, None]
    return to_start, to_residual, to_rows


def _quotient(above: Tensor, below: Tensor, where_not_zero: Tensor) -> Tensor:
    """above / below, and 0 for tokens whose steps had ended."""
    return torch.where(where_not_zero != 0, above / below, torch.zeros_like(above))


def _solve_backward(rows: Tensor, descent: _Descent, to_y: Tensor) -> tuple[Tensor, Tensor]:
    (step,) = descent.steps
    to_gradient = _cholesky_solve(rows, descent.inside, to_y * descent.inside)
    combined = _combine(rows, to_gradient)
    to_rows = to_gradient[..., None] * (step.residual - step.combined)[:, None]
    to_rows -= step.direction[..., None] * combined[:, None]
    return combined, to_rows
