"""Training on a stream: every variant of every SAE learns from one pass of the language model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from rsae.data import ActivationStream
from rsae.data.stream import Position, StreamedBatches
from rsae.train import TrainResult, train_together
from rsae.upgrading.config import UpgradeConfig
from rsae.upgrading.finetune import Candidates, Trained

__all__ = ["StreamUse", "train_on_stream"]


@dataclass(frozen=True)
class StreamUse:
    """What training on a stream took in this process.

    Attributes:
        n_tokens: Tokens that were trained on.
        seconds: Time from the first batch that was asked for to the last step.
        waiting_share: Share of that time in which training waited for activations, those of the
            first block included, which nothing can overlap with.
    """

    n_tokens: int
    seconds: float
    waiting_share: float


def train_on_stream(
    made: Sequence[Candidates], stream: ActivationStream, config: UpgradeConfig
) -> tuple[list[Trained], StreamUse]:
    """Train all on one pass of the stream.

    Args:
        made: What to train; all take the same number of steps.
        stream: The activations.
        config: The size of a batch, the number of steps and the random seed.

    Returns:
        What was trained, in the order of `made`, and what it took.

    Raises:
        ConfigError, TrainingError: see `train_together`.
    """
    passes: list[tuple[StreamedBatches, int]] = []

    def batches(begin: int | Position) -> StreamedBatches:
        train = config.train
        found = stream.batches(
            train.batch_size, seed=config.seed, epochs=None, start=begin, stop=train.steps
        )
        passes.append((found, found.position.given))
        return found

    begun = time.perf_counter()
    results = train_together([one for part in made for one in part.trainings], batches)
    seconds = time.perf_counter() - begun
    trained = []
    for part in made:
        own: list[TrainResult] = results[: len(part.trainings)]
        results = results[len(part.trainings) :]
        trained.append(part.best(own))
    given = sum(one.position.given - before for one, before in passes)
    waited = sum(one.seconds_waited for one, _ in passes)
    use = StreamUse(given * config.train.batch_size, seconds, min(1.0, waited / max(seconds, 1e-9)))
    return trained, use
