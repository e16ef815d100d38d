"""What is kept of a cell: plain JSON from which every table and interval is made again.

A record holds, for each variant, its figures and sums by evaluated document. `rsae_evals` resamples
documents, so nothing finer is needed:

    error, l0               squared error and active features
    spliced, kl             cross entropy with the reconstruction in place, KL

and once for all variants n and predicted (tokens, predictions), clean and ablated (cross entropies
without an SAE and with zeros in its place).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rsae_evals.metrics.downstream import Splicing
from rsae_evals.metrics.measurement import Array, Measurement, Totals

RESULTS = Path(__file__).resolve().parent / "results"
SHARED = ("n", "predicted", "clean", "ablated")
_DIGITS = 7  # significant ones

_RECONSTRUCTION = {"n": "n", "error": "error", "l0": "l0"}
_DOWNSTREAM = {"predicted": "n"} | {k: k for k in ("clean", "spliced", "ablated", "kl")}


def compact(measurements: Mapping[str, Measurement]) -> dict[str, list[float]]:
    """The sums by document of one variant, from the measurements of both metrics."""
    found: dict[str, list[float]] = {}
    for measurement in measurements.values():
        names = _DOWNSTREAM if "spliced" in measurement.sums else _RECONSTRUCTION
        for kept, name in names.items():
            found[kept] = [_rounded(value) for value in measurement.clusters[name]]
    return found


def reconstruction(sums: Mapping[str, Iterable[float]]) -> Measurement:
    """The sums of squared error and L0, as `rsae_evals` resamples them."""
    return _measurement(sums, _RECONSTRUCTION)


def downstream(sums: Mapping[str, Iterable[float]]) -> Measurement:
    """The sums of cross entropies and KL, as `rsae_evals` resamples them."""
    return _measurement(sums, _DOWNSTREAM)


def reconstruction_figures(totals: Totals) -> dict[str, Array]:
    """The logarithm of MSE, whose differences are ratios, and strict L0."""
    return {"log_mse": np.log(totals["error"] / totals["n"]), "l0": totals["l0"] / totals["n"]}


def downstream_figures(totals: Totals) -> dict[str, Array]:
    """ΔCE, loss recovered and KL."""
    return Splicing().values(totals)


def read_records(folder: Path) -> dict[str, dict[str, Any]]:
    """All records of a folder, by cell."""
    files = sorted(folder.glob("*.json"))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


def _measurement(sums: Mapping[str, Iterable[float]], names: Mapping[str, str]) -> Measurement:
    return Measurement({name: np.array(sums[kept]) for kept, name in names.items()})


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
