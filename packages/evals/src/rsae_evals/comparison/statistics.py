"""Intervals of paired differences: over sequences by the bootstrap, over seeds by Student's t."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rsae_evals.metrics.measurement import Array, Measurement, Totals

__all__ = ["Interval", "intervals", "paired_totals"]

Figures = Callable[[Totals], Mapping[str, Array]]

#: Resamples per interval: the 2.5 % quantile then has a standard error of about 0.04 sigma.
RESAMPLES = 2000

_BYTES = 1 << 27  # resamples are drawn in batches whose totals stay below this


@dataclass(frozen=True)
class Interval:
    """An estimate and its two-sided confidence interval (NaN where there is none)."""

    estimate: float
    low: float
    high: float


def paired_totals(
    arm: Sequence[Measurement], baseline: Sequence[Measurement], seed: int = 0
) -> Iterator[tuple[list[Totals], list[Totals]]]:
    """Resample units, the same for every coder, and yield batches of totals, one per coder.

    A resample draws n_units units with replacement; its totals are counts @ sums. The first batch
    holds one row, the sample itself.
    """
    n = len(next(iter(arm[0].sums.values())))
    rng = np.random.default_rng(seed)
    widest = max(v[0].size for m in (*arm, *baseline) for v in m.sums.values())
    batch = max(1, min(RESAMPLES, _BYTES // (8 * max(n, widest))))
    yield _totals(arm, np.ones((1, n))), _totals(baseline, np.ones((1, n)))
    for start in range(0, RESAMPLES, batch):
        rows = min(batch, RESAMPLES - start)
        counts = rng.multinomial(n, np.full(n, 1 / n), size=rows).astype(np.float64)
        yield _totals(arm, counts), _totals(baseline, counts)


def intervals(
    arm: Sequence[Measurement],
    baseline: Sequence[Measurement],
    figures: Figures,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Confidence intervals of mean over seeds of figure(arm) - figure(baseline), per figure.

    One measurement per training seed, all on the same units; an arm with a single measurement
    (an untrained one, such as the teacher) stands against every seed of the other.

    One seed: the percentile bootstrap over units, its level widened for few units as Hesterberg
    proposes (the bootstrap's standard error is too small by sqrt((n-1)/n), and its quantiles are
    normal where Student's are due). What another training seed would do is not covered.

    S > 1 seeds: three seeds have only ten distinct resamples, whose range covers far less than it
    claims. So seeds enter by their sample variance s² and units by their bootstrap variance u²,

        mean ± t_df sqrt(u² + s²/S),   df = (u² + s²/S)² / (u⁴/(n-1) + (s²/S)²/(S-1)),

    Welch–Satterthwaite's degrees of freedom. The noise of a seed on a unit is in both variances,
    so the interval is, if anything, too wide.

    Sources: Hesterberg 2015, doi:10.1080/00031305.2015.1089789 (section 4.2); Owen 2007,
    doi:10.1214/07-AOAS122 (crossed factors); Satterthwaite 1946, doi:10.2307/3002019.
    """
    batches = []
    for arm_totals, base_totals in paired_totals(arm, baseline):
        batches.append(_differences(arm_totals, base_totals, figures))
    names = batches[0].keys()
    n_units = len(next(iter(arm[0].sums.values())))
    found = {}
    for name in names:
        by_seed = batches[0][name][:, 0]
        resampled = np.concatenate([batch[name].mean(axis=0) for batch in batches[1:]])
        found[name] = _interval(by_seed, resampled, n_units, level)
    return found


def _interval(by_seed: Array, resampled: Array, n_units: int, level: float) -> Interval:
    estimate = float(np.mean(by_seed))
    resampled = resampled[np.isfinite(resampled)]
    if not np.isfinite(estimate) or n_units < 2 or len(resampled) < RESAMPLES // 2:
        return Interval(estimate, np.nan, np.nan)
    if len(by_seed) == 1:
        t = stats.t.ppf((1 + level) / 2, n_units - 1) * np.sqrt(n_units / (n_units - 1))
        tail = stats.norm.cdf(-t)
        low, high = np.quantile(resampled, [tail, 1 - tail])
        return Interval(estimate, float(low), float(high))
    seeds = len(by_seed)
    of_units = np.var(resampled, ddof=1) * n_units / (n_units - 1)
    of_seeds = np.var(by_seed, ddof=1) / seeds
    total = of_units + of_seeds
    if total == 0:
        return Interval(estimate, estimate, estimate)
    df = total**2 / (of_units**2 / (n_units - 1) + of_seeds**2 / (seeds - 1))
    half = stats.t.ppf((1 + level) / 2, df) * np.sqrt(total)
    return Interval(estimate, float(estimate - half), float(estimate + half))


def _totals(measurements: Sequence[Measurement], counts: NDArray) -> list[Totals]:
    return [
        {name: np.tensordot(counts, values, axes=1) for name, values in m.sums.items()}
        for m in measurements
    ]


def _differences(arm: list[Totals], baseline: list[Totals], figures: Figures) -> dict[str, Array]:
    """(n_seeds, n_resamples) differences per figure."""
    seeds = max(len(arm), len(baseline))
    of_arm, of_base = [dict(figures(t)) for t in arm], [dict(figures(t)) for t in baseline]
    return {
        name: np.stack(
            [of_arm[s % len(of_arm)][name] - of_base[s % len(of_base)][name] for s in range(seeds)]
        )
        for name in of_arm[0]
    }
