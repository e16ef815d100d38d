"""The description of each variant of a comparison, from its measurements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rsae.files import public_name
from rsae_evals.coder import Coder
from rsae_evals.metrics.measurement import Measurement, Metric
from rsae_evals.metrics.sparsity import density_histogram, histogram
from rsae_evals.results import ActivationCurve, FeatureIdentity, Histogram, Variant

__all__ = ["describe_variant", "undefined_reasons"]

_BY_SEQUENCE = ("mse", "l0", "delta_ce", "kl_div_with_sae")
_DELTA_CE_EDGES = np.linspace(-4, 4, 81)  # nats; values beyond fall into the end bins

_WHY = {
    "ce_loss_score": "zeroing the residual stream does not raise the loss here",
    "explained_variance": "the activations are constant",
    "fvu": "the activations are constant",
    "relative_reconstruction_bias": "input and reconstruction are orthogonal on average",
}


def describe_variant(
    name: str,
    sae: Coder,
    measured: Sequence[Mapping[str, Measurement]],
    values: Sequence[Mapping[str, float]],
    metrics: Sequence[Metric],
    activation: ActivationCurve | None,
    identity: FeatureIdentity | None,
) -> Variant:
    """One variant of a comparison; ``measured`` and ``values`` have an entry per seed."""
    names = list(values[0])
    per_seed = {n: tuple(finite(one[n]) for one in values) for n in names}
    return Variant(
        name=name,
        detail=_detail(sae, len(values)),
        metrics={n: finite(float(np.mean([one[n] for one in values]))) for n in names},
        per_seed=per_seed,
        per_sequence=_per_sequence(measured, metrics),
        density=density_histogram(_density(measured, metrics)),
        delta_ce=_delta_ce(measured),
        activation=activation,
        identity=identity,
    )


def undefined_reasons(values: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, str]:
    """``variant/metric`` → why it has no value."""
    return {
        f"{variant}/{name}": _WHY.get(name, "the SAE's output is not finite")
        for variant, seeds in values.items()
        for name in seeds[0]
        if not all(math.isfinite(one[name]) for one in seeds)
    }


def finite(value: float) -> float | None:
    """The value as a float, None where it is undefined."""
    return float(value) if math.isfinite(value) else None


def _detail(sae: Coder, n_seeds: int) -> dict[str, Any]:
    return {
        "class": sae.kind,
        "source": public_name(sae.origin) if sae.origin else "",
        "d_in": sae.d_in,
        "d_sae": sae.d_sae,
        "family": sae.family,
        "n_seeds": n_seeds,
        "weights_sha256": sae.fingerprint,
        "hook_name": sae.metadata.get("hook_name"),
        **({"hook_name_out": sae.metadata.get("hook_name_out")} if sae.transcodes else {}),
        "model_name": sae.metadata.get("model_name"),
    }


def _per_sequence(
    measured: Sequence[Mapping[str, Measurement]], metrics: Sequence[Metric]
) -> dict[str, tuple[float | None, ...]]:
    """A sequence's own figures are the metric's values of its own sums."""
    found: dict[str, tuple[float | None, ...]] = {}
    for metric in metrics:
        with np.errstate(divide="ignore", invalid="ignore"):
            by_seed = [metric.values(one[metric.name].sums) for one in measured]
        for name in _BY_SEQUENCE:
            if name in by_seed[0]:
                mean = np.mean([seed[name] for seed in by_seed], axis=0)
                found[name] = tuple(finite(value) for value in mean)
    return found


def _density(
    measured: Sequence[Mapping[str, Measurement]], metrics: Sequence[Metric]
) -> np.ndarray:
    """(d_sae,) of the first seed: features of different seeds are different features."""
    first = measured[0][metrics[0].name]
    return first.extras["fired"] / first.totals()["n"]


def _delta_ce(measured: Sequence[Mapping[str, Measurement]]) -> Histogram | None:
    per_token = [
        (one.extras["spliced"] - one.extras["clean"]).ravel()
        for by_metric in measured
        for one in by_metric.values()
        if "spliced" in one.extras
    ]
    return histogram(np.concatenate(per_token), _DELTA_CE_EDGES) if per_token else None
