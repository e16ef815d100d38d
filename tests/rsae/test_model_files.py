"""Language models from folders: damaged ones end in one line, weights are told apart."""

import json
import threading
from types import SimpleNamespace

import platformdirs
import pytest
from tests.rsae.tiny_model import save_tiny_model

from rsae.errors import HostError
from rsae.language_model import weights as module
from rsae.language_model.host import load_host
from rsae_cli import main


def config(**changes):
    def change(folder):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def truncate(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:700])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        lambda folder: (folder / "model.safetensors").write_bytes(b""),
        lambda folder: (folder / "model.safetensors").unlink(),
        lambda folder: (folder / "config.json").write_text("[]"),
        lambda folder: (folder / "config.json").write_text("{"),
        lambda folder: (folder / "tokenizer.json").write_text("{}"),
        config(hidden_size=12),
        config(num_hidden_layers=3),
        config(num_attention_heads="x"),
        config(model_type="nothing"),
        config(model_type="x", auto_map={"AutoConfig": "a.A", "AutoModelForCausalLM": "a.B"}),
    ],
)
def test_a_damaged_model_is_one_line(tmp_path, damage):
    folder = save_tiny_model(tmp_path)
    damage(folder)
    with pytest.raises(HostError) as caught:
        load_host(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_fingerprint_is_of_weights_and_settings_not_of_names(tiny, tmp_path):
    known = load_host(tiny).fingerprint
    assert load_host(save_tiny_model(tmp_path / "moved")).fingerprint == known
    assert load_host(save_tiny_model(tmp_path / "other", seed=1)).fingerprint != known
    folder = save_tiny_model(tmp_path / "set")
    config(rms_norm_eps=0.1)(folder)
    assert load_host(folder).fingerprint != known


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return platformdirs.user_cache_path("rsae")


def test_two_first_runs_unpack_one_model(tiny, tmp_path, cache, monkeypatch):
    """Two processes' runs, here threads: the lock is of the file, not of the process."""
    (tmp_path / "small.gguf").write_bytes(b"GGUF")
    unpacked = []

    def unpack(file):
        unpacked.append(file)
        found = load(str(tiny))
        found.model.config.quantization_config = None
        return found

    load = module._load
    monkeypatch.setattr(module, "_unpack", unpack)
    runs = [
        threading.Thread(target=module.load_weights, args=(str(tmp_path / "small.gguf"),))
        for _ in range(3)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(unpacked) == 1
    (folder,) = [path for path in (cache / "models").iterdir() if path.is_dir()]
    assert not any(path.is_dir() for path in folder.iterdir())


def test_no_room_for_the_cache_is_no_error(tiny, tmp_path, cache, monkeypatch):
    (tmp_path / "small.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(module, "_unpack", lambda file: module._load(str(tiny)))
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    assert module.load_weights(str(tmp_path / "small.gguf")).model is not None
    assert not list((cache / "models").glob("*small*/*"))


def test_the_cache_is_listed_and_cleared_and_nothing_else_is(cache, capsys):
    for name in ("models/a", "evals/activations/b", "evals/measurements", "mine"):
        (cache / name).mkdir(parents=True)
        (cache / name / "file").write_bytes(bytes(1000))
    assert main(["cache", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {
        "folder": str(cache),
        "bytes": {"models": 1000, "activations": 1000, "measurements": 1000},
    }
    assert main(["cache", "--clear", "models"]) == 0
    assert not (cache / "models").exists()
    assert main(["cache", "--clear", "all"]) == 0
    assert [path.name for path in cache.rglob("file")] == ["file"]
