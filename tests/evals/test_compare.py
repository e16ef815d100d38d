import json
from dataclasses import replace

import pytest
import torch

from rsae.data.text import Tokens, shared_text
from rsae_evals import (
    Comparison,
    ComparisonRefused,
    EvaluationError,
    Verdict,
    as_coder,
    compare,
    evaluate,
    evaluation_set,
    reconstruction,
)
from rsae_evals.metrics.downstream import Splicing
from rsae_evals.metrics.reconstruction import Reconstruction


@pytest.fixture(scope="module")
def heldout(data):
    return evaluation_set(data)


def stretched(teacher, factor):
    return replace(teacher, W_dec=factor * teacher.W_dec)


def test_the_better_variant_is_called_better(teacher, heldout):
    found = compare({"teacher": teacher, "rsae": stretched(teacher, 1 / 0.9)}, heldout)
    assert found.difference("mse", "rsae", "teacher").verdict is Verdict.BETTER
    assert found.difference("overall", "rsae", "teacher").verdict is Verdict.BETTER
    assert found.warnings == ()
    for variant, sae in zip(found.variants, (teacher, stretched(teacher, 1 / 0.9)), strict=True):
        alone = reconstruction(sae, heldout.activations)
        assert variant.metrics["mse"] == pytest.approx(alone["mse"], rel=1e-12)
        assert sum(variant.density.counts) == round(alone["frac_alive"] * teacher.d_sae)
    assert Comparison.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_the_exact_copy_cannot_be_told_apart(teacher, rsae, heldout):
    found = compare({"teacher": teacher, "rsae_init": rsae}, heldout)
    assert found.difference("mse", "rsae_init", "teacher").verdict is Verdict.EQUAL
    assert found.difference("l0", "rsae_init", "teacher").verdict is Verdict.MATCHED
    assert found.difference("overall", "rsae_init", "teacher").verdict is Verdict.EQUAL
    identity = found.variant("rsae_init").identity
    assert identity.figures["decoder_cosine"].median == pytest.approx(1)
    assert identity.figures["firing_jaccard"].median == 1


# What must be caught.


def overall(found, variant="damaged", baseline="teacher"):
    return found.difference("overall", variant, baseline)


def test_a_shuffled_decoder_is_called_worse(teacher, rsae, heldout):
    with torch.no_grad():
        rsae.W_dec.copy_(rsae.W_dec[torch.randperm(len(rsae.W_dec))])
    found = compare({"teacher": teacher, "damaged": rsae}, heldout)
    assert overall(found).verdict is Verdict.WORSE


def test_a_halved_output_scale_is_called_worse(teacher, rsae, heldout):
    with torch.no_grad():
        rsae.rational.log_output_scale -= torch.tensor(2.0).log()
    found = compare({"teacher": teacher, "damaged": rsae}, heldout)
    assert overall(found).verdict is Verdict.WORSE


class Leaking:
    """An RSAE without exact zeros: every code is at least a hair away from 0."""

    def __init__(self, inner):
        self.inner, self.d_in, self.d_sae = inner, inner.cfg.d_in, inner.cfg.d_sae

    def encode(self, x):
        return self.inner.encode(x) + 1e-9

    def decode(self, z):
        return self.inner.decode(z)


def test_leaking_tiny_non_zeros_are_refused(teacher, rsae, heldout):
    found = compare({"teacher": teacher, "damaged": Leaking(rsae)}, heldout)
    assert found.variant("damaged").metrics["l0"] == teacher.d_sae
    assert overall(found).verdict in (Verdict.WORSE, Verdict.NOT_COMPARABLE)
    assert found.difference("l0", "damaged", "teacher").verdict is Verdict.WORSE
    assert any("strict L0" in warning for warning in found.warnings)


def test_an_error_won_by_lower_thresholds_is_refused(teacher, rsae, heldout):
    with torch.no_grad():
        rsae.threshold.fill_(0.7)
        rsae.W_dec.div_(0.9)
    found = compare({"teacher": teacher, "damaged": rsae}, heldout)
    before, after = (found.variant(name).metrics for name in ("teacher", "damaged"))
    assert after["mse"] < before["mse"]
    assert after["l0"] > 1.01 * before["l0"]
    assert overall(found).verdict is Verdict.NOT_COMPARABLE
    assert found.difference("mse", "damaged", "teacher").verdict is Verdict.NOT_COMPARABLE


