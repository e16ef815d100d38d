"""The training loop, the same for every variant, of one SAE or of several on the same batches.

Shapes: n tokens, d_in, d_out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rsae.data.stream import Position
from rsae.errors import ConfigError, TrainingError
from rsae.memory import rows_at_once
from rsae.sae.config import RSAEConfig
from rsae.sae.model import RSAE
from rsae.train import parallel
from rsae.train.checkpoint import Progress, Snapshot, checkpoint_of, save_checkpoint
from rsae.train.config import TrainConfig
from rsae.train.controller import L0Controller
from rsae.train.forward import forward
from rsae.train.losses import Penalty, mse, penalty
from rsae.train.scales import Units

__all__ = ["TrainResult", "Training", "follow", "train", "train_together"]

_MAX_RESTARTS = 5
_EPS = 1e-10  # of Adam: gradients of a fraction of variance are small
_DEAD_DECAY = 0.999

Batches = Callable[[int | Position], Iterator[Tensor]]
OnStep = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class TrainResult:
    """What a training run reports beside the RSAE, which it trains in place.

    Attributes:
        steps: Optimiser steps taken.
        weight: The last sparsity coefficient.
        max_l0: The largest strict L0 of any batch.
        restarts: How often the run went back to the last good state.
        split_to: Tokens at once to which batches were halved because the device's memory ran out;
            None where it never did.
    """

    steps: int
    weight: float
    max_l0: float
    restarts: int
    split_to: int | None = None


@dataclass(frozen=True, eq=False)
class Training:
    """One SAE to train, and how; see `train` for the fields.

    Attributes:
        sae: The RSAE; parameters without `requires_grad` stay as they are.
        objective: The penalty.
        units: The result of `measure_units`.
        target_l0: The strict L0 that the controller holds.
        config: Steps, learning rates and safeguards.
        checkpoint: The file of the state, which the caller deletes.
        on_step: Called after each step with its numbers.
    """

    sae: RSAE
    objective: Penalty
    units: Units
    target_l0: float
    config: TrainConfig
    checkpoint: Path | None = None
    on_step: OnStep | None = None


def train(
    sae: RSAE,
    batches: Batches,
    objective: Penalty,
    units: Units,
    target_l0: float,
    config: TrainConfig,
    *,
    checkpoint: Path | None = None,
    on_step: OnStep | None = None,
) -> TrainResult:
    r"""Train, in place, every parameter of `sae` that requires a gradient.

        loss = E|y - y_hat|^2 / Var y + lambda * penalty / penalty_0

    What is reconstructed, y, is x but for a transcoder. The optimiser is Adam, and the sparsity
    coefficient lambda comes from the bounded controller. A
    batch whose loss or gradient is not finite, or in which no feature is active, sends the run
    back to the last good state at half the rates. A batch that does not fit into the memory budget
    (`rsae.memory.memory_budget`), or into the device's memory, goes through in parts, with the same
    gradient but for rounding. Interrupted (`KeyboardInterrupt`), it leaves a
    checkpoint behind; started again with the same arguments, it goes on from there and ends where
    an uninterrupted run ends, but for rounding.

    Args:
        sae: The RSAE; parameters without `requires_grad` stay as they are.
        batches: A function from where to begin to the batches that follow, (n, d_in), for a
            transcoder x beside y, (n, d_in + d_out), on any device. It is given the number of steps
            taken, or the `Position` in a stream that a checkpoint recorded.
        objective: The penalty.
        units: The result of `measure_units`.
        target_l0: The strict L0 that the controller holds.
        config: Steps, learning rates and safeguards.
        checkpoint: The file of the state, which the caller deletes.
        on_step: Called after each step with its numbers.

    Raises:
        TrainingError: The run went back too often, or the data ran out.
    """
    one = Training(sae, objective, units, target_l0, config, checkpoint, on_step)
    return train_together([one], batches)[0]


def train_together(trainings: Sequence[Training], batches: Batches) -> list[TrainResult]:
    """Train several SAEs on one pass over the same batches, each as `train` would alone.

    One that has to go back to an earlier state, or that an interruption left behind the others,
    is trained over the steps that it lacks by a pass of its own.

    Args:
        trainings: The SAEs; all take the same number of steps.
        batches: As `train` takes them.

    Returns:
        The results, in the order of `trainings`.

    Raises:
        ConfigError: They take different numbers of steps.
        TrainingError: One went back too often, or the data ran out.
    """
    if len({one.config.steps for one in trainings}) > 1:
        raise ConfigError("SAEs that learn from one pass take as many steps each; give one number")
    for one in trainings:
        parallel.check_divides(one.config.batch_size)
    runs = [_Run(one) for one in trainings]
    parallel.send([run.description() for run in runs])
    try:
        while behind := [run for run in runs if not run.finished]:
            first = min(behind, key=lambda run: run.progress.step).progress
            data = batches(first.step if first.position is None else first.position)
            try:
                _one_pass(runs, first.step, data)
            finally:
                if (close := getattr(data, "close", None)) is not None:
                    close()
    except KeyboardInterrupt:
        for run in runs:
            run.save()
        raise
    return [run.result for run in runs]


def _one_pass(runs: Sequence[_Run], step: int, data: Iterator[Tensor]) -> None:
    """Train on one iteration from a step on, until no run is at it or will come to it."""
    while any(run.progress.step >= step and not run.finished for run in runs):
        x = _next(data)
        position = getattr(data, "position", None)
        for number, run in enumerate(runs):
            if run.progress.step == step and not run.finished:
                parallel.send((number, tuple(x.shape)))
                run.advance(parallel.own_part(x, tuple(x.shape), run.sae.device), position)
        step += 1


def follow(device: torch.device) -> None:
    """Train as the first process of torchrun tells this one, on this one's part of each batch."""
    runs: list[_Run] = []
    while (message := parallel.receive()) is not None:
        if isinstance(message, list):
            runs = [_Run.described(description, device) for description in message]
            continue
        number, shape = message
        runs[number].advance(parallel.own_part(None, shape, device), None)


