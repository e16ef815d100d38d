"""Files that mean harm: values of any kind and size, bombs, pipes, names that are no paths."""

import json
import os
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from rsae.errors import CorruptFileError, RsaeError, TeacherError
from rsae.pretrained import Teacher, load_teacher

from . import formats
from .formats import Parts
from .test_refusals import edit_json, refused

PARTS = Parts.random(3, 5)
HOSTILE = (  # as JSON text
    "1" * 4301, "1" * 400, "-" + "1" * 400, "1e400", "-1e400", "NaN", "-1", "0", "1e-320", "1e39",
    "2.5", "true", "null", '""', '"two"', r'"\ud800"', '"' + "x" * 100_000 + '"', r'"a\nb"', "[]",
    "[1]", "{}", '{"self": 1}', "[" * 500 + "]" * 500, "9" * 19,
)  # fmt: skip
CONFIG = (
    "d_in", "d_sae", "k", "num_latents", "architecture", "apply_b_dec_to_input", "activation",
    "normalize_activations", "metadata", "activation_fn", "activation_fn_str", "transcode",
    "activation_fn_kwargs", "rescale_acts_by_decoder_norm", "finetuning_scaling_factor",
    "sae_lens_version", "hook_name", "dtype",
)  # fmt: skip
TRAINER = ("dict_class", "k", "activation_dim", "dict_size", "lm_name", "layer", "submodule_name")
METADATA = (
    "hook_name", "model_name", "context_size", "training_sketches", "training_tokens_sha256",
    "sae_lens_version", "to_dict", "self", "__class__", "anything",
)  # fmt: skip


def short(raw: str) -> str:
    return raw[:12]


