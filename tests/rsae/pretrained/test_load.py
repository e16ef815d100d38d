"""Finding a teacher: by file, by folder, by name."""

from pathlib import Path

import pytest
import torch

from rsae.errors import TeacherError
from rsae.pretrained import FORMATS, Teacher, hub, load_teacher

from . import formats
from .formats import Parts
from .test_refusals import WRITERS, refused, weights_file

PARTS = Parts.random(3, 5)


@pytest.mark.parametrize("format", FORMATS)
def test_the_file_the_folder_and_a_folder_above_are_the_same_teacher(tmp_path, format):
    folder = WRITERS[format](tmp_path / "one" / "two")
    found = [load_teacher(path) for path in (weights_file(folder), folder, tmp_path)]
    assert {teacher.format for teacher in found} == {format}
    assert len({teacher.source for teacher in found}) == 1


@pytest.mark.parametrize("format", FORMATS)
def test_the_format_is_told_by_content_not_by_name(tmp_path, format):
    folder = WRITERS[format](tmp_path)
    weights_file(folder).rename(folder / "anything.dat")
    assert load_teacher(folder).format == format
    assert load_teacher(str(folder / "anything.dat"), format=format).format == format


def test_several_candidates_are_listed(tmp_path):
    for layer in (3, 12):
        formats.sparsify(tmp_path / f"layers.{layer}", PARTS)
    refused(tmp_path, TeacherError, r"several SAEs.*layers\.12/sae.*layers\.3/sae")
    formats.gemma_scope(tmp_path / "layers.3", PARTS)
    refused(tmp_path / "layers.3", TeacherError, "several SAEs.*params.npz, sae.safetensors")
    assert load_teacher(tmp_path / "layers.3", format="sparsify").k == PARTS.k


def test_files_that_are_no_sae_are_passed_over(tmp_path):
    folder = WRITERS["saelens"](tmp_path)
    torch.save({"state": {}, "step": 3}, folder / "trainer_state.pt")
    formats.save_file({"sparsity": torch.zeros(5)}, folder / "sparsity.safetensors")
    (folder / "README.md").write_text("# an SAE")
    assert load_teacher(folder).format == "saelens"


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n"])
def test_a_folder_or_file_that_is_no_sae(tmp_path, content):
    (tmp_path / "file.txt").write_bytes(content)
    refused(tmp_path, TeacherError, "no sparse autoencoder")
    refused(tmp_path / "file.txt", TeacherError, "no weights file")


def test_tensors_of_something_else(tmp_path):
    formats.save_file({"lm_head.weight": torch.zeros(2, 2)}, tmp_path / "model.safetensors")
    refused(tmp_path / "model.safetensors", TeacherError, r"it holds lm_head\.weight")


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("/no/such/path", "check the path"),
        ("./nothing", "check the path"),
        ("nothing", "check the path"),
        ("gpt2-small-res-jx/blocks.8.hook_resid_pre", "cannot be reached|did you mean"),
        ("gpt2-small-res-jb", "try gpt2-small-res-jb/blocks"),
        ("gpt2-small-res-jb/blocks.8.hook_resid_prx", "blocks.8.hook_resid_pre"),
        ("gpt2-small-res-jb/blocks.8.hook_resid_pre", "cannot be reached"),
        ("EleutherAI/sae-llama-3-8b-32x/layers.10", "cannot be reached"),
        ("demo:gated", "demo:relu"),
    ],
)
def test_names_that_lead_nowhere_without_a_network(name, match):
    refused(name, TeacherError, match)


def test_an_unknown_format_is_refused(tmp_path):
    refused(tmp_path, TeacherError, "unknown format", format="onnx")


@pytest.fixture
def cached_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A hub whose every repository is this folder."""
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda repo_id, **_: str(tmp_path))
    return tmp_path


def test_a_repository_folder_is_read_by_its_content(cached_hub):
    formats.sparsify(cached_hub / "layers.10", PARTS)
    (cached_hub / "config.json").write_text('{"model": "meta-llama/Meta-Llama-3-8B"}')
    teacher = load_teacher("EleutherAI/sae-llama-3-8b-32x/layers.10")
    assert teacher.format == "sparsify"
    assert teacher.metadata == {
        "model_name": "meta-llama/Meta-Llama-3-8B",
        "hook_name": "blocks.10.hook_resid_post",
    }
    refused("EleutherAI/sae-llama-3-8b-32x/layers.11", TeacherError, r"has no layers\.11")


def test_a_release_of_saelens_is_read_by_saelens_and_is_its_sae(cached_hub, monkeypatch):
    folder = cached_hub / "blocks.8.hook_resid_pre"
    formats.saelens(folder, PARTS, "standard")

    def local(repo_id: str, filename: str, **_: object) -> str:
        if not (cached_hub / filename).exists():
            from huggingface_hub.utils import EntryNotFoundError

            raise EntryNotFoundError(filename)
        return str(cached_hub / filename)

    monkeypatch.setattr("sae_lens.loading.pretrained_sae_loaders.hf_hub_download", local)
    teacher = load_teacher("gpt2-small-res-jb/blocks.8.hook_resid_pre")
    x = torch.randn(9, 3)
    torch.testing.assert_close(teacher.encode(x), load_teacher(folder).encode(x))
    assert teacher.source == "gpt2-small-res-jb/blocks.8.hook_resid_pre"


def test_a_hub_that_refuses_is_one_line(monkeypatch):
    def refuse(repo_id: str, **_: object) -> str:
        raise OSError("401\nUnauthorized")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    refused("owner/gated/layer_1", TeacherError, "for a gated one your token")
    with pytest.raises(TeacherError, match="token"):
        hub.fetch("owner/gated/layer_1")


def test_a_teacher_moves_and_keeps_its_meaning():
    eye = torch.eye(3)
    teacher = Teacher("topk", eye, torch.zeros(3), eye, torch.zeros(3), k=1)
    x = torch.tensor([[1.0, 3.0, -2.0]])
    assert teacher.to(dtype=torch.float64).encode(x).dtype is torch.float64
    assert teacher.encode(x).tolist() == [[0.0, 3.0, 0.0]]
    assert "topk, k=1" in repr(teacher)
    with pytest.raises(TeacherError, match="d_in = 3"):
        teacher.encode(torch.zeros(2, 4))


@pytest.mark.parametrize(
    "wrong",
    [
        {"family": "gated"},
        {"family": "jumprelu"},
        {"family": "topk"},
        {"k": 1},
        {"family": "topk", "k": 4},
        {"normalize_activations": "batch_norm"},
    ],
)
def test_a_teacher_that_contradicts_itself_is_refused(wrong):
    eye = torch.eye(3)
    with pytest.raises(TeacherError):
        Teacher(
            **{
                "family": "relu",
                "W_enc": eye,
                "b_enc": eye[0],
                "W_dec": eye,
                "b_dec": eye[0],
                **wrong,
            }
        )
