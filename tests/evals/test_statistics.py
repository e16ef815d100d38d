"""An interval is right when it covers the truth as often as it says."""

import numpy as np
import pytest

from rsae_evals.comparison import statistics
from rsae_evals.comparison.statistics import intervals
from rsae_evals.metrics.measurement import Measurement


@pytest.fixture
def few_resamples(monkeypatch):
    monkeypatch.setattr(statistics, "RESAMPLES", 400)


def figures(totals):
    return {"mean": totals["x"] / totals["n"], "ratio": totals["x"] / totals["y"]}


def measurement(x, y=None):
    y = np.ones_like(x) if y is None else y
    return Measurement({"x": x, "y": y, "n": np.ones_like(x)})


def coverage(draw, truth, worlds=300, level=0.9):
    hits = 0
    for world in range(worlds):
        variant, baseline = draw(np.random.default_rng(world))
        found = intervals(variant, baseline, figures, level)["mean"]
        hits += found.low <= truth <= found.high
    return hits / worlds


# 300 worlds: the standard error of a coverage of 0.9 is 0.017, so 0.84 … 0.96 is ± 3.5 of them.


@pytest.mark.parametrize("n", [20, 100])
def test_over_sequences_of_one_seed(few_resamples, n):
    def draw(rng):
        hard = rng.exponential(size=n)  # what both variants share cancels
        noise = rng.gamma(2.0, 0.05, size=(2, n))  # skewed
        return [measurement(hard + 0.3 + noise[0])], [measurement(hard + noise[1])]

    assert 0.84 <= coverage(draw, 0.3) <= 0.96


@pytest.mark.parametrize(("seeds", "of_seed"), [(3, 1.0), (3, 0.0), (5, 0.3)])
def test_over_seeds_and_sequences(few_resamples, seeds, of_seed):
    """Whether seeds or sequences dominate: three resampled seeds alone would cover 0.7."""

    def draw(rng):
        effect = 0.3 + of_seed * rng.standard_normal((seeds, 1))
        by_sequence = 0.5 * rng.standard_normal(60)
        noise = 0.1 * rng.standard_normal((seeds, 60))
        variant = effect + by_sequence + noise
        return [measurement(row) for row in variant], [measurement(np.zeros(60))]

    assert 0.84 <= coverage(draw, 0.3) <= 0.985


def test_no_difference_is_rarely_called_one(few_resamples):
    """Under the null, a verdict is as rare as the level says."""

    def draw(rng):
        shared = rng.standard_normal(80)
        return [measurement(shared + 0.1 * rng.standard_normal(80))], [
            measurement(shared + 0.1 * rng.standard_normal(80))
        ]

    assert 1 - coverage(draw, 0.0, level=0.95) <= 0.09


def test_pairing_removes_what_the_variants_share():
    rng = np.random.default_rng(0)
    shared = 100 * rng.standard_normal(50)
    variant, baseline = measurement(shared + 1 + 1e-3 * rng.random(50)), measurement(shared)
    found = intervals([variant], [baseline], figures)["mean"]
    assert found.high - found.low < 1e-3
    assert found.estimate == pytest.approx(1.0005, abs=1e-3)


def test_a_ratio_is_resampled_as_a_ratio():
    """The interval of a ratio of sums, against the delta method."""
    rng = np.random.default_rng(1)
    x, y = rng.gamma(4, size=400), 1 + rng.random(400)
    zero = measurement(np.zeros(400), np.ones(400))
    found = intervals([measurement(x, y)], [zero], figures)["ratio"]
    ratio = x.sum() / y.sum()
    error = np.std(x - ratio * y) / (np.sqrt(400) * y.mean())
    assert found.estimate == pytest.approx(ratio)
    assert (found.high - found.low) / 2 == pytest.approx(1.966 * error, rel=0.08)


def test_one_unit_has_no_interval():
    found = intervals([measurement(np.ones(1))], [measurement(np.zeros(1))], figures)["mean"]
    assert found.estimate == 1
    assert np.isnan(found.low)


