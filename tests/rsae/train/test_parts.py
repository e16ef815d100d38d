"""Batches that go through in parts: within a budget, and once a device's memory is full."""

import importlib
from dataclasses import astuple, replace

import pytest
import torch
from tests.rsae.saes import FAMILIES, sparse_world, world_teacher

import rsae
from rsae import RSAE, RationalActivation, UpgradeConfig
from rsae.data import Activations
from rsae.errors import ConfigError, TrainingError
from rsae.memory import memory_budget, parse_size, rows_at_once
from rsae.metrics import measure
from rsae.train import TrainConfig, Training, loop, measure_units, train_together
from rsae.upgrading import RationalConfig, fit_rational
from rsae.upgrading.calibrate import calibrate, with_trainable_thresholds

forward, scales = (importlib.import_module(f"rsae.train.{n}") for n in ("forward", "scales"))
CONFIG = TrainConfig(steps=6, batch_size=100)
X, _ = sparse_world(2000)
DATA = Activations.from_tensor(X)


def training(family):
    support = "topk" if family == "topk" else "threshold"
    sae = RSAE.from_teacher(
        world_teacher(family), RationalActivation.constant((3, 2), 3.0), support=support
    )
    objective = "l1" if family == "relu" else "l0"
    units = measure_units(sae, X[:512], objective, CONFIG.window)
    return Training(sae, objective, units, measure(sae, X).l0, CONFIG)


def trained(family):
    one = training(family)
    start = {name: p.detach().clone() for name, p in one.sae.named_parameters()}
    (result,) = train_together([one], lambda s: DATA.batches(100, seed=0, epochs=None, start=s))
    moved = {name: p.detach() - start[name] for name, p in one.sae.named_parameters()}
    return moved, result


def assert_close(found, expected):
    for name, change in expected.items():
        size = change.norm()
        assert (found[name] - change).norm() <= 2e-3 * size + 1e-6, name


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rows", [1, 33, 50])
def test_parts_have_the_gradient_of_the_whole(family, rows):
    """But for the rounding of another order of sums."""
    whole, parts = (loop._Run(training(family)) for _ in range(2))
    parts.at_once = rows
    x = X[:100]
    for run in (whole, parts):
        run.error, run.loss, run.parts = run._gradient(x, 0.7)
    assert parts.loss == pytest.approx(whole.loss, rel=1e-5)
    assert sum(len(part.cols) for part in parts.parts) == len(whole.parts[0].cols)
    for (name, p), q in zip(parts.sae.named_parameters(), whole.sae.parameters(), strict=True):
        if q.grad is not None:
            assert (p.grad - q.grad).norm() <= 1e-4 * q.grad.norm() + 1e-7, name


def test_a_full_device_halves_the_parts_and_goes_on(monkeypatch):
    expected, _ = trained("jumprelu")
    forward, sizes = loop.forward, []

    def small(sae, x, *args, **kwargs):
        sizes.append(len(x))
        if len(x) > 30:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(sae, x, *args, **kwargs)

    monkeypatch.setattr(loop, "forward", small)
    found, result = trained("jumprelu")
    assert sizes[:4] == [100, 50, 25, 25]
    assert result.split_to == 25
    assert_close(found, expected)


def test_a_result_says_that_the_device_was_full(monkeypatch):
    forward = loop.forward

    def small(sae, x, *args, **kwargs):
        if len(x) > 40:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(sae, x, *args, **kwargs)

    monkeypatch.setattr(loop, "forward", small)
    config = UpgradeConfig(keep="nothing", train=replace(CONFIG, steps=3), calibration_tokens=400)
    result = rsae.upgrade(world_teacher("jumprelu"), X, config)
    assert any("parts of 25 tokens" in note for note in result.notes)


def test_a_device_that_holds_not_one_token_is_one_line(monkeypatch):
    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loop, "forward", full)
    with pytest.raises(TrainingError, match="single token"):
        trained("relu")


@pytest.mark.parametrize("objective", ["l0", "l1", "none"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_scales_of_training_are_those_of_all_rows_together(family, objective, monkeypatch):
    """Quantiles, sums and gradients over tokens do not depend on how tokens are divided."""
    found = []
    for rows in (len(X), 37):
        sae = training(family).sae
        with torch.no_grad():
            sae.W_dec *= 0.2  # larger activations are better: an L1 penalty has a price
        monkeypatch.setattr(scales, "rows_at_once", lambda *_, rows=rows: rows)
        found.append(astuple(measure_units(sae, X, objective, CONFIG.window)))
    assert found[1] == pytest.approx(found[0], rel=1e-4)
    if objective == "l1":
        assert found[0][-1] > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_a_budget_changes_nothing_but_rounding(family):
    origin = world_teacher(family)
    config = RationalConfig()
    least = 4 * 6 * origin.d_sae * 37
    found = []
    for budget in (None, least):
        with memory_budget(budget):
            start = calibrate(origin, fit_rational(config), X)
            lifted = with_trainable_thresholds(start, origin, X)
            found.append((measure(start, X), measure(lifted, X), lifted.threshold.clone()))
    (a, b, t), (c, d, u) = found
    assert (c.l0, c.frac_alive) == (a.l0, a.frac_alive)
    assert c.mse == pytest.approx(a.mse, rel=1e-5)
    assert d.mse == pytest.approx(b.mse, rel=1e-4)
    torch.testing.assert_close(u, t, rtol=1e-4, atol=1e-6)


def test_no_dense_block_is_larger_than_the_budget_allows(monkeypatch):
    """Every product with the encoder, of all stages of an upgrade."""
    origin = world_teacher("jumprelu")
    widest = []
    encode = RSAE.encode_pre_act
    monkeypatch.setattr(
        RSAE, "encode_pre_act", lambda self, x: widest.append(len(x)) or encode(self, x)
    )
    first_pass = RSAE.first_pass
    monkeypatch.setattr(
        RSAE, "first_pass", lambda self, x: widest.append(len(x)) or first_pass(self, x)
    )
    dense = forward._dense_pre_acts
    monkeypatch.setattr(
        forward, "_dense_pre_acts", lambda *given: widest.append(len(given[1])) or dense(*given)
    )
    config = UpgradeConfig(keep="nothing", train=replace(CONFIG, steps=2), calibration_tokens=400)
    with memory_budget(max(2**20, 4 * 6 * origin.d_sae * 37)):
        rows = rows_at_once(origin.d_sae, 10**6)
        rsae.upgrade(origin, X, config)
    assert 0 < max(widest) <= rows


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GB", 2 * 10**9), ("1.5 GiB", 3 * 2**29), ("800m", 8 * 10**8), ("1048576", 2**20)],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-2GB", "2TB", "1e9", "nan", "5", "0GB", "9" * 40])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ConfigError, match="of memory"):
        parse_size(text)
