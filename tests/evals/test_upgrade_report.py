"""What ends an upgrade, on small dictionaries."""

import io

import pytest
import torch
from rich.console import Console

from rsae.data import Activations
from rsae.language_model.site import Site
from rsae_evals.integrations.upgrade_report import evaluate_upgrade
from rsae_evals.report import read
from rsae_evals.results import Verdict

SITE = Site("blocks.3.hook_resid_post", "blocks.3.hook_resid_post")
VARIANTS = {"teacher": 0.5, "control": 0.7, "threshold_only": 0.8, "rsae_init": 0.5, "rsae": 0.9}


def relu(scale):
    eye, zero = torch.eye(6), torch.zeros(6)
    return {"W_enc": eye, "b_enc": zero, "W_dec": scale * eye, "b_dec": zero}


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    out = tmp_path_factory.mktemp("upgrade")
    x = torch.rand(1024, 6, generator=torch.Generator().manual_seed(1))
    screen = io.StringIO()
    found = evaluate_upgrade(
        {name: relu(scale) for name, scale in VARIANTS.items()},
        host=None,
        site=SITE,
        heldout=Activations.from_tensor(x),
        tokens=None,
        out=out,
        provenance={"seed": 7, "gate": {"error": 0.25}},
        console=Console(file=screen, width=80),
    )
    return found, out, screen.getvalue()


def test_it_is_better_than_the_control_and_no_more_than_that(ended):
    found, _, _ = ended
    assert found.difference("overall", "rsae", "control").verdict is Verdict.BETTER
    assert found.difference("overall", "control", "teacher").verdict is Verdict.BETTER
    assert found.difference("mse", "rsae_init", "teacher").verdict is Verdict.EQUAL


def test_the_error_is_that_of_the_scale(ended):
    """x is positive, so x_hat = scale x and mse falls as (1 - scale)², whatever the data."""
    found, _, _ = ended
    teacher = found.variant("teacher").metrics["mse"]
    for name, scale in VARIANTS.items():
        expected = teacher * ((1 - scale) / 0.5) ** 2
        assert found.variant(name).metrics["mse"] == pytest.approx(expected, rel=1e-5)


def test_the_report_is_in_the_folder_of_the_upgrade(ended):
    found, out, _ = ended
    assert {"report.html", "report.md", "report.json"} <= {p.name for p in out.iterdir()}
    assert read(out).to_dict() == found.to_dict()


def test_provenance_is_the_upgrade_s_and_this_process_s(ended):
    known = ended[0].provenance
    assert known["seed"] == 7
    assert known["hook_name"] == "blocks.3.hook_resid_post"
    assert {"torch", "rsae", "sae-lens"} <= known["versions"].keys()


def test_the_table_fits_eighty_columns(ended):
    lines = ended[2].splitlines()
    assert any("better than the fine-tuned teacher" in line for line in lines)
    table = [line for line in lines if line.startswith(("teacher", "RSAE", "verdict"))]
    assert len(table) >= 4
    assert all(len(line) <= 80 for line in table)
    assert "…" not in "".join(table)


def test_a_control_that_fine_tuning_made_worse_is_called_weak(tmp_path):
    variants = VARIANTS | {"control": 0.4}
    screen = io.StringIO()
    x = torch.rand(1024, 6, generator=torch.Generator().manual_seed(1))
    evaluate_upgrade(
        {name: relu(scale) for name, scale in variants.items()},
        host=None,
        site=SITE,
        heldout=Activations.from_tensor(x),
        tokens=None,
        out=tmp_path,
        provenance={},
        baseline="control",
        console=Console(file=screen, width=400),
    )
    assert (
        "This baseline is weak and biases the comparison: fine-tuning raised its MSE by 44"
        in " ".join(screen.getvalue().split())
    )  # 0.6² / 0.5²
    assert "baseline is weak" in (tmp_path / "report.md").read_text()


def test_a_control_that_improved_is_not(ended):
    assert "baseline is weak" not in ended[2]