def test_the_same_question_has_the_same_answer():
    rng = np.random.default_rng(2)
    variants = [measurement(rng.random(30))], [measurement(rng.random(30))]
    assert intervals(*variants, figures) == intervals(*variants, figures)


# The sequences of one document are correlated.


def of_documents(rng, documents, truth=0.3):
    """A variant and a baseline on documents of unequal length, half of the variance theirs."""
    document = np.repeat(np.arange(documents), rng.integers(2, 15, documents))
    effect = rng.standard_normal(documents)[document] + rng.standard_normal(len(document))
    sums = {"x": truth + effect, "y": np.ones(len(document)), "n": np.ones(len(document))}
    zero = {name: np.zeros_like(values) for name, values in sums.items()} | {"n": sums["n"]}
    return document, sums, zero | {"y": sums["y"]}


@pytest.mark.parametrize(("documents", "seeds"), [(12, 1), (30, 1), (30, 3)])
def test_intervals_by_document_cover_the_truth(few_resamples, documents, seeds):
    def draw(rng):
        document, sums, zero = of_documents(rng, documents)
        variants = []
        for effect in 0.2 * rng.standard_normal(seeds) if seeds > 1 else [0.0]:
            variants.append(Measurement(sums | {"x": sums["x"] + effect}, document=document))
        return variants, [Measurement(zero, document=document)]

    assert 0.89 <= coverage(draw, 0.3, worlds=150, level=0.95) <= 0.99


def test_sequences_of_one_document_are_not_independent(few_resamples):
    """What was wrong: resampled one by one, they cover far less than they claim."""

    def draw(rng):
        _, sums, zero = of_documents(rng, 30)
        return [Measurement(sums)], [Measurement(zero)]

    assert coverage(draw, 0.3, worlds=100, level=0.95) < 0.75


def test_half_splits_by_document_differ_as_often_as_they_should(few_resamples):
    differ = 0
    for world in range(100):
        rng = np.random.default_rng(world)
        document, sums, zero = of_documents(rng, 40)
        chosen = np.isin(document, rng.permutation(40)[:20])
        estimates, errors = [], []
        for rows in (chosen, ~chosen):
            variant, base = (
                Measurement({k: v[rows] for k, v in one.items()}, document=document[rows])
                for one in (sums, zero)
            )
            found = intervals([variant], [base], figures)["mean"]
            estimates.append(found.estimate)
            errors.append((found.high - found.low) / (2 * 2.1))
        differ += abs(estimates[0] - estimates[1]) > 1.96 * np.hypot(*errors)
    assert differ / 100 <= 0.12


def test_one_document_has_no_interval():
    x = np.arange(6.0)
    variant, base = (Measurement({"x": v, "y": v + 1, "n": np.ones(6)}, document=np.zeros(6, int))
                 for v in (x, 0 * x))  # fmt: skip
    found = intervals([variant], [base], figures)["mean"]
    assert found.estimate == 2.5
    assert np.isnan(found.low)


def test_documents_of_equal_rows_are_their_own_sums():
    """A document is resampled as one unit: as if its sums had been measured at once."""
    rng = np.random.default_rng(3)
    document = np.repeat(np.arange(20), 5)
    x, y = rng.random((2, 100))
    one = [Measurement({"x": x, "y": y, "n": np.ones(100)}, document=document)]
    zero = [Measurement({"x": 0 * x, "y": y, "n": np.ones(100)}, document=document)]
    summed = [[Measurement({k: v.reshape(20, 5).sum(1) for k, v in m.sums.items()})]
              for (m,) in (one, zero)]  # fmt: skip
    a, b = intervals(one, zero, figures)["ratio"], intervals(*summed, figures)["ratio"]
    assert (a.estimate, a.low, a.high) == pytest.approx((b.estimate, b.low, b.high), rel=1e-12)
