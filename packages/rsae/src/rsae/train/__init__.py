"""Training: one loop, its objectives, its controller of sparsity, its checkpoints and trackers."""

from rsae.train.config import TrainConfig
from rsae.train.controller import ControllerConfig, L0Controller
from rsae.train.loop import Training, TrainResult, train, train_together
from rsae.train.scales import Units, measure_units

__all__ = [
    "ControllerConfig",
    "L0Controller",
    "TrainConfig",
    "TrainResult",
    "Training",
    "Units",
    "measure_units",
    "train",
    "train_together",
]
