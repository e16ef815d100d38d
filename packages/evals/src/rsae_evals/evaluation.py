"""Evaluate several SAEs by several metrics on the same evaluation set, each once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rsae.errors import CorruptFileError
from rsae.files import load_safetensors_and_metadata, make_folder, save_safetensors
from rsae_evals.coder import Coder, SparseCoder, as_coder
from rsae_evals.data.evaluation_set import EvaluationSet
from rsae_evals.data.loading import at_scale
from rsae_evals.errors import EvaluationError
from rsae_evals.metrics.measurement import Measurement, Metric, Progress

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The measurements of one SAE on one evaluation set.

    Attributes:
        sae: The SAE, as a `Coder`.
        tokens_sha256: Checksum of the evaluation set, `EvaluationSet.sha256`.
        measurements: The measurements by name of the metric.
    """

    sae: Coder
    tokens_sha256: str
    measurements: dict[str, Measurement]


def evaluate(
    saes: Sequence[SparseCoder | Any],
    heldout: EvaluationSet,
    metrics: Sequence[Metric],
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> list[Evaluation]:
    """Measure every SAE by every metric, all SAEs of a metric in one pass, equal ones once.

    Args:
        saes: The SAEs to evaluate, each anything that `as_coder` takes.
        heldout: The evaluation set, the same for all.
        metrics: The metrics (see `rsae_evals.metrics.measurement.Metric`).
        cache: A folder for measurements, by the hash of weights, tokens and metric; those found
            there are used again, so an interrupted run continues.
        progress: Called as progress(what, share done).

    Returns:
        One evaluation per SAE, in order.

    Raises:
        EvaluationError: One of them can neither encode nor show tensors, or does not fit the
            activations.

    Example:
        >>> import torch
        >>> from rsae_evals import Reconstruction, evaluate, evaluation_set
        >>> eye = torch.eye(2)
        >>> relu = {"W_enc": eye, "b_enc": torch.zeros(2), "W_dec": eye, "b_dec": torch.zeros(2)}
        >>> (found,) = evaluate([relu], evaluation_set(torch.rand(64, 2)), [Reconstruction()])
        >>> float(found.measurements["reconstruction-2"].totals()["error"])
        0.0
    """
    check_arguments(heldout, metrics)
    seen = [as_coder(at_scale(one, heldout.activations)) for one in saes]
    found: list[dict[str, Measurement]] = [{} for _ in seen]
    keys = [sae.fingerprint or f"no tensors, SAE {i}" for i, sae in enumerate(seen)]
    distinct = dict(zip(keys, seen, strict=True))
    for metric in metrics:
        paths = {key: _path(cache, sae, heldout, metric) for key, sae in distinct.items()}
        known = {key: _read(path) for key, path in paths.items()}
        missing = [key for key, one in known.items() if one is None]
        if missing:
            fresh = metric.measure([distinct[key] for key in missing], heldout, progress)
            for key, measurement in zip(missing, fresh, strict=True):
                known[key] = measurement
                _write(paths[key], measurement)
        for measurements, key in zip(found, keys, strict=True):
            one = known[key]
            assert one is not None
            measurements[metric.name] = one
    return [
        Evaluation(sae, heldout.sha256, measurements)
        for sae, measurements in zip(seen, found, strict=True)
    ]


def check_arguments(heldout: Any, metrics: Any) -> None:
    """Refuse what is no evaluation set, and what is no list of metrics.

    Raises:
        EvaluationError: One of them is of another kind.
    """
    if not isinstance(heldout, EvaluationSet):
        raise EvaluationError(
            f"{type(heldout).__name__} is no evaluation set; make one with "
            "rsae_evals.evaluation_set"
        )
    if not isinstance(metrics, list | tuple) or not all(
        callable(getattr(metric, "measure", None)) for metric in metrics
    ):
        raise EvaluationError("the metrics are no list of metrics; give [Reconstruction(), …]")


def figures(metrics: Sequence[Metric], measurements: Mapping[str, Measurement]) -> dict[str, float]:
    """All figures of one SAE; NaN means undefined."""
    out: dict[str, float] = {}
    for metric in metrics:
        measurement = measurements[metric.name]
        values = metric.values(measurement.totals())
        out |= {name: float(value) for name, value in values.items()}
        out |= metric.fixed(measurement)
    return out


def _path(cache: Path | None, sae: Coder, heldout: EvaluationSet, metric: Metric) -> Path | None:
    fingerprint = sae.fingerprint
    if cache is None or fingerprint is None:
        return None
    where = f"{heldout.host.fingerprint if heldout.host else None} {heldout.place}"
    key = f"{version('rsae-evals')} {fingerprint} {heldout.sha256} {where} {metric.name}"
    return cache / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.safetensors"


def _read(path: Path | None) -> Measurement | None:
    """A cached measurement; None where there is none, or a damaged one, which is made again."""
    if path is None or not path.exists():
        return None
    try:
        tensors, said = load_safetensors_and_metadata(path)
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    except (CorruptFileError, TypeError):  # a dtype that numpy does not have
        return None
    if said.get("layout") != _layout(arrays):
        return None
    sums = {k.removeprefix("sums."): v for k, v in arrays.items() if k.startswith("sums.")}
    extras = {k.removeprefix("extras."): v for k, v in arrays.items() if k.startswith("extras.")}
    found = Measurement(sums, extras, arrays.get("document"))
    return found if _is_sound(found) else None


def _is_sound(measurement: Measurement) -> bool:
    """Whether there are finite float64 sums of the same units, and whole numbers for documents."""
    arrays = (*measurement.sums.values(),)
    units = {array.shape[:1] for array in arrays}
    if len(units) != 1 or units == {()} or units == {(0,)}:
        return False
    document = measurement.document
    if document is not None and (document.shape != units.pop() or document.dtype.kind not in "iu"):
        return False
    return all(array.dtype == np.float64 and np.isfinite(array).all() for array in arrays)


def _write(path: Path | None, measurement: Measurement) -> None:
    if path is None:
        return
    arrays = {f"sums.{k}": v for k, v in measurement.sums.items()}
    arrays |= {f"extras.{k}": v for k, v in measurement.extras.items()}
    if measurement.document is not None:
        arrays["document"] = measurement.document
    make_folder(path.parent)
    tensors = {k: torch.from_numpy(np.array(v)) for k, v in arrays.items()}
    save_safetensors(path, tensors, {"layout": _layout(arrays)})


def _layout(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Names, shapes and types of what is measured, to recognise files of other programs."""
    return "; ".join(f"{k} {arrays[k].shape} {arrays[k].dtype}" for k in sorted(arrays))
