"""Rational sparse autoencoders: a trained SAE's activation, made a trainable rational function.

Importing this package registers the architecture "rational" with SAELens.
"""

from rsae.pretrained import Teacher, load_teacher
from rsae.sae.activation import RationalActivation
from rsae.sae.model import RSAE, RSAEConfig
from rsae.sae.refinement import Pursuit, Refinement
from rsae.upgrading import RationalConfig, UpgradeConfig, UpgradeResult, refine, upgrade

__all__ = [
    "RSAE",
    "Pursuit",
    "RSAEConfig",
    "RationalActivation",
    "RationalConfig",
    "Refinement",
    "Teacher",
    "UpgradeConfig",
    "UpgradeResult",
    "load_teacher",
    "refine",
    "upgrade",
]
