"""A saved RSAE as a repository of a model hub: its card, its files, SAELens' own upload."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from sae_lens import SAE, upload_saes_to_huggingface
from tests.rsae import saes

from rsae import RSAE, RationalActivation

LIVES = {
    "hook_name": "blocks.3.hook_resid_post",
    "model_name": "HuggingFaceTB/SmolLM2-135M",
}


@pytest.fixture(params=saes.FAMILIES)
def sae(request) -> RSAE:
    teacher = saes.teacher(request.param, metadata=LIVES)
    support = "topk" if request.param == "topk" else "threshold"
    return RSAE.from_teacher(teacher, RationalActivation.constant((3, 2)), support=support)


def test_the_card_is_one_of_the_hub_and_says_what_the_file_is(sae, tmp_path):
    sae.save_model(tmp_path)
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.library_name == "saelens"
    assert card.data.base_model == LIVES["model_name"]
    for said in (LIVES["hook_name"], "12 → 40", "(3, 2)", "licences"):
        assert said in card.text
    assert ("the 1 largest" in card.text) == (sae.cfg.support == "topk")
    assert str(tmp_path) not in card.text


def test_a_host_that_is_no_hub_name_is_no_base_model(tmp_path):
    teacher = saes.teacher("relu", metadata={"model_name": "my model"})
    teacher = RSAE.from_teacher(teacher, RationalActivation.constant((3, 2)))
    teacher.save_model(tmp_path)
    assert ModelCard.load(tmp_path / "README.md").data.base_model is None


def test_what_the_card_shows_loads_the_file(sae, tmp_path):
    sae.save_model(tmp_path)
    code = re.search(r"```python\n(.*?)```", (tmp_path / "README.md").read_text(), re.S)[1]
    found: dict = {}
    exec(code.replace("FOLDER", str(tmp_path)), found)
    x = saes.inputs(9)
    assert torch.equal(found["sae"].encode(x), sae.encode(x))


class Hub:
    """What SAELens' upload asks of `HfApi`: a folder in the place of a repository."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def repo_info(self, repo_id: str) -> None:
        (self.root / repo_id).mkdir(parents=True, exist_ok=True)

    def upload_folder(self, folder_path, path_in_repo, repo_id, allow_patterns, **_) -> None:
        target = self.root / repo_id / path_in_repo
        target.mkdir(parents=True)
        for name in allow_patterns:
            if (Path(folder_path) / name).exists():
                shutil.copy(Path(folder_path) / name, target)

    def download(self, repo_id: str, filename: str, **_) -> str:
        path = self.root / repo_id / filename
        if not path.exists():
            from huggingface_hub.utils import EntryNotFoundError

            raise EntryNotFoundError(filename)
        return str(path)


@pytest.mark.parametrize("from_memory", [True, False])
def test_saelens_uploads_it_and_loads_it_from_the_hub(sae, tmp_path, monkeypatch, from_memory):
    hub = Hub(tmp_path / "hub")
    monkeypatch.setattr("sae_lens.training.upload_saes_to_huggingface.HfApi", lambda: hub)
    monkeypatch.setattr("sae_lens.loading.pretrained_sae_loaders.hf_hub_download", hub.download)
    sae.save_model(tmp_path / "mine")
    given = {"layer_3": sae if from_memory else tmp_path / "mine"}
    upload_saes_to_huggingface(given, "me/mine", show_progress=False, add_default_readme=False)
    files = {path.name for path in (tmp_path / "hub/me/mine/layer_3").iterdir()}
    assert files == {"cfg.json", "sae_weights.safetensors"}
    found = SAE.from_pretrained("me/mine", "layer_3", device="cpu")
    x = saes.inputs(9)
    assert torch.equal(found.encode(x), sae.encode(x))
    config = json.loads((tmp_path / "mine/cfg.json").read_text())
    assert found.cfg.metadata.hook_name == config["metadata"]["hook_name"]
