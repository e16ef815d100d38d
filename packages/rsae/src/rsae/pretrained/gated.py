"""Gated SAEs are JumpReLU SAEs: the gate shares the encoder's matrix with the magnitude.

With a = (x - b_dec) W_enc a gated SAE (Rajamanoharan et al. 2024, arXiv 2404.16014) computes

    z_j = relu(e^{r_j} a_j + b_mag_j)   where a_j + b_gate_j > 0, else 0.

With h_j = e^{r_j} a_j + b_mag_j the gate is open where h_j > b_mag_j - e^{r_j} b_gate_j, so that
it is a JumpReLU of that threshold (section 3.2 there). Nothing but rounding at the threshold is
lost; what is not kept is the gate's own objective: the copy is trained as a JumpReLU SAE.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from rsae.errors import TeacherError
from rsae.pretrained.checks import need

__all__ = ["GATED_NOTE", "without_gate"]

GATED_NOTE = (
    "gated: its gate is exactly a JumpReLU's threshold, and it is trained on as a JumpReLU SAE, "
    "without the gate's auxiliary loss"
)


def without_gate(
    content: Mapping[str, Any], names: tuple[str, str, str, str], path: Path
) -> dict[str, Any]:
    """A gated SAE's tensors as ``W_enc``, ``b_enc`` and ``threshold``; others stay as they are.

    Args:
        content: The tensors.
        names: What the encoder (d_in, d_sae), the gate's bias, the magnitude's bias and the
            logarithm of the magnitude's factor are called.
        path: The file, for messages.

    Raises:
        TeacherError: one of the four is missing, or they do not fit together.
    """
    W_enc, b_gate, b_mag, r_mag = (need(content, name, path) for name in names)
    if not (b_gate.shape == b_mag.shape == r_mag.shape == W_enc.shape[1:]):
        raise TeacherError(
            f"{path}: {', '.join(names)} have shapes "
            f"{', '.join(str(tuple(t.shape)) for t in (W_enc, b_gate, b_mag, r_mag))}, which do "
            "not fit together; use a sound file"
        )
    factor = torch.exp(r_mag)
    kept = {name: value for name, value in content.items() if name not in names}
    threshold = (b_mag - factor * b_gate).clamp(min=0)
    return {**kept, "W_enc": W_enc * factor, "b_enc": b_mag, "threshold": threshold}
