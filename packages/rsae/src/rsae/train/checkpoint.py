"""The state of a training run as one safetensors file, written whole or not at all."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rsae.data.stream import Position
from rsae.errors import ConfigError, CorruptFileError
from rsae.files import load_safetensors_and_metadata, save_safetensors
from rsae.sae.model import RSAE
from rsae.train.controller import ControllerConfig, L0Controller

__all__ = ["Progress", "Snapshot", "checkpoint_of", "load_checkpoint", "save_checkpoint"]

_HEADER = "progress"


@dataclass(frozen=True)
class Progress:
    """The scalars of a run in progress.

    Attributes:
        step: steps taken.
        controller: its `log_weight`, `log_l0` and `steps`; its target and start.
        grad_norm: running mean of the gradient's norm, None before the first step.
        slow_down: factor on every rate, halved each time the run had to go back.
        restarts: how often it went back to the last good state.
        max_l0: largest batch L0 so far.
        position: where the next batch of a stream begins; None where batches are counted.
    """

    step: int
    controller: L0Controller
    grad_norm: float | None = None
    slow_down: float = 1.0
    restarts: int = 0
    max_l0: float = 0.0
    position: Position | None = None


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A run's tensors and scalars at one step, detached from the run."""

    tensors: dict[str, Tensor]
    progress: Progress

    @classmethod
    def take(
        cls,
        sae: RSAE,
        optimizer: torch.optim.Optimizer,
        last_fired: Tensor,
        progress: Progress,
    ) -> Snapshot:
        """Copy everything that the next step depends on."""
        tensors = {f"model.{name}": t for name, t in sae.state_dict().items()}
        for name, moments in _named_moments(sae, optimizer).items():
            tensors |= {f"adam.{name}.{key}": t for key, t in moments.items()}
        tensors["last_fired"] = last_fired
        return cls({name: t.detach().clone() for name, t in tensors.items()}, progress)

    def fits(self, sae: RSAE, last_fired: Tensor) -> bool:
        """Whether it is a state of this very SAE: names, shapes and kinds of all tensors."""
        wanted = {f"model.{name}": tensor for name, tensor in sae.state_dict().items()}
        wanted["last_fired"] = last_fired
        for name, parameter in sae.named_parameters():
            moments = {f"adam.{name}.{key}": parameter for key in ("exp_avg", "exp_avg_sq")}
            if f"adam.{name}.step" in self.tensors:
                wanted |= {**moments, f"adam.{name}.step": torch.zeros((), dtype=torch.float32)}
        return wanted.keys() == self.tensors.keys() and all(
            tensor.shape == wanted[name].shape
            and tensor.dtype == wanted[name].dtype
            and bool(torch.isfinite(tensor).all())
            for name, tensor in self.tensors.items()
        )

    def restore(self, sae: RSAE, optimizer: torch.optim.Optimizer, last_fired: Tensor) -> None:
        """Put everything back in place."""
        with torch.no_grad():
            for name, tensor in sae.state_dict().items():
                tensor.copy_(self.tensors[f"model.{name}"])
            last_fired.copy_(self.tensors["last_fired"])
        for name, parameter in sae.named_parameters():
            prefix = f"adam.{name}."
            moments = {
                key.removeprefix(prefix): _laid_out_as(parameter, tensor)
                for key, tensor in self.tensors.items()
                if key.startswith(prefix)
            }
            if moments:
                optimizer.state[parameter] = moments
            else:
                optimizer.state.pop(parameter, None)


def _laid_out_as(parameter: Tensor, moment: Tensor) -> Tensor:
    """A copy with the parameter's strides, which the fused optimiser takes for granted."""
    like = torch.empty_like(parameter) if moment.shape == parameter.shape else moment.clone()
    return like.copy_(moment)


def _named_moments(sae: RSAE, optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Tensor]]:
    return {
        name: optimizer.state[parameter]
        for name, parameter in sae.named_parameters()
        if parameter in optimizer.state
    }


def save_checkpoint(path: Path, snapshot: Snapshot) -> None:
    """Write a snapshot atomically."""
    header = {_HEADER: json.dumps(asdict(snapshot.progress))}
    save_safetensors(path, snapshot.tensors, metadata=header)


def _check(progress: Progress) -> None:
    """Refuse numbers that no run has.

    Raises:
        ValueError: One of them is of another kind, not finite or negative.
    """
    controller = progress.controller
    counts = (progress.step, progress.restarts, controller.steps)
    numbers = (progress.slow_down, progress.max_l0, controller.target, controller.start)
    may_lack = (progress.grad_norm, controller.log_weight, controller.log_l0)
    numbers += tuple(number for number in may_lack if number is not None)
    if not all(type(count) is int and 0 <= count < 2**63 for count in counts):
        raise ValueError("a count that cannot be")
    if not all(type(number) in (int, float) and math.isfinite(number) for number in numbers):
        raise ValueError("a number that cannot be")
    if not 0 < progress.slow_down <= 1:
        raise ValueError("a factor of the rates that cannot be")


def load_checkpoint(path: Path) -> Snapshot:
    """Read a snapshot.

    Raises:
        CorruptFileError: it is damaged or no checkpoint.
    """
    tensors, header = load_safetensors_and_metadata(path)
    try:
        content: dict[str, Any] = json.loads(header[_HEADER])
        controller = content.pop("controller")
        config = ControllerConfig(**controller.pop("config"))
        if (position := content.pop("position", None)) is not None:
            position = Position.from_dict(position)
        controller = L0Controller(config=config, **controller)
        progress = Progress(controller=controller, position=position, **content)
        _check(progress)
    except (AttributeError, TypeError, KeyError, ValueError, ConfigError) as error:
        raise CorruptFileError(
            f"{path} is no whole checkpoint of this program ({error}); "
            "delete it to train this variant again"
        ) from error
    return Snapshot(tensors, progress)


def checkpoint_of(sae: RSAE, last_fired: Tensor, path: Path) -> Snapshot:
    """Read the snapshot of a run of this very SAE.

    Raises:
        CorruptFileError: it is damaged, no checkpoint, or of another SAE.
    """
    snapshot = load_checkpoint(path)
    if not snapshot.fits(sae, last_fired):
        raise CorruptFileError(
            f"{path} is no checkpoint of this SAE; delete it to train this variant again"
        )
    return snapshot
