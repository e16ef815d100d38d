"""What is not a teacher, is a damaged one, or is one that cannot be upgraded: one line each."""

import json
import pickle
import random
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from rsae.errors import CorruptFileError, RsaeError, TeacherError
from rsae.pretrained import FORMATS, Teacher, load_teacher

from . import formats
from .formats import Parts

PARTS = Parts.random(3, 5)

WRITERS: dict[str, Callable[[Path], Path]] = {
    "saelens": lambda folder: formats.saelens(folder, PARTS, "jumprelu"),
    "gemma_scope": lambda folder: formats.gemma_scope(folder, PARTS),
    "dictionary_learning": lambda f: formats.dictionary_learning(f, PARTS, "BatchTopKSAE"),
    "openai": lambda folder: formats.openai(folder, PARTS, "TopK"),
    "sparsify": lambda folder: formats.sparsify(folder, PARTS),
    "llama_scope": lambda folder: formats.llama_scope(folder, PARTS),
    "goodfire": lambda folder: formats.goodfire(folder, PARTS),
    "qwen_scope": lambda folder: formats.qwen_scope(folder, PARTS),
}


def refused(path: Path | str, error: type[RsaeError], match: str, **options: str) -> None:
    with pytest.raises(error, match=match) as caught:
        load_teacher(path, **options)
    assert "\n" not in str(caught.value)


def weights_file(folder: Path) -> Path:
    return next(path for path in folder.iterdir() if path.suffix != ".json")


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_tensors(path: Path, change: Callable[[dict], object]) -> None:
    """Change a weights file of any container in place."""
    if path.suffix == ".safetensors":
        tensors = load_file(path)
        change(tensors)
        save_file(formats.contiguous(tensors), path)
    elif path.suffix == ".npz":
        tensors = {name: torch.from_numpy(array) for name, array in np.load(path).items()}
        change(tensors)
        np.savez(path, **{name: tensor.numpy() for name, tensor in tensors.items()})
    else:
        tensors = torch.load(path, weights_only=True)
        change(tensors)
        torch.save(tensors, path)


def matrices(tensors: dict) -> list[str]:
    return [
        name for name, value in tensors.items() if isinstance(value, Tensor) and value.ndim == 2
    ]


def vectors(tensors: dict) -> list[str]:
    own = ("b_enc", "b_dec", "latent_bias", "pre_bias", "threshold")
    return [name for name in tensors if name in own or name.endswith(("coder.bias", "linear.bias"))]


@pytest.mark.parametrize("format", FORMATS)
def test_a_missing_tensor_is_named(tmp_path, format):
    folder = WRITERS[format](tmp_path / "whole")
    path = weights_file(folder)
    whole = path.read_bytes()
    names: list[str] = []
    edit_tensors(path, lambda tensors: names.extend(matrices(tensors) + vectors(tensors)))
    assert len(names) >= 4
    for name in names:
        path.write_bytes(whole)
        edit_tensors(path, lambda tensors, name=name: tensors.pop(name))
        refused(path, TeacherError, f"{name} is missing", format=format)
        refused(path, TeacherError, "is missing")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_refused(tmp_path, format, value):
    folder = WRITERS[format](tmp_path)
    path = weights_file(folder)
    whole = path.read_bytes()
    names: list[str] = []
    edit_tensors(path, lambda tensors: names.extend(matrices(tensors) + vectors(tensors)))
    for name in names:
        path.write_bytes(whole)
        edit_tensors(path, lambda tensors, name=name: tensors[name].view(-1)[-1].fill_(value))
        refused(folder, TeacherError, "NaN or infinite")


@pytest.mark.parametrize("format", FORMATS)
def test_a_transposed_matrix_is_refused_and_a_wrong_shape_too(tmp_path, format):
    folder = WRITERS[format](tmp_path)
    path = weights_file(folder)
    whole = path.read_bytes()
    names: list[str] = []
    edit_tensors(path, lambda tensors: names.extend(matrices(tensors)))
    for name in names:
        path.write_bytes(whole)
        edit_tensors(path, lambda t, name=name: t.update({name: t[name].T.contiguous()}))
        refused(folder, TeacherError, "transposed")
        path.write_bytes(whole)
        edit_tensors(path, lambda t, name=name: t.update({name: t[name][:-1]}))
        refused(folder, TeacherError, "coder is .* where the biases ask for")
        edit_tensors(path, lambda t, name=name: t.update({name: t[name].flatten()}))
        refused(folder, TeacherError, "coder is .* where the biases ask for")


