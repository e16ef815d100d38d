"""Rows on which an SAE was calibrated are refused, and commands choose others."""

from dataclasses import replace

import pytest
import torch

from rsae.data import ActivationStore, harvest
from rsae.data.text import Tokens
from rsae.upgrading.pipeline import recorded
from rsae.upgrading.refining import refine
from rsae_evals import ComparisonRefused, as_coder, compare, evaluation_set
from rsae_evals.data.leakage import without_calibration


def text(n_sequences, seed, context=64):
    """Sequences of random tokens, BOS first, six a document."""
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(2, 5000, (n_sequences, context), generator=draw)
    ids[:, 0] = 0
    return Tokens(ids, ids == 0, torch.arange(n_sequences) // 6)


def part(tokens, rows):
    return Tokens(tokens.ids[rows], tokens.special[rows], tokens.document[rows])


def activations(tokens, width):
    return torch.randn(tokens.n_tokens, width, generator=torch.Generator().manual_seed(1))


def test_calibration_rows_are_refused(teacher):
    tokens = text(60, 0)
    used = replace(teacher, metadata={"calibration_sketches": [part(tokens, slice(20)).sketch()]})
    heldout = evaluation_set(activations(tokens, teacher.d_in), tokens)
    with pytest.raises(ComparisonRefused, match=r"calibrated on about 3. % of this text"):
        compare({"teacher": teacher, "rsae": used}, heldout)


@pytest.mark.parametrize("n_calibration", [6, 60, 240])
def test_others_are_chosen(teacher, n_calibration):
    """Denser and sparser sketches than the 1 024 hashes that one keeps."""
    tokens = text(300, 1)
    mixed = torch.randperm(300, generator=torch.Generator().manual_seed(2))
    used, fresh = mixed[:n_calibration].sort().values, mixed[n_calibration:].sort().values
    sketch = part(tokens, used).sketch()
    sae = as_coder(replace(teacher, metadata={"calibration_sketches": [sketch]}))
    kept = without_calibration(tokens, [as_coder(teacher), sae])
    chosen = {tuple(row) for row in kept.ids.tolist()}
    missed = sum(tuple(row) in chosen for row in tokens.ids[used].tolist())
    assert missed <= 0.03 * n_calibration
    assert {tuple(row) for row in tokens.ids[fresh].tolist()} <= chosen
    compare({"a": sae}, evaluation_set(activations(kept, teacher.d_in), kept))


def test_a_sketch_too_thin_to_tell_sequences_leaves_the_refusal(teacher):
    tokens = text(3000, 3)
    sketch = part(tokens, slice(2900)).sketch()
    sae = as_coder(replace(teacher, metadata={"calibration_sketches": [sketch]}))
    kept = without_calibration(tokens, [sae])
    assert len(kept.ids) == 3000
    with pytest.raises(ComparisonRefused, match="calibrated"):
        compare({"a": sae}, evaluation_set(activations(kept, teacher.d_in), kept))


def test_nothing_left_is_one_sentence(teacher):
    tokens = text(12, 4)
    sae = as_coder(replace(teacher, metadata={"calibration_sketches": [tokens.sketch()]}))
    with pytest.raises(ComparisonRefused, match="another with --text"):
        without_calibration(tokens, [sae])


@pytest.mark.parametrize("broken", [3, "abc", [3, None], [""], ["zz zz"], {"a": 1}])
def test_sketches_of_any_type_do_no_harm(teacher, broken):
    tokens = text(12, 5)
    sae = as_coder(replace(teacher, metadata={"calibration_sketches": broken}))
    assert len(without_calibration(tokens, [sae]).ids) == 12


class Harvested:
    """What `harvest` asks of a model, for a store of random activations."""

    name, d_model, special_token_ids, fingerprint = "small", 48, (0, 1), "00" * 32
    device = torch.device("cpu")

    def check_hook(self, hook_name):
        pass

    def residuals(self, ids, hooks):
        return {hook: torch.randn(*ids.shape, self.d_model) for hook in hooks}


def test_an_upgrade_records_what_it_used(teacher, tmp_path):
    parts = {"train": text(30, 6), "calibration": text(12, 7), "heldout": text(12, 8)}
    store = harvest(Harvested(), parts, "hook", tmp_path)
    assert isinstance(store, ActivationStore)
    known = recorded(teacher, store).metadata
    assert known["training_sketches"] == [parts["train"].sketch()]
    assert known["calibration_sketches"] == [parts["calibration"].sketch()]
    twice = recorded(recorded(teacher, store), store).metadata
    assert len(twice["calibration_sketches"]) == 2


def test_so_does_a_pursuit(teacher, tmp_path):
    parts = {"train": text(6, 6), "calibration": text(80, 7), "heldout": text(6, 8)}
    store = harvest(Harvested(), parts, "hook", tmp_path)
    found = refine(teacher, store, pursuit=True)
    assert as_coder(found).metadata["calibration_sketches"] == [parts["calibration"].sketch()]
    assert not as_coder(refine(teacher)).metadata.get("calibration_sketches")


def test_lost_sketches_are_told_in_a_line(teacher):
    """A copy of `cfg.json` and the weights alone cannot be checked for text that was used."""
    tokens = text(60, 9)
    heldout = evaluation_set(activations(tokens, teacher.d_in), tokens)
    sketch = part(tokens, slice(3)).sketch()
    whole = replace(teacher, metadata={"text_sketches": 1, "training_sketches": ["0a"]})
    lost = replace(teacher, metadata={"text_sketches": 2, "training_sketches": ["0a"]})
    found = compare({"whole": whole, "copy": lost}, heldout, pareto={"curve": [lost, whole]})
    said = [line for line in found.warnings if "sketches" in line]
    assert [line.split()[0] for line in said] == ["curve", "copy"]
    assert all("text_sketches.json" in line and "\n" not in line for line in said)
    there = replace(teacher, metadata={"text_sketches": 2, "training_sketches": ["0a", sketch]})
    with pytest.raises(ComparisonRefused, match="trained on about"):
        compare({"whole": there}, heldout)
