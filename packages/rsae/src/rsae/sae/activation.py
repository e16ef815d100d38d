"""`RationalActivation`: a trainable rational function without poles, shared by all features.

Shapes: … entries of any shape; L layers, a numerator of m + 1 and a denominator of n + 1
coefficients in each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from rsae.errors import ConfigError

__all__ = ["RationalActivation"]


class RationalActivation(nn.Module):
    r"""A scaled rational function, plain or composed of layers.

        phi(h) = C_out * r((h - center) / C_in),      r = r_L ∘ … ∘ r_1
        r_l(t) = P_l(t) / Q_l(t),   P(t) = sum_i p_i t^i,   Q(t) = 1 + |sum_j b_j t^j|

    The denominator ("safe Padé", with the constant term b_0) is at least 1, so there are no
    poles; dividing numerator and denominator by the minimum of the latter brings every pole-free
    rational on [-1, 1] to this form without loss. Outside [-1, 1] the argument is held at the
    nearer end, since the rational is fitted only on that interval.

    L layers of type (3, 2) compose to degree 3^L over 3^L - 1 with only 7 L numbers, and are as
    accurate as the expanded fraction in exact arithmetic; in float32 the expanded one is not.

    All its parameters stay in float32 (float64 if asked for) whatever the dtype of the model
    around it: they are few, and every feature activation depends on them.

    Args:
        numerator: Coefficients p, one row per layer, ascending powers.
        denominator: Coefficients b, one row per layer, ascending powers.
        input_scale: The input scale C_in > 0.
        output_scale: The output scale C_out > 0.
        center: The point that is mapped to t = 0; it is not trained.
        device: The device of the parameters (`"meta"` while SAELens loads a file).

    Raises:
        ConfigError: The rows of coefficients differ in length, or a scale is not positive.

    Example:
        >>> import torch
        >>> from rsae import RationalActivation
        >>> RationalActivation([[0.0, 1.0]], [[0.0, 1.0]], input_scale=2.0)(torch.tensor([1.0]))
        tensor([0.3333], grad_fn=<MulBackward0>)

    References:
        Molina et al. 2020, arXiv 1907.06732 (safe Padé); Gawlik & Nakatsukasa 2021,
        arXiv 1906.05016 (composition).
    """

    numerator: nn.Parameter
    denominator: nn.Parameter
    log_input_scale: nn.Parameter
    log_output_scale: nn.Parameter
    center: Tensor

    def __init__(
        self,
        numerator: Sequence[Sequence[float]],
        denominator: Sequence[Sequence[float]],
        input_scale: float = 1.0,
        output_scale: float = 1.0,
        center: float = 0.0,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        if not len(numerator) == len(denominator) > 0:
            raise ConfigError("give one row of numerator and of denominator coefficients per layer")
        if len({len(row) for row in numerator}) != 1 or len({len(row) for row in denominator}) != 1:
            raise ConfigError("all layers of a composite have the same degree; pad with zeros")
        if not (input_scale > 0 and output_scale > 0):
            raise ConfigError("the scales C_in and C_out must be positive")

        def tensor(values: Any) -> Tensor:
            return torch.tensor(values, dtype=torch.float32, device=device or "cpu")

        self.numerator = nn.Parameter(tensor(numerator))
        self.denominator = nn.Parameter(tensor(denominator))
        self.log_input_scale = nn.Parameter(tensor(input_scale).log())
        self.log_output_scale = nn.Parameter(tensor(output_scale).log())
        self.register_buffer("center", tensor(center))

    @classmethod
    def constant(cls, degree: tuple[int, int], input_scale: float = 1.0) -> Self:
        """The function that is exactly 1, as 2 / (1 + |1|): away from the kink of |.| at 0.

        Args:
            degree: Type (m, n) of the rational, all of whose coefficients can be trained.
            input_scale: The input scale C_in.
        """
        m, n = degree
        return cls([[2.0] + [0.0] * m], [[1.0] + [0.0] * n], input_scale=input_scale)

    @classmethod
    def from_fit(cls, fit: Any) -> Self:
        """Load a `remez.Fit` (anything whose `safe_pade()` gives p, q and domain), losslessly.

        The fit's variable runs over the hull [low, high] of its domain, so center and C_in become
        the hull's midpoint and half its length.
        """
        pade = fit.safe_pade()
        low, high = pade.domain
        return cls(
            [list(map(float, pade.p))],
            [list(map(float, pade.q))],
            input_scale=(high - low) / 2,
            center=(high + low) / 2,
        )

    @classmethod
    def from_dict(cls, content: dict[str, Any], device: torch.device | str | None = None) -> Self:
        """Inverse of `to_dict`.

        Args:
            content: What `to_dict` returned.
            device: The device of the parameters.
        """
        return cls(**content, device=device)

    def to_dict(self) -> dict[str, Any]:
        """Its parameters as plain floats and lists, from which JSON restores every bit."""
        return {
            "numerator": self.numerator.tolist(),
            "denominator": self.denominator.tolist(),
            "input_scale": self.input_scale.item(),
            "output_scale": self.output_scale.item(),
            "center": self.center.item(),
        }

    @property
    def input_scale(self) -> Tensor:
        """C_in, positive by construction: its logarithm is trained."""
        return self.log_input_scale.exp()

    @property
    def output_scale(self) -> Tensor:
        """C_out, positive by construction."""
        return self.log_output_scale.exp()

    @property
    def degree(self) -> tuple[int, int]:
        """Type (m, n) of the composed fraction."""
        layer_m, layer_n = self.numerator.shape[1] - 1, self.denominator.shape[1] - 1
        top = max(layer_m, layer_n)
        m, n = layer_m, layer_n
        for _ in range(len(self.numerator) - 1):
            m, n = (
                max(power * m + (top - power) * n for power in range(degree + 1))
                for degree in (layer_m, layer_n)
            )
        return m, n

    def ratio(self, h: Tensor) -> Tensor:
        """r((h - center)/C_in) in at least float32, without C_out; any shape, elementwise."""
        h = h.to(torch.promote_types(h.dtype, self.numerator.dtype))
        t = ((h - self.center) / self.input_scale).clamp(-1.0, 1.0)
        for p, b in zip(self.numerator, self.denominator, strict=True):
            t = _SafePade.apply(t, p, b)
        return t

    def forward(self, h: Tensor) -> Tensor:
        """phi(h), elementwise, in at least float32."""
        return self.output_scale * self.ratio(h)

    def extra_repr(self) -> str:
        """Degree and layers, for `print(model)`."""
        return f"degree={self.degree}, layers={len(self.numerator)}"

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Follow the model to another device, but never below float32."""

        def keep_precision(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            if moved.dtype in (torch.float32, torch.float64):
                return moved
            return tensor.to(device=moved.device, dtype=torch.float32)

        return super()._apply(keep_precision, recurse)


def _horner(coefficients: Tensor, t: Tensor) -> Tensor:
    value = coefficients[-1].expand_as(t)
    for c in coefficients[:-1].flip(0):
        value = torch.addcmul(c, value, t)
    return value


class _SafePade(torch.autograd.Function):
    """P(t) / (1 + |Q(t)|) with its analytic derivatives.

    The gradients of the coefficients are sums over all elements: reducing before accumulating is
    faster on a GPU and rounds less. They are no matrix products, of which oneDNN keeps a compiled
    kernel for every number of elements that it has met.
    """

    @staticmethod
    def forward(t: Tensor, p: Tensor, b: Tensor) -> Tensor:
        return _horner(p, t) / (1 + _horner(b, t).abs())

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs, output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        t, p, b, r = ctx.saved_tensors
        inner = _horner(b, t)
        over_q = grads[0] / (1 + inner.abs())
        signed = -over_q * r * inner.sign()
        grad_t = over_q * _horner(_derivative(p), t) + signed * _horner(_derivative(b), t)
        powers = _powers(t, max(len(p), len(b)))
        grad_p = (powers[: len(p)] * over_q.flatten()).sum(dim=1)
        grad_b = (powers[: len(b)] * signed.flatten()).sum(dim=1)
        return grad_t, grad_p, grad_b


def _derivative(coefficients: Tensor) -> Tensor:
    if len(coefficients) == 1:
        return torch.zeros_like(coefficients)
    order = torch.arange(1, len(coefficients), device=coefficients.device)
    return coefficients[1:] * order


def _powers(t: Tensor, count: int) -> Tensor:
    """(count, t.numel()): t^0, t^1, …."""
    rows = [torch.ones_like(t).flatten()]
    for _ in range(count - 1):
        rows.append(rows[-1] * t.flatten())
    return torch.stack(rows)
