"""Teacher, baselines and RSAE on the same tokens: paired differences, intervals, verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from rsae_evals.analysis.portrait import portray
from rsae_evals.coder import Coder, as_coder
from rsae_evals.comparison.gain import gain_parts
from rsae_evals.comparison.pareto import area_between, curve, curve_warnings
from rsae_evals.comparison.statistics import (
    MIN_DOCUMENTS,
    Interval,
    interval_over_seeds,
    intervals,
)
from rsae_evals.comparison.variants import describe_variant, finite, undefined_reasons
from rsae_evals.comparison.verdicts import conclude, identity_loss, judge, known_loss, l0_warnings
from rsae_evals.data.evaluation_set import EvaluationSet
from rsae_evals.data.leakage import lost_sketches_warnings, refuse_used_tokens
from rsae_evals.data.loading import at_scale, loader_notes
from rsae_evals.errors import ComparisonRefused, EvaluationError
from rsae_evals.evaluation import Evaluation, check_arguments, evaluate, figures
from rsae_evals.metrics.catalogue import METRICS
from rsae_evals.metrics.downstream import Splicing
from rsae_evals.metrics.measurement import Array, Measurement, Metric, Progress, Totals
from rsae_evals.metrics.reconstruction import Reconstruction
from rsae_evals.results import Comparison, Difference, ParetoArea, ParetoCurve

__all__ = ["Comparison", "compare", "default_metrics"]

#: Sequences spliced into the language model by default: 16 thousand tokens at context 128.
DEFAULT_SEQUENCES = 128

_DISTANCE = "|{} - 1|"  # beside every metric that should be 1


def default_metrics(heldout: EvaluationSet) -> list[Metric]:
    """Reconstruction, and splicing where there are a language model and tokens."""
    metrics: list[Metric] = [Reconstruction()]
    if heldout.host is not None and heldout.tokens is not None:
        metrics.append(Splicing(DEFAULT_SEQUENCES))
    return metrics


def compare(
    variants: Mapping[str, Any],
    heldout: EvaluationSet,
    *,
    metrics: Sequence[Metric] | None = None,
    pareto: Mapping[str, Sequence[Any]] | None = None,
    known_features: Comparison | None = None,
    level: float = 0.95,
    cache: Path | None = None,
    provenance: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Measure variants on the same evaluation set and say which is better.

    Every earlier variant is the baseline of every later one, so give them in the order teacher,
    baselines, …, RSAE. Differences are paired, and their intervals are over documents, crossed with
    training seeds (see `statistics.intervals`);
    a verdict is better or worse only where its interval excludes zero, and at strict L0s more
    than 1 % apart only where one variant dominates (see `verdicts.judge`).

    Args:
        variants: Name → an SAE (anything `as_coder` takes), a list of them (one per training seed,
            paired by position), or an `Evaluation` made earlier on the same tokens.
        heldout: The evaluation set (`evaluation_set`).
        metrics: The metrics; the first must be `Reconstruction`. Default: `default_metrics`.
        pareto: Name → SAEs of one variant at several L0s, for curves and the areas between them.
        known_features: `rsae_evals.known_features` of the same variants, which then enters the
            conclusions and the report.
        level: Confidence level of the intervals.
        cache: A folder for measurements, so that an interrupted run continues.
        provenance: Versions, seeds, hashes and commands, kept with the result.
        progress: Called as progress(what, share done).

    Returns:
        The measurements, paired differences and verdicts.

    Raises:
        ComparisonRefused: A variant was measured on other tokens, or trained or calibrated on
            these.
        EvaluationError: There is no variant, the numbers of seeds differ, the level is outside
            (0, 1), or an SAE does not fit the activations.

    Example:
        >>> import torch
        >>> from rsae_evals import compare, evaluation_set
        >>> eye, zero = torch.eye(4), torch.zeros(4)
        >>> def relu(scale):
        ...     return {"W_enc": eye, "b_enc": zero, "W_dec": scale * eye, "b_dec": zero}
        >>> found = compare({"a": relu(0.5), "b": relu(1.0)}, evaluation_set(torch.rand(1024, 4)))
        >>> found.difference("mse", variant="b", baseline="a").verdict.value
        'better'
    """
    check_arguments(heldout, metrics or [])
    metrics = list(metrics or default_metrics(heldout))
    _check_names(variants)
    if not variants or not isinstance(metrics[0], Reconstruction):
        raise EvaluationError("give at least one variant, and Reconstruction as the first metric")
    if not (isinstance(level, float) and 0 < level < 1):
        raise EvaluationError(f"the level {level} is not between 0 and 1; 0.95 is usual")
    variants = {name: at_scale(given, heldout.activations) for name, given in variants.items()}
    pareto = {name: at_scale(given, heldout.activations) for name, given in (pareto or {}).items()}
    seeds = {name: _seeds(name, given, heldout) for name, given in variants.items()}
    _check_seeds(seeds)
    saes = {name: [_sae(one) for one in given] for name, given in seeds.items()}
    measured, untrained = _measure(seeds, heldout, metrics, cache, progress)
    values = {n: [figures(metrics, one) for one in found] for n, found in measured.items()}
    l0 = {name: _mean(found, "l0") for name, found in values.items()}
    differences = tuple(_differences(measured, values, metrics, level))
    curves, areas = _pareto(pareto or {}, heldout, metrics, cache, progress)
    portraits = portray({name: found[0] for name, found in saes.items()}, heldout, progress)
    return Comparison(
        variants=tuple(
            describe_variant(
                name, saes[name][0], measured[name], values[name], metrics, *portraits[name]
            )
            for name in saes
        ),
        differences=differences,
        conclusions=tuple(
            conclude(
                pair,
                differences,
                (*identity_loss(portraits[pair[1]][1]), *known_loss(pair, known_features)),
            )
            for pair in combinations(saes, 2)
        ),
        tokens=_tokens(heldout, next(iter(measured.values()))[0]),
        level=level,
        pareto=curves,
        areas=areas,
        untrained=untrained,
        warnings=(
            *loader_notes(saes),
            *lost_sketches_warnings(saes, pareto, heldout),
            *l0_warnings(l0),
            *_few_documents(heldout),
            *_hook_warnings(saes, heldout),
            *_of_transcoders(heldout),
            *curve_warnings(curves),
        ),
        undefined=undefined_reasons(values),
        gain=gain_parts(
            {
                variant: {name: finite(_mean(found, name)) for name in found[0]}
                for variant, found in values.items()
            }
        ),
        known_features=known_features,
        provenance=dict(provenance or {}),
    )


