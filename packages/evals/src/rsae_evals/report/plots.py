"""The report's plots, each from the part of a comparison it shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from rsae_evals.metrics import METRICS
from rsae_evals.report.answer import Question, held_out, predicted, variant_label
from rsae_evals.report.figures import (
    FILL,
    INK,
    MUTED,
    Figure,
    canvas,
    drawn_text,
    inline,
    legend,
    series,
)
from rsae_evals.report.numbers import NARROW, number, percent
from rsae_evals.report.tables import Table
from rsae_evals.results import (
    ActivationCurve,
    Comparison,
    FeatureIdentity,
    Histogram,
    Variant,
)


def plots(comparison: Comparison, question: Question) -> tuple[Figure, ...]:
    """Every plot that the comparison has data for, in the order of the page."""
    shown = [variant for variant in comparison.variants if variant.name in question.shown]
    drawn = [*trade_offs(comparison)] if question.baseline or comparison.pareto else []
    drawn += [
        activation(variant, variant.activation, colour)
        for colour, variant in enumerate(comparison.variants)
        if variant.activation is not None and variant.activation.degree not in (None, (0, 0))
    ]
    colours = {variant.name: index for index, variant in enumerate(comparison.variants)}
    drawn.append(density(shown, colours, held_out(comparison)))
    if any(variant.delta_ce for variant in shown):
        drawn.append(delta_ce(shown, colours, predicted(comparison)))
    subject = comparison.variant(question.subject)
    if subject.identity is not None:
        drawn.append(firing(subject, subject.identity, colours[subject.name]))
        drawn.append(movement(subject, subject.identity, colours[subject.name]))
    return tuple(drawn)


def trade_offs(comparison: Comparison) -> Iterable[Figure]:
    """Metric against strict L0: a curve where a variant was measured at several, else its point."""
    for metric in dict.fromkeys(curve.metric for curve in comparison.pareto) or ["mse"]:
        curves = {
            curve.variant: list(zip(curve.l0, curve.value, strict=True))
            for curve in comparison.pareto
            if curve.metric == metric
        }
        yield trade_off(comparison, metric, curves)


def trade_off(
    comparison: Comparison, metric: str, curves: dict[str, list[tuple[float, float]]]
) -> Figure:
    """One metric against strict L0 for every variant that has both."""
    meaning = METRICS[metric]
    rows: list[tuple[str | float | None, ...]] = []
    with canvas() as (axes, out):
        for index, variant in enumerate(comparison.variants):
            points = sorted(curves.get(variant.name, _own_point(variant, metric)))
            if not points:
                continue
            style, line = series(index), "solid" if len(points) > 1 else "none"
            axes.plot(
                *zip(*points, strict=True), label=drawn_text(variant_label(variant.name)),
                color=style.color, marker=style.marker, linestyle=line, alpha=0.9,
            )  # fmt: skip
            rows += [(variant_label(variant.name), l0, value) for l0, value in points]
        axes.set(xlabel="strict L0 (features active per token)", ylabel=meaning.heading)
        if curves:
            axes.set_xscale("log")
            _plain_ticks(axes)
        axes.margins(0.12)
        if rows and not curves:
            # Without a margin, variants of matched L0 would spread over the whole axis.
            l0s = [l0 for _, l0, _ in rows if isinstance(l0, float)]
            axes.set_xlim(0.9 * min(l0s), 1.1 * max(l0s))
        legend(axes)
    direction = {"lower": "lower and further left", "higher": "higher and further left"}
    better = direction.get(meaning.better, "further left")
    return _figure(
        f"trade-off-{metric.replace('_', '-')}",
        f"{meaning.label[0].upper()}{meaning.label[1:]} against sparsity",
        f"Each mark is one SAE, on {held_out(comparison)}; {better} is better.",
        out,
        Table(
            f"{meaning.label} by strict L0", ("variant", "strict L0", meaning.label), tuple(rows)
        ),
    )


def activation(variant: Variant, curve: ActivationCurve, colour: int) -> Figure:
    """The learned activation and the teacher's, over the pre-activations it is applied to."""
    with canvas() as (axes, out):
        _backdrop(axes, curve)
        axes.plot(curve.h, curve.learned, color=series(colour).color, linewidth=3, label="learned")
        axes.plot(curve.h, curve.teacher, color=INK, linestyle=(0, (4, 2)), label="teacher")
        if curve.best is not None:
            label = "best rational of its degree"
            axes.plot(curve.h, curve.best, color=MUTED, linestyle=(0, (1, 1.5)), label=label)
        axes.axvline(curve.threshold, color=MUTED, linewidth=0.8)
        axes.annotate(
            " threshold", (curve.threshold, 1), (2, -2), xycoords=("data", "axes fraction"),
            textcoords="offset points", va="top", color=MUTED, fontsize=9.5,
        )  # fmt: skip
        axes.set(xlabel="pre-activation h", ylabel="feature activation z")
        axes.set_xlim(curve.h[0], curve.h[-1])
        legend(axes)
    degree = f" of type ({curve.degree[0]}, {curve.degree[1]})" if curve.degree else ""
    reading = (
        f"The activation{degree} of a feature with the median threshold, over the histogram of "
        f"real pre-activations (logarithmic). {_gate_figures(curve)}"
    )
    columns = ["h", "learned", "teacher"] + (["best rational"] if curve.best else [])
    values = [curve.h, curve.learned, curve.teacher] + ([curve.best] if curve.best else [])
    return _figure(
        f"activation-{colour}",
        f"Activation of {variant_label(variant.name)}",
        reading,
        out,
        Table("Activation", tuple(columns), tuple(_thin(list(zip(*values, strict=True))))),
    )


