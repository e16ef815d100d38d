"""The results of a comparison: frozen objects, written to JSON and read back without loss.

`rsae_evals.compare` makes them, `rsae_evals.report` shows them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from html import escape
from typing import Any

from rsae_evals.serial import dataclass_from, to_plain

#: A version of the layout of `Comparison.to_dict`; a reader refuses others.
SCHEMA = 2


class Verdict(Enum):
    """What the interval of a paired difference says about a variant against its baseline."""

    BETTER = "better"
    WORSE = "worse"
    EQUAL = "equal"
    MATCHED = "matched"
    TRADE_OFF = "trade-off"
    CANNOT_TELL = "cannot tell"
    NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True)
class Interval:
    """An estimate and its two-sided confidence interval (NaN where there is none)."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Histogram:
    """``counts[i]`` values lie in ``[edges[i], edges[i+1])``; len(edges) = len(counts) + 1."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class ActivationCurve:
    """The learned activation over the histogram of real pre-activations.

    All curves are feature activations at the pre-activations ``h`` of a feature with the median
    threshold ``threshold``. ``teacher`` is the teacher's primitive there, ``best`` the best
    rational of the same ``degree`` for the same data-weighted target (None: there is none).
    ``metrics``: `gate_mse`, `gate_mse_optimal`, `gate_mse_best`, `gate_error`, on ``n_tokens``
    tokens (see `rsae_evals.analysis.activation_curve.activation_curve`).
    """

    h: tuple[float, ...]
    learned: tuple[float, ...]
    teacher: tuple[float, ...]
    best: tuple[float, ...] | None
    threshold: float
    degree: tuple[int, int] | None
    pre_activations: Histogram
    metrics: dict[str, float | None]
    n_tokens: int


@dataclass(frozen=True)
class Context:
    """Text on which a feature fires: tokens, its activation on each, index of the largest."""

    tokens: tuple[str, ...]
    values: tuple[float, ...]
    peak: int


@dataclass(frozen=True)
class FeatureChange:
    """One feature before (in the reference) and after (in this variant), with its top contexts."""

    feature: int
    reference_feature: int
    decoder_cosine: float
    firing_jaccard: float | None
    activation_correlation: float | None
    density_before: float
    density_after: float
    norm_ratio: float
    contexts_before: tuple[Context, ...]
    contexts_after: tuple[Context, ...]


@dataclass(frozen=True)
class IdentityFigure:
    """One figure of feature identity over features; None where no feature has a value."""

    median: float | None
    tenth_percentile: float | None
    share_above_half: float | None
    histogram: Histogram


@dataclass(frozen=True)
class FeatureIdentity:
    """How far the features of a variant are still those of the variant ``reference``.

    ``figures``: firing_jaccard, activation_correlation, firing_rate_ratio, decoder_cosine,
    encoder_cosine and norm_ratio (see `rsae_evals.analysis.feature_identity`) over the
    ``n_features`` of the ``n_matched`` features that fire on at least ``least_firings`` of the
    ``n_tokens`` tokens, before or after. ``matched_by`` is "index" where one SAE was made from the
    other, else "cosine". ``flows``: number of features ``alive_alive, alive_dead, dead_alive,
    dead_dead`` (before_after). ``changed``: the features that changed the most, most changed
    first; collected for the last variant of a comparison.
    """

    reference: str
    matched_by: str
    n_matched: int
    n_features: int
    least_firings: int
    n_tokens: int
    figures: dict[str, IdentityFigure]
    flows: dict[str, int]
    changed: tuple[FeatureChange, ...]


@dataclass(frozen=True)
class GainPart:
    """What one step contributes to the gain of the last variant over the first, in one metric.

    ``change = metric(variant) - metric(before)``; ``share`` is its share of the whole change from
    the first variant to the last, so that the shares of a metric add up to 1.
    """

    metric: str
    part: str
    before: str
    variant: str
    change: float
    share: float


@dataclass(frozen=True)
class Variant:
    """One variant: its pooled metrics, the same by seed and by sequence, and data for plots.

    ``metrics`` maps a name of `rsae_evals.metrics.METRICS` to its value, the mean over its
    seeds, or None where it is undefined (`Comparison.undefined` says why). ``per_seed`` holds the
    values behind that mean; ``per_sequence`` the metrics that have a value on each sequence
    (mse, l0, delta_ce, kl), in the order of the tokens, averaged over seeds; None marks a sequence
    on which nothing counts. ``density`` is the histogram of log10 feature density of the features
    alive; ``delta_ce`` that of the per-token CE difference spliced - clean. ``detail`` describes
    the SAE: class, source, d_in, d_sae, family, weights_sha256.
    """

    name: str
    detail: dict[str, Any]
    metrics: dict[str, float | None]
    per_seed: dict[str, tuple[float | None, ...]]
    per_sequence: dict[str, tuple[float | None, ...]]
    density: Histogram
    delta_ce: Histogram | None = None
    activation: ActivationCurve | None = None
    identity: FeatureIdentity | None = None


@dataclass(frozen=True)
class Difference:
    """``value = metric(variant) - metric(baseline)`` on the same tokens, with its interval.

    ``low, high`` is None where the metric has no interval; ``reason`` says in a few words why a
    verdict is not simply that of the interval (empty otherwise).
    """

    metric: str
    baseline: str
    variant: str
    value: float | None
    low: float | None
    high: float | None
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True)
class ParetoCurve:
    """A metric over strict L0, by ascending L0."""

    variant: str
    metric: str
    l0: tuple[float, ...]
    value: tuple[float, ...]


@dataclass(frozen=True)
class ParetoArea:
    """Mean of metric(variant) - metric(baseline) over log L0 in the overlap ``low_l0..high_l0``."""

    variant: str
    baseline: str
    metric: str
    low_l0: float
    high_l0: float
    mean_difference: float


@dataclass(frozen=True)
class Comparison:
    """Variants measured on the same evaluation set, and their paired differences.

    Attributes:
        variants: The variants, in the order given.
        differences: One for every metric and every pair (an earlier variant is the baseline of a
            later one).
        conclusions: One verdict and sentence for each pair, with ``metric="overall"``.
        tokens: The sizes n_tokens, n_sequences and n_documents (None where no document is known),
            sha256, and for downstream metrics n_tokens_downstream and n_sequences_downstream.
        level: Confidence level of every interval.
        pareto: Curves of a metric over L0.
        areas: Mean differences between those curves.
        untrained: Values of untrained baselines: name (residual channels, random dictionary) →
            metric → value.
        warnings: Sentences on what limits the comparison.
        undefined: The reason why there is no value, by ``"variant/metric"``.
        gain: The contribution of each step to the last variant's gain over the first.
        known_features: The comparison of the same variants on a synthetic world, or None.
        baseline: Name of the variant that the report compares the last with; None chooses it.
        provenance: Versions, seeds, hashes and commands.
        schema: Version of the JSON layout.
    """

    variants: tuple[Variant, ...]
    differences: tuple[Difference, ...]
    conclusions: tuple[Difference, ...]
    tokens: dict[str, Any]
    level: float
    pareto: tuple[ParetoCurve, ...] = ()
    areas: tuple[ParetoArea, ...] = ()
    untrained: dict[str, dict[str, float | None]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    undefined: dict[str, str] = field(default_factory=dict)
    gain: tuple[GainPart, ...] = ()
    known_features: Comparison | None = None
    baseline: str | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    def variant(self, name: str) -> Variant:
        """The variant called ``name`` (KeyError where there is none)."""
        return {variant.name: variant for variant in self.variants}[name]

    def difference(self, metric: str, variant: str, baseline: str) -> Difference:
        """The paired difference of one metric between two variants.

        Args:
            metric: Name of the metric, or ``"overall"`` for the conclusion.
            variant: Name of the variant.
            baseline: Name of the variant it is compared with, which comes earlier in ``variants``.

        Raises:
            KeyError: There is no such pair or metric.
        """
        for found in self.differences + self.conclusions:
            if (found.metric, found.variant, found.baseline) == (metric, variant, baseline):
                return found
        raise KeyError((metric, variant, baseline))

    def __repr__(self) -> str:
        names = ", ".join(variant.name for variant in self.variants)
        return f"Comparison({names}; {self.tokens.get('n_tokens')} tokens)"

    def _repr_html_(self) -> str:
        """What a notebook shows: the metrics by variant, and the verdicts on the last one."""
        variants, last = self.variants, self.variants[-1].name
        names = dict.fromkeys(name for variant in variants for name in variant.metrics)
        rows = [
            [name, *(_short(variant.metrics.get(name)) for variant in variants)] for name in names
        ]
        said = [
            f"{one.variant} against {one.baseline}: {one.verdict.value}"
            + (f" ({one.reason})" if one.reason else "")
            for one in self.conclusions
            if one.variant == last
        ]
        head = "".join(
            f"<th>{escape(text)}</th>" for text in ("metric", *(a.name for a in variants))
        )
        body = "".join(
            f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
        )
        lines = "".join(f"<p>{escape(line)}</p>" for line in said)
        return f"{lines}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` reads them back equal."""
        return to_plain(self)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Comparison:
        """Rebuild a comparison from `to_dict`; ValueError for another schema or no variant."""
        if plain.get("schema") != SCHEMA:
            raise ValueError(f"a comparison of schema {plain.get('schema')}, this reads {SCHEMA}")
        if not plain["variants"]:
            raise ValueError("a comparison without any variant")
        return dataclass_from(cls, plain)


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
