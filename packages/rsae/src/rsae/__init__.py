"""Rational sparse autoencoders: a trained SAE's activation, made a trainable rational function.

Importing this package registers the architecture "rational" with SAELens.
"""

from .activation import RationalActivation
from .model import RSAE, RSAEConfig
from .teacher import Teacher, load_teacher

__all__ = ["RSAE", "RSAEConfig", "RationalActivation", "Teacher", "load_teacher"]
