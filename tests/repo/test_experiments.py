"""The experiment: what it evaluates on, what it keeps, and that its page says what it kept."""

import copy
import json
import statistics

import pytest
import torch
from experiments import tables
from experiments.__main__ import run
from experiments.language import chosen_documents, first_sequences
from experiments.records import RESULTS, SHARED
from experiments.specification import EXPERIMENTS, WORLDS, world_cells

from rsae.data.text import Tokens, documents, split


def test_nothing_was_chosen_or_trained_on_the_documents_that_are_evaluated():
    train, evaluated = chosen_documents(24)
    assert len(evaluated) == 24
    assert len(train) + len(evaluated) == len(documents())
    seen = {document.title for document in train}
    seen |= {document.title for document in split(documents(), heldout=0.1, seed=0)[1]}
    assert not seen & {document.title for document in evaluated}


def test_documents_count_alike():
    document = torch.tensor([0, 0, 0, 1, 2, 2, 2, 2])
    ids = torch.arange(24).reshape(8, 3)
    kept = first_sequences(Tokens(ids, ids < 0, document), 2)
    assert kept.document.tolist() == [0, 0, 1, 2, 2]
    assert kept.ids[:, 0].tolist() == [0, 3, 9, 12, 15]


def test_cells_come_seed_by_seed_so_that_each_family_is_there_early():
    cells = list(EXPERIMENTS["reduced"].cells())
    assert [cell.family for cell in cells[:4]] == ["relu", "jumprelu", "topk", "batchtopk"]
    assert len({cell.name for cell in cells}) == len(cells) == 12
    assert len(list(EXPERIMENTS["full"].cells())) == 192


def test_no_two_teachers_of_worlds_share_a_seed():
    cells = list(world_cells())
    assert len({cell.name for cell in cells}) == len(cells) == 45
    seeds = {(cell.family, cell.teacher_seed) for cell in cells}
    assert len(seeds) == len(cells)
    assert {cell.world for cell in cells[:15]} == set(WORLDS)


def test_teachers_of_one_world_count_as_one_world():
    records = [
        {"world": world, "variants": {"teacher": {"figures": {"f1": 0.5}}, "rational": after}}
        for world, f1 in ((41, 0.5), (41, 0.7), (42, 0.6), (42, 0.8), (43, 0.8))
        for after in ({"figures": {"f1": f1}},)
    ]
    found = tables.Group("topk", "topk", records).over_seeds("rational", "teacher", "f1")
    means = [0.1, 0.2, 0.3]  # Student's interval over three worlds, t = 4.3027
    assert found.estimate == pytest.approx(0.2)
    assert found.high - 0.2 == pytest.approx(4.3027 * statistics.stdev(means) / 3**0.5, rel=1e-4)


def test_a_finished_cell_is_not_run_again(tmp_path):
    ran = []

    def job(name):
        def work():
            ran.append(name)
            return {"cell": name}

        return name, work

    run([job("a-1"), job("b-1")], tmp_path, only="a")
    run([job("a-1"), job("b-1")], tmp_path)
    assert ran == ["a-1", "b-1"]
    assert json.loads((tmp_path / "b-1.json").read_text()) == {"cell": "b-1"}


def record(ratio):
    """A teacher, and a variant with `ratio` times its error, on three documents."""
    sums = {"n": [10.0, 20, 30], "predicted": [9.0, 19, 29], "clean": [27.0, 57, 87]}
    sums["ablated"] = [90.0, 190, 290]
    own = {"error": [50.0, 120, 160], "l0": [40.0, 80, 120], "spliced": [36.0, 76, 116]}
    teacher = {
        "figures": {"mse": 5.5, "l0": 4.0, "frac_alive": 1.0, "delta_ce": 1.0,
                    "kl_div_with_sae": 1.0, "ce_loss_score": 0.85},
        "identity": {"firing_jaccard": [1.0, 1.0], "decoder_cosine": [1.0, 1.0]},
        "sums": own | {"kl": [9.0, 19, 29]},
    }  # fmt: skip
    other = copy.deepcopy(teacher)
    other["sums"]["error"] = [ratio * value for value in own["error"]]
    assert set(sums) == set(SHARED)
    return {"sums": sums, "variants": {"teacher": teacher, "teacher_refined": other}}


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_change_is_the_ratio_of_the_errors_and_its_interval_that_of_the_documents(seeds):
    group = tables.Group("smollm2-20-topk-50", "topk", [record(0.5)] * seeds)
    change = group.difference("teacher_refined", "teacher")
    assert tables.percent(change["log_mse"]) == "−50.0 (−50.0 to −50.0)"
    assert tables.signed(change["delta_ce"], 3) == "+0.000 (+0.000 to +0.000)"
    assert "| TopK" in tables.variants_table([group])


def test_the_page_says_what_the_records_hold(tmp_path):
    page = tmp_path / "results.md"
    page.write_text(tables.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    tables.write(RESULTS, page)
    assert page.read_text(encoding="utf-8") == tables.PAGE.read_text(encoding="utf-8")


def test_every_set_of_records_has_its_tables_on_the_page():
    text = tables.PAGE.read_text(encoding="utf-8")
    for folder in RESULTS.iterdir():
        assert f"<!-- {folder.name}:variants -->" in text
    assert sum(file.stat().st_size for file in RESULTS.rglob("*.json")) < 5e6
