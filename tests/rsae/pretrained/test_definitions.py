"""Every adapter against its format's definition, in every dtype, for random weights and shapes."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import sae_lens
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from rsae.pretrained import Teacher, load_teacher

from . import definitions, formats
from .formats import Parts

DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)

shapes = st.tuples(st.integers(2, 9), st.integers(2, 24), st.integers(0, 2**31 - 1))


def parts_and_inputs(shape: tuple[int, int, int], dtype: torch.dtype) -> tuple[Parts, Tensor]:
    d_in, d_sae, seed = shape
    parts = Parts.random(d_in, d_sae, seed, k=1 + seed % d_sae).to(dtype)
    x = torch.randn(40, d_in, generator=torch.Generator().manual_seed(seed + 1)) * 2 + 0.5
    return parts, x


def stored(content: dict[str, object]) -> dict[str, np.ndarray]:
    return {n: t.double().numpy() for n, t in content.items() if isinstance(t, Tensor)}


def agree(teacher: Teacher, x: Tensor, z: np.ndarray, x_hat: np.ndarray) -> None:
    """To 1e-5, where rounding does not decide whether a code is kept (no such case is drawn)."""
    np.testing.assert_allclose(teacher.encode(x).numpy(), z, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(teacher.reconstruct(x).numpy(), x_hat, rtol=1e-5, atol=2e-5)


@given(shape=shapes, dtype=st.sampled_from(DTYPES), w=st.sampled_from("wW"))
def test_gemma_scope_npz(shape, dtype, w):
    parts, x = parts_and_inputs(shape, dtype)
    with TemporaryDirectory() as tmp:
        folder = formats.gemma_scope(Path(tmp) / "layer_20/width_16k/average_l0_71", parts, w=w)
        teacher = load_teacher(folder)
    arrays = {n: getattr(parts, n).double().numpy() for n in ("W_enc", "b_enc", "W_dec", "b_dec")}
    arrays["threshold"] = parts.threshold.double().numpy()
    assert (teacher.format, teacher.family) == ("gemma_scope", "jumprelu")
    agree(teacher, x, *definitions.gemma_scope(arrays, x.double().numpy()))


def test_gemma_scope_safetensors_of_gemma_3(tmp_path):
    parts, x = parts_and_inputs((4, 9, 0), torch.float32)
    both = [
        formats.gemma_scope(tmp_path / "npz", parts),
        formats.gemma_scope(tmp_path / "st", parts, w="w", container="safetensors"),
    ]
    first, second = (load_teacher(folder) for folder in both)
    assert second.format == "gemma_scope"
    torch.testing.assert_close(first.encode(x), second.encode(x), rtol=0, atol=0)


@pytest.mark.parametrize("dict_class", sorted(definitions.DICTIONARY_LEARNING))
@settings(max_examples=10)
@given(shape=shapes, dtype=st.sampled_from(DTYPES))
def test_dictionary_learning(dict_class, shape, dtype):
    parts, x = parts_and_inputs(shape, dtype)
    with TemporaryDirectory() as tmp:
        folder = formats.dictionary_learning(Path(tmp) / "trainer_0", parts, dict_class)
        arrays = stored(torch.load(folder / "ae.pt", weights_only=True))
        teacher = load_teacher(folder)
    define = definitions.DICTIONARY_LEARNING[dict_class]
    assert teacher.format == "dictionary_learning"
    agree(teacher, x, *define(arrays, x.double().numpy()))


@pytest.mark.parametrize(
    "dict_class", ["AutoEncoder", "AutoEncoderNew", "JumpReluAutoEncoder", "MatryoshkaBatchTopKSAE"]
)
def test_dictionary_learning_class_is_told_by_the_tensors_without_a_config(tmp_path, dict_class):
    parts, x = parts_and_inputs((4, 9, 0), torch.float32)
    folder = formats.dictionary_learning(tmp_path, parts, dict_class)
    with_config = load_teacher(folder)
    (folder / "config.json").unlink()
    torch.testing.assert_close(load_teacher(folder / "ae.pt").encode(x), with_config.encode(x))


@given(
    shape=shapes, dtype=st.sampled_from(DTYPES), activation=st.sampled_from(["TopK", "ReLU", None])
)
def test_openai(shape, dtype, activation):
    parts, x = parts_and_inputs(shape, dtype)
    with TemporaryDirectory() as tmp:
        folder = formats.openai(Path(tmp), parts, activation)
        arrays = stored(torch.load(folder / "8.pt", weights_only=True))
        teacher = load_teacher(folder)
    k = parts.k if activation == "TopK" else None
    assert (teacher.format, teacher.k) == ("openai", k)
    agree(teacher, x, *definitions.openai(arrays, x.double().numpy(), k))


@given(shape=shapes, dtype=st.sampled_from(DTYPES), multi_topk=st.booleans())
def test_sparsify(shape, dtype, multi_topk):
    parts, x = parts_and_inputs(shape, dtype)
    with TemporaryDirectory() as tmp:
        folder = formats.sparsify(Path(tmp) / "layers.12", parts, multi_topk=multi_topk)
        arrays = stored(load_file(folder / "sae.safetensors"))
        teacher = load_teacher(folder)
    assert (teacher.format, teacher.family) == ("sparsify", "topk")
    assert teacher.metadata["hook_name"] == "blocks.12.hook_resid_post"
    agree(teacher, x, *definitions.sparsify(arrays, x.double().numpy(), parts.k))


def saelens_reference(folder: Path, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    sae = sae_lens.SAE.load_from_disk(folder, dtype="float64")
    with torch.no_grad():
        return sae.encode(x.double()).numpy(), sae(x.double()).numpy()


@given(
    shape=shapes,
    dtype=st.sampled_from(DTYPES),
    architecture=st.sampled_from(["standard", "jumprelu", "topk"]),
    normalize=st.sampled_from(
        ["none", "layer_norm", "constant_norm_rescale", "expected_average_only_in"]
    ),
    subtract=st.booleans(),
    by_norm=st.booleans(),
)
def test_saelens_by_its_own_classes(shape, dtype, architecture, normalize, subtract, by_norm):
    parts, x = parts_and_inputs(shape, dtype)
    extra = {"rescale_acts_by_decoder_norm": by_norm} if architecture == "topk" else {}
    with TemporaryDirectory() as tmp:
        folder = formats.saelens(
            Path(tmp),
            parts,
            architecture,
            normalize_activations=normalize,
            apply_b_dec_to_input=subtract,
            **extra,
        )
        teacher = load_teacher(folder)
        expected = saelens_reference(folder, x)
    assert teacher.format == "saelens"
    assert teacher.metadata["hook_name"] == "blocks.3.hook_resid_post"
    agree(teacher, x, *expected)


@pytest.mark.parametrize("activation", ["relu", "topk"])
def test_saelens_config_older_than_6(tmp_path, activation):
    parts, x = parts_and_inputs((5, 12, 3), torch.float32)
    formats.saelens(tmp_path, parts, "standard")
    old = {
        "architecture": "standard",
        "d_in": 5,
        "d_sae": 12,
        "dtype": "torch.float32",
        "model_name": "gpt2-small",
        "hook_point": "blocks.8.hook_resid_pre",
        "activation_fn_str": activation,
        "activation_fn_kwargs": {"k": 3} if activation == "topk" else {},
        "normalize_activations": False,
        "finetuning_scaling_factor": False,
    }
    (tmp_path / "cfg.json").write_text(json.dumps(old))
    teacher = load_teacher(tmp_path)
    assert teacher.metadata["hook_name"] == "blocks.8.hook_resid_pre"
    agree(teacher, x, *saelens_reference(tmp_path, x))


@pytest.mark.parametrize(
    "kind", [sae_lens.BatchTopKTrainingSAE, sae_lens.MatryoshkaBatchTopKTrainingSAE]
)
@pytest.mark.parametrize("by_norm", [True, False])
def test_saelens_batch_topk_checkpoint_is_the_jumprelu_that_saelens_makes_of_it(
    tmp_path, kind, by_norm
):
    parts, x = parts_and_inputs((5, 12, 4), torch.float32)
    more = {"matryoshka_widths": [4, 12]} if "Matryoshka" in kind.__name__ else {}
    config = {
        sae_lens.BatchTopKTrainingSAE: sae_lens.BatchTopKTrainingSAEConfig,
        sae_lens.MatryoshkaBatchTopKTrainingSAE: sae_lens.MatryoshkaBatchTopKTrainingSAEConfig,
    }[kind]
    sae = kind(config(d_in=5, d_sae=12, k=3, rescale_acts_by_decoder_norm=by_norm, **more))
    with torch.no_grad():
        for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
            getattr(sae, name).copy_(getattr(parts, name))
    sae.topk_threshold = torch.tensor(0.4, dtype=torch.double)
    sae.save_model(tmp_path / "checkpoint")
    sae.save_inference_model(tmp_path / "finished")
    finished = saelens_reference(tmp_path / "finished", x)
    for folder in ("checkpoint", "finished"):
        teacher = load_teacher(tmp_path / folder)
        assert teacher.family == "jumprelu"
        agree(teacher, x, *finished)


def test_saelens_checkpoint_trained_on_scaled_activations(tmp_path):
    """The factor beside a checkpoint is folded as SAELens folds it when training ends."""
    parts, x = parts_and_inputs((5, 12, 4), torch.float32)
    config = sae_lens.BatchTopKTrainingSAEConfig(
        d_in=5, d_sae=12, k=3, normalize_activations="expected_average_only_in"
    )
    sae = sae_lens.BatchTopKTrainingSAE(config)
    with torch.no_grad():
        for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
            getattr(sae, name).copy_(getattr(parts, name))
    sae.topk_threshold = torch.tensor(0.1, dtype=torch.double)
    sae.save_model(tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / "activation_scaler.json").write_text('{"scaling_factor": 0.25}')
    sae.fold_activation_norm_scaling_factor(0.25)
    sae.save_inference_model(tmp_path / "finished")
    agree(load_teacher(tmp_path / "checkpoint"), x, *saelens_reference(tmp_path / "finished", x))


def test_saelens_log_threshold_of_old_checkpoints(tmp_path):
    parts, x = parts_and_inputs((5, 12, 4), torch.float32)
    folder = formats.saelens(tmp_path, parts, "jumprelu")
    expected = load_teacher(folder).encode(x)
    tensors = load_file(folder / "sae_weights.safetensors")
    tensors["log_threshold"] = tensors.pop("threshold").log()
    save_file(tensors, folder / "sae_weights.safetensors")
    torch.testing.assert_close(load_teacher(folder).encode(x), expected)


def test_saelens_finetuning_scale_multiplies_the_codes_before_decoding(tmp_path):
    parts, x = parts_and_inputs((5, 12, 4), torch.float32)
    plain, folder = (
        formats.saelens(tmp_path / name, parts, "standard", finetuning_scaling_factor=True)
        for name in ("plain", "scaled")
    )
    plain = load_teacher(plain)  # its tensors are mapped: the file must stay
    scale = torch.rand(12) + 0.5
    tensors = load_file(folder / "sae_weights.safetensors") | {"scaling_factor": scale}
    (folder / "sae_weights.safetensors").unlink()
    save_file(tensors, folder / "sae_weights.safetensors")
    scaled = load_teacher(folder)
    torch.testing.assert_close(scaled.encode(x), plain.encode(x))
    torch.testing.assert_close(scaled.reconstruct(x), plain.decode(plain.encode(x) * scale))


@pytest.mark.parametrize(
    "format", ["saelens", "gemma_scope", "dictionary_learning", "openai", "sparsify"]
)
@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "topk"])
@pytest.mark.parametrize("subtract", [True, False])
def test_a_teacher_converted_to_another_format_is_the_same_function(
    tmp_path, format, architecture, subtract
):
    parts, x = parts_and_inputs((6, 16, 5), torch.float32)
    source = formats.saelens(tmp_path / "a", parts, architecture, apply_b_dec_to_input=subtract)
    teacher = load_teacher(source)
    folder = formats.convert(teacher, format, tmp_path / "b")
    if folder is None:
        assert (format, architecture) in {
            ("gemma_scope", "topk"),
            ("openai", "jumprelu"),
            ("openai", "topk"),
            ("sparsify", "jumprelu"),
        }
        return
    other = load_teacher(folder)
    assert other.format == format
    torch.testing.assert_close(other.encode(x), teacher.encode(x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(other.reconstruct(x), teacher.reconstruct(x), rtol=1e-5, atol=1e-5)