def _check_names(variants: Any) -> None:
    if not isinstance(variants, Mapping) or not all(isinstance(name, str) for name in variants):
        raise EvaluationError("the variants are no mapping; give {'name': SAE, …}")


def _seeds(name: str, given: Any, heldout: EvaluationSet) -> list[Coder | Evaluation]:
    """The variant's SAEs or evaluations, one per seed; refused on tokens they were trained on."""
    many = given if isinstance(given, Sequence) else [given]
    seeds = [one if isinstance(one, Evaluation) else as_coder(one) for one in many]
    for one in seeds:
        heldout.check(name, _sae(one))
        refuse_used_tokens(name, _sae(one), heldout)
        if isinstance(one, Evaluation) and one.tokens_sha256 != heldout.sha256:
            raise ComparisonRefused(
                f"{name} was measured on other tokens than these; evaluate all on the same"
            )
    return seeds


def _sae(one: Coder | Evaluation) -> Coder:
    return one.sae if isinstance(one, Evaluation) else one


def _check_seeds(seeds: Mapping[str, Sequence[Any]]) -> None:
    counts = {name: len(given) for name, given in seeds.items()}
    if len(set(counts.values()) - {1}) > 1 or 0 in counts.values():
        raise EvaluationError(
            f"variants have {counts} seeds; give each the same number, paired by position, or one"
        )


def _measure(
    seeds: Mapping[str, Sequence[Coder | Evaluation]],
    heldout: EvaluationSet,
    metrics: Sequence[Metric],
    cache: Path | None,
    progress: Progress | None,
) -> tuple[dict[str, list[dict[str, Measurement]]], dict[str, dict[str, float | None]]]:
    """Measurements per variant and seed, metric by metric, and those of untrained baselines."""
    flat = [one for given in seeds.values() for one in given]
    found: list[dict[str, Measurement]] = [
        dict(one.measurements) if isinstance(one, Evaluation) else {} for one in flat
    ]
    untrained: dict[str, dict[str, float | None]] = {}
    for metric in metrics:
        wanted = [i for i, known in enumerate(found) if metric.name not in known]
        widest = max((_sae(one) for one in flat), key=lambda sae: sae.d_sae)
        l0 = (
            np.median(
                [
                    m[metrics[0].name].totals()["l0"] / m[metrics[0].name].totals()["n"]
                    for m in found
                ]
            )
            if metric is not metrics[0]
            else 0.0
        )
        baselines = metric.untrained(widest.d_in, widest.d_sae, float(l0))
        saes = [_sae(flat[i]) for i in wanted] + list(baselines.values())
        fresh = evaluate(saes, heldout, [metric], cache=cache, progress=progress)
        for i, one in zip(wanted, fresh[: len(wanted)], strict=True):
            found[i][metric.name] = one.measurements[metric.name]
        for name, one in zip(baselines, fresh[len(wanted) :], strict=True):
            values = figures([metric], one.measurements)
            untrained[name] = {k: finite(v) for k, v in values.items()}
    rest = iter(found)
    return {name: [next(rest) for _ in given] for name, given in seeds.items()}, untrained


