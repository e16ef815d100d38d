"""Rational sparse autoencoders: a trained SAE's activation, made a trainable rational function.

Importing this package registers the architecture "rational" with SAELens.
"""

from rsae.pretrained import Teacher, load_teacher
from rsae.sae.activation import RationalActivation
from rsae.sae.model import RSAE, RSAEConfig
from rsae.upgrading import RationalConfig, UpgradeConfig, UpgradeResult, upgrade

__all__ = [
    "RSAE",
    "RSAEConfig",
    "RationalActivation",
    "RationalConfig",
    "Teacher",
    "UpgradeConfig",
    "UpgradeResult",
    "load_teacher",
    "upgrade",
]