def outcome(path: Path | str) -> Teacher | None:
    """A teacher whose metadata can be used, or None for one line."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            teacher = load_teacher(path)
        except RsaeError as error:
            line = str(error)
            assert "\n" not in line
            assert len(line) < 1000
            line.encode()
            return None
    said = teacher.metadata
    json.dumps(said, ensure_ascii=False, allow_nan=False).encode()
    assert isinstance(said.get("hook_name", ""), str)
    assert isinstance(said.get("model_name", ""), str)
    assert 0 < said.get("context_size", 1) <= 2**20
    assert all(isinstance(sketch, str) for sketch in said.get("training_sketches", []))
    assert not {"self", "to_dict", "__class__"} & said.keys()
    assert all(len(note) < 500 for note in teacher.notes)
    assert torch.isfinite(teacher.reconstruct(torch.ones(2, teacher.d_in))).all()
    return teacher


def put(path: Path, keys: tuple[str, ...], raw: str) -> None:
    """Put raw JSON text at a place of a JSON file."""
    content = json.loads(path.read_text())
    inner = content
    for key in keys[:-1]:
        inner = inner.setdefault(key, {})
    inner[keys[-1]] = "@@"
    path.write_text(json.dumps(content).replace('"@@"', raw))


@pytest.mark.parametrize("raw", HOSTILE, ids=short)
def test_no_field_of_a_config_is_trusted(tmp_path, raw):
    places: list[tuple[str, ...]] = [(key,) for key in CONFIG]
    places += [("metadata", key) for key in METADATA]
    for number, keys in enumerate(places):
        for architecture in ("topk", "jumprelu"):
            folder = formats.saelens(tmp_path / f"s{number}{architecture}", PARTS, architecture)
            put(folder / "cfg.json", keys, raw)
            outcome(folder)
        folder = formats.sparsify(tmp_path / f"e{number}" / "layers.3", PARTS)
        put(folder / "cfg.json", keys, raw)
        outcome(folder)
    for number, keys in enumerate([("trainer",), *(("trainer", key) for key in TRAINER)]):
        folder = formats.dictionary_learning(tmp_path / f"d{number}", PARTS, "AutoEncoderTopK")
        put(folder / "config.json", keys, raw)
        outcome(folder)


@pytest.mark.parametrize("raw", HOSTILE, ids=short)
def test_no_scaler_is_trusted(tmp_path, raw):
    folder = formats.saelens(
        tmp_path, PARTS, "jumprelu", normalize_activations="expected_average_only_in"
    )
    (folder / "activation_scaler.json").write_text(f'{{"scaling_factor": {raw}}}')
    teacher = outcome(folder)
    assert (teacher is not None) == (raw in ("2.5", "null"))


def test_a_false_that_is_a_text_is_not_true(tmp_path):
    folder = formats.saelens(tmp_path, PARTS, "jumprelu")
    edit_json(folder / "cfg.json", apply_b_dec_to_input="false")
    refused(folder, TeacherError, "apply_b_dec_to_input")


def test_numbers_of_a_pickle_are_not_trusted(tmp_path):
    folder = formats.openai(tmp_path, PARTS, "TopK")
    state = torch.load(folder / "8.pt", weights_only=True)
    for k in (10**5000, 2**62, -1, 1e308, float("nan"), "2", None, [2], torch.ones(2)):
        state["activation_state_dict"] = {"k": k, "postact_fn": "ReLU"}
        torch.save(state, folder / "8.pt")
        assert outcome(folder) is None
    for activation in (torch.ones(2), 10**5000, "x" * 100_000, ["TopK"]):
        torch.save({**state, "activation": activation}, folder / "8.pt")
        assert outcome(folder) is None


def test_an_npz_that_would_unpack_to_far_more_is_not_unpacked(tmp_path):
    header = {"descr": "<f4", "fortran_order": False, "shape": (2**23, 4)}
    with zipfile.ZipFile(tmp_path / "params.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("W_enc", "W_dec", "b_enc", "b_dec", "threshold"):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array_header_1_0(file, header)
                for _ in range(32):
                    file.write(bytes(2**20))
    refused(tmp_path, CorruptFileError, "far more than the file")


def test_an_npz_array_that_declares_more_than_it_holds_is_refused(tmp_path):
    header = {"descr": "<f4", "fortran_order": False, "shape": (2**40, 2**10)}
    path = tmp_path / "params.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("W_enc.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(100))
    refused(tmp_path, CorruptFileError, "declares more")


def test_what_no_sae_has_is_not_read_from_an_npz(tmp_path):
    folder = formats.gemma_scope(tmp_path, PARTS)
    arrays = dict(np.load(folder / "params.npz"))
    np.savez(folder / "params.npz", **arrays, junk=np.array([{}], dtype=object))
    refused(folder, TeacherError, "junk")


def test_a_compressed_torch_archive_is_refused(tmp_path):
    folder = formats.openai(tmp_path, PARTS, "ReLU")
    with zipfile.ZipFile(folder / "8.pt") as whole:
        entries = {info.filename: whole.read(info) for info in whole.infolist()}
    with zipfile.ZipFile(folder / "8.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    refused(folder, CorruptFileError, "compressed")


def test_large_configs_and_headers_are_not_parsed(tmp_path):
    folder = formats.saelens(tmp_path / "a", PARTS, "jumprelu")
    with (folder / "cfg.json").open("ab") as file:
        file.truncate(2**31)  # sparse: takes no room
    refused(folder, CorruptFileError, "MiB")
    folder = formats.saelens(tmp_path / "b", PARTS, "jumprelu")
    with (folder / "sae_weights.safetensors").open("r+b") as file:
        file.write(struct.pack("<Q", 90_000_000))
        file.truncate(2**31)
    refused(folder, CorruptFileError, "header")


@pytest.mark.parametrize("name", ["cfg.json", "sae_weights.safetensors", "activation_scaler.json"])
def test_a_pipe_is_not_waited_for(tmp_path, name):
    folder = formats.saelens(
        tmp_path, PARTS, "jumprelu", normalize_activations="expected_average_only_in"
    )
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    refused(folder, RsaeError, ".")
    refused(folder / name, RsaeError, "pipe or device")
    refused("/dev/zero", RsaeError, "pipe or device")


@pytest.mark.parametrize(
    "name", ["x" * 100_000, "a\0b", "", "\ud800", "/" + "x" * 300, "a/" * 3000, "~", "a b/c d"]
)
def test_a_name_that_can_be_no_path(name):
    assert outcome(name) is None


def test_a_tree_that_is_no_folder_of_an_sae_is_not_searched_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr("rsae.pretrained.load._MOST_ENTRIES", 50)
    for number in range(60):
        (tmp_path / "a" / str(number)).mkdir(parents=True)
    refused(tmp_path, TeacherError, "too much")
