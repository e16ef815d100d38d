"""Intervals of paired differences: over documents by the bootstrap, over seeds by Student's t."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rsae_evals.metrics.measurement import Array, Measurement, Totals
from rsae_evals.results import Interval

__all__ = ["interval_over_seeds", "intervals", "paired_totals"]

Figures = Callable[[Totals], Mapping[str, Array]]

#: Resamples per interval: the 2.5 % quantile then has a standard error of about 0.04 sigma.
RESAMPLES = 2000

#: Below it a standard error rests on so few documents that an interval is reported as rough.
MIN_DOCUMENTS = 10

_BYTES = 1 << 27  # resamples are drawn in batches whose totals stay below this


def paired_totals(
    variant: Sequence[Measurement], baseline: Sequence[Measurement], seed: int = 0
) -> Iterator[tuple[list[Totals], list[Totals]]]:
    """Resample clusters, the same for every SAE, and yield batches of totals, one per SAE.

    A cluster is a document (a unit, where no document is known: see `Measurement.clusters`). A
    resample draws as many clusters as there are, with replacement; its totals are counts @ sums.
    The first batch holds one row, the sample itself.
    """
    n = variant[0].n_clusters
    rng = np.random.default_rng(seed)
    widest = max(v[0].size for m in (*variant, *baseline) for v in m.clusters.values())
    batch = max(1, min(RESAMPLES, _BYTES // (8 * max(n, widest))))
    yield _totals(variant, np.ones((1, n))), _totals(baseline, np.ones((1, n)))
    for start in range(0, RESAMPLES, batch):
        rows = min(batch, RESAMPLES - start)
        counts = rng.multinomial(n, np.full(n, 1 / n), size=rows).astype(np.float64)
        yield _totals(variant, counts), _totals(baseline, counts)


def intervals(
    variant: Sequence[Measurement],
    baseline: Sequence[Measurement],
    figures: Figures,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Confidence intervals of mean over seeds of figure(variant) - figure(baseline), per figure.

    One measurement per training seed, all on the same units; a variant with a single measurement
    (an untrained one, such as the teacher) stands against every seed of the other. Documents are
    resampled whole, since the sequences of one are correlated; where no document is known, units
    are resampled by themselves and the interval is too narrow as far as they depend on one
    another.

    One seed: the percentile bootstrap over the n documents, at the level whose normal quantile is

        t_{e-1} * (standard error by the jackknife) / (standard error by the bootstrap),

    with e the effective number of documents, n where all are equally long. The bootstrap's
    standard error is too small for few documents, and more so for documents of unequal length;
    that of the jackknife, which leaves out one document at a time, is not, and the quantiles of
    few documents are Student's. What another training seed would do is not
    covered.

    S > 1 seeds: three seeds have only ten distinct resamples, whose range covers far less than it
    claims. So seeds enter by their sample variance s² and documents by their jackknife variance
    u²,

        mean ± t_df sqrt(u² + s²/S),   df = (u² + s²/S)² / (u⁴/(e-1) + (s²/S)²/(S-1)),

    Welch–Satterthwaite's degrees of freedom. The noise of a seed on a document is in both
    variances, so the interval is, if anything, too wide.

    References:
        Cameron, Gelbach & Miller 2008, doi:10.1162/rest.90.3.414 (bootstrap over clusters);
        MacKinnon, Nielsen & Webb 2023, doi:10.1016/j.jeconom.2022.04.001 (jackknife over
        clusters); Carter, Schnepel & Steigerwald 2017, doi:10.1162/REST_a_00639 (effective
        number of clusters);
        Hesterberg 2015, doi:10.1080/00031305.2015.1089789 (widened percentiles);
        Owen 2007, doi:10.1214/07-AOAS122 (crossed factors);
        Satterthwaite 1946, doi:10.2307/3002019.
    """
    batches = [_differences(a, b, figures) for a, b in paired_totals(variant, baseline)]
    without = _differences(_leave_one_out(variant), _leave_one_out(baseline), figures)
    found = {}
    for name, sample in batches[0].items():
        resampled = np.concatenate([batch[name].mean(axis=0) for batch in batches[1:]])
        leave_one_out = without[name].mean(axis=0)
        df = variant[0].effective_clusters - 1
        found[name] = _interval(sample[:, 0], resampled, leave_one_out, df, level)
    return found