def test_a_square_sae_says_what_was_assumed(tmp_path):
    folder = formats.sparsify(tmp_path, Parts.random(4, 4))
    assert any("d_in = d_sae = 4" in note for note in load_teacher(folder).notes)


@pytest.mark.parametrize("format", FORMATS)
def test_damaged_bytes_give_a_typed_error_or_a_teacher(tmp_path, format):
    """Any truncation, and bytes changed anywhere, in the weights and in the config."""
    folder = WRITERS[format](tmp_path)
    rng = random.Random(format)
    for path in folder.iterdir():
        whole = path.read_bytes()
        cuts = [whole[: rng.randrange(len(whole))] for _ in range(20)]
        flips = []
        for _ in range(40):
            damaged = bytearray(whole)
            damaged[rng.randrange(len(whole))] = rng.randrange(256)
            flips.append(bytes(damaged))
        for content in cuts + flips:
            path.write_bytes(content)
            outcome: object
            try:
                outcome = load_teacher(folder)
            except RsaeError as error:
                outcome = str(error)
            assert isinstance(outcome, Teacher) or "\n" not in str(outcome)
        path.write_bytes(whole)


@pytest.mark.parametrize("format", FORMATS)
def test_an_empty_file_is_damaged(tmp_path, format):
    folder = WRITERS[format](tmp_path)
    weights_file(folder).write_bytes(b"")
    refused(folder, CorruptFileError, "use a sound file|restore it")


@pytest.mark.parametrize("size", [2**63, 2**40, 10**8 + 1])
def test_an_absurd_safetensors_header_is_damaged(tmp_path, size):
    folder = WRITERS["saelens"](tmp_path)
    path = weights_file(folder)
    path.write_bytes(struct.pack("<Q", size) + path.read_bytes()[8:])
    refused(folder, CorruptFileError, "damaged")


