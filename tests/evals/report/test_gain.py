"""What a headline may say: shares of a gain, sparser, trade-offs, equal and matched."""

from dataclasses import replace

import pytest

from rsae_evals.comparison.gain import gain_parts
from rsae_evals.comparison.verdicts import conclude, identity_loss, judge, known_loss
from rsae_evals.report import markdown
from rsae_evals.report.answer import answer
from rsae_evals.results import FeatureIdentity, Histogram, IdentityFigure, Interval, Verdict

PAIR = ("teacher", "rsae")
LESS = Interval(-1, -2, -0.5)


def shares(metric="mse", **mse):
    parts = gain_parts({name: {metric: value} for name, value in mse.items()})
    return {part.part: round(part.share, 6) for part in parts}


def test_shares_of_an_upgrade_add_up_to_one():
    found = shares(teacher=100.0, control=90.0, threshold_only=52.0, rsae_init=100.0, rsae=50.0)
    assert found == {"training": 0.2, "thresholds": 0.76, "the rational": 0.04}


def test_a_step_that_was_not_compared_is_counted_with_the_next():
    assert shares(teacher=10.0, threshold_only=6.0, rsae=5.0) == {
        "training and thresholds": 0.8, "the rational": 0.2,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["rsae_refined", "rsae-refined", "rsae refined", "rsae+refined"])
def test_refinement_follows_the_variant_it_refines(name):
    given = {"teacher": 10.0, "control": 8.0, "control_refined": 7.0, "rsae": 6.0, name: 2.0}
    parts = gain_parts({variant: {"mse": value} for variant, value in given.items()})
    assert [(p.part, p.before, p.variant) for p in parts] == [
        ("training", "teacher", "control"),
        ("thresholds and the rational", "control", "rsae"),
        ("refinement", "rsae", name),
    ]
    assert sum(part.share for part in parts) == pytest.approx(1)


def test_refined_and_pursued_teachers():
    assert shares(teacher=10.0, refined=8.0, pursued=6.0) == {"refinement": 0.5, "pursuit": 0.5}


def test_without_a_gain_or_a_chain_nothing_is_shared_out():
    assert shares(teacher=1.0, control=2.0, rsae=3.0) == {}
    assert shares(mine=3.0, yours=2.0, theirs=1.0) == {}
    assert shares(teacher=2.0, rsae=1.0) == {}


def identity(median, tenth, matched_by="index"):
    figure = IdentityFigure(median, tenth, 0.5, Histogram((0.0, 1.0), (3,)))
    return FeatureIdentity("teacher", matched_by, 3, 3, 10, 99, {"firing_jaccard": figure}, {}, ())


@pytest.mark.parametrize(
    ("found", "lost"),
    [
        (identity(0.98, 0.8), False),
        (identity(0.41, 0.1), True),
        (identity(0.95, 0.3), True),
        (identity(0.41, 0.1, "cosine"), False),  # neither was made from the other
        (None, False),
    ],
)
def test_a_gain_with_other_features_is_no_plain_yes(found, lost):
    better = [judge("mse", PAIR, LESS, (1.0, 1.0), (50.0, 50.0))]
    verdict = conclude(PAIR, better, identity_loss(found)).verdict
    assert verdict is (Verdict.TRADE_OFF if lost else Verdict.BETTER)


def test_a_gain_with_fewer_known_features_is_no_plain_yes(make_comparison):
    known = make_comparison(("teacher", "rsae"))
    worse = judge("f1", PAIR, Interval(-0.02, -0.03, -0.01), (0.7, 0.68), (8.0, 8.0))
    known = replace(known, differences=(worse,))
    better = [judge("mse", PAIR, LESS, (1.0, 1.0), (50.0, 50.0))]
    found = conclude(PAIR, better, known_loss(PAIR, known))
    assert found.verdict is Verdict.TRADE_OFF
    assert "worse in F1 of known features" in found.reason


def test_sparser_and_better_is_said(make_comparison):
    comparison = make_comparison(("teacher", "rsae"))
    teacher, rsae = comparison.variants
    sparse = replace(rsae, metrics=rsae.metrics | {"l0": 48.0})
    said = answer(replace(comparison, variants=(teacher, sparse)))
    assert said.sentence == "Yes: the RSAE is better and sparser than the teacher."
    same = replace(rsae, metrics=rsae.metrics | {"l0": teacher.metrics["l0"]})
    said = answer(replace(comparison, variants=(teacher, same)))
    assert said.sentence.endswith("at the same sparsity.")
    assert "(matched)" in said.evidence


def test_l0_within_one_percent_is_matched_and_zero_is_equal():
    l0 = judge("l0", PAIR, Interval(0.1, 0.05, 0.15), (50.0, 50.1), (50.0, 50.1))
    assert l0.verdict is Verdict.MATCHED
    zero = judge("mse", PAIR, Interval(0.0, 0.0, 0.0), (1.0, 1.0), (50.0, 50.0))
    assert zero.verdict is Verdict.EQUAL
    unknown = Interval(0.0, float("nan"), float("nan"))
    assert judge("frac_alive", PAIR, unknown, (0.9, 0.9), (50.0, 50.0)).verdict is Verdict.EQUAL


def test_the_evidence_says_what_the_gain_is_made_of(make_comparison):
    parts = gain_parts({"teacher": {"mse": 10.0}, "control": {"mse": 5.2}, "rsae": {"mse": 5.0}})
    found = make_comparison(("teacher", "control", "rsae"), gain=parts)
    assert "made of: training 96" in answer(found).evidence
    assert "## Feature identity" in markdown(found)
    assert "median firing Jaccard of 0.9" in answer(found).evidence
