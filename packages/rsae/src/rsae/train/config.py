"""The settings of training, the same for every variant."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from rsae.errors import ConfigError
from rsae.settings import check_fields
from rsae.train.controller import ControllerConfig

__all__ = ["Precision", "TrainConfig"]

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class TrainConfig:
    """Steps, learning rates and safeguards.

    The rates are relative: a matrix moves per Adam step by `lr` times its own root mean square,
    a bias or threshold by `bias_lr` times that of the active pre-activations, the rational by
    `rational_lr` times that of its coefficients. So the same numbers suit teachers of any units.

    Args:
        steps: Optimiser steps.
        batch_size: Tokens per step.
        lr: Relative rate of W_enc and W_dec.
        bias_lr: Relative rate of b_enc, b_dec and the thresholds.
        rational_lr: Relative rate of the rational's coefficients and scales.
        warmup: Share of the steps over which the rates rise from 0.
        decay: Share of the steps, at the end, over which they fall to 0.
        window: Mean number of entries per token within the kernel of the straight-through
            estimator, as a fraction of L0; the kernel's bandwidth follows from it.
        clip: A gradient is scaled down to `clip` times the running mean of its norm.
        precision: The dtype of the dense product; everything else is float32.
        dead_after: Tokens after which a feature that never fired counts as dead; the threshold
            of a dead feature shrinks by 0.1 % per step until it fires.
        checkpoint_every: Steps between two checkpoints.
        controller: Settings of the controller that holds L0.

    Raises:
        ConfigError: A value is outside its range.
    """

    steps: int = 400
    batch_size: int = 1024
    lr: float = 3e-2
    bias_lr: float = 6e-3
    rational_lr: float = 2e-3
    warmup: float = 0.05
    decay: float = 0.3
    window: float = 0.3
    clip: float = 3.0
    precision: Precision = "float32"
    dead_after: int = 100_000
    checkpoint_every: int = 100
    controller: ControllerConfig = field(default_factory=ControllerConfig)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.steps < 0 or min(self.batch_size, self.dead_after, self.checkpoint_every) < 1:
            raise ConfigError("steps is at least 0; batch size and intervals are at least 1")
        if min(self.lr, self.bias_lr, self.rational_lr) < 0:
            raise ConfigError("learning rates are at least 0")
        if not (0 <= self.warmup <= 1 and 0 <= self.decay <= 1 and self.window > 0):
            raise ConfigError("warmup and decay are shares between 0 and 1; window is above 0")
        if self.clip <= 0:
            raise ConfigError("clip is above 0")
        if self.precision not in get_args(Precision):
            raise ConfigError(f"precision is one of {get_args(Precision)}, not {self.precision!r}")

    def scaled(self, factor: float) -> TrainConfig:
        """The same training at `factor` times every rate."""
        rates = {name: factor * getattr(self, name) for name in ("lr", "bias_lr", "rational_lr")}
        return replace(self, **rates)

    def rate(self, step: int) -> float:
        """Factor on every rate at a step: a trapezium from 0 over 1 to 0."""
        rise = self.warmup * self.steps
        fall = self.decay * self.steps
        up = (step + 1) / rise if rise else 1.0
        down = (self.steps - step) / fall if fall else 1.0
        return min(1.0, up, down)
