"""Rational sparse autoencoders: a trained SAE's activation, made a trainable rational function.

Importing this package registers the architecture "rational" with SAELens.
"""

from .activation import RationalActivation
from .model import RSAE, RSAEConfig
from .teacher import Teacher, load_teacher
from .upgrade import GateConfig, UpgradeConfig, UpgradeResult, upgrade

__all__ = [
    "RSAE",
    "GateConfig",
    "RSAEConfig",
    "RationalActivation",
    "Teacher",
    "UpgradeConfig",
    "UpgradeResult",
    "load_teacher",
    "upgrade",
]
