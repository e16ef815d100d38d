"""Activations of a host: harvested to shards on disk, read back as batches."""

from .harvesting import harvest
from .sample import Activations
from .store import ActivationStore

__all__ = ["ActivationStore", "Activations", "harvest"]
