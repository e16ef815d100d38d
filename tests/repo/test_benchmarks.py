"""Benchmarks say of a peer only what they saw."""

import sys

import numpy as np
import pytest
from benchmarks.remez import __main__ as bench
from benchmarks.remez import filters
from benchmarks.remez.problems import PROBLEMS
from benchmarks.remez.solvers import SOLVERS
from benchmarks.rsae import release

ANSWERED = next(one for one in PROBLEMS if one.name == "exp")
MUST_FAIL = next(one for one in PROBLEMS if one.error is None)
DIAGONAL = next(one for one in PROBLEMS if one.name == "log12")


@pytest.fixture
def no_peers(monkeypatch):
    """Neither baryrat, nor a SciPy with AAA, nor Chebfun."""
    monkeypatch.setitem(sys.modules, "baryrat", None)
    monkeypatch.setattr("scipy.interpolate.AAA", None)
    monkeypatch.delattr("scipy.interpolate.AAA")
    monkeypatch.delenv("CHEBFUN_PATH", raising=False)


@pytest.mark.parametrize("problem", [ANSWERED, DIAGONAL, MUST_FAIL], ids=lambda one: one.name)
@pytest.mark.parametrize("name", [name for name in SOLVERS if name != "remez"])
def test_a_peer_that_is_not_installed_is_called_that(no_peers, name, problem):
    answer, seconds, end = bench.timed(SOLVERS[name], problem)
    assert bench.assess(problem, answer, end)[0] == "not installed"
    assert np.isnan(seconds)


def test_table_and_summary_say_not_installed(no_peers, monkeypatch, capsys):
    monkeypatch.setattr(bench, "PROBLEMS", [DIAGONAL, MUST_FAIL])
    result = bench.problems()
    for name in SOLVERS:
        verdicts = {row[name]["verdict"] for row in result["rows"]}
        if name == "remez":
            assert verdicts == {"solved"}
            assert result["summary"][name]["solved"] == 2
        else:
            assert verdicts == {"not installed"}
            assert result["summary"][name].startswith("not installed: ")
    printed = capsys.readouterr().out
    assert "failed" not in printed
    assert "baryrat" in printed  # what to install


def test_a_peer_that_refuses_the_kind_of_problem_is_not_counted():
    answer, _, end = bench.timed(SOLVERS["brasil"], ANSWERED)  # type (5, 4), not diagonal
    assert bench.assess(ANSWERED, answer, end)[0] in ("n/a", "not installed")


def test_filters_compare_two_answers_on_one_grid(monkeypatch):
    """The best error cannot be larger than that of SciPy, whose grid misses a little of it."""
    few = list(filters.filters())[:2]
    monkeypatch.setattr(filters, "filters", lambda: iter(few))
    monkeypatch.setattr(filters, "POLYNOMIALS", {"|x|": (np.abs, 20)})
    result = filters.compare(bench.console)
    assert [row["taps"] for row in result["filters"]] == [51, 51]
    for row in result["filters"]:
        assert 0.95 < row["ours"]["error"] / row["theirs"]["error"] <= 1
    assert result["polynomials"][0]["error"] == pytest.approx(0.0138, rel=0.03)  # 0.28/20


def test_a_release_is_counted_whole_and_its_hours_follow_from_the_rates():
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    for site in release.WIDTH_OF_SITE:
        listed = get_pretrained_saes_directory()[f"gemma-scope-2b-pt-{site}"].saes_map
        assert sum(one.count for one in release.groups(site)) == len(listed)
    rates = {"1,2,3": {"rsae": {"step": 3.0}, "product": {"step": 1.5}}}
    given = release.Assumptions(release.overhead(rates), 1e6, 1e12, 2.0, 1.0)
    assert given.overhead == 2.0
    group = release.Group("ten", 10, 1_000, 10_000)  # 20 M weights: 0.52 GiB in training
    assert group.fit(given) == 3
    # 4e7 operations a token in training and 5.2e9 in each of four passes of the model
    assert group.training_hours(given) * 3600 == pytest.approx(400)
    assert group.model_hours(given) * 3600 == pytest.approx(20_800)
    assert release.Group("giant", 1, 1_000, 10**6).fit(given) == 0
