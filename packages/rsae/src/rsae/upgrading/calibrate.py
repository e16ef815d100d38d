"""Stage 2: scales from real pre-activations, and a start from which thresholds can be trained."""

from __future__ import annotations

import torch
from torch import Tensor

from rsae.memory import rows_at_once
from rsae.pretrained import Teacher
from rsae.sae.activation import RationalActivation
from rsae.sae.config import Support
from rsae.sae.model import RSAE
from rsae.upgrading.initial_rational import RationalFit

__all__ = ["calibrate", "with_trainable_thresholds"]

_REACH = 0.9999  # share of the entries in the support whose argument lies within [-1, 1]
_ROUNDS = 60
_LEAST_LIFT = 0.05
_CHUNK = 2048  # tokens whose dense pre-activations are held at once


def calibrate(teacher: Teacher, fit: RationalFit, x: Tensor) -> RSAE:
    """An RSAE that reproduces its teacher.

    C_in is set from real pre-activations; then C_in, C_out and the coefficients are fitted.
    Least squares between the feature activations of both on the teacher's support; a form that is
    exact already stays as it is.

    Args:
        teacher: The trained SAE.
        fit: The rational of stage 1.
        x: Calibration activations, a few thousand tokens: (n, d_in), or rows of a transcoder, see
            `RSAE.sides`.
    """
    support: Support = "topk" if teacher.family == "topk" else "threshold"
    rational = RationalActivation.from_dict(fit.rational, device=teacher.device)
    sae = RSAE.from_teacher(teacher, rational, fit.form, support)
    with torch.no_grad():
        h, cols = _active(sae, x)
        threshold = sae.threshold[cols]
        scale = sae.feature_scale[cols]
        argument = (h - threshold if fit.form == "gate" else h) / scale
        reach = _quantile(argument.abs(), _REACH)
        sae.rational.log_input_scale.fill_(reach).log_()
        if fit.form == "direct":
            sae.rational.log_output_scale.copy_(sae.rational.log_input_scale)
    _least_squares(sae, h, threshold, scale)
    return sae


def _active(sae: RSAE, x: Tensor) -> tuple[Tensor, Tensor]:
    """(nnz,) pre-activations and (nnz,) features of the entries in the support, row by row."""
    found = []
    for rows in _chunks(sae, x):
        h = sae.encode_pre_act(sae.sides(rows)[0])
        row, col = (sae.activate(h) != 0).nonzero(as_tuple=True)
        found.append((h[row, col], col))
    values, cols = zip(*found, strict=True)
    return torch.cat(values), torch.cat(cols)


def _chunks(sae: RSAE, x: Tensor) -> tuple[Tensor, ...]:
    return x.split(rows_at_once(sae.cfg.d_sae, _CHUNK))


def _quantile(values: Tensor, share: float) -> float:
    if not len(values):
        return 1.0
    return values.kthvalue(max(1, round(share * len(values)))).values.item()


def _least_squares(sae: RSAE, h: Tensor, threshold: Tensor, scale: Tensor) -> None:
    """L-BFGS on the rational's parameters; kept only if the error falls."""
    parameters = list(sae.rational.parameters())
    start = [p.detach().clone() for p in parameters]

    def error() -> Tensor:
        phi = sae.shape(h, threshold, scale)
        return (sae.value(h, scale, phi) - h).square().mean()

    if not len(h) or (before := error().item()) == 0:
        return
    optimizer = torch.optim.LBFGS(parameters, max_iter=_ROUNDS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = error() / before
        loss.backward()
        return loss

    optimizer.step(closure)
    optimizer.zero_grad()
    if not error().item() < before:
        with torch.no_grad():
            for parameter, value in zip(parameters, start, strict=True):
                parameter.copy_(value)


@torch.no_grad()
def with_trainable_thresholds(sae: RSAE, teacher: Teacher, x: Tensor) -> RSAE:
    """The RSAE from which variants with thresholds are trained, at the teacher's mean L0.

    - JumpReLU: as it is.
    - TopK: the order statistic gives way to one common threshold, the quantile of the
      calibration pre-activations that leaves the teacher's L0 on average.
    - ReLU: a threshold of 0 has no jump to learn from. b_enc and tau are both raised by the s
      that undoes most of the L1 penalty's shrinkage: z = (h + s) H(h + s - s) has the very
      support of the teacher, codes larger by s, and the least squared error of all s.
    """
    lifted = RSAE.from_teacher(teacher, sae.rational, sae.cfg.form, "threshold")
    if teacher.family == "topk":
        lifted.threshold.fill_(_common_threshold(sae, lifted, x))
    elif teacher.family == "relu":
        lift = _least_squares_lift(lifted, x)
        lifted.threshold.add_(lift)
        lifted.b_enc.add_(lift)
    return lifted


def _common_threshold(sae: RSAE, lifted: RSAE, x: Tensor) -> Tensor:
    """The largest positive pre-activation that as many entries exceed as the SAE has active."""
    count = len(_active(sae, x)[0])
    # Of each chunk only what can still be among the count + 1 largest of all.
    largest, positive = x.new_empty(0), 0
    for rows in _chunks(lifted, x):
        h = lifted.encode_pre_act(lifted.sides(rows)[0])
        found = h[h > 0]
        positive += len(found)
        largest = torch.cat([largest, found])
        largest = largest.topk(min(count + 1, len(largest))).values
    return largest[min(count, positive - 1)]


def _least_squares_lift(sae: RSAE, x: Tensor) -> Tensor:
    product, squares, active, n_active = (x.new_zeros(()) for _ in range(4))
    for rows in _chunks(sae, x):
        inputs, wanted = sae.sides(rows)
        codes = sae.activate(sae.encode_pre_act(inputs))
        decoded = codes @ sae.W_dec + sae.b_dec
        error = (
            wanted - sae.completed(decoded, inputs)
            if sae.transcodes
            else sae.run_time_activation_norm_fn_in(inputs) - decoded
        )
        direction = (codes > 0).to(codes.dtype) @ sae.W_dec
        product += (error * direction).sum()
        squares += direction.square().sum()
        active += codes.clamp(min=0).square().sum()
        n_active += (codes > 0).sum()
    best = product / squares.clamp(min=1e-12)
    least = _LEAST_LIFT * (active / n_active).sqrt() if n_active else x.new_tensor(_LEAST_LIFT)
    return torch.maximum(best, least)
