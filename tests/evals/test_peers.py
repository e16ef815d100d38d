"""SAELens' and SAEBench's own evaluations on the same SAE and tokens: what differs, and why."""

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sae_lens.saes.sae import SAEMetadata

from rsae_evals import EvaluationError, reconstruction
from rsae_evals.integrations.saebench import SAEBenchCoder

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks" / "evals"
HOOK = "blocks.0.hook_resid_post"


def load(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def saelens():
    load("peers")
    return load("saelens_table")


@pytest.fixture(scope="module")
def rows(saelens):
    return {name: (theirs, ours) for name, theirs, ours in saelens.table(*saelens.small())}


def test_what_is_called_equal_is_equal(saelens, rows):
    for name, why in saelens.EXPLAINED.items():
        if why.startswith("equal"):
            theirs, ours = rows[name]
            assert ours == pytest.approx(theirs, rel=1e-5), name


def test_the_differences_are_the_ones_named(saelens, rows):
    """Each of ours, put in their way, gives theirs."""
    sae, model, host, tokens, hook_name = saelens.small()
    ids = tokens.ids
    with torch.no_grad():
        zeroed = model.run_with_hooks(
            ids, fwd_hooks=[(hook_name, lambda r, hook: torch.zeros_like(r))]
        )
        clean = host.logits(ids).log_softmax(-1)
        spliced = host.logits(ids, hook_name, lambda x: sae.decode(sae.encode(x))).log_softmax(-1)
    losses = -zeroed[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    ordinary = ~tokens.special
    ablated = losses[ordinary[:, :-1]].mean().item()
    assert rows["ce_loss_with_ablation"][0] == pytest.approx(ablated, rel=1e-5)
    kl = (clean.exp() * (clean - spliced)).sum(-1)[ordinary].mean().item()
    assert rows["kl_div_with_sae"][0] == pytest.approx(kl, rel=1e-4)
    x = host.residual(ids, hook_name)
    batches = zip(x.split(8), ordinary.split(8), strict=True)
    bias = [reconstruction(sae, b[keep])["relative_reconstruction_bias"] for b, keep in batches]
    assert rows["relative_reconstruction_bias"][0] == pytest.approx(np.mean(bias), rel=1e-5)
    with_sae, without = (rows[f"ce_loss_{k}_sae"][0] for k in ("with", "without"))
    score = (ablated - with_sae) / (ablated - without)
    assert rows["ce_loss_score"][0] == pytest.approx(score, rel=1e-4)


# SAEBench: its documented protocol here, the real one in its own environment.


def test_the_adapter_keeps_what_the_sae_does(rsae, data):
    variant = SAEBenchCoder(rsae, "small", HOOK)
    x = data[:200]
    with torch.no_grad():
        assert torch.allclose(variant(x), rsae.decode(rsae.encode(x)), atol=1e-5)
        assert torch.equal(variant.encode(x) != 0, rsae.encode(x) != 0)
    assert variant.W_dec.norm(dim=1) == pytest.approx(1, abs=1e-5)
    for name in ("mse", "l0", "explained_variance"):
        assert reconstruction(variant, x)[name] == pytest.approx(
            reconstruction(rsae, x)[name], 1e-5
        )


def test_the_adapter_has_what_saebench_reads(rsae):
    variant = SAEBenchCoder(rsae, "small", HOOK, context_size=64)
    assert variant.W_enc.shape == (48, 40)
    assert variant.W_dec.shape == (40, 48)
    assert (variant.b_enc.shape, variant.b_dec.shape) == ((40,), (48,))
    assert variant.to(device="cpu", dtype=torch.float32) is variant
    assert (variant.dtype, variant.device) == (torch.float32, torch.device("cpu"))
    assert (variant.cfg.hook_layer, variant.cfg.hook_name, variant.cfg.d_sae) == (0, HOOK, 40)
    assert isinstance(variant.cfg.metadata, SAEMetadata)
    variant.cfg.architecture_str = "rational"  # SAEBench adds fields of its own
    assert json.dumps(variant.cfg.to_dict())


def test_what_saebench_cannot_evaluate_is_refused(teacher, rsae):
    with pytest.raises(EvaluationError, match="names no layer"):
        SAEBenchCoder(rsae, "small", "embed")
    with pytest.raises(EvaluationError, match="normalises"):
        SAEBenchCoder(replace(teacher, normalize_activations="layer_norm"), "small", HOOK)


@pytest.mark.skipif(
    "RSAE_SAEBENCH_PYTHON" not in os.environ,
    reason="SAEBench needs its own environment: see benchmarks/evals/saebench_core.py, "
    "then set RSAE_SAEBENCH_PYTHON to its python",
)
def test_saebench_itself_agrees_where_it_should():
    packages = BENCHMARKS.parents[1] / "packages"
    path = os.pathsep.join(str(packages / p / "src") for p in ("remez", "rsae", "evals"))
    script = BENCHMARKS / "saebench_core.py"
    done = subprocess.run(
        [os.environ["RSAE_SAEBENCH_PYTHON"], script, "--json"],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout.strip().splitlines()[-1])
    for name in ("l0", "l1", "cossim", "l2_ratio", "ce_loss_with_sae", "ce_loss_without_sae"):
        theirs, ours = found[name]
        assert ours == pytest.approx(theirs, rel=1e-5), name
    tokens_per_batch = 8 * 31  # its mse is divided by them once too often
    assert found["mse"][1] == pytest.approx(tokens_per_batch * found["mse"][0], rel=1e-5)