@torch.no_grad()
def _store_by_feature(sae: RSAE) -> None:
    """Keep the encoder's column of each feature contiguous, as its sparse gradient is."""
    sae.W_enc.data = sae.W_enc.data.t().contiguous().t()


def _next(data: Iterator[Tensor]) -> Tensor:
    batch = next(data, None)
    if batch is None:
        raise TrainingError(
            "the activations ran out before the last step; cache those of more tokens"
        )
    return batch


def _slower(good: Snapshot, failed: Progress) -> Snapshot:
    restarts = failed.restarts + 1
    if restarts > _MAX_RESTARTS:
        raise TrainingError(
            f"training left the finite numbers, or lost every code, {restarts} times, the last "
            f"at step {failed.step}; "
            "lower the learning rates or check the activations"
        )
    slow_down = failed.slow_down / 2
    return Snapshot(good.tensors, replace(good.progress, restarts=restarts, slow_down=slow_down))


@dataclass(frozen=True, eq=False)
class _Description:
    """What another process needs to take the same steps: settings, and the state to start at."""

    settings: dict[str, Any]
    trained: list[str]
    rates: list[float]
    objective: Penalty
    units: Units
    config: TrainConfig
    good: Snapshot


class _Run:
    """The mutable state of a run: RSAE, optimiser and progress, one step at a time."""

    def __init__(self, training: Training) -> None:
        sae, units, config = training.sae, training.units, training.config
        _store_by_feature(sae)
        self.sae, self.objective, self.units = sae, training.objective, units
        self.config, self.checkpoint, self.on_step = config, training.checkpoint, training.on_step
        self.at_once = rows_at_once(sae.cfg.d_sae, config.batch_size)
        self.split_to: int | None = None
        self.progress = Progress(
            0, L0Controller(training.target_l0, units.weight, config.controller)
        )
        self.last_fired = torch.zeros(sae.cfg.d_sae, dtype=torch.int64, device=sae.device)
        self.optimizer = torch.optim.Adam(_groups(sae, units, config), eps=_EPS, fused=True)
        if self.checkpoint is not None and self.checkpoint.exists():
            self.restore(checkpoint_of(sae, self.last_fired, self.checkpoint))
        self.good = self.snapshot()

    def description(self) -> _Description:
        trained = [name for name, p in self.sae.named_parameters() if p.requires_grad]
        rates = [group["unit"] for group in self.optimizer.param_groups]
        return _Description(
            self.sae.cfg.to_dict(), trained, rates,
            self.objective, self.units, self.config, self.good,
        )  # fmt: skip

    @classmethod
    def described(cls, given: _Description, device: torch.device) -> _Run:
        """The run of a description, at the same step."""
        sae = RSAE(RSAEConfig.from_dict(given.settings)).to(device)
        for name, parameter in sae.named_parameters():
            parameter.requires_grad_(name in given.trained)
        target = given.good.progress.controller.target
        run = cls(Training(sae, given.objective, given.units, target, given.config))
        for group, unit in zip(run.optimizer.param_groups, given.rates, strict=True):
            group["unit"] = unit  # of the weights that training began with
        run.restore(given.good)
        run.good = given.good
        return run

    @property
    def finished(self) -> bool:
        return self.progress.step >= self.config.steps

    @property
    def result(self) -> TrainResult:
        end = self.progress
        return TrainResult(end.step, end.controller.weight, end.max_l0, end.restarts, self.split_to)

    def snapshot(self) -> Snapshot:
        return Snapshot.take(self.sae, self.optimizer, self.last_fired, self.progress)

    def restore(self, snapshot: Snapshot) -> None:
        snapshot.restore(self.sae, self.optimizer, self.last_fired)
        self.progress = snapshot.progress

    def save(self) -> None:
        """Write the last good state, where it is to be kept."""
        if self.checkpoint is not None:
            save_checkpoint(self.checkpoint, self.good)

    def advance(self, x: Tensor, position: Position | None) -> None:
        """One step, or a return to the last good state; `position` is where the next batch is."""
        record = self.step(x.to(self.sae.device))
        if record is None:
            self.good = _slower(self.good, self.progress)
            self.restore(self.good)
            return
        self.progress = replace(self.progress, position=position)
        if self.progress.step % self.config.checkpoint_every == 0:
            self.good = self.snapshot()
            self.save()
        if self.on_step is not None:
            self.on_step(record)

    def step(self, x: Tensor) -> dict[str, Any] | None:
        """One optimiser step; its numbers, or None where they are not finite or no code is left."""
        progress = self.progress
        weight = progress.controller.weight
        error, loss, parts = self._gradient(x, weight)
        parallel.average_gradients(self._parameters())
        own_l0 = sum(part.active.sum().item() for part in parts) / len(x)
        norm = self._clip()
        squared, total, l0 = parallel.means(*map(x.new_tensor, (error, loss, own_l0)))
        if not math.isfinite(total + norm) or l0 == 0:
            return None
        self._set_rates()
        self.optimizer.step()
        self._after(parts, l0, len(x) * parallel.number_of_processes())
        self.progress = replace(
            progress,
            step=progress.step + 1,
            controller=progress.controller.update(l0),
            grad_norm=norm if progress.grad_norm is None else 0.9 * progress.grad_norm + 0.1 * norm,
            max_l0=max(progress.max_l0, l0),
        )
        return {
            "step": self.progress.step,
            "mse": squared,
            "l0": l0,
            "lambda": weight,
            "loss": total,
            "grad_norm": norm,
        }

    def _gradient(self, x: Tensor, weight: float) -> tuple[float, float, list[_Part]]:
        """Error, loss and entries of a batch, whose gradient is left in the parameters.

        Where the device's memory runs out the batch is halved, and the step begun again.
        """
        while True:
            self.optimizer.zero_grad(set_to_none=True)
            try:
                return self._sum_over_parts(x, weight)
            except torch.OutOfMemoryError:
                rows = min(len(x), self.at_once)
                if rows == 1:
                    raise TrainingError(
                        "the device's memory does not hold one step of a single token; use a "
                        "device with more, fewer SAEs at once, or --device cpu"
                    ) from None
                self.at_once = self.split_to = (rows + 1) // 2
            if x.device.type == "cuda":
                torch.cuda.empty_cache()

    def _sum_over_parts(self, x: Tensor, weight: float) -> tuple[float, float, list[_Part]]:
        """A mean over tokens is the sum of its parts' means, each times its share of tokens."""
        total_error = total_loss = 0.0
        parts = []
        for rows in x.split(self.at_once):
            inputs, wanted = self.sae.sides(rows)
            step = forward(
                self.sae,
                inputs,
                self.units.bandwidth,
                mixed_precision=self.config.precision == "bfloat16",
            )
            error = mse(step, wanted)
            cost = penalty(self.objective, step, self.sae)
            loss = error / self.units.variance + weight * cost / self.units.penalty
            share = len(rows) / len(x)
            (loss * share).backward() if share < 1 else loss.backward()
            total_error += share * error.item()
            total_loss += share * loss.item()
            parts.append(_Part(step.entries.cols, step.pre_acts, step.support.detach() > 0))
        return total_error, total_loss, parts

    def _set_rates(self) -> None:
        factor = self.config.rate(self.progress.step) * self.progress.slow_down
        for group in self.optimizer.param_groups:
            group["lr"] = group["unit"] * factor

    def _clip(self) -> float:
        """Bound the gradient by `clip` times the running mean of its norm; return the norm."""
        parameters = self._parameters()
        bound = math.inf
        if self.progress.grad_norm is not None:
            bound = self.config.clip * self.progress.grad_norm
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if not norm <= bound:
            torch.nn.utils.clip_grads_with_norm_(parameters, bound, norm)
        return min(norm.item(), bound)

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    @torch.no_grad()
    def _after(self, parts: Sequence[_Part], l0: float, n_tokens: int) -> None:
        """Keep thresholds at least 0, L0 within its bound, and wake dead features."""
        sae, progress = self.sae, self.progress
        for part in parts:
            self.last_fired.index_fill_(0, part.cols[part.active], progress.step)
        parallel.latest(self.last_fired)
        if sae.threshold.requires_grad:
            silent = (progress.step - self.last_fired) * n_tokens > self.config.dead_after
            sae.threshold[silent] *= _DEAD_DECAY
            sae.threshold.clamp_(min=0)
        target, excursion = progress.controller.target, self.config.controller.excursion
        if not target / excursion < l0 < target * excursion:
            self._rein_in(parts, target, n_tokens)

    def _rein_in(self, parts: Sequence[_Part], target_l0: float, n_tokens: int) -> None:
        """Shift thresholds, or biases where those are fixed, to bring this batch's L0 back."""
        sae = self.sae
        if sae.cfg.support == "topk":
            return
        own = torch.cat([part.pre_acts - sae.threshold[part.cols] for part in parts])
        margins = parallel.everyones(own)
        surplus = len(margins) - round(target_l0 * n_tokens)
        shift = margins.kthvalue(max(1, min(surplus, len(margins)))).values
        if sae.threshold.requires_grad:
            sae.threshold.add_(shift).clamp_(min=0)
        else:
            sae.b_enc.sub_(shift)


@dataclass(frozen=True, eq=False)
class _Part:
    """What is kept of the pass over some of a batch's tokens: (nnz,) each."""

    cols: Tensor
    pre_acts: Tensor
    active: Tensor


def _groups(sae: RSAE, units: Units, config: TrainConfig) -> list[dict[str, Any]]:
    """One parameter group per tensor, with the step size that a rate of 1 means for it."""

    def unit(name: str, tensor: Tensor) -> float:
        size = tensor.detach().float().square().mean().sqrt().item()
        if name.startswith("rational."):
            return config.rational_lr * (1.0 if tensor.ndim == 0 else size)
        if name in ("W_enc", "W_dec", "W_skip"):
            return config.lr * size
        if name == "b_dec":
            return config.bias_lr * math.sqrt(units.variance / sae.d_out)
        return config.bias_lr * units.activation

    trained = [(name, p) for name, p in sae.named_parameters() if p.requires_grad]
    return [{"params": [p], "unit": unit(name, p), "lr": 0.0} for name, p in trained]
