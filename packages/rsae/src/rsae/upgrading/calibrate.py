"""Stage 2: scales from real pre-activations, and a start from which thresholds can be trained."""

from __future__ import annotations

import torch
from torch import Tensor

from rsae.pretrained import Teacher
from rsae.sae.activation import RationalActivation
from rsae.sae.model import RSAE, Support
from rsae.upgrading.initial_rational import RationalFit

__all__ = ["calibrate", "with_trainable_thresholds"]

_REACH = 0.9999  # share of the entries in the support whose argument lies within [-1, 1]
_ROUNDS = 60
_LEAST_LIFT = 0.05


def calibrate(teacher: Teacher, fit: RationalFit, x: Tensor) -> RSAE:
    """An RSAE that reproduces its teacher.

    C_in is set from real pre-activations; then C_in, C_out and the coefficients are fitted.
    Least squares between the feature activations of both on the teacher's support; a form that is
    exact already stays as it is.

    Args:
        teacher: The trained SAE.
        fit: The rational of stage 1.
        x: (n, d_in) calibration activations, a few thousand tokens.
    """
    support: Support = "topk" if teacher.family == "topk" else "threshold"
    rational = RationalActivation.from_dict(fit.rational, device=teacher.device)
    coder = RSAE.from_teacher(teacher, rational, fit.form, support)
    with torch.no_grad():
        h = coder.encode_pre_act(x)
        rows, cols = (coder.activate(h) != 0).nonzero(as_tuple=True)
        h, threshold = h[rows, cols], coder.threshold[cols]
        scale = coder.feature_scale[cols]
        argument = (h - threshold if fit.form == "gate" else h) / scale
        reach = _quantile(argument.abs(), _REACH)
        coder.rational.log_input_scale.fill_(reach).log_()
        if fit.form == "direct":
            coder.rational.log_output_scale.copy_(coder.rational.log_input_scale)
    _least_squares(coder, h, threshold, scale)
    return coder


def _quantile(values: Tensor, share: float) -> float:
    if not len(values):
        return 1.0
    return values.kthvalue(max(1, round(share * len(values)))).values.item()


def _least_squares(coder: RSAE, h: Tensor, threshold: Tensor, scale: Tensor) -> None:
    """L-BFGS on the rational's parameters; kept only if the error falls."""
    parameters = list(coder.rational.parameters())
    start = [p.detach().clone() for p in parameters]

    def error() -> Tensor:
        phi = coder.shape(h, threshold, scale)
        return (coder.value(h, scale, phi) - h).square().mean()

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
def with_trainable_thresholds(coder: RSAE, teacher: Teacher, x: Tensor) -> RSAE:
    """The RSAE from which variants with thresholds are trained, at the teacher's mean L0.

    - JumpReLU: as it is.
    - TopK: the order statistic gives way to one common threshold, the quantile of the
      calibration pre-activations that leaves the teacher's L0 on average.
    - ReLU: a threshold of 0 has no jump to learn from. b_enc and tau are both raised by the s
      that undoes most of the L1 penalty's shrinkage: z = (h + s) H(h + s - s) has the very
      support of the teacher, codes larger by s, and the least squared error of all s.
    """
    lifted = RSAE.from_teacher(teacher, coder.rational, coder.cfg.form, "threshold")
    h = lifted.encode_pre_act(x)
    if teacher.family == "topk":
        count = int((coder.activate(h) != 0).sum())
        candidates = h[h > 0]
        cut = candidates.kthvalue(max(1, len(candidates) - count)).values
        lifted.threshold.fill_(cut)
    elif teacher.family == "relu":
        lift = _least_squares_lift(lifted, h, x)
        lifted.threshold.add_(lift)
        lifted.b_enc.add_(lift)
    return lifted


def _least_squares_lift(coder: RSAE, h: Tensor, x: Tensor) -> Tensor:
    codes = coder.activate(h)
    target = coder.run_time_activation_norm_fn_in(x)
    error = target - (codes @ coder.W_dec + coder.b_dec)
    direction = (codes > 0).to(h.dtype) @ coder.W_dec
    best = (error * direction).sum() / direction.square().sum().clamp(min=1e-12)
    active = codes[codes > 0]
    least = _LEAST_LIFT * (active.square().mean().sqrt() if len(active) else h.new_ones(()))
    return torch.maximum(best, least)
