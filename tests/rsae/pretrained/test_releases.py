"""Llama Scope, Goodfire and Qwen Scope files, as SAELens' own loaders read them."""

import json
from pathlib import Path

import pytest
import sae_lens.loading.pretrained_sae_loaders as loaders
import torch
from safetensors.torch import load_file, save_file

from rsae.errors import TeacherError
from rsae.pretrained import load_teacher

from . import formats
from .formats import Parts
from .test_refusals import refused

PARTS = Parts.random(4, 9)
X = 3 * torch.randn(50, 4, generator=torch.Generator().manual_seed(0))


def by_saelens(monkeypatch, root: Path, loader: str, repository: str, folder: str):
    """What SAELens' loader reads of files here, as an SAE of SAELens."""
    from sae_lens import SAE
    from sae_lens.loading.pretrained_sae_loaders import handle_config_defaulting

    def local(repo_id, filename, subfolder=None, **_):
        return str(root / (f"{subfolder}/{filename}" if subfolder else filename))

    monkeypatch.setattr(loaders, "hf_hub_download", local)
    read = loaders.NAMED_PRETRAINED_SAE_LOADERS[loader]
    sizes = {"d_in": 4, "d_sae": 9, "dtype": "float32"}
    config, state, _ = read(repository, folder, "cpu", False, sizes)
    sae = SAE.from_dict(handle_config_defaulting(config))
    sae.process_state_dict_for_loading(state)
    sae.load_state_dict(state)
    return sae


def same(teacher, sae) -> None:
    with torch.no_grad():
        z, x_hat = sae.encode(X), sae(X)
    assert (z != 0).any()
    torch.testing.assert_close(teacher.encode(X), z, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(teacher.reconstruct(X), x_hat, rtol=1e-5, atol=1e-5)


def test_llama_scope(monkeypatch, tmp_path):
    name = "Llama3_1-8B-Base-L15R-8x"
    formats.llama_scope(tmp_path / name, PARTS, norm=3.0, threshold=0.4)
    (tmp_path / name / "checkpoints").mkdir()
    weights = tmp_path / name / "final.safetensors"
    weights.rename(tmp_path / name / "checkpoints" / "final.safetensors")
    sae = by_saelens(monkeypatch, tmp_path, "llama_scope", "fnlp/x", name)
    sae.fold_activation_norm_scaling_factor(4**0.5 / 3.0)
    for path in (tmp_path, tmp_path / name, tmp_path / name / "checkpoints"):
        teacher = load_teacher(path)
        same(teacher, sae)
    assert teacher.metadata["hook_name"] == "blocks.15.hook_resid_post"
    assert any("scale" in note for note in teacher.notes)


def test_llama_scope_r1_distill(monkeypatch, tmp_path):
    folder = formats.llama_scope(tmp_path / "L15R", PARTS)
    tensors = load_file(folder / "final.safetensors")
    tensors["log_jumprelu_threshold"] = (0.1 + PARTS.threshold).log()
    save_file(tensors, folder / "sae_weights.safetensors")
    (folder / "final.safetensors").unlink()
    config = json.loads((folder / "hyperparams.json").read_text())
    (folder / "hyperparams.json").unlink()
    for name in ("jump_relu_threshold", "dataset_average_activation_norm"):
        config.pop(name)
    (folder / "config.json").write_text(json.dumps(config | {"expansion_factor": 9 / 4}))
    sae = by_saelens(monkeypatch, tmp_path, "llama_scope_r1_distill", "fnlp/x", "L15R")
    teacher = load_teacher(folder)
    assert teacher.normalize_activations == "expected_average_only_in"  # estimated from data
    same(teacher, sae)


def test_a_llama_scope_transcoder_or_one_without_its_config_is_refused(tmp_path):
    folder = formats.llama_scope(tmp_path / "a", PARTS)
    config = json.loads((folder / "hyperparams.json").read_text())
    changes = {"hook_point_out": "blocks.15.hook_mlp_out"}, {"act_fn": "topk"}
    for change, said in zip(changes, ("transcoder", "activation"), strict=True):
        (folder / "hyperparams.json").write_text(json.dumps(config | change))
        refused(folder, TeacherError, said)
    (folder / "hyperparams.json").unlink()
    refused(folder, TeacherError, "hyperparams.json")


def test_goodfire(monkeypatch, tmp_path):
    folder = formats.goodfire(tmp_path, PARTS)
    file = "Llama-3.1-8B-Instruct-SAE-l19.pth"
    repository = "Goodfire/Llama-3.1-8B-Instruct-SAE-l19"
    sae = by_saelens(monkeypatch, folder, "goodfire", repository, file)
    teacher = load_teacher(folder)
    same(teacher, sae)
    assert teacher.metadata == {
        "model_name": "meta-llama/Llama-3.1-8B-Instruct",
        "hook_name": "blocks.19.hook_resid_post",
    }


@pytest.mark.parametrize("cached", [True, False])
def test_qwen_scope(monkeypatch, tmp_path, cached):
    repository = "SAE-Res-Qwen3-1.7B-Base-W32K-L0_2"
    name = f"models--Qwen--{repository}/snapshots/abc" if cached else repository
    folder = formats.qwen_scope(tmp_path / name, PARTS)
    (folder / "config.json").unlink()
    sae = by_saelens(monkeypatch, folder, "qwen_scope", f"Qwen/{repository}", "layer7.sae.pt")
    teacher = load_teacher(folder)
    same(teacher, sae)
    assert teacher.k == 2
    assert teacher.metadata["model_name"] == "Qwen/Qwen3-1.7B-Base"
    assert teacher.metadata["hook_name"] == "blocks.7.hook_resid_post"


def test_qwen_scope_without_its_folder_asks_for_k(tmp_path):
    folder = formats.qwen_scope(tmp_path, PARTS)
    assert load_teacher(folder).k == PARTS.k
    (folder / "config.json").unlink()
    refused(folder, TeacherError, "only in the name of its repository")
