"""Activations of a host: harvested to shards on disk, read back as batches."""

from rsae.data.harvesting import harvest
from rsae.data.sample import Activations
from rsae.data.store import ActivationStore

__all__ = ["ActivationStore", "Activations", "harvest"]
