"""Stage 3: train the variants, all by the same loop on the same batches."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from rsae.data import Activations
from rsae.data.stream import Position
from rsae.metrics import match_l0, measure, spread
from rsae.pretrained import Teacher
from rsae.sae.activation import RationalActivation
from rsae.sae.model import RSAE
from rsae.train import Training, TrainResult, measure_units, train_together
from rsae.train.losses import Penalty
from rsae.upgrading.calibrate import with_trainable_thresholds
from rsae.upgrading.config import Kept, UpgradeConfig
from rsae.upgrading.plan import TrainedName

__all__ = ["Candidates", "Trained", "candidates", "finetune", "trainings"]

OnStep = Callable[[dict[str, Any]], None]

_CONTROL_RATES = (1.0, 1 / 16)
_DECODER = ("W_dec", "b_dec", "W_skip")
_NARROW = 1 / 6  # of the kernel's window, where directions are kept: few firings move


@dataclass(frozen=True)
class Trained:
    """One trained variant.

    Attributes:
        name: The variant: "control" (the teacher, by its own family's objective, at the better of
            two rates), "threshold_only" (trained thresholds and an L0 penalty, no rational) or
            "rational" (the same with a trained rational).
        sae: The result, at the target L0.
        training: What the training loop reported.
        shift: The common shift of its thresholds that matched L0 after training.
    """

    name: TrainedName
    sae: RSAE
    training: TrainResult
    shift: float


def trainings(name: str) -> int:
    """How often a variant is trained: "control" at each of its rates, the others once."""
    return len(_CONTROL_RATES) if name == "control" else 1


@dataclass(frozen=True, eq=False)
class Candidates:
    """One variant that is ready to be trained: the SAEs of which the best will be kept.

    Attributes:
        name: The variant.
        trainings: What to train: "control" at each of its rates, the others once.
        x: (n, d_in) calibration activations.
        target: The teacher's strict L0 on them.
    """

    name: TrainedName
    trainings: tuple[Training, ...]
    x: Tensor
    target: float

    def best(self, results: Sequence[TrainResult]) -> Trained:
        """The best on the calibration tokens once all are trained, at the teacher's L0."""
        found = [
            Trained(self.name, one.sae, result, match_l0(one.sae, self.x, self.target))
            for one, result in zip(self.trainings, results, strict=True)
        ]
        if len(found) == 1:
            return found[0]
        return min(found, key=lambda one: measure(one.sae, self.x).mse)


def candidates(
    name: TrainedName,
    teacher: Teacher,
    start: RSAE,
    calibration: Activations,
    config: UpgradeConfig,
    *,
    keep: Kept = "nothing",
    checkpoint: Path | None = None,
    on_step: OnStep | None = None,
) -> Candidates:
    """Prepare the training of one variant; `finetune` says what it is given."""
    x = spread(calibration, config.calibration_tokens).to(teacher.device)
    settings = config.train
    if keep == "directions":
        settings = replace(settings, window=_NARROW * settings.window)
    target = measure(start, x).l0

    def at(rates: float) -> Training:
        sae, penalty = _prepare(name, teacher, start, x, config)
        for key, parameter in sae.named_parameters():
            if key in _DECODER:
                parameter.requires_grad_(keep == "nothing")
        few = spread(x, 4 * config.train.batch_size)
        return Training(
            sae,
            penalty,
            measure_units(sae, few, penalty, settings.window),
            target,
            settings.scaled(rates),
            checkpoint=_state_file(checkpoint, rates),
            on_step=on_step and (lambda record: on_step({"rates": rates, **record})),
        )

    rates = _CONTROL_RATES if name == "control" else (1.0,)
    return Candidates(name, tuple(map(at, rates)), x, target)


def finetune(
    name: TrainedName,
    teacher: Teacher,
    start: RSAE,
    train_on: Activations,
    calibration: Activations,
    config: UpgradeConfig,
    *,
    keep: Kept = "nothing",
    checkpoint: Path | None = None,
    on_step: OnStep | None = None,
) -> Trained:
    """Train one variant and match its strict L0 to the teacher's on the calibration tokens.

    The training is pointwise: activations are refined afterwards, never in the loop, where
    refinement costs known features.

    The control is trained twice, at the rates of the other variants and at a sixteenth of them,
    and the better one on the calibration tokens is kept: a teacher close to its optimum is worsened
    by rates that suit a new objective, and an undertrained baseline would bias the comparison.

    Args:
        name: The variant.
        teacher: The trained SAE.
        start: The result of stage 2.
        train_on, calibration: Activations, the same for every variant.
        config: The upgrade's settings.
        keep: With "directions" the decoder (and a skip connection) is not trained, and the kernel
            of the thresholds' gradient is a sixth as wide, since a wide one moves firings from
            frequent features to rare ones.
        checkpoint: The file of the training state; a second training's is beside it.
        on_step: Called after each step, with the factor on the rates as `rates`.
    """
    made = candidates(
        name, teacher, start, calibration, config, keep=keep, checkpoint=checkpoint, on_step=on_step
    )

    def batches(begin: int | Position) -> Iterator[Tensor]:
        assert isinstance(begin, int)  # batches on disk or in memory have no other position
        size, seed = config.train.batch_size, config.seed
        return train_on.batches(size, seed=seed, epochs=None, start=begin)

    # One after another: activations that are there need no second pass of the model.
    return made.best([train_together([one], batches)[0] for one in made.trainings])


def _state_file(checkpoint: Path | None, rates: float) -> Path | None:
    if checkpoint is None or rates == 1:
        return checkpoint
    return checkpoint.with_stem(f"{checkpoint.stem}-slow")


def _prepare(
    name: TrainedName, teacher: Teacher, start: RSAE, x: Any, config: UpgradeConfig
) -> tuple[RSAE, Penalty]:
    """The variant's SAE, its trainable parameters marked, and its penalty."""
    if name == "rational" and config.objective == "l1":
        sae = copy.deepcopy(start)
        sae.threshold.requires_grad_(sae.cfg.form == "gate" and teacher.family == "jumprelu")
        return sae, "l1"
    if name == "rational":
        return with_trainable_thresholds(start, teacher, x), "l0"
    identity = RationalActivation.constant((0, 0))
    support = start.cfg.support
    sae = RSAE.from_teacher(teacher, identity, "magnitude", support)
    if name == "threshold_only" or teacher.family == "jumprelu":
        sae = with_trainable_thresholds(sae, teacher, x)
    else:
        sae.threshold.requires_grad_(False)
    sae.rational.requires_grad_(False)
    own: dict[str, Penalty] = {"relu": "l1", "jumprelu": "l0", "topk": "none"}
    return sae, "l0" if name == "threshold_only" else own[teacher.family]