def _gate_figures(curve: ActivationCurve) -> str:
    """How much the activation matters: the error with it, and with the best there could be."""
    labels = {
        "gate_mse": "the learned one",
        "gate_mse_best": "the best rational of its degree",
        "gate_mse_optimal": "the best activation of any form",
    }
    known = [
        f"{number(curve.metrics[key])} with {label}"
        for key, label in labels.items()
        if curve.metrics.get(key) is not None
    ]
    on = f"On {curve.n_tokens:,} tokens of the sample MSE is".replace(",", NARROW)
    return f"{on} {', '.join(known)}." if known else ""


def density(variants: list[Variant], colours: dict[str, int], sample: str) -> Figure:
    """How often features fire, for the features that do."""
    reading = (
        f"Features by the share of the {sample} on which they fire; those that never do are not "
        "drawn. "
        + _list(
            f"{percent(one.metrics['frac_alive']).lstrip('+')} of {variant_label(one.name)} alive"
            for one in variants
            if one.metrics.get("frac_alive") is not None
        )
    )
    return _overlay(
        "density",
        "How often features fire",
        reading,
        {variant.name: variant.density for variant in variants},
        colours,
        ("log₁₀ of feature density", "features"),
    )


def delta_ce(variants: list[Variant], colours: dict[str, int], sample: str) -> Figure:
    """What the splice costs the language model, token by token."""
    reading = (
        f"The {sample or 'predicted tokens'} by the change of their cross entropy when the "
        "reconstruction replaces the residual stream (nats, logarithmic counts). Right of zero the "
        "model does worse. "
        + _list(
            f"mean for {variant_label(variant.name)}: {number(variant.metrics['delta_ce'], 3)}"
            for variant in variants
            if variant.metrics.get("delta_ce") is not None
        )
    )
    histograms = {
        variant.name: variant.delta_ce for variant in variants if variant.delta_ce is not None
    }
    return _overlay(
        "delta-ce",
        "Cost to the language model, per token",
        reading,
        histograms,
        colours,
        ("ΔCE on one token (nats)", "tokens"),
        log=True,
    )


def firing(variant: Variant, identity: FeatureIdentity, colour: int) -> Figure:
    """How far features fire on the tokens on which they fired before."""
    found = identity.figures["firing_jaccard"]
    with canvas() as (axes, out):
        axes.stairs(*_bars(found.histogram), color=FILL, fill=True, alpha=0.25)
        axes.stairs(*_bars(found.histogram), color=series(colour).color, linewidth=1.8)
        axes.set(xlabel="Jaccard index of the firing sets", ylabel="features")
        axes.set_ylim(0)
        axes.set_xlim(0, 1)
    return _figure(
        "identity",
        f"Whether features fire where those of {variant_label(identity.reference)} do",
        f"{number(float(identity.n_features))} features of {variant_label(variant.name)}, matched "
        f"by {identity.matched_by}, on {number(float(identity.n_tokens))} tokens: median "
        f"{number(found.median, 3)}, 10th percentile {number(found.tenth_percentile, 3)}, "
        f"{percent(found.share_above_half).lstrip('+')} above ½. At 1 a label of the feature "
        "still says when it fires.",
        out,
        _histogram_table(
            "Features by firing Jaccard", {variant_label(variant.name): found.histogram}
        ),
    )


