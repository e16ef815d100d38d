"""The state of a training run as one safetensors file, written whole or not at all."""

from __future__ import annotations

import json
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

__all__ = ["Progress", "Snapshot", "load_checkpoint", "save_checkpoint"]

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
    except (TypeError, KeyError, ValueError, ConfigError) as error:
        raise CorruptFileError(
            f"{path} is no whole checkpoint of this program ({error}); "
            "delete it to train this variant again"
        ) from error
    return Snapshot(tensors, progress)
