"""What `--dry-run` prints: the plan, and an estimate of time, memory and disk."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from rsae.commands.activations import TRAIN_TOKENS
from rsae.commands.inputs import CONTEXT
from rsae.data import ActivationStore
from rsae.devices import resolve_device, resolve_dtype
from rsae.errors import HostError
from rsae.files import files_below
from rsae.language_model.names import model_of
from rsae.language_model.shape import ModelShape, model_shape
from rsae.pretrained import Teacher
from rsae.upgrading.config import UpgradeConfig
from rsae.upgrading.estimate import Work, estimate
from rsae.upgrading.rates import Rates, measure_rates

__all__ = ["DryRun"]

_PACKAGED_BYTES = 990_000
_BYTES_PER_TOKEN = 4.5  # of English text


class DryRun:
    """Estimates of upgrades with the same options; models and rates are looked up once."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._device = resolve_device(args.device)
        self._dtype = resolve_dtype(args.dtype)
        self._models: dict[str | None, ModelShape | str] = {}

    def estimate(self, teacher: Teacher, config: UpgradeConfig) -> dict[str, Any]:
        """What `rsae.upgrading.estimate.estimate` says, and why something is not known."""
        model = self._model(self._args.model or model_of(teacher.metadata))
        known = model if isinstance(model, ModelShape) else None
        found = estimate(
            teacher,
            config,
            work_of(self._args, teacher, config),
            known,
            self._rates,
            bytes_per_weight=self._dtype.itemsize,
            on_gpu=self._device.type == "cuda",
        )
        found |= {"device": str(self._device), "dtype": self._args.dtype}
        return found if known else {**found, "not_known": model}

    def _model(self, name: str | None) -> ModelShape | str:
        if name not in self._models:
            try:
                self._models[name] = model_shape(name)
            except HostError as error:
                self._models[name] = str(error)
        return self._models[name]

    @cached_property
    def _rates(self) -> Rates:
        return measure_rates(self._device, self._dtype)


def work_of(args: argparse.Namespace, teacher: Teacher, config: UpgradeConfig) -> Work:
    """What an upgrade with these options reads.

    Raises:
        StoreError: `--activations` names no store.
    """
    metadata: Mapping[str, Any] = teacher.metadata
    own = metadata.get("hook_name_out") if teacher.transcodes else args.hook
    hook = str(own or metadata.get("hook_name") or "")
    if args.activations:
        manifest = ActivationStore.open(args.activations).manifest
        tokens = manifest.n_tokens
        return Work(
            hook,
            tokens.get("train", 0),
            manifest.context_size,
            cached=True,
            n_calibration=tokens.get("calibration", 0),
            n_heldout=tokens.get("heldout", 0),
        )
    trained = config.train.steps * config.train.batch_size
    endless = args.stream and args.dataset and not args.tokens
    n_tokens = trained if endless else args.tokens or TRAIN_TOKENS
    return Work(
        hook,
        n_tokens,
        int(metadata.get("context_size") or CONTEXT),
        streamed=bool(args.stream),
        text_bytes=_text_bytes(args, n_tokens),
    )


def _text_bytes(args: argparse.Namespace, n_tokens: int) -> int:
    """Size of the text that is tokenized: all of `--text`, of `--dataset` what is trained on."""
    if args.dataset:
        return round(_BYTES_PER_TOKEN * n_tokens)
    if args.text is None:
        return _PACKAGED_BYTES
    text: Path = args.text
    files = files_below(text) if text.is_dir() else [text]
    return sum(file.stat().st_size for file in files)
