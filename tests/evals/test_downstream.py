"""Splicing, against cross entropy and KL computed by hand, and on the real model."""

import numpy as np
import pytest
import torch

from rsae_evals import EvaluationError, downstream, evaluation_set
from rsae_evals.coder import as_coder
from rsae_evals.metrics.downstream import Splicing, spaced


class Scaled:
    """x̂ = factor · x."""

    def __init__(self, d, factor):
        self.d_in = self.d_sae = d
        self.factor = factor

    def encode(self, x):
        return x

    def decode(self, z):
        return self.factor * z


def by_hand(host, tokens, factor):
    """Means over counted predictions in float64, one token at a time."""
    laws = {
        name: torch.log_softmax(host.logits(tokens.ids, "hook", replace).double(), -1)
        for name, replace in {
            "clean": None, "spliced": lambda x: factor * x, "ablated": torch.zeros_like,
        }.items()
    }  # fmt: skip
    rows = {name: [] for name in (*laws, "kl")}
    for s in range(len(tokens.ids)):
        for t in range(tokens.ids.shape[1] - 1):
            if tokens.special[s, t] or tokens.special[s, t + 1]:
                continue
            for name, law in laws.items():
                rows[name].append(-law[s, t, tokens.ids[s, t + 1]].item())
            p, q = laws["clean"][s, t], laws["spliced"][s, t]
            rows["kl"].append((p.exp() * (p - q)).sum().item())
    return {name: np.mean(values) for name, values in rows.items()}, len(rows["kl"])


def test_figures_are_those_by_hand(small_host, tokens):
    found = downstream(Scaled(small_host.d_model, 0.6), small_host, tokens, "hook")
    truth, n = by_hand(small_host, tokens, 0.6)
    metrics = found.metrics()
    assert found.n_tokens == n
    assert metrics["ce_loss_without_sae"] == pytest.approx(truth["clean"], rel=1e-5)
    assert metrics["ce_loss_with_sae"] == pytest.approx(truth["spliced"], rel=1e-5)
    assert metrics["ce_loss_with_ablation"] == pytest.approx(truth["ablated"], rel=1e-5)
    assert metrics["kl_div_with_sae"] == pytest.approx(truth["kl"], rel=1e-4)
    assert metrics["delta_ce"] == pytest.approx(truth["spliced"] - truth["clean"], rel=1e-4)
    gap = truth["ablated"] - truth["clean"]
    assert np.isnan(metrics["ce_loss_score"]) == (gap <= 0)


def test_a_perfect_sae_loses_nothing(small_host, tokens):
    metrics = downstream(Scaled(small_host.d_model, 1.0), small_host, tokens, "hook").metrics()
    assert metrics["delta_ce"] == 0
    assert metrics["kl_div_with_sae"] == 0


def test_a_dead_sae_is_the_ablation(small_host, tokens):
    found = downstream(Scaled(small_host.d_model, 0.0), small_host, tokens, "hook")
    np.testing.assert_array_equal(found.ce_spliced, found.ce_ablated)


def test_special_tokens_count_nowhere(small_host, tokens):
    found = downstream(Scaled(small_host.d_model, 0.5), small_host, tokens, "hook")
    counted = np.isfinite(found.ce_clean)
    special = tokens.special.numpy()
    assert not counted[special[:, :-1]].any()
    assert not counted[special[:, 1:]].any()
    assert counted.sum() == found.n_tokens == np.isfinite(found.delta_ce).sum()


def test_loss_recovered_is_undefined_where_ablation_does_no_harm(small_host, tokens):
    metric = Splicing()
    totals = {"n": np.array(2.0), "clean": np.array(4.0), "spliced": np.array(5.0),
              "ablated": np.array(4.0), "kl": np.array(0.1)}  # fmt: skip
    values = metric.values(totals)
    assert np.isnan(values["ce_loss_score"])
    assert values["delta_ce"] == 0.5


def test_several_saes_in_one_pass_are_what_each_is_alone(small_host, tokens):
    saes = [as_coder(Scaled(small_host.d_model, f)) for f in (0.3, 0.9)]
    n = int((~tokens.special).sum())
    heldout = evaluation_set(
        torch.zeros(n, small_host.d_model), tokens, host=small_host, hook_name="hook"
    )
    together = Splicing().measure(saes, heldout)
    for sae, measurement in zip(saes, together, strict=True):
        alone = downstream(sae, small_host, tokens, "hook").measurement()
        for name in alone.sums:
            np.testing.assert_array_equal(measurement.sums[name], alone.sums[name])


def test_spaced_sequences_keep_their_documents(tokens):
    few = spaced(tokens, 4)
    assert few.document.tolist() == [0, 1, 2, 3]
    assert spaced(tokens, 99) is tokens


def test_bad_input_is_one_line(small_host, tokens):
    with pytest.raises(EvaluationError, match="d_in = 3"):
        downstream(Scaled(3, 1.0), small_host, tokens, "hook")
    with pytest.raises(EvaluationError, match="need tokens"):
        Splicing().measure([as_coder(Scaled(4, 1.0))], evaluation_set(torch.randn(8, 4)))
