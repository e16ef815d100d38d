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
from rsae.language_model.shape import model_shape
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


ENDLESS = {
    "llama": ("num_hidden_layers",),
    "gpt2": ("n_layer",),
    "gemma3_text": ("num_hidden_layers",),
    "mixtral": ("num_hidden_layers", "num_local_experts"),
    "qwen3_moe": ("num_experts",),
}


@pytest.mark.parametrize("read", [load_host, model_shape])
@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in ENDLESS.items() for name in names]
)
def test_endless_layers_are_not_built(tmp_path, read, kind, name):
    """Of some models a setting is a list of as many entries before any layer is made."""
    for value in (10**9, 10**30):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, name: value}))
        with pytest.raises(HostError, match=f"{name} is .*more than 1,000"):
            read(tmp_path)


def test_endless_layers_of_an_inner_model_are_not_built(tmp_path):
    inner = {"model_type": "gemma3_text", "num_hidden_layers": 10**9}
    settings = {"model_type": "gemma3", "text_config": inner}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(HostError, match="more than 1,000"):
        model_shape(tmp_path)


HOSTILE = (0, -1, 10**9, 10**30, "x", None, 2.5, [1], {}, True)


@pytest.mark.parametrize("value", HOSTILE)
def test_a_shape_of_hostile_settings_is_numbers_or_one_line(tmp_path, value):
    folder = save_tiny_model(tmp_path)
    sound = json.loads((folder / "config.json").read_text())
    for name in sound:
        (folder / "config.json").write_text(json.dumps({**sound, name: value}))
        said = outcome(folder)
        if isinstance(said, str):
            assert "\n" not in said
            continue
        assert min(said.n_layers, said.n_heads, said.d_head, said.d_model, said.d_vocab) > 0
        assert 0 < said.flops(128) < float("inf")


def outcome(folder):
    """The shape of a model, or the line that refuses it."""
    try:
        return model_shape(folder)
    except HostError as error:
        return str(error)


def test_the_home_of_nobody_is_no_model(capsys):
    assert main(["upgrade", "demo:relu", "--model", "~nobody-here/model"]) == 2
    assert "no such file or folder" in capsys.readouterr().err
    for name in ("~nobody-here/model", "x" * 5000):
        with pytest.raises(HostError, match="no such file or folder"):
            load_host(name)


def test_a_model_says_how_many_tokens_it_knows(tiny):
    assert load_host(tiny).d_vocab == 23


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
