"""Numbers, tables and the sentence, before any medium."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rsae_evals import compare, evaluation_set
from rsae_evals.report import summary
from rsae_evals.report.answer import answer, question, readable, scope, variant_meaning
from rsae_evals.report.numbers import MINUS, number, percent, signed
from rsae_evals.report.tables import SIGNS, Change, Table, text
from rsae_evals.results import Verdict

finite = st.floats(-1e300, 1e300)


@given(finite, st.integers(2, 6))
def test_a_number_reads_back_to_the_digits_it_shows(value, digits):
    shown = float(number(value, digits).replace(MINUS, "-"))
    assert shown == pytest.approx(value, rel=0.6 * 10.0 ** (1 - digits), abs=0.0)


@given(finite)
def test_a_sign_is_written_where_there_is_one(value):
    assert (signed(value)[0] == "+") == (value > 0)
    assert (signed(value)[0] == MINUS) == (value < 0)


@pytest.mark.parametrize("nothing", [None, math.nan])
def test_what_has_no_value_is_a_dash(nothing):
    assert number(nothing) == signed(nothing) == percent(nothing) == "–"


def test_a_table_refuses_rows_of_another_length():
    with pytest.raises(ValueError, match="2 cells, 3 columns"):
        Table("t", ("a", "b", "c"), (("x", 1.0),))


def test_every_verdict_has_a_sign_of_its_own():
    assert len(set(SIGNS.values())) == len(Verdict)
    assert all(text(verdict).startswith(SIGNS[verdict]) for verdict in Verdict)


def test_a_change_without_an_interval_shows_none():
    assert text(Change(-0.5)) == f"{MINUS}0.500"


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (Verdict.BETTER, "Yes: the RSAE is better than the fine-tuned teacher"),
        (Verdict.WORSE, "No: the RSAE is worse than the fine-tuned teacher"),
        (Verdict.CANNOT_TELL, "cannot tell the RSAE from the fine-tuned teacher"),
        (Verdict.NOT_COMPARABLE, "not comparable"),
    ],
)
def test_the_sentence_says_the_verdict_against_the_control(make_comparison, verdict, words):
    said = answer(make_comparison(verdict=verdict))
    assert said.verdict is verdict
    assert words in said.sentence
    assert "30\N{NARROW NO-BREAK SPACE}208 held-out tokens" in said.evidence


def test_where_sparsity_differs_the_sentence_says_so_and_once():
    eye, zero = torch.eye(6), torch.zeros(6)
    given = {"W_enc": eye, "b_enc": zero, "W_dec": 0.5 * eye, "b_dec": zero}
    denser = {**given, "b_enc": zero + 0.5, "W_dec": 0.9 * eye}
    x = torch.randn(1024, 6, generator=torch.Generator().manual_seed(1))
    said = answer(compare({"old": given, "new": denser}, evaluation_set(x)))
    assert said.verdict is Verdict.NOT_COMPARABLE
    assert "not comparable, for strict L0 is 4." in said.sentence
    assert "strict l0" not in said.evidence.lower()
    assert "Measured on" in said.evidence


def test_without_a_control_the_first_variant_is_the_baseline(make_comparison):
    asked = question(make_comparison(("mine", "theirs", "ours")))
    assert (asked.baseline, asked.subject) == ("mine", "ours")


def test_a_single_variant_is_described_and_not_judged(make_comparison):
    said = answer(make_comparison(("teacher",)))
    assert said.verdict is None
    assert "explains" in said.sentence


def test_the_first_table_has_the_variants_and_metrics_that_decide(comparison):
    table = summary.headline(comparison, question(comparison))
    assert table.columns[1:6] == (
        "teacher", "fine-tuned teacher", "threshold-only baseline",
        "RSAE at initialisation", "RSAE",
    )  # fmt: skip
    labels = [row[0] for row in table.rows]
    assert labels[:6] == [
        "MSE (squared units of x)", "explained variance", "strict L0 (features per token)",
        "alive (share)", "ΔCE (nats per token)", "loss recovered",
    ]  # fmt: skip
    assert table.rows[0][1:6] == tuple(variant.metrics["mse"] for variant in comparison.variants)


def test_provenance_is_flattened_and_hashes_are_whole(comparison):
    facts = dict(summary.provenance(comparison))
    assert facts["versions · sae_lens"] == "6.54.12"
    assert facts["tokens · sha256"] == comparison.tokens["sha256"]


def test_warnings_name_the_variants_of_an_upgrade_as_the_page_does(comparison):
    said = readable(comparison, "strict L0 of threshold_only is 3, of control 4; controls stay")
    assert said == (
        "Strict L0 of threshold-only baseline is 3, of fine-tuned teacher 4; controls stay"
    )


@pytest.mark.parametrize("name", ["a", "demo:topk", "mine"])
def test_a_name_that_the_user_gave_keeps_its_small_letter(make_comparison, name):
    comparison = make_comparison((name, "other"))
    note = f"{name}: the norms of the decoder's rows are folded into the encoder"
    assert readable(comparison, note) == note
    assert readable(comparison, "the set is small") == "The set is small"


def test_the_gain_over_trained_thresholds_is_said_beside(comparison, make_comparison):
    assert "Against the threshold-only baseline: better (MSE −1.9" in answer(comparison).evidence
    without = make_comparison(("teacher", "control", "rsae"))
    assert "threshold-only" not in answer(without).evidence


def test_what_the_intervals_cover_is_said(comparison):
    assert "one training seed" in scope(comparison)
    variants = tuple(
        replace(variant, per_seed={"mse": (1.0, 2.0, 3.0)}) for variant in comparison.variants
    )
    assert "3 training seeds" in scope(replace(comparison, variants=variants))


def test_a_notebook_shows_a_comparison_in_one_table(make_comparison):
    made = make_comparison(names=("teacher", "<b>rsae</b>"))
    shown = made._repr_html_()
    assert "<th>teacher</th><th>&lt;b&gt;rsae&lt;/b&gt;</th>" in shown
    assert "&lt;b&gt;rsae&lt;/b&gt; against teacher: better" in shown
    assert f"<td>mse</td><td>{made.variants[0].metrics['mse']:.4g}</td>" in shown
    assert len(repr(made)) < 200


@pytest.mark.parametrize("step", ["", "_refined", "_pursued"])
@pytest.mark.parametrize("base", ["teacher", "control", "threshold_only", "rational"])
def test_every_variant_of_an_upgrade_is_explained(base, step):
    assert variant_meaning(base + step)
    if step and base == "teacher":  # as `rsae refine` calls them
        assert variant_meaning(step[1:]) == variant_meaning(base + step)
