"""A cell of the experiment from end to end, on the packaged world and with few steps."""

import json

import pytest
from experiments import tables, worlds
from experiments.specification import WorldCell

import rsae_evals.synthetic as synthetic


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worlds")
    cell = WorldCell(5, "topk", 0)
    (folder / cell.folder).symlink_to(next(iter(synthetic.__path__)) + "/data")
    before, worlds.SAMPLES = worlds.SAMPLES, 40_960
    try:
        return worlds.run(cell, 2, folder)
    finally:
        worlds.SAMPLES = before


def test_every_variant_has_its_figures(record):
    assert set(record["variants"]) == set(tables.VARIANT)
    assert json.loads(json.dumps(record)) == record


def test_the_chain_of_variants_is_the_one_that_the_names_say(record):
    mse = {name: one["figures"]["mse"] for name, one in record["variants"].items()}
    assert mse["teacher_pursued"] < mse["teacher_refined"] < mse["teacher"]
    assert all(mse[f"{n}_refined"] < mse[n] for n in ("control", "threshold_only", "rational"))
    assert record["variants"]["teacher_refined"]["identity"]["firing_jaccard"][0] > 0.95


def test_its_rows_stand_in_the_table(record):
    group = tables.Group("topk", "topk", [record])
    assert tables.worlds_table([group]).count("\n") == len(tables.VARIANT) + 1
    assert "the default against CG alone" in tables.worlds_contrasts_table([group])
