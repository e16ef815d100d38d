"""How often the intervals of paired differences cover the truth, by simulation.

    python -m benchmarks.evals.intervals
    python -m benchmarks.evals.intervals --worlds 1000 --json runs/coverage.json

A world has documents of unequal length. Each sequence's paired difference is an effect of its
document and one of its own, of equal variance, skewed, about a known mean; long documents
are harder than short ones, so that a ratio of sums is not a mean of means. The first table counts
in how many worlds a nominal 95 % interval holds the truth, with documents as the clusters and, for
contrast, with sequences. The second splits the documents of a world into halves at random and
counts how often the two halves' differences are "significantly different" from each other at 5 %.
The contrast by sequence, which is slow, takes a tenth of the worlds.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

from rsae.files import write_json
from rsae_evals.comparison.statistics import intervals
from rsae_evals.metrics.measurement import Measurement

LEVEL = 0.95
TRUTH = -0.3


@dataclass(frozen=True)
class Design:
    """How worlds of one kind are drawn.

    Attributes:
        documents: number of documents.
        sequences: mean number of sequences of a document; lengths are geometric.
        seeds: number of training seeds.
        seed_deviation: standard deviation of a training seed's effect on the difference.
    """

    documents: int
    sequences: int = 12
    seeds: int = 1
    seed_deviation: float = 0.0

    def label(self) -> str:
        seeds = f", {self.seeds} seeds (σ {self.seed_deviation:g})" if self.seeds > 1 else ""
        return f"{self.documents} documents of about {self.sequences} sequences{seeds}"


DESIGNS = (
    Design(10),
    Design(20),
    Design(40),
    Design(80, 4),
    Design(20, 40),
    Design(20, seeds=3, seed_deviation=0.1),
    Design(20, seeds=3, seed_deviation=0.5),
    Design(40, seeds=5, seed_deviation=0.2),
)


def draw(
    design: Design, rng: np.random.Generator, clustered: bool = True
) -> tuple[list[Measurement], list[Measurement]]:
    """One world: the variant's measurements, one per seed, and the baseline's."""
    length = rng.geometric(1 / design.sequences, design.documents)
    document = np.repeat(np.arange(design.documents), length)
    tokens = rng.integers(60, 128, len(document)).astype(float)
    own = rng.gamma(2.0, 1.0, len(document)) - 2.0
    of_document = rng.gamma(2.0, 1.0, design.documents) - 2.0
    difference = TRUTH + of_document[document] + own
    hard = 5.0 + rng.exponential(size=design.documents)[document]  # both variants share it
    by_seed = design.seed_deviation * rng.standard_normal(design.seeds)
    known = document if clustered else None
    baseline = Measurement({"error": hard * tokens, "n": tokens}, document=known)
    variants = [
        Measurement({"error": (hard + difference + effect) * tokens, "n": tokens}, document=known)
        for effect in by_seed
    ]
    return variants, [baseline]


def coverage(design: Design, worlds: int, clustered: bool = True) -> float:
    """Share of worlds whose interval holds the truth."""
    hits = 0
    for world in range(worlds):
        variant, baseline = draw(
            design, np.random.default_rng([world, design.documents]), clustered
        )
        found = intervals(variant, baseline, mse, LEVEL)["mse"]
        hits += found.low <= TRUTH <= found.high
    return hits / worlds


def half_splits(worlds: int, clustered: bool, documents: int = 40) -> float:
    """Share of random half-splits by document whose differences differ at 5 %."""
    significant = 0
    for world in range(worlds):
        rng = np.random.default_rng([world, 7])
        (variant,), (baseline,) = draw(Design(documents), rng)
        assert variant.document is not None
        chosen = rng.permutation(documents)[: documents // 2]
        inside = np.isin(variant.document, chosen)
        halves = [_standard_error(_rows(variant, part, clustered), _rows(baseline, part, clustered))
                  for part in (inside, ~inside)]  # fmt: skip
        (a, error_a), (b, error_b) = halves
        significant += abs(a - b) > 1.96 * np.hypot(error_a, error_b)
    return significant / worlds


def mse(totals: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Mean squared error of totals."""
    return {"mse": totals["error"] / totals["n"]}


def _rows(measurement: Measurement, rows: np.ndarray, clustered: bool) -> Measurement:
    sums = {name: values[rows] for name, values in measurement.sums.items()}
    assert measurement.document is not None
    return Measurement(sums, document=measurement.document[rows] if clustered else None)


def _standard_error(variant: Measurement, baseline: Measurement) -> tuple[float, float]:
    """The difference and its standard error, read from the interval's width."""
    found = intervals([variant], [baseline], mse, LEVEL)["mse"]
    t = stats.t.ppf((1 + LEVEL) / 2, variant.effective_clusters - 1)
    return found.estimate, (found.high - found.low) / (2 * t)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=1000)
    parser.add_argument("--json", type=Path, help="write the counts into this file")
    args = parser.parse_args()
    table = Table("worlds", "covered, by document", "covered, by sequence")
    found = {}
    for design in DESIGNS:
        shares = [coverage(design, args.worlds), coverage(design, args.worlds // 10, False)]
        found[design.label()] = shares
        table.add_row(design.label(), *(f"{100 * share:.1f} %" for share in shares))
    Console().print(table)
    halves = [half_splits(args.worlds, True), half_splits(args.worlds // 10, False)]
    found["half-splits that differ"] = halves
    said = "half-splits by document that differ at 5 %: {:.1f} % by document, {:.1f} % by sequence"
    print(said.format(*(100 * share for share in halves)))
    if args.json:
        write_json(args.json, {"worlds": args.worlds, "counts": found})


if __name__ == "__main__":
    main()
