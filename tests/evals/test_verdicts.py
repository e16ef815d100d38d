import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsae_evals.comparison.pareto import area_between, curve, curve_warnings
from rsae_evals.comparison.verdicts import conclude, judge, l0_warnings
from rsae_evals.results import Interval, ParetoCurve, Verdict

PAIR = ("control", "rsae")
LESS, MORE, MAYBE = Interval(-1, -2, -0.5), Interval(1, 0.5, 2), Interval(0.1, -1, 1)


def verdict(metric, interval, l0=(50.0, 50.0), **more):
    return judge(metric, PAIR, interval, (1.0, 1.0), l0, **more).verdict


@pytest.mark.parametrize(
    ("metric", "interval", "expected"),
    [
        ("mse", LESS, Verdict.BETTER),
        ("mse", MORE, Verdict.WORSE),
        ("mse", MAYBE, Verdict.CANNOT_TELL),
        ("explained_variance", MORE, Verdict.BETTER),
        ("ce_loss_score", LESS, Verdict.WORSE),
        ("l1", LESS, Verdict.CANNOT_TELL),
        ("frac_alive", Interval(0.1, math.nan, math.nan), Verdict.CANNOT_TELL),
    ],
)
def test_the_interval_decides(metric, interval, expected):
    assert verdict(metric, interval) is expected


def test_nearer_to_one_is_better():
    assert verdict("l2_ratio", MORE, distance=LESS) is Verdict.BETTER


@pytest.mark.parametrize(
    ("interval", "variant_l0", "expected"),
    [
        (LESS, 50.4, Verdict.BETTER),  # within 1 %
        (LESS, 60.0, Verdict.NOT_COMPARABLE),  # bought with features
        (MORE, 60.0, Verdict.WORSE),  # worse in spite of more features
        (LESS, 40.0, Verdict.BETTER),  # better in spite of fewer
        (MORE, 40.0, Verdict.NOT_COMPARABLE),
        (MAYBE, 60.0, Verdict.NOT_COMPARABLE),
    ],
)
def test_quality_bought_with_features_is_no_gain(interval, variant_l0, expected):
    assert verdict("mse", interval, l0=(50.0, variant_l0)) is expected


def test_a_variant_whose_output_is_not_finite_is_worse():
    nothing = Interval(math.nan, math.nan, math.nan)
    found = judge("mse", PAIR, nothing, (1.0, math.nan), (50.0, 50.0))
    assert found.verdict is Verdict.WORSE


def test_conclusions_weigh_the_headlines():
    def of(**intervals):
        return [judge(m, PAIR, i, (1, 1), (50.0, 50.0)) for m, i in intervals.items()]

    assert conclude(PAIR, of(mse=LESS, delta_ce=MAYBE)).verdict is Verdict.BETTER
    assert conclude(PAIR, of(mse=MORE, delta_ce=MAYBE)).verdict is Verdict.WORSE
    mixed = conclude(PAIR, of(mse=LESS, delta_ce=MORE))
    assert mixed.verdict is Verdict.TRADE_OFF
    assert "better in MSE" in mixed.reason
    assert conclude(PAIR, of(mse=MAYBE, cossim=MORE)).verdict is Verdict.CANNOT_TELL


def test_l0_warnings_name_the_pair():
    (warning,) = l0_warnings({"one": 50.0, "two": 50.4, "three": 51.0, "four": 50.9})
    assert "three (51) and four (50.9)" in warning
    assert "that of one (50)" in warning
    assert "two" not in warning
    assert l0_warnings({"one": 50.0, "two": 50.4}) == []
    (warning,) = l0_warnings({"one": 50.0, "two": 49.7, "three": 50.4})  # each near the first
    assert "three (50.4) differs by more than 1 % from that of two (49.7)" in warning


positive = st.floats(0.1, 10)


@given(st.lists(positive, min_size=4, max_size=8, unique=True), positive, st.floats(-3, 3))
def test_area_between_shifted_curves_is_the_shift(l0, scale, shift):
    values = [scale / x for x in l0]
    base = curve("a", "mse", [20 * x for x in l0], values)
    moved = curve("b", "mse", [20 * x for x in l0], [v + shift for v in values])
    found = area_between(moved, base)
    assert found.mean_difference == pytest.approx(shift, abs=1e-9)
    back = area_between(base, moved)
    assert back.mean_difference == pytest.approx(-shift, abs=1e-9)


def test_area_against_a_fine_numerical_integral():
    a = curve("a", "mse", [10, 30, 100, 300], [9, 5, 4, 1])
    b = curve("b", "mse", [20, 50, 60, 400], [8, 6, 3, 2])
    found = area_between(b, a)
    t = np.linspace(np.log(20), np.log(300), 200_001)
    gap = np.interp(t, np.log(b.l0), b.value) - np.interp(t, np.log(a.l0), a.value)
    assert found.mean_difference == pytest.approx(gap.mean(), abs=1e-4)
    assert (found.low_l0, found.high_l0) == pytest.approx((20, 300))


def test_curves_that_do_not_overlap_have_no_area():
    a, b = curve("a", "mse", [10, 20], [1, 1]), curve("b", "mse", [30, 40], [1, 1])
    assert area_between(a, b) is None
    assert area_between(a, ParetoCurve("b", "mse", (15.0,), (1.0,))) is None


def test_a_short_curve_is_warned_of():
    assert curve_warnings([curve("a", "mse", [30, 60, 90, 120], [4, 3, 2, 1])]) == []
    (warning,) = curve_warnings([curve("a", "mse", [5, 30, 60, 500], [4, 3, 2, 1])])
    assert "2 points" in warning
