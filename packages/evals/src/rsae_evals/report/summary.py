"""The tables of a report, made from a comparison."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from rsae_evals.metrics import METRICS
from rsae_evals.report.answer import Question, held_out, predicted, variant_label
from rsae_evals.report.numbers import number
from rsae_evals.report.tables import Cell, Change, Table
from rsae_evals.results import Comparison, Difference, FeatureChange, IdentityFigure

_SHA256 = re.compile("[0-9a-f]{64}")

_STATISTICS: tuple[tuple[str, Callable[[IdentityFigure], float | None]], ...] = (
    ("median", lambda figure: figure.median),
    ("10th percentile", lambda figure: figure.tenth_percentile),
    ("share above ½", lambda figure: figure.share_above_half),
)

HEADLINE = (
    "mse", "explained_variance", "l0", "frac_alive", "delta_ce", "ce_loss_score", "f1", "mcc",
)  # fmt: skip
"""The metrics of the first table, in order; probing accuracies follow where they were measured."""


def headline(comparison: Comparison, asked: Question) -> Table:
    """The metrics that decide, by variant, with the difference that the report asks about."""
    variants = comparison.variants
    probes = [
        m for m in METRICS if m.startswith("sae_top_") and any(m in a.metrics for a in variants)
    ]
    columns = ["metric", *(variant_label(variant.name) for variant in variants)]
    if asked.baseline is not None:
        columns += ["difference", "verdict"]
    rows, notes = [], []
    for metric in (*HEADLINE, *probes):
        cells: list[Cell] = [variant.metrics.get(metric) for variant in variants]
        if all(cell is None for cell in cells):
            continue
        if asked.baseline is not None:
            found = _find(comparison, metric, asked.subject, asked.baseline)
            cells += [None, None] if found is None else [_change(found), found.verdict]
        rows.append((METRICS[metric].heading, *cells))
        notes.append(METRICS[metric].definition)
    caption = f"Measured on {held_out(comparison)}"
    if asked.baseline is not None:
        pair_of_variants = f"{variant_label(asked.subject)} − {variant_label(asked.baseline)}"
        caption = (
            f"Measured on the same {held_out(comparison)}; difference: {pair_of_variants}, paired, "
            f"with its {100 * comparison.level:g} % interval"
        )
    if predicted(comparison):
        caption += f". ΔCE and loss recovered: on {predicted(comparison)}"
    return Table(caption, tuple(columns), tuple(rows), subject=len(variants), notes=tuple(notes))


def recovery(comparison: Comparison) -> Table:
    """How well each variant recovers the known features of a synthetic world."""
    known = comparison.known_features
    if known is None:
        return Table("Known features", ("",), ())
    names = ("mse", "l0", "f1", "precision", "recall", "mcc", "uniqueness", "shrinkage",
             "true_features_found")  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (METRICS[name].heading, *(variant.metrics.get(name) for variant in known.variants))
        for name in names
    ]
    first = known.variants[0].name
    for variant in known.variants[1:]:
        found = _find(known, "f1", variant.name, first)
        if found is not None:
            cells: list[Cell] = [
                _change(found) if each is variant else None for each in known.variants
            ]
            rows.append((f"F1 against {variant_label(first)}", *cells))
    columns = ("metric", *(variant_label(variant.name) for variant in known.variants))
    caption = f"Measured on {held_out(known)}, true L0 {number(known.tokens.get('true_l0'), 3)}"
    return Table(caption, columns, tuple(rows))


def identity(comparison: Comparison) -> Table:
    """Whether features are still the same: median, 10th percentile and share above 1/2."""
    variants = [
        (variant, variant.identity)
        for variant in comparison.variants
        if variant.identity is not None
    ]
    if not variants:
        return Table("Feature identity", ("",), ())
    names = dict.fromkeys(name for _, found in variants for name in found.figures)
    rows: list[tuple[Cell, ...]] = []
    for name in names:
        for label, get in _STATISTICS:
            cells = [
                get(found.figures[name]) if name in found.figures else None for _, found in variants
            ]
            rows.append((f"{name.replace('_', ' ')}, {label}", *cells))
    rows.append(("features counted", *(float(found.n_features) for _, found in variants)))
    rows.append(("matched by", *(found.matched_by for _, found in variants)))
    first = variants[0][1]
    caption = (
        f"Features against those of {variant_label(first.reference)}, where they fire on at least "
        f"{first.least_firings} of the same {held_out(comparison)}"
    )
    return Table(
        caption, ("figure", *(variant_label(variant.name) for variant, _ in variants)), tuple(rows)
    )


def all_metrics(comparison: Comparison) -> Table:
    """Every metric of every variant, with its definition."""
    names = dict.fromkeys(name for variant in comparison.variants for name in variant.metrics)
    ordered = [n for n in METRICS if n in names] + [n for n in names if n not in METRICS]
    rows = [
        (
            f"{name} ({METRICS[name].unit})" if name in METRICS and METRICS[name].unit else name,
            *(variant.metrics.get(name) for variant in comparison.variants),
        )
        for name in ordered
    ]
    columns = ("metric", *(variant_label(variant.name) for variant in comparison.variants))
    notes = tuple(METRICS[name].definition if name in METRICS else "" for name in ordered)
    return Table(
        "Every metric", columns, tuple(rows), subject=len(comparison.variants), notes=notes
    )


def pair(comparison: Comparison, subject: str, baseline: str) -> Table:
    """Every paired difference of two variants."""
    rows = []
    for found in comparison.differences:
        if (found.variant, found.baseline) == (subject, baseline):
            before = comparison.variant(baseline).metrics.get(found.metric)
            after = comparison.variant(subject).metrics.get(found.metric)
            label = METRICS[found.metric].heading if found.metric in METRICS else found.metric
            rows.append((label, before, after, _change(found), found.verdict, found.reason))
    was, now = variant_label(baseline), variant_label(subject)
    columns = ("metric", was, now, "difference", "verdict", "remark")
    caption = (
        f"{now} − {was}, with the {100 * comparison.level:g} % interval of the paired difference"
    )
    return Table(caption, columns, tuple(rows), subject=2, sortable=True)


def areas(comparison: Comparison) -> Table:
    """The area between Pareto curves, as a mean difference over log L0."""
    rows = [
        (
            METRICS[area.metric].label,
            variant_label(area.variant),
            variant_label(area.baseline),
            f"{number(area.low_l0, 3)} to {number(area.high_l0, 3)}",
            Change(area.mean_difference),
        )
        for area in comparison.areas
    ]
    columns = ("metric", "variant", "baseline", "strict L0", "mean difference")
    return Table("Area between the curves, over the sparsity they share", columns, tuple(rows))


def features(changed: Iterable[FeatureChange], caption: str) -> Table:
    """Features that changed, one a row, each linked to its card."""
    listed = list(changed)
    rows = [
        (
            str(f.feature),
            str(f.reference_feature),
            f.decoder_cosine,
            f.firing_jaccard,
            f.activation_correlation,
            f.density_before,
            f.density_after,
            f.norm_ratio,
        )
        for f in listed
    ]
    columns = (
        "feature", "was", "decoder cosine", "firing Jaccard", "correlation", "density before",
        "density after", "norm ratio",
    )  # fmt: skip
    links = tuple(f"#feature-{f.feature}" for f in listed)
    return Table(caption, columns, tuple(rows), sortable=True, links=links)


def untrained(comparison: Comparison) -> Table:
    """Probing accuracies of untrained baselines, and those of the variants below them."""
    names = [m for m in METRICS if any(m in values for values in comparison.untrained.values())]
    reached = [(variant_label(variant.name), variant.metrics) for variant in comparison.variants]
    rows = [
        (name, *(metrics.get(metric) for metric in names))
        for name, metrics in (*comparison.untrained.items(), *reached)
    ]
    labels = (METRICS[name].label for name in names)
    return Table(
        "Untrained baselines, and the variants", ("", *labels), tuple(rows if names else ())
    )


def details(comparison: Comparison) -> Table:
    """What each variant is."""
    keys = dict.fromkeys(key for variant in comparison.variants for key in variant.detail)
    rows = [
        (key, *(_short(variant.detail.get(key)) for variant in comparison.variants))
        for key in keys
        if any(variant.detail.get(key) is not None for variant in comparison.variants)
    ]
    columns = ("", *(variant_label(variant.name) for variant in comparison.variants))
    return Table("What was measured", columns, tuple(rows), subject=len(comparison.variants))


def provenance(comparison: Comparison) -> tuple[tuple[str, str], ...]:
    """Tokens and provenance as a flat list of names and values."""
    return tuple(_leaves({"tokens": comparison.tokens} | comparison.provenance))


def flat(value: Any) -> str | None:
    """A value of a nested description as text."""
    if value is None:
        return None
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _short(value: Any) -> str | None:
    """Like `flat`, a hash by its first twelve digits."""
    text = flat(value)
    return text if text is None or not _SHA256.fullmatch(text) else f"{text[:12]}…"


def _leaves(tree: dict[str, Any], path: str = "") -> Iterable[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{key} · ")
        elif (text := flat(value)) is not None:
            yield f"{path}{key}", text


def _change(found: Difference) -> Change:
    return Change(found.value, found.low, found.high)


def _find(comparison: Comparison, metric: str, subject: str, baseline: str) -> Difference | None:
    try:
        return comparison.difference(metric, subject, baseline)
    except KeyError:
        return None
