"""Any SAE as an object that SAEBench's core evaluation and its other tasks accept.

SAEBench 0.6 pins numpy < 2 and datasets < 4, so it lives in an environment of its own; this module
imports nothing of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from sae_lens.saes.sae import SAEMetadata
from torch import Tensor

from rsae_evals.coder import Coder, SparseCoder, as_coder
from rsae_evals.errors import EvaluationError

__all__ = ["SAEBenchCoder", "SAEBenchConfig"]


@dataclass
class SAEBenchConfig:
    """The fields that SAEBench reads from (and writes to) an SAE's ``cfg``."""

    model_name: str
    d_in: int
    d_sae: int
    hook_name: str
    hook_layer: int
    context_size: int = 128
    dtype: str = "float32"
    device: str = "cpu"
    architecture: str = "custom"
    normalize_activations: str = "none"
    prepend_bos: bool = True
    hook_head_index: int | None = None
    dataset_trust_remote_code: bool = True
    metadata: SAEMetadata = field(default_factory=SAEMetadata)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for SAEBench's result file."""
        return {k: v for k, v in vars(self).items() if isinstance(v, str | int | float | None)}


class SAEBenchCoder:
    """An SAE with the interface of SAEBench: unit decoder rows, and weights as attributes.

    SAEBench asks for ‖W_dec_j‖ = 1, so norms go into the codes: with n_j the norm of row j,

        encode(x)_j = n_j z_j,   decode(c) = source.decode(c / n),

    which leaves reconstruction, strict L0 and the firing of every feature as they are.

    Args:
        sae: The SAE, anything `as_coder` takes, with ``W_enc``, ``b_enc`` and ``W_dec``.
        model_name: TransformerLens' name of the model.
        hook_name: The hook of the activations; it must name a layer.
        context_size: tokens per sequence.

    Raises:
        EvaluationError: There are no weights, no layer in the hook's name, or an SAE that decodes
            in another space than it encodes.

    Example (in SAEBench's environment)::

        import sae_bench.evals.core.main as core
        mine = SAEBenchCoder(rsae, "pythia-70m-deduped", "blocks.4.hook_resid_post")
        core.multiple_evals(selected_saes=[("mine", mine)], …)
    """

    def __init__(
        self, sae: SparseCoder | Any, model_name: str, hook_name: str, context_size: int = 128
    ) -> None:
        self._sae: Coder = as_coder(sae)
        if self._sae.transcodes:
            raise EvaluationError(
                "SAEBench reconstructs what it reads, which a transcoder does not; use "
                "rsae_evals.compare"
            )
        layer = re.search(r"\d+", hook_name)
        if layer is None:
            raise EvaluationError(f"the hook {hook_name!r} names no layer; give one that does")
        if self._sae.normalization in ("layer_norm", "constant_norm_rescale"):
            raise EvaluationError(
                "SAEBench decodes activations alone, so an SAE that normalises its input by "
                "the token cannot be evaluated there; use rsae_evals.compare"
            )
        self._norms = self._weight("W_dec").float().norm(dim=-1).clamp(min=1e-12)
        self.W_dec = self._weight("W_dec") / self._norms[:, None]
        self.W_enc = self._weight("W_enc") * self._norms
        self.b_enc = self._weight("b_enc") * self._norms
        self.b_dec = self._weight("b_dec")
        self.cfg = SAEBenchConfig(
            model_name, self._sae.d_in, self._sae.d_sae, hook_name, int(layer[0]), context_size
        )
        self.cfg.architecture = self._sae.family

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.W_dec.device

    @property
    def dtype(self) -> torch.dtype:
        """Floating type of the weights."""
        return self.W_dec.dtype

    def encode(self, x: Tensor) -> Tensor:
        """Codes in units of unit decoder rows, (…, d_in) → (…, d_sae)."""
        return self._sae.encode(x) * self._norms

    def decode(self, codes: Tensor) -> Tensor:
        """Reconstruction, (…, d_sae) → (…, d_in)."""
        return self._sae.decode(codes / self._norms)

    def __call__(self, x: Tensor) -> Tensor:
        """Encode and decode."""
        return self.decode(self.encode(x))

    def to(self, device: Any = None, dtype: torch.dtype | None = None) -> Self:
        """Move in place, as SAEBench expects; an SAE that cannot move stays."""
        self._sae = self._sae.to(device, dtype)
        for name in ("W_enc", "W_dec", "b_enc", "b_dec"):
            setattr(self, name, getattr(self, name).to(device=device, dtype=dtype))
        self._norms = self._norms.to(device=device)
        return self

    def _weight(self, name: str) -> Tensor:
        value = self._sae.weight(name)
        if value is None:
            raise EvaluationError(f"SAEBench needs {name}, which this SAE does not show")
        return value
