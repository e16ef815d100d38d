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
        arm, baseline = draw(np.random.default_rng(world))
        found = intervals(arm, baseline, figures, level)["mean"]
        hits += found.low <= truth <= found.high
    return hits / worlds


# 300 worlds: the standard error of a coverage of 0.9 is 0.017, so 0.84 … 0.96 is ± 3.5 of them.


@pytest.mark.parametrize("n", [20, 100])
def test_over_sequences_of_one_seed(few_resamples, n):
    def draw(rng):
        hard = rng.exponential(size=n)  # what both arms share cancels
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
        arm = effect + by_sequence + noise
        return [measurement(row) for row in arm], [measurement(np.zeros(60))]

    assert 0.84 <= coverage(draw, 0.3) <= 0.985


def test_no_difference_is_rarely_called_one(few_resamples):
    """Under the null, a verdict is as rare as the level says."""

    def draw(rng):
        shared = rng.standard_normal(80)
        return [measurement(shared + 0.1 * rng.standard_normal(80))], [
            measurement(shared + 0.1 * rng.standard_normal(80))
        ]

    assert 1 - coverage(draw, 0.0, level=0.95) <= 0.09


def test_pairing_removes_what_the_arms_share():
    rng = np.random.default_rng(0)
    shared = 100 * rng.standard_normal(50)
    arm, baseline = measurement(shared + 1 + 1e-3 * rng.random(50)), measurement(shared)
    found = intervals([arm], [baseline], figures)["mean"]
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
    arms = [measurement(rng.random(30))], [measurement(rng.random(30))]
    assert intervals(*arms, figures) == intervals(*arms, figures)