def test_evaluation_on_training_tokens_is_refused(teacher, small_host, tokens):
    x = torch.randn(int((~tokens.special).sum()), teacher.d_in)
    heldout = evaluation_set(x, tokens)
    trained = replace(teacher, metadata={"training_tokens_sha256": tokens.sha256})
    with pytest.raises(ComparisonRefused, match="was trained on these tokens"):
        compare({"teacher": teacher, "damaged": trained}, heldout)
    few = replace(tokens, ids=tokens.ids[6:12], special=tokens.special[6:12],
                  document=tokens.document[6:12])  # fmt: skip
    shared = replace(teacher, metadata={"training_sketches": [few.sketch()]})
    with pytest.raises(ComparisonRefused, match="about 26 % of this text"):
        compare({"teacher": teacher, "damaged": shared}, heldout)
    fresh = replace(tokens, ids=(tokens.ids + 1) % 50)
    other = replace(teacher, metadata={"training_sketches": [fresh.sketch()]})
    compare({"teacher": teacher, "rsae": other}, heldout)


def cut(stream, context):
    """Sequences of a stream of ids, BOS first."""
    rows = stream[: len(stream) // (context - 1) * (context - 1)].reshape(-1, context - 1)
    ids = torch.cat([torch.zeros(len(rows), 1, dtype=torch.int64), rows], dim=1)
    return Tokens(ids, ids == 0, torch.zeros(len(rows), dtype=torch.int64))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_shared_text_is_estimated_whatever_the_sequences(share):
    """100 000 tokens of training; of 20 000 to evaluate on, cut otherwise, a share is theirs."""
    draw = torch.Generator().manual_seed(0)
    stream = torch.randint(1, 5000, (120_000,), generator=draw)
    taken = int(20_000 * share)
    evaluation = torch.cat([stream[50_000 : 50_000 + taken], stream[100_000 : 120_000 - taken]])
    training = cut(stream[:100_000], 128).sketch()
    found = shared_text(training, cut(evaluation, 64).sketch())
    assert found == pytest.approx(share, abs=0.13)


def test_a_sae_of_nan_is_called_worse(teacher, heldout):
    found = compare({"teacher": teacher, "damaged": Broken(teacher)}, heldout)
    assert overall(found).verdict is Verdict.WORSE
    assert found.variant("damaged").metrics["mse"] is None
    assert "not finite" in found.undefined["damaged/mse"]


class Broken:
    def __init__(self, inner):
        self.inner, self.d_in, self.d_sae = inner, inner.d_in, inner.d_sae

    def encode(self, x):
        return self.inner.encode(x)

    def decode(self, z):
        return torch.full((len(z), self.d_in), torch.nan)


# Different tokens, seeds, untrained baselines, curves, the cache.


def test_other_tokens_are_refused(teacher, data, heldout):
    (earlier,) = evaluate([as_coder(teacher)], evaluation_set(data[:500]), [Reconstruction()])
    with pytest.raises(ComparisonRefused, match="other tokens"):
        compare({"teacher": earlier, "rsae": teacher}, heldout)
    (same,) = evaluate([as_coder(teacher)], heldout, [Reconstruction()])
    assert compare({"teacher": same, "rsae": teacher}, heldout).variant("teacher").metrics["mse"]


def test_seeds_are_paired_and_widen_the_interval(teacher, heldout):
    seeds = [stretched(teacher, 1.1 + jitter) for jitter in (-0.02, 0.0, 0.02)]
    found = compare({"teacher": teacher, "rsae": seeds}, heldout)
    alone = compare({"teacher": teacher, "rsae": seeds[1]}, heldout)
    variant = found.variant("rsae")
    assert len(variant.per_seed["mse"]) == 3
    assert variant.metrics["mse"] == pytest.approx(sum(variant.per_seed["mse"]) / 3)
    wide, narrow = (c.difference("mse", "rsae", "teacher") for c in (found, alone))
    assert wide.high - wide.low > narrow.high - narrow.low
    with pytest.raises(EvaluationError, match="seeds"):
        compare({"a": seeds, "b": seeds[:2]}, heldout)


def test_downstream_and_dashboard(teacher, rsae, small_host, tokens):
    x = small_host.residual(tokens.ids, "hook")[~tokens.special]
    heldout = evaluation_set(x, tokens, host=small_host, hook_name="hook")
    with torch.no_grad():
        rsae.W_dec[:5] = -rsae.W_dec[:5]
    found = compare({"teacher": teacher, "rsae": rsae}, heldout)
    variant = found.variant("rsae")
    assert len(variant.per_sequence["delta_ce"]) == 24
    assert sum(variant.delta_ce.counts) == found.tokens["n_tokens_downstream"]
    changed = variant.identity.changed
    assert {c.feature for c in changed} >= {0, 1, 2, 3, 4}
    assert changed[0].decoder_cosine == pytest.approx(-1, abs=1e-6)
    contexts = changed[0].contexts_after
    assert contexts[0].values[contexts[0].peak] == max(max(c.values) for c in contexts)
    assert all(len(c.tokens) == len(c.values) for c in contexts)


def test_curves_and_their_area(teacher, heldout):
    def at(threshold, factor):
        return replace(stretched(teacher, factor), threshold=teacher.threshold + threshold)

    def sweep(factor):
        return [at(t, factor) for t in (-0.1, 0.0, 0.1, 0.2)]

    pareto = {"teacher": sweep(1.0), "rsae": sweep(1 / 0.9)}
    found = compare({"teacher": teacher}, heldout, pareto=pareto)
    (area,) = [a for a in found.areas if a.metric == "mse"]
    assert area.mean_difference < 0
    curves = {c.variant: c for c in found.pareto if c.metric == "mse"}
    assert list(curves["rsae"].l0) == sorted(curves["rsae"].l0)
    assert len(curves["rsae"].value) == 4


def test_a_hook_that_is_not_the_saes_is_warned_of(teacher, small_host, tokens):
    x = small_host.residual(tokens.ids, "hook")[~tokens.special]
    said = replace(teacher, metadata={"hook_name": "blocks.3.hook_resid_post"})
    heldout = evaluation_set(x, tokens, hook_name="blocks.12.hook_resid_post")
    assert any("blocks.3" in said for said in compare({"teacher": said}, heldout).warnings)


class Counting(Reconstruction):
    def __init__(self):
        self.measured = 0

    def measure(self, saes, heldout, progress=None):
        self.measured += len(saes)
        return super().measure(saes, heldout, progress)


def test_what_was_measured_is_not_measured_again(teacher, heldout, tmp_path):
    better = stretched(teacher, 1.1)
    metric = Counting()
    first = compare({"teacher": teacher}, heldout, metrics=[metric], cache=tmp_path)
    again = compare({"teacher": teacher}, heldout, metrics=[metric], cache=tmp_path)
    assert metric.measured == 1
    assert again == first
    compare({"teacher": teacher, "rsae": better}, heldout, metrics=[metric], cache=tmp_path)
    assert metric.measured == 2
    for damage in (lambda content: b"damaged", lambda content: content[:-1] + b"\x7f"):
        for file in tmp_path.iterdir():
            file.write_bytes(damage(file.read_bytes()))
        assert compare({"teacher": teacher}, heldout, metrics=[metric], cache=tmp_path) == first
    assert metric.measured == 4


def test_equal_saes_are_measured_once(teacher, heldout):
    metric = Counting()
    found = compare({"a": teacher, "b": replace(teacher)}, heldout, metrics=[metric])
    assert metric.measured == 1
    assert found.difference("mse", "b", "a").value == 0


def test_progress_reaches_the_end(teacher, small_host, tokens):
    x = small_host.residual(tokens.ids, "hook")[~tokens.special]
    heldout = evaluation_set(x, tokens, host=small_host, hook_name="hook")
    seen = {}
    metrics = [Reconstruction(), Splicing()]
    compare({"teacher": teacher}, heldout, metrics=metrics, progress=seen.__setitem__)
    assert set(seen.values()) == {1.0}


def test_tokens_must_fit_the_activations(tokens):
    with pytest.raises(EvaluationError, match="do not fit"):
        evaluation_set(torch.randn(7, 4), tokens)


@pytest.mark.parametrize(
    "damage",
    [
        lambda one: {"sums.error": one["sums.error"][:-1]},
        lambda one: {"sums.error": one["sums.error"].float()},
        lambda one: {"sums.error": one["sums.error"] * float("nan")},
        lambda one: {"sums.error": one["sums.error"].sum()},
        lambda one: {name: x[:0] for name, x in one.items() if name.startswith("sums.")},
        lambda one: {"sums.error": one["sums.error"][:, None].expand(-1, 3).contiguous()},
        lambda one: {"document": torch.zeros(3, dtype=torch.int64)},
        lambda one: {"document": torch.zeros(len(one["sums.error"]))},
        lambda one: {"extras.fired": one["extras.fired"][:-1]},
        lambda one: {"extras.fired": one["extras.fired"].double() * float("nan")},
    ],
)
def test_a_cached_measurement_of_another_shape_is_made_again(teacher, heldout, tmp_path, damage):
    """Whole files with sound checksums whose arrays do not fit each other or the metric."""
    from rsae.files import load_safetensors, save_safetensors

    def figures():
        found = compare({"teacher": teacher}, heldout, cache=tmp_path)
        return found.variants[0].metrics, found.variants[0].density

    before = figures()
    for path in tmp_path.glob("*.safetensors"):
        arrays = load_safetensors(path)
        save_safetensors(path, arrays | damage(arrays))
    assert figures() == before