def movement(variant: Variant, identity: FeatureIdentity, colour: int) -> Figure:
    """How far the decoder directions turned."""
    histogram = identity.figures["decoder_cosine"].histogram
    with canvas() as (axes, out):
        axes.stairs(*_bars(histogram), color=FILL, fill=True, alpha=0.25)
        axes.stairs(*_bars(histogram), color=series(colour).color, linewidth=1.8)
        axes.set(xlabel="cosine of decoder directions", ylabel="features", yscale="symlog")
        axes.set_ylim(0)
        axes.set_xlim(*_range([histogram]))
        _plain_ticks(axes, "y")
    median = number(identity.figures["decoder_cosine"].median, 4)
    return _figure(
        "movement",
        f"How far features moved from {variant_label(identity.reference)}",
        f"Features of {variant_label(variant.name)} by the cosine to their former direction, "
        f"matched by {identity.matched_by}; the "
        f"median is {median}. At 1 a feature has not turned.",
        out,
        _histogram_table("Features by decoder cosine", {variant_label(variant.name): histogram}),
    )


def _overlay(
    key: str,
    title: str,
    reading: str,
    histograms: dict[str, Histogram],
    colours: dict[str, int],
    labels: tuple[str, str],
    log: bool = False,
) -> Figure:
    """Histograms of several variants as outlines over one another."""
    with canvas() as (axes, out):
        for name, histogram in histograms.items():
            style, is_subject = series(colours[name]), name == next(reversed(histograms))
            axes.stairs(
                *_bars(histogram), label=drawn_text(variant_label(name)), color=style.color,
                linewidth=2.0 if is_subject else 1.5,
                linestyle="solid" if is_subject else style.dash,
            )  # fmt: skip
        axes.set(xlabel=labels[0], ylabel=labels[1])
        if log:
            axes.set_yscale("symlog")
            _plain_ticks(axes, "y")
        axes.set_ylim(0)
        axes.set_xlim(*_range(histograms.values()))
        legend(axes)
    named = {variant_label(name): histogram for name, histogram in histograms.items()}
    return _figure(key, title, reading, out, _histogram_table(title, named))


def _bars(histogram: Histogram) -> tuple[np.ndarray, np.ndarray]:
    """Counts and edges to draw; an outermost bin that gathers a whole tail gets a usual width."""
    edges = np.array(histogram.edges)
    if len(edges) > 3:
        edges[0] = max(edges[0], edges[1] - (edges[2] - edges[1]))
        edges[-1] = min(edges[-1], edges[-2] + (edges[-2] - edges[-3]))
    return np.array(histogram.counts), edges


def _range(histograms: Iterable[Histogram]) -> tuple[float, float]:
    """The stretch of the axis on which the histograms hold something, and some bins beside it."""
    low, high = np.inf, -np.inf
    for counts, edges in map(_bars, histograms):
        held, width = np.flatnonzero(counts), float(np.median(np.diff(edges)))
        if held.size:
            low = min(low, max(edges[held[0]] - 4 * width, edges[0] - width / 2))
            high = max(high, min(edges[held[-1] + 1] + 4 * width, edges[-1] + width / 2))
    return (float(low), float(high)) if low < high else (0.0, 1.0)


def _backdrop(axes: Any, curve: ActivationCurve) -> None:
    """The histogram of pre-activations in the lower part of the axes, on its own scale."""
    counts = np.log10(1.0 + np.asarray(curve.pre_activations.counts, dtype=float))
    behind = axes.twinx()
    behind.stairs(counts, curve.pre_activations.edges, fill=True, color=FILL, alpha=0.28)
    behind.set_ylim(0, 2.2 * max(counts.max(initial=0.0), 1.0))
    behind.axis("off")
    axes.set_zorder(behind.get_zorder() + 1)


def _own_point(variant: Variant, metric: str) -> list[tuple[float, float]]:
    l0, value = variant.metrics.get("l0"), variant.metrics.get(metric)
    return [] if l0 is None or value is None else [(l0, value)]


def _plain_ticks(axes: Any, which: str = "x") -> None:
    """20, 50, 100 rather than powers of ten on a logarithmic axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, SymmetricalLogLocator

    axis = getattr(axes, f"{which}axis")
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(float(value))))
    axis.set_minor_formatter(NullFormatter())
    if which == "x":
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    else:
        axis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=1))


def _histogram_table(caption: str, histograms: dict[str, Histogram]) -> Table:
    """The bins that are not empty, variant by variant."""
    rows: list[tuple[str | float | None, ...]] = []
    for name, histogram in histograms.items():
        edges = histogram.edges
        rows += [
            (name, low, high, float(count))
            for low, high, count in zip(edges[:-1], edges[1:], histogram.counts, strict=True)
            if count
        ]
    return Table(caption, ("variant", "from", "to", "count"), tuple(rows))


def _thin(rows: list[tuple[Any, ...]], most: int = 60) -> list[tuple[Any, ...]]:
    step = max(1, -(-len(rows) // most))
    return rows[::step]


def _list(parts: Iterable[str]) -> str:
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _figure(key: str, title: str, reading: str, out: list[str], data: Table) -> Figure:
    drawing = inline(out[0], key=key, title=title, reading=reading)
    return Figure(key, title, reading.strip(), drawing, data)
