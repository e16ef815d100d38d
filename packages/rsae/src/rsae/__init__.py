"""Rational sparse autoencoders: a trained SAE's activation, made a trainable rational function.

Importing this package registers the architecture "rational" with SAELens.
"""

from rsae.data import ActivationStore, harvest
from rsae.data.splits import token_splits
from rsae.language_model.host import Host, load_host
from rsae.pretrained import Teacher, load_teacher
from rsae.sae.activation import RationalActivation
from rsae.sae.load import load_rsae
from rsae.sae.model import RSAE, RSAEConfig
from rsae.sae.refinement import Pursuit, Refinement
from rsae.train import TrainConfig
from rsae.upgrading import RationalConfig, UpgradeConfig, UpgradeResult, refine, upgrade

__all__ = [
    "RSAE",
    "ActivationStore",
    "Host",
    "Pursuit",
    "RSAEConfig",
    "RationalActivation",
    "RationalConfig",
    "Refinement",
    "Teacher",
    "TrainConfig",
    "UpgradeConfig",
    "UpgradeResult",
    "harvest",
    "load_host",
    "load_rsae",
    "load_teacher",
    "refine",
    "token_splits",
    "upgrade",
]