class Bomb:
    """A pickle of it creates a file when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (open, (str(self.target), "w"))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_calls_a_function_is_not_unpickled(tmp_path, zipped):
    folder, bomb = WRITERS["openai"](tmp_path), Bomb(tmp_path / "went off")
    state = torch.load(folder / "8.pt", weights_only=True)
    torch.save({**state, "x": bomb}, folder / "8.pt", _use_new_zipfile_serialization=zipped)
    refused(folder, CorruptFileError, "not unpickled")
    (folder / "8.pt").write_bytes(pickle.dumps(bomb))
    refused(folder, CorruptFileError, "not unpickled")
    assert not bomb.target.exists()


def test_an_object_array_in_an_npz_is_not_unpickled(tmp_path):
    np.savez(tmp_path / "params.npz", w_enc=np.array([Bomb(tmp_path / "went off")], dtype=object))
    refused(tmp_path, CorruptFileError, "more than numbers")


def test_a_tensor_that_claims_more_than_its_file_holds_is_refused(tmp_path):
    folder = WRITERS["openai"](tmp_path)
    giant = torch.zeros(1).expand(10**6, 10**6)
    edit_tensors(folder / "8.pt", lambda t: t.update({"encoder.weight": giant}))
    refused(folder, TeacherError, "encoder.weight is no array")


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [
        ("gated", "b_gate is missing"),
        ("abstopk", "negative values"),
        ("matching_pursuit", "iteration"),
        ("temporal", "other tokens"),
        ("transcoder", "b_dec of a transcoder is one of its output"),
        ("jumprelu_skip_transcoder", "W_skip is missing"),
        ("rational", "already"),
        ("no_such", "not one of an SAE"),
        (["list"], "not one of an SAE"),
    ],
)
def test_saelens_architectures_that_are_refused_say_why(tmp_path, architecture, reason):
    folder = WRITERS["saelens"](tmp_path)
    edit_json(folder / "cfg.json", architecture=architecture)
    refused(folder, TeacherError, reason)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"normalize_activations": "covariance_whitening"}, "not supported"),
        ({"normalize_activations": ["none"]}, "not supported"),
        ({"d_in": 4}, "the config says d_in = 4, the tensors say 3"),
        ({"d_sae": "five"}, "not a whole number"),
        ({"metadata": None}, "no object"),
        ({"activation_fn": "tanh-relu"}, "tanh-relu"),
    ],
)
def test_saelens_configs_that_do_not_fit(tmp_path, changes, match):
    folder = WRITERS["saelens"](tmp_path)
    edit_json(folder / "cfg.json", **changes)
    refused(folder, TeacherError, match)


@pytest.mark.parametrize("k", [0, 6, -1, 2.5, True, None, "two", [2], float("nan")])
@pytest.mark.parametrize("format", ["saelens", "sparsify"])
def test_a_k_that_is_none(tmp_path, k, format):
    folder = {"saelens": formats.saelens, "sparsify": formats.sparsify}[format](
        tmp_path, PARTS, *(["topk"] if format == "saelens" else [])
    )
    edit_json(folder / "cfg.json", k=k)
    refused(folder, TeacherError, "k (is|=)")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"transcode": "yes"}, "not true or false"),
        ({"signed": True}, "negative values"),
        ({"activation": "groupmax"}, "groupmax"),
        ({"embed_skip": True}, "embeddings"),
        ({"gram_lookup": True}, "n-grams"),
        ({"num_latents": 7}, "num_latents = 7"),
    ],
)
def test_sparsify_variants_that_are_refused_say_why(tmp_path, changes, reason):
    folder = WRITERS["sparsify"](tmp_path)
    edit_json(folder / "cfg.json", **changes)
    refused(folder, TeacherError, reason)


def test_sparsify_skip_connection_is_refused_unless_it_is_zero(tmp_path):
    refused(formats.sparsify(tmp_path / "a", PARTS, torch.eye(3)), TeacherError, "linear map")
    assert load_teacher(formats.sparsify(tmp_path / "b", PARTS, torch.zeros(3, 3))).k == PARTS.k


def test_gemma_scope_transcoders_are_refused(tmp_path):
    folder = formats.gemma_scope(tmp_path / "gemma-scope-2b-pt-transcoders" / "layer_3", PARTS)
    refused(folder, TeacherError, "transcoder")


@pytest.mark.parametrize("activation", ["Identity", "Sigmoid", 7])
def test_openai_activations_that_are_refused(tmp_path, activation):
    refused(formats.openai(tmp_path, PARTS, activation), TeacherError, "is not supported")


def test_openai_topk_without_relu_after_it_is_refused(tmp_path):
    refused(formats.openai(tmp_path, PARTS, "TopK", "Identity"), TeacherError, "negative values")


def test_a_gated_sae_without_its_gate_is_refused(tmp_path):
    folder = formats.dictionary_learning(tmp_path, PARTS, "GatedAutoEncoder")
    edit_tensors(folder / "ae.pt", lambda t: t.pop("gate_bias"))
    refused(folder, TeacherError, "gate_bias is missing")


def test_dictionary_learning_topk_and_batch_topk_need_their_config(tmp_path):
    folder = formats.dictionary_learning(tmp_path, PARTS, "AutoEncoderTopK")
    (folder / "config.json").unlink()
    refused(folder, TeacherError, "store the same tensors")


def test_dictionary_learning_batch_topk_without_an_estimated_threshold_is_refused(tmp_path):
    folder = formats.dictionary_learning(tmp_path, PARTS, "BatchTopKSAE")
    edit_tensors(folder / "ae.pt", lambda tensors: tensors["threshold"].fill_(-1.0))
    refused(folder, TeacherError, "never estimated")


def test_dictionary_learning_k_of_config_and_tensor_must_agree(tmp_path):
    folder = formats.dictionary_learning(tmp_path, PARTS, "AutoEncoderTopK", k=PARTS.k + 1)
    refused(folder, TeacherError, "in one place")


def test_dictionary_learning_before_k_was_a_buffer_takes_it_from_the_config(tmp_path):
    folder = formats.dictionary_learning(tmp_path, PARTS, "AutoEncoderTopK")
    edit_tensors(folder / "ae.pt", lambda tensors: (tensors.pop("k"), tensors.pop("threshold")))
    assert load_teacher(folder).k == PARTS.k


def test_dictionary_learning_class_written_as_a_python_class(tmp_path):
    folder = formats.dictionary_learning(tmp_path, PARTS, "AutoEncoder")
    content = json.loads((folder / "config.json").read_text())
    content["trainer"]["dict_class"] = "<class 'dictionary_learning.dictionary.AutoEncoder'>"
    (folder / "config.json").write_text(json.dumps(content))
    assert load_teacher(folder).family == "relu"


@pytest.mark.parametrize("format", ["saelens", "sparsify"])
def test_a_missing_config_is_named(tmp_path, format):
    folder = WRITERS[format](tmp_path)
    (folder / "cfg.json").unlink()
    refused(folder, TeacherError, r"no cfg\.json")


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000, '{"a": NaN'])
def test_a_config_that_is_no_object_is_damaged(tmp_path, text):
    folder = WRITERS["sparsify"](tmp_path)
    (folder / "cfg.json").write_text(text)
    refused(folder, CorruptFileError, "cfg.json")