def interval_over_seeds(differences: Sequence[float], level: float = 0.95) -> Interval:
    """Student's interval of the mean of one difference per training seed; none for one seed."""
    values, n = np.asarray(differences, dtype=np.float64), len(differences)
    estimate = float(np.mean(values))
    if n < 2 or not np.isfinite(values).all():
        return Interval(estimate, np.nan, np.nan)
    half = stats.t.ppf((1 + level) / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n)
    return Interval(estimate, float(estimate - half), float(estimate + half))


def _interval(
    by_seed: Array, resampled: Array, without: Array, df: float, level: float
) -> Interval:
    """The interval of one figure.

    Args:
        by_seed: (S,) the figure's difference for each training seed.
        resampled: (n_resamples,) its mean over seeds on each resample.
        without: (n,) its mean over seeds without each of the n clusters.
        df: degrees of freedom of the variance over clusters.
        level: confidence level.
    """
    estimate, n = float(np.mean(by_seed)), len(without)
    resampled = resampled[np.isfinite(resampled)]
    enough = len(resampled) >= RESAMPLES // 2 and bool(np.isfinite(without).all())
    if not np.isfinite(estimate) or n < 2 or not enough:
        return Interval(estimate, np.nan, np.nan)
    of_clusters = (n - 1) * np.var(without)
    if len(by_seed) == 1:
        by_bootstrap = np.var(resampled)
        ratio = np.sqrt(of_clusters / by_bootstrap) if by_bootstrap > 0 else 1.0
        tail = stats.norm.cdf(-ratio * stats.t.ppf((1 + level) / 2, df))
        low, high = np.quantile(resampled, [tail, 1 - tail])
        return Interval(estimate, float(low), float(high))
    seeds = len(by_seed)
    of_seeds = np.var(by_seed, ddof=1) / seeds
    total = of_clusters + of_seeds
    if total == 0:
        return Interval(estimate, estimate, estimate)
    df_of_both = total**2 / (of_clusters**2 / df + of_seeds**2 / (seeds - 1))
    half = stats.t.ppf((1 + level) / 2, df_of_both) * np.sqrt(total)
    return Interval(estimate, float(estimate - half), float(estimate + half))


def _leave_one_out(measurements: Sequence[Measurement]) -> list[Totals]:
    """Totals without each cluster in turn, (n_clusters, …)."""
    with np.errstate(invalid="ignore", over="ignore"):  # as in `_totals`
        return [
            {name: np.sum(values, axis=0) - values for name, values in m.clusters.items()}
            for m in measurements
        ]


def _totals(measurements: Sequence[Measurement], counts: NDArray) -> list[Totals]:
    with np.errstate(invalid="ignore", over="ignore"):  # an SAE that overflows has no figures
        return [
            {name: np.tensordot(counts, values, axes=1) for name, values in m.clusters.items()}
            for m in measurements
        ]


def _differences(
    variant: list[Totals], baseline: list[Totals], figures: Figures
) -> dict[str, Array]:
    """(n_seeds, n_resamples) differences per figure."""
    seeds = max(len(variant), len(baseline))
    with np.errstate(divide="ignore", invalid="ignore"):  # a resample in which nothing counts
        of_variant, of_base = (
            [dict(figures(t)) for t in variant],
            [dict(figures(t)) for t in baseline],
        )
    return {
        name: np.stack(
            [
                of_variant[s % len(of_variant)][name] - of_base[s % len(of_base)][name]
                for s in range(seeds)
            ]
        )
        for name in of_variant[0]
    }
