"""`Site`: where in a language model an SAE reads, and what it reconstructs."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["HOOK", "Site"]

HOOK = re.compile(
    r"blocks\.(\d{1,4})\.(hook_resid_pre|hook_resid_mid|hook_resid_post|hook_attn_out|hook_mlp_out"
    r"|attn\.hook_z|mlp\.hook_in|ln2\.hook_normalized)"
)
"""The names of hooks that an SAE can read: the layer, and the place in it."""


@dataclass(frozen=True)
class Site:
    """The hooks of an SAE, one and the same, or of a transcoder, which predicts another.

    Attributes:
        input: The hook that is read.
        output: The hook that is reconstructed.

    Example:
        >>> print(Site("blocks.3.mlp.hook_in", "blocks.3.hook_mlp_out"))
        blocks.3.mlp.hook_in → blocks.3.hook_mlp_out
    """

    input: str
    output: str

    @property
    def hooks(self) -> tuple[str, ...]:
        """Every hook, once."""
        return tuple(dict.fromkeys((self.input, self.output)))

    @property
    def target(self) -> str | None:
        """The hook that a transcoder predicts; None for an SAE."""
        return None if self.output == self.input else self.output

    def __str__(self) -> str:
        return " → ".join(self.hooks)
