"""Where a run's numbers go: always a file of JSON lines, on request W&B or TensorBoard."""

from __future__ import annotations

import errno
import importlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from rsae.errors import ConfigError
from rsae.files import writing

__all__ = ["JsonLines", "Tracker", "TrackerName", "external_tracker"]

TrackerName = Literal["wandb", "tensorboard"]
Record = Mapping[str, Any]


class Tracker(Protocol):
    """Takes one record per training step: `variant`, `step` and numbers by name."""

    def log(self, record: Record) -> None:
        """Take one record."""


class JsonLines:
    """Appends each record as one line of JSON; a line is written whole.

    Args:
        path: the file; it is created, or continued after a resume.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def log(self, record: Record) -> None:
        """Append one line.

        Raises:
            OutputError: It cannot be written; the file is as it was.
        """
        line = json.dumps(dict(record)) + "\n"
        with writing(self.path), self.path.open("ab", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            try:
                if file.write(line.encode()) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                file.truncate(end)
                raise


class _Wandb:
    def __init__(self, folder: Path) -> None:
        self._run = _import("wandb").init(project="rsae", name=folder.name, dir=str(folder))

    def log(self, record: Record) -> None:
        self._run.log({f"{record['variant']}/{k}": v for k, v in record.items() if k != "variant"})


class _TensorBoard:
    def __init__(self, folder: Path) -> None:
        module = _import("torch.utils.tensorboard", install="tensorboard")
        self._writer = module.SummaryWriter(log_dir=str(folder / "tensorboard"))

    def log(self, record: Record) -> None:
        for name, value in record.items():
            if name not in ("variant", "step"):
                self._writer.add_scalar(f"{record['variant']}/{name}", value, record["step"])


def external_tracker(name: TrackerName, folder: Path) -> Tracker:
    """W&B or TensorBoard, imported only now.

    Raises:
        ConfigError: an unknown name, or the package is not installed.
    """
    if name not in get_args(TrackerName):
        raise ConfigError(f"tracker {name!r} is not one of {get_args(TrackerName)}")
    return _Wandb(folder) if name == "wandb" else _TensorBoard(folder)


def _import(module: str, install: str | None = None) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = install or module
        raise ConfigError(f"{package} is not installed; pip install {package}") from error
