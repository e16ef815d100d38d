"""What is shared says nothing of the machine that it was made on."""

import argparse
import json
import shutil

import pytest
import torch
from huggingface_hub import ModelCard
from sae_lens import SAE
from tests.rsae import saes

import rsae
from rsae import RSAE, RationalActivation
from rsae.commands.inputs import find_host
from rsae.data import Activations
from rsae.errors import CorruptFileError, HostError
from rsae.files import public_name
from rsae.language_model.names import PACKAGED, model_of
from rsae.language_model.site import Site
from rsae.pretrained import load_teacher
from rsae.pretrained.metadata import checked_metadata, lost_sketches, with_sketches
from rsae.sae.export import export_jumprelu
from rsae.sae.load import describe, is_rsae, load_rsae
from rsae.train import TrainConfig
from rsae.upgrading import UpgradeConfig

SKETCHES = {"training_sketches": ["0a 1b"], "calibration_sketches": ["2c", "3d"]}


def test_a_saved_rsae_has_no_path_of_this_machine(tmp_path):
    lives = {"model_name": str(tmp_path / "my" / "model"), "dataset_path": "~/mine/text"}
    source = str(tmp_path / "secret" / "teacher" / "sae_weights.safetensors")
    teacher = saes.teacher("relu", metadata=lives, source=source)
    sae = RSAE.from_teacher(teacher, RationalActivation.constant((3, 2)))
    sae.save_model(tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        content = path.read_bytes()
        assert b"secret" not in content, path.name
        assert str(tmp_path).encode() not in content, path.name
    assert sae.cfg.metadata.teacher == "teacher"
    assert torch.equal(sae.W_dec, teacher.W_dec)


def test_names_on_a_hub_are_told(tmp_path):
    assert public_name("gpt2-small-res-jb/blocks.8.hook_resid_pre").count("/") == 1
    assert public_name("demo:relu") == "demo:relu"
    assert public_name(str(tmp_path / "a" / "b.pt")) == "a"
    assert public_name("~/a/model") == "model"


def saved(folder, **metadata):
    teacher = saes.teacher("relu", metadata=metadata)
    sae = RSAE.from_teacher(teacher, RationalActivation.constant((3, 2)))
    sae.save_model(folder)
    return sae


def metadata_in(folder):
    return json.loads((folder / "cfg.json").read_text())["metadata"]


def test_sketches_are_kept_in_a_file_of_their_own(tmp_path):
    sae = saved(tmp_path / "rsae", hook_name="blocks.0.hook_resid_post", **SKETCHES)
    assert not SKETCHES.keys() & metadata_in(tmp_path / "rsae").keys()
    again = load_rsae(tmp_path / "rsae")
    assert {name: again.cfg.metadata[name] for name in SKETCHES} == SKETCHES
    export_jumprelu(again, Activations.from_tensor(saes.inputs(50))).save(tmp_path / "plain")
    assert not SKETCHES.keys() & metadata_in(tmp_path / "plain").keys()
    assert load_teacher(tmp_path / "plain").metadata.items() >= SKETCHES.items()
    sae.cfg.metadata["training_sketches"] = sae.cfg.metadata["calibration_sketches"] = []
    sae.save_model(tmp_path / "rsae")
    assert not (tmp_path / "rsae" / "text_sketches.json").exists()


def by_saelens(folder, out):
    """The SAE as SAELens copies one: `cfg.json` and the weights."""
    SAE.load_from_disk(folder).save_model(out)
    return load_rsae(out) if is_rsae(out) else load_teacher(out)


@pytest.mark.parametrize("plain", [False, True])
def test_sketches_that_a_copy_lost_are_counted(tmp_path, plain):
    folder, metadata = tmp_path / "rsae", {"hook_name": "blocks.0.hook_resid_post", **SKETCHES}
    sae = saved(folder, **metadata)
    if plain:
        folder = tmp_path / "plain"
        x = Activations.from_tensor(saes.inputs(50))
        export_jumprelu(load_rsae(tmp_path / "rsae"), x).save(folder)
    assert metadata_in(folder)["text_sketches"] == 3
    copy = by_saelens(folder, tmp_path / "copy")
    assert not (tmp_path / "copy" / "text_sketches.json").exists()
    known = dict(copy.metadata) if plain else copy.cfg.metadata.to_dict()
    assert lost_sketches(known) == 3
    assert lost_sketches(with_sketches(known, training_sketches=["4e"])) == 3
    assert lost_sketches(sae.cfg.metadata.to_dict()) == 0
    shutil.copy(folder / "text_sketches.json", tmp_path / "copy")
    whole = load_teacher(tmp_path / "copy") if plain else load_rsae(tmp_path / "copy")
    assert lost_sketches(whole.metadata if plain else whole.cfg.metadata.to_dict()) == 0


@pytest.mark.parametrize("count", [-1, "3", 2.0, True, 10**9, None])
def test_a_count_of_sketches_that_is_none_is_left_out(count):
    assert "text_sketches" not in checked_metadata({"text_sketches": count})[0]


@pytest.mark.parametrize("content", ["", "[]", '{"training_sketches": 3}', '{"self": []}'])
def test_damaged_sketches_are_no_absent_ones(tmp_path, content):
    saved(tmp_path, **SKETCHES)
    (tmp_path / "text_sketches.json").write_text(content)
    with pytest.raises(CorruptFileError, match="text_sketches"):
        load_rsae(tmp_path)


def test_the_packaged_teachers_name_their_model_as_the_hub_does():
    for name in ("demo:relu", "demo:jumprelu", "demo:topk"):
        found = load_teacher(name).metadata
        assert found["model_name"] == PACKAGED["smollm2"]
        assert model_of(found) == "smollm2"
        assert len(found["training_sketches"]) == 1
        assert describe(name)["source"] == name


def test_a_short_name_is_saved_as_the_hub_s(tmp_path):
    saved(tmp_path, model_name="smollm2")
    assert metadata_in(tmp_path)["model_name"] == PACKAGED["smollm2"]
    assert model_of(metadata_in(tmp_path)) == "smollm2"


def test_a_model_whose_path_was_cut_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("rsae.language_model.weights.unreachable_hub", lambda: "offline")
    saved(tmp_path, model_name=str(tmp_path / "mine"))
    args = argparse.Namespace(model=None, dtype="float32")
    site = Site("blocks.0.hook_resid_post", "blocks.0.hook_resid_post")
    with pytest.raises(HostError, match=r"the model mine.*--model$"):
        find_host(args, metadata_in(tmp_path), site, (12, 12), torch.device("cpu"))


@pytest.mark.parametrize("family", saes.FAMILIES)
def test_what_is_measured_is_in_the_metadata_and_on_the_card(family, tmp_path):
    """Held-out L0 and error recomputed here; the teacher's own L0 is not carried over."""
    x = saes.inputs(400)
    origin = saes.teacher(family, seed=1, metadata={"l0": 1e6, "license": "mit"})
    config = UpgradeConfig(train=TrainConfig(steps=2, batch_size=64), calibration_tokens=40)
    found = rsae.upgrade(origin, x, config, out=tmp_path)
    heldout = x[-40:]
    z = found.rsae.encode(heldout)
    said = metadata_in(tmp_path)
    assert said["l0"] == pytest.approx((z != 0).sum().item() / 40)
    mse = (heldout - found.rsae.decode(z)).square().sum().item() / 40
    assert said["measured"]["mse"] == pytest.approx(mse, rel=1e-5)
    teacher = (heldout - origin.reconstruct(heldout)).square().sum().item() / 40
    assert said["measured"]["teacher_mse"] == pytest.approx(teacher, rel=0.05)
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.license == "mit"
    assert f"| L0 | {said['measured']['teacher_l0']:.4g} | {said['l0']:.4g} | 40 |" in card.text
