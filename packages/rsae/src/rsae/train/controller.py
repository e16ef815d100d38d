"""A bounded controller that holds strict L0 at its target by the sparsity coefficient."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from rsae.errors import ConfigError
from rsae.settings import check_fields

__all__ = ["ControllerConfig", "L0Controller"]


@dataclass(frozen=True)
class ControllerConfig:
    """Gains and bounds, all on a logarithmic scale, so that they suit every lambda and L0.

    Args:
        proportional: Change of log lambda per change of log(L0 / target).
        integral: Change of log lambda per step and unit of log(L0 / target).
        max_step: Largest change of log lambda in one step.
        reach: The factor within which lambda stays of its first value.
        warmup: Steps over which the gains rise from 0.
        memory: Weight of the past in the running mean of log L0.
        excursion: The multiple of the target above which a batch's L0 makes thresholds rise at
            once; below 2, so that twice the target is never reached.

    Raises:
        ConfigError: A value is outside its range.
    """

    proportional: float = 2.0
    integral: float = 0.03
    max_step: float = 0.3
    reach: float = 1000.0
    warmup: int = 20
    memory: float = 0.8
    excursion: float = 1.5

    def __post_init__(self) -> None:
        check_fields(self)
        if min(self.proportional, self.integral, self.warmup) < 0 or self.max_step <= 0:
            raise ConfigError("the controller's gains and warm-up are at least 0, max_step above")
        if not (self.reach > 1 and 0 <= self.memory < 1 and 1 < self.excursion < 2):
            raise ConfigError("the controller needs reach > 1, 0 <= memory < 1, 1 < excursion < 2")


@dataclass(frozen=True)
class L0Controller:
    """PI control of the sparsity coefficient lambda by e = log(L0 / target), in velocity form.

        d log lambda = clamp(K_p (e_t - e_{t-1}) + K_i e_t, ± max_step)

    The velocity form has no integral that could wind up. Immutable: `update`
    returns the next state, so a checkpoint is its `state()`.

    Args:
        target: The strict L0 to hold.
        start: The first lambda, the centre of its range.
        config: Gains and bounds.

    Example:
        >>> controller = L0Controller(target=50.0, start=1.0)
        >>> controller.update(100.0).weight >= 1.0
        True
    """

    target: float
    start: float
    config: ControllerConfig = ControllerConfig()
    log_weight: float | None = None
    log_l0: float | None = None
    steps: int = 0

    def __post_init__(self) -> None:
        if not (self.target > 0 and self.start > 0):
            raise ConfigError(
                "the controller needs a target L0 and a first sparsity coefficient above 0"
            )

    @property
    def weight(self) -> float:
        """The sparsity coefficient lambda."""
        return self.start if self.log_weight is None else math.exp(self.log_weight)

    def update(self, l0: float) -> L0Controller:
        """The state after a batch whose strict L0 was `l0`."""
        c = self.config
        seen = math.log(max(l0, 1e-3))
        before = seen if self.log_l0 is None else self.log_l0
        smooth = c.memory * before + (1 - c.memory) * seen
        ramp = min(1.0, (self.steps + 1) / c.warmup) if c.warmup else 1.0
        move = c.proportional * (smooth - before) + c.integral * (smooth - math.log(self.target))
        move = ramp * max(-c.max_step, min(c.max_step, move))
        low, high = (math.log(self.start) + s * math.log(c.reach) for s in (-1, 1))
        log_weight = max(low, min(high, math.log(self.weight) + move))
        return replace(self, log_weight=log_weight, log_l0=smooth, steps=self.steps + 1)