def _differences(
    measured: Mapping[str, Sequence[Mapping[str, Measurement]]],
    values: Mapping[str, Sequence[Mapping[str, float]]],
    metrics: Sequence[Metric],
    level: float,
) -> Iterator[Difference]:
    for pair in combinations(measured, 2):
        baseline, variant = pair
        found: dict[str, Interval] = {}
        for metric in metrics:
            of_variant, of_base = (
                [one[metric.name] for one in measured[n]] for n in (variant, baseline)
            )
            found |= intervals(of_variant, of_base, partial(_with_distance, metric), level)
            found |= _over_seeds(metric, of_variant, of_base, level)
        l0 = (_mean(values[baseline], "l0"), _mean(values[variant], "l0"))
        for name, interval in found.items():
            if name in METRICS:
                both = (_mean(values[baseline], name), _mean(values[variant], name))
                distance = found.get(_DISTANCE.format(name))
                yield judge(name, pair, interval, both, l0, distance)


def _with_distance(metric: Metric, totals: Totals) -> dict[str, Array]:
    """The metric's figures, and for those that should be 1 their distance from it."""
    values = dict(metric.values(totals))
    ones = [name for name in values if METRICS[name].better == "one"]
    return values | {_DISTANCE.format(name): np.abs(values[name] - 1) for name in ones}


def _over_seeds(
    metric: Metric, variant: Sequence[Measurement], baseline: Sequence[Measurement], level: float
) -> dict[str, Interval]:
    """Differences of figures that do not come from sums: an interval over training seeds only."""
    of_variant, of_base = ([metric.fixed(one) for one in many] for many in (variant, baseline))
    seeds = max(len(of_variant), len(of_base))
    return {
        name: interval_over_seeds(
            [
                of_variant[s % len(of_variant)][name] - of_base[s % len(of_base)][name]
                for s in range(seeds)
            ],
            level,
        )
        for name in of_variant[0]
    }


def _mean(seeds: Sequence[Mapping[str, float]], name: str) -> float:
    return float(np.mean([one[name] for one in seeds]))


def _pareto(
    variants: Mapping[str, Sequence[Any]],
    heldout: EvaluationSet,
    metrics: Sequence[Metric],
    cache: Path | None,
    progress: Progress | None,
) -> tuple[tuple[ParetoCurve, ...], tuple[ParetoArea, ...]]:
    """Curves of every quality metric over strict L0, and the areas between each pair."""
    curves: dict[tuple[str, str], ParetoCurve] = {}
    for variant, given in variants.items():
        saes = [as_coder(one) for one in given]
        for sae in saes:
            heldout.check(variant, sae)
            refuse_used_tokens(variant, sae, heldout)
        found = evaluate(saes, heldout, metrics, cache=cache, progress=progress)
        values = [figures(metrics, one.measurements) for one in found]
        for name in values[0]:
            if METRICS[name].better != "none" and name != "l0":
                l0 = [one["l0"] for one in values]
                curves[name, variant] = curve(variant, name, l0, [one[name] for one in values])
    areas = [
        area_between(curves[name, variant], curves[name, baseline])
        for baseline, variant in combinations(variants, 2)
        for name in dict.fromkeys(metric for metric, _ in curves)
    ]
    return tuple(curves.values()), tuple(area for area in areas if area is not None)


def _few_documents(heldout: EvaluationSet) -> list[str]:
    """A sentence where there are too few documents for a trustworthy interval."""
    n = heldout.n_documents
    if n is None or n >= MIN_DOCUMENTS:
        return []
    return [
        f"the evaluation set holds {n} document{'s' * (n != 1)}; an interval over fewer than "
        f"{MIN_DOCUMENTS} is rough, so evaluate on a longer text"
    ]


def _hook_warnings(saes: Mapping[str, Sequence[Coder]], heldout: EvaluationSet) -> list[str]:
    stated = {name: found[0].metadata.get("hook_name") for name, found in saes.items()}
    read = heldout.input_hook or heldout.hook_name
    return [
        f"{name} says it was trained at {hook}, these activations are of {read}"
        for name, hook in stated.items()
        if hook and read and hook != read
    ]


def _of_transcoders(heldout: EvaluationSet) -> list[str]:
    """A sentence where what is reconstructed is not what is read."""
    if heldout.targets is None:
        return []
    return [
        f"transcoders read {heldout.input_hook or 'an input'} and predict "
        f"{heldout.hook_name or 'its output'}: x means the latter wherever it is compared with x̂"
    ]


def _tokens(heldout: EvaluationSet, measured: Mapping[str, Measurement]) -> dict[str, Any]:
    spliced = [one for one in measured.values() if "spliced" in one.sums]
    return {
        "n_tokens": heldout.activations.n_tokens,
        "n_sequences": heldout.n_sequences,
        "n_documents": heldout.n_documents,
        "sha256": heldout.sha256,
        "n_tokens_downstream": int(spliced[0].totals()["n"]) if spliced else None,
        "n_sequences_downstream": len(spliced[0].sums["n"]) if spliced else None,
    }
