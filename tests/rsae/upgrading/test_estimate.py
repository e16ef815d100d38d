"""The estimate before an upgrade: what it counts, and how near it comes."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from benchmarks.rsae import whole
from tests.rsae.saes import teacher
from tests.rsae.tiny_model import save_tiny_model

from rsae import UpgradeConfig
from rsae.errors import HostError
from rsae.language_model.shape import ModelShape, model_shape
from rsae.memory import memory_budget
from rsae.train import TrainConfig
from rsae.upgrading.estimate import Work, estimate
from rsae.upgrading.rates import Rates, measure_rates

HOOK = "blocks.5.hook_resid_post"
WORK = Work(HOOK, 48_000)
RATES = Rates(1e11, 1e11, 1e10, 1e-6)
GPT = ModelShape("gpt", 12, 124_000_000, 7_000_000, 768, 50_257, 12, 64, 0)
SAE = teacher("jumprelu", d_in=64, d_sae=2048)


def found(keep="nothing", work=WORK, model=GPT, steps=400, batch=1024, sae=SAE, **settings):
    config = UpgradeConfig(keep=keep, train=TrainConfig(steps=steps, batch_size=batch))
    return estimate(sae, config, work, model, RATES, **settings)


def test_the_shape_of_a_llama_is_that_of_its_matrices(tmp_path):
    """Width 8, MLP 16, two layers, 23 words, embeddings not tied."""
    shape = model_shape(save_tiny_model(tmp_path))
    block = 4 * 8 * 8 + 3 * 8 * 16 + 2 * 8  # attention, MLP, norms
    assert shape.block_parameters == block
    assert shape.parameters == 2 * block + 2 * 23 * 8 + 8
    assert (shape.n_layers, shape.d_model, shape.d_vocab) == (2, 8, 23)
    assert (shape.n_heads, shape.d_head, shape.download_bytes) == (2, 4, 0)


def test_no_weight_is_read_for_a_shape(tmp_path):
    folder = save_tiny_model(tmp_path)
    (folder / "model.safetensors").unlink()
    assert model_shape(folder).n_layers == 2
    (folder / "config.json").write_text("{}")
    with pytest.raises(HostError, match="settings"):
        model_shape(folder)


@pytest.mark.parametrize(
    ("hook", "layers"),
    [("blocks.0.hook_resid_pre", 0), ("blocks.0.hook_mlp_out", 1), (HOOK, 6), ("", 12)],
)
def test_a_pass_costs_the_layers_up_to_the_hook(hook, layers):
    """2 operations a weight, and 2 products of ctx keys and values of width 768."""
    assert GPT.flops_to(hook, 128) == layers * (2 * 7_000_000 + 4 * 128 * 768)
    assert GPT.flops(128) == GPT.flops_to("", 128) + 2 * 768 * 50_257


def test_what_is_not_trained_costs_no_training():
    kept, trained = found("features"), found("nothing")
    assert kept["seconds"]["train"] == 0 < trained["seconds"]["train"]
    large = teacher("jumprelu", d_in=1024, d_sae=65_536)
    weights = 2 * 4 * 1024 * 65_536 / 2**30
    memory = [found(k, sae=large)["peak_memory_gib"] for k in ("features", "nothing")]
    assert memory[1] - memory[0] > 3 * weights


def test_steps_and_batches_are_paid_for():
    once = found(steps=1000)["seconds"]["train"]
    assert found(steps=2000)["seconds"]["train"] == pytest.approx(2 * once, rel=0.3)
    assert found(steps=1000, batch=2048)["seconds"]["train"] > 1.3 * once


def test_the_model_is_paid_for_where_it_runs():
    stored, streamed = found(), found(work=Work(HOOK, 48_000, streamed=True))
    assert streamed["seconds"]["harvest"] < stored["seconds"]["harvest"]
    passes = 400 * 1024 * 128 / 124 * GPT.flops_to(HOOK, 128) / RATES.model_products
    gone = streamed["seconds"]["train"] - stored["seconds"]["train"]
    assert gone == pytest.approx(passes, rel=0.1)
    assert found(work=Work(HOOK, 48_000, cached=True))["seconds"]["harvest"] == 0
    shallow = found(work=Work("blocks.0.hook_resid_post", 48_000))
    assert shallow["seconds"]["harvest"] < stored["seconds"]["harvest"] / 5
    assert streamed["disk_gib"] <= stored["disk_gib"]


def test_memory_is_that_of_the_model_and_of_the_device():
    wide = ModelShape("wide", 26, 2_600_000_000, 77_000_000, 2304, 256_000, 8, 256, 0)
    assert found(model=wide)["peak_memory_gib"] - found()["peak_memory_gib"] > 4 * 2.4
    on_gpu = found(model=wide, bytes_per_weight=2, on_gpu=True)
    assert 2 * 2.4 < on_gpu["device_memory_gib"] < found(model=wide)["peak_memory_gib"]
    assert found()["device_memory_gib"] is None


def test_a_budget_bounds_the_blocks():
    large = teacher("jumprelu", d_in=16, d_sae=131_072)
    free = found("features", sae=large)["peak_memory_gib"]
    with memory_budget(2**28):
        assert found("features", sae=large)["peak_memory_gib"] < free - 3


def test_an_unknown_model_leaves_what_depends_on_it_open():
    partly = found(model=None)
    assert [name for name, one in partly["seconds"].items() if one is None] == [
        "model", "harvest", "report",
    ]  # fmt: skip
    assert partly["total_seconds"] is partly["peak_memory_gib"] is None
    json.dumps(partly, allow_nan=False)


@pytest.mark.parametrize(
    "stated", ["64", "x", [64], {}, True, None, -1, 0, 1e300, 10**300, 3000, float("nan")]
)
def test_an_l0_that_is_no_number_of_features_is_the_usual_one(stated):
    assert found(sae=replace(SAE, metadata={"l0": stated})) == found()
    assert found(sae=replace(SAE, metadata={"l0": 512})) != found()


def test_rates_are_those_of_the_device():
    rates = measure_rates(torch.device("cpu"))
    assert rates.products > 1e8
    assert rates.model_products > 1e8
    assert rates.memory > 1e7
    assert 1e-8 < rates.call < 1e-2


def test_the_peak_is_not_that_of_the_process_that_started_this_one():
    code = "from rsae.upgrading.estimate import peak_memory_gib; print(peak_memory_gib())"
    starts = f"""
import subprocess, sys
held = bytearray(b"x") * (3 * 2**29)
sys.exit(subprocess.run([sys.executable, "-c", {code!r}]).returncode)
"""
    done = subprocess.run(
        [sys.executable, "-c", starts], capture_output=True, text=True, check=False
    )
    assert 0.1 < float(done.stdout) < 1.4, done.stderr


def test_an_upgrade_takes_what_was_estimated_to_within_a_factor_of_two():
    """In seconds of the CPU, whatever else the machine does, and in memory."""
    one = whole.measured("256,2048,512", steps=40)
    for unit in ("seconds", "gib"):
        assert 0.5 <= one["estimated"][unit] / one["measured"][unit] <= 2, one
