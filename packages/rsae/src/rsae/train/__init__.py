"""Training: one loop, its objectives, its controller of sparsity, its checkpoints and trackers."""

from .config import TrainConfig
from .controller import ControllerConfig, L0Controller
from .loop import TrainResult, train
from .units import Units, measure_units

__all__ = [
    "ControllerConfig",
    "L0Controller",
    "TrainConfig",
    "TrainResult",
    "Units",
    "measure_units",
    "train",
]
