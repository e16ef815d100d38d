"""Files that other programs wrote, whole or wrapped: the SAE that they meant, or one line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from rsae.errors import RsaeError, TeacherError
from rsae.pretrained import FORMATS, load_teacher

from . import formats
from .definitions import DICTIONARY_LEARNING
from .formats import Parts
from .test_refusals import WRITERS, edit_tensors, refused, weights_file

PARTS = Parts.random(3, 5)
CLASSES = tuple(DICTIONARY_LEARNING)
ONE_MORE = {
    "bias": torch.zeros(3),
    "decoder.bias": torch.ones(3),
    "b_dec": torch.ones(3),
    "b_enc": torch.ones(5),
    "threshold": torch.ones(5),
    "k": torch.tensor(2),
    "group_sizes": torch.tensor([2, 3]),
    "activation_mean": torch.ones(3),
    "W_skip": torch.eye(3),
}


def state(folder: Path, dict_class: str) -> dict[str, torch.Tensor]:
    formats.dictionary_learning(folder, PARTS, dict_class)
    return torch.load(folder / "ae.pt", weights_only=True)


@pytest.mark.parametrize("with_config", [True, False])
@pytest.mark.parametrize("dict_class", CLASSES)
def test_one_tensor_more_is_never_another_class(tmp_path, dict_class, with_config):
    own = state(tmp_path, dict_class)
    sets = [set(state(tmp_path / name, name)) for name in CLASSES]
    if not with_config:
        (tmp_path / "config.json").unlink()
    for name, value in ONE_MORE.items():
        if name in own:
            continue
        torch.save({**own, name: value}, tmp_path / "ae.pt")
        try:
            load_teacher(tmp_path / "ae.pt")
        except TeacherError:
            continue
        assert not with_config, name
        assert {*own, name} in sets, name


@pytest.mark.parametrize("said", CLASSES)
@pytest.mark.parametrize("stored", CLASSES)
def test_a_config_that_names_another_class_is_refused(tmp_path, stored, said):
    own = state(tmp_path, stored)
    content = json.loads((tmp_path / "config.json").read_text())
    content["trainer"]["dict_class"] = said
    (tmp_path / "config.json").write_text(json.dumps(content))
    if set(own) != set(state(tmp_path / "other", said)):
        refused(tmp_path / "ae.pt", TeacherError, ".")


@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "topk"])
@pytest.mark.parametrize("stray", ["threshold", "W_skip", "b_mag", "log_sparsity"])
def test_saelens_refuses_a_stray_tensor_and_so_does_this(tmp_path, architecture, stray):
    from sae_lens import SAE

    folder = formats.saelens(tmp_path, PARTS, architecture)
    if stray == "threshold" and architecture == "jumprelu":
        return
    path = folder / "sae_weights.safetensors"
    edit_tensors(path, lambda tensors: tensors.update({stray: torch.ones(5)}))
    with pytest.raises(RuntimeError, match=stray):
        SAE.load_from_disk(folder)
    refused(folder, TeacherError, stray)


@pytest.mark.parametrize("format", ["gemma_scope", "openai", "sparsify"])
def test_a_stray_tensor_of_another_format_is_refused(tmp_path, format):
    folder = WRITERS[format](tmp_path)
    edit_tensors(weights_file(folder), lambda tensors: tensors.update(b_extra=torch.ones(5)))
    refused(folder, TeacherError, "b_extra")


@pytest.mark.parametrize(
    "config",
    [
        {"activation_fn_str": "topk"},
        {"activation_fn_str": "topk", "activation_fn_kwargs": {}},
        {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": None}},
        {"activation_fn": "topk", "metadata": {"sae_lens_version": "6.54.12"}},
    ],
)
def test_topk_without_k_is_no_relu(tmp_path, config):
    folder = formats.saelens(tmp_path, PARTS, "standard")
    old = {"d_in": 3, "d_sae": 5, "dtype": "float32", "hook_name": "blocks.0.hook_resid_pre"}
    (folder / "cfg.json").write_text(json.dumps({**old, **config}))
    refused(folder, TeacherError, "topk")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "module._orig_mod."])
def test_prefixes_of_wrappers_are_taken_off(tmp_path, format, prefix):
    plain = load_teacher(WRITERS[format](tmp_path / "plain"))
    folder = WRITERS[format](tmp_path / "wrapped")

    def wrap(tensors: dict) -> None:
        wrapped = {prefix + name: value for name, value in tensors.items()}
        tensors.clear()
        tensors.update(wrapped)

    edit_tensors(weights_file(folder), wrap)
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(load_teacher(folder).reconstruct(x), plain.reconstruct(x))
    twice = {name: torch.ones(3) for name in ("b_dec", "module.b_dec")}
    edit_tensors(weights_file(folder), lambda tensors: tensors.update(twice))
    refused(folder, RsaeError, "twice")


@pytest.mark.parametrize("norm_factor", [None, 1.0, 3.5, torch.tensor(2.0)])
@pytest.mark.parametrize("dict_class", CLASSES)
def test_the_backup_of_an_interrupted_run_is_the_sae_that_it_would_have_saved(
    tmp_path, dict_class, norm_factor
):
    """Of saprmarks/dictionary_learning `training.py`; the end is `scale_biases(norm_factor)`."""
    own = state(tmp_path / "run", dict_class)
    config = json.loads((tmp_path / "run" / "config.json").read_text())["trainer"]
    backup = {"step": 20, "ae": own, "optimizer": {"state": {}, "param_groups": []}}
    backup |= {"config": config, "norm_factor": norm_factor}
    torch.save(backup, tmp_path / "run" / "ae.pt")
    factor = 1.0 if norm_factor is None else float(norm_factor)
    scaled = {"bias", "encoder.bias", "decoder.bias", "b_enc", "b_dec", "threshold"}
    if dict_class == "AutoEncoderTopK":
        scaled.remove("threshold")  # -1: not estimated, and not used
    saved = {name: value * factor if name in scaled else value for name, value in own.items()}
    arrays = {name: value.double().numpy() for name, value in saved.items()}
    x = np.random.default_rng(0).normal(size=(30, 3)) * factor
    z, x_hat = DICTIONARY_LEARNING[dict_class](arrays, x)
    x = torch.from_numpy(x).float()
    for with_config in (True, False):  # the backup has the config in itself
        if not with_config:
            (tmp_path / "run" / "config.json").unlink()
        teacher = load_teacher(tmp_path / "run")
        np.testing.assert_allclose(teacher.encode(x), z, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(teacher.reconstruct(x), x_hat, rtol=1e-4, atol=1e-5)


def test_a_checkpoint_has_its_config_a_folder_up(tmp_path):
    folder = tmp_path / "trainer_0"
    formats.dictionary_learning(folder, PARTS, "AutoEncoderTopK")
    (folder / "checkpoints").mkdir()
    (folder / "ae.pt").rename(folder / "checkpoints" / "ae_100.pt")
    for path in (folder, folder / "checkpoints", folder / "checkpoints" / "ae_100.pt"):
        assert load_teacher(path).k == PARTS.k


@pytest.mark.parametrize("format", FORMATS)
def test_a_folder_of_the_hub_cache_is_its_main_snapshot(tmp_path, format):
    root = tmp_path / "models--owner--name"
    for commit in ("aaaa", "bbbb"):
        inner = root / "snapshots" / commit / "one" / "two" / "three"
        WRITERS[format](inner)
        (root / "blobs").mkdir(exist_ok=True)
        for path in list(inner.iterdir()):  # as the hub's client lays them: links to blobs
            blob = root / "blobs" / f"{commit}{path.stem}"
            path.rename(blob)
            path.symlink_to(blob)
    refused(root, TeacherError, "aaaa, bbbb")
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("bbbb")
    assert "bbbb" in load_teacher(root).source


@pytest.mark.parametrize(
    "tensors",
    [
        {  # ckkissane/crosscoder-model-diff-replication
            "W_enc": torch.zeros(2, 3, 5),
            "W_dec": torch.zeros(5, 2, 3),
            "b_enc": torch.zeros(5),
            "b_dec": torch.zeros(2, 3),
        },
        {  # science-of-finetuning/dictionary_learning, CrossCoder
            "encoder.weight": torch.zeros(2, 3, 5),
            "encoder.bias": torch.zeros(5),
            "decoder.weight": torch.zeros(2, 5, 3),
            "decoder.bias": torch.zeros(2, 3),
        },
    ],
)
def test_a_crosscoder_is_called_one(tmp_path, tensors):
    torch.save(tensors, tmp_path / "ae.pt")
    refused(tmp_path, TeacherError, "crosscoder")


def test_plain_weights_of_no_class_are_told_what_is_missing(tmp_path):
    own = state(tmp_path, "JumpReluAutoEncoder")
    del own["threshold"]
    torch.save(own, tmp_path / "ae.pt")
    (tmp_path / "config.json").unlink()
    refused(tmp_path, TeacherError, "no class .* JumpReluAutoEncoder, of which threshold is miss")
