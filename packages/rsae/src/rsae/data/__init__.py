"""Activations of a language model: kept in shards on disk, or streamed into training."""

from rsae.data.harvesting import harvest
from rsae.data.sample import Activations
from rsae.data.store import ActivationStore
from rsae.data.stream import ActivationStream

__all__ = ["ActivationStore", "ActivationStream", "Activations", "harvest"]
