"""The route from Python: what it exports, what it shows, and what it says to a wrong argument."""

import io

import pytest
import torch
from rich.console import Console

import rsae
from rsae.errors import ConfigError
from rsae.progress import progress_on, quiet_hugging_face, step_reports, to_show

WRONG = {
    "model": lambda: rsae.load_host(3),
    "SAE": lambda: rsae.load_teacher(3),
    "SAE to refine": lambda: rsae.refine(3),
    "calibration": lambda: rsae.refine("demo:topk", "activations", pursuit=True),
    "host of a harvest": lambda: rsae.harvest("gpt2", {}, "blocks.0.hook_resid_post", "x"),
    "host of tokens": lambda: rsae.token_splits("gpt2", None, 100, 64),
    "store": lambda: rsae.ActivationStore.open(3),
    "RSAE": lambda: rsae.load_rsae(3),
    "teacher": lambda: rsae.upgrade(3, torch.zeros(200, 576)),
    "activations": lambda: rsae.upgrade("demo:relu", "runs/store"),
    "configuration": lambda: rsae.upgrade("demo:relu", torch.zeros(200, 576), {"steps": 3}),
}


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG)
def test_a_wrong_argument_is_told_in_one_line(call):
    with pytest.raises(ConfigError) as caught:
        call()
    assert ";" in str(caught.value)
    assert "\n" not in str(caught.value)


def log() -> Console:
    return Console(file=io.StringIO(), force_terminal=False, width=80)


def test_a_log_has_a_line_for_every_tenth():
    console = log()
    with progress_on(console) as bars:
        task = bars.add_task("harvest", total=1000)
        for _ in range(1000):
            bars.advance(task)
    lines = console.file.getvalue().splitlines()
    assert lines == [f"harvest: {tenth}0 %" for tenth in range(1, 11)]


def test_a_terminal_has_a_bar_and_no_lines():
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with progress_on(console) as bars:
        bars.advance(bars.add_task("harvest", total=10), 10)
    assert "━" in console.file.getvalue()
    assert "harvest: 100 %" not in console.file.getvalue()


def test_nothing_is_shown_where_nothing_is_asked_for(capsys):
    for wanted in (None, False):
        with to_show(wanted) as bars:
            assert bars is None
    console = log()
    with progress_on(console) as given, to_show(given) as bars:
        assert bars is given
    assert capsys.readouterr() == ("", "")


def test_steps_reach_the_log_and_the_callback(capsys):
    seen = []
    with step_reports(seen.append, 10, True) as report:
        for step in range(1, 11):
            report({"variant": "rsae", "rates": 1, "step": step, "l0": 50, "mse": 2, "lambda": 0.1})
    assert [record["step"] for record in seen] == list(range(1, 11))
    assert capsys.readouterr().err.count("rsae: ") == 10


def test_bars_of_hugging_face_are_off_and_then_as_they_were():
    from huggingface_hub.utils import are_progress_bars_disabled
    from transformers.utils import logging

    before = are_progress_bars_disabled(), logging.is_progress_bar_enabled()
    with quiet_hugging_face():
        assert are_progress_bars_disabled()
        assert not logging.is_progress_bar_enabled()
    assert (are_progress_bars_disabled(), logging.is_progress_bar_enabled()) == before


def test_a_notebook_shows_what_an_rsae_is():
    shown = rsae.refine("demo:topk")._repr_html_()
    for fact in ("576 → 1024", "topk (k = 48)", "cg, 3 steps", "blocks.12.hook_resid_post"):
        assert fact in shown


def test_a_hostile_name_stays_text():
    sae = rsae.RSAE(rsae.RSAEConfig(d_in=4, d_sae=8))
    sae.cfg.metadata["hook_name"] = "<script>"
    assert "<script>" not in sae._repr_html_()
