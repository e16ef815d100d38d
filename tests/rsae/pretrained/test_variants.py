"""Files as the originals' modules write them: their `state_dict`, their casts, their old configs.

Each module below has the parameters of the original under the original's names, and a forward pass
written from its source in float64; nothing of this package is used to write a file.
"""

import json
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import sae_lens
import torch
from safetensors.torch import save_file, save_model
from torch import Tensor, nn

from rsae.errors import TeacherError
from rsae.pretrained import Teacher, load_teacher

from . import formats
from .formats import Parts

D_IN, D_SAE, K = 6, 17, 4
PARTS = Parts.random(D_IN, D_SAE, seed=1, k=K)
X = torch.randn(50, D_IN, generator=torch.Generator().manual_seed(2)) * 1.5 + 0.3


def same(teacher: Teacher, z: Tensor, x_hat: Tensor) -> None:
    np.testing.assert_allclose(teacher.encode(X), z.detach(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(teacher.reconstruct(X), x_hat.detach(), rtol=1e-5, atol=1e-5)
    assert (z != 0).any()


def largest(h: Tensor, k: int) -> Tensor:
    found = h.topk(k, dim=-1)
    return torch.zeros_like(h).scatter(-1, found.indices, found.values)


class Linear(nn.Module):
    """Encoder and decoder as `nn.Linear`, as in dictionary_learning and OpenAI."""

    def __init__(self, **biases: Tensor) -> None:
        super().__init__()
        self.encoder = nn.Linear(D_IN, D_SAE, bias="encoder_bias" in biases)
        self.decoder = nn.Linear(D_SAE, D_IN, bias="decoder_bias" in biases)
        with torch.no_grad():
            self.encoder.weight.copy_(PARTS.W_enc.T)
            self.decoder.weight.copy_(PARTS.W_dec.T)
            if "encoder_bias" in biases:
                self.encoder.bias.copy_(biases.pop("encoder_bias"))
            if "decoder_bias" in biases:
                self.decoder.bias.copy_(biases.pop("decoder_bias"))
        for name, bias in biases.items():
            self.register_parameter(name, nn.Parameter(bias.clone()))


def save(module: nn.Module, folder: Path, **trainer: object) -> Path:
    """`torch.save(ae.state_dict(), …)` of an OrderedDict with its `_metadata`, and config.json."""
    torch.save(module.state_dict(), folder / "ae.pt")
    if trainer:
        (folder / "config.json").write_text(json.dumps({"trainer": trainer, "buffer": {}}))
    return folder


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "trainer",
    [
        {},
        {"dict_class": "AutoEncoder", "trainer_class": "StandardTrainer", "submodule_name": None},
        {"dict_class": "<class 'dictionary_learning.dictionary.AutoEncoder'>", "layer": 4},
        {"dict_class": "AutoEncoder", "trainer_class": "StandardTrainerAprilUpdate"},
        {"dict_class": "AutoEncoder", "trainer_class": "PAnnealTrainer", "sparsity_function": "Lp"},
    ],
)
def test_dictionary_learning_auto_encoder(tmp_path, dtype, trainer):
    module = Linear(bias=PARTS.b_dec, encoder_bias=PARTS.b_enc).to(dtype)
    teacher = load_teacher(save(module, tmp_path, **trainer))
    module, x = module.double(), X.double()
    z = module.encoder(x - module.bias).relu()
    same(teacher, z, module.decoder(z) + module.bias)


def test_dictionary_learning_auto_encoder_new(tmp_path):
    module = Linear(encoder_bias=PARTS.b_enc, decoder_bias=PARTS.b_dec)
    teacher = load_teacher(save(module, tmp_path))
    module, x = module.double(), X.double()
    z = module.encoder(x).relu()
    same(teacher, z, module.decoder(z))


@pytest.mark.parametrize("buffers", [("k", "threshold"), ("k",), ()])
def test_dictionary_learning_top_k_of_every_age(tmp_path, buffers):
    """k became a buffer, and later a threshold stood beside it, which plain encode does not use."""
    module = Linear(b_dec=PARTS.b_dec, encoder_bias=PARTS.b_enc)
    values = {"k": torch.tensor(K, dtype=torch.int), "threshold": torch.tensor(0.7)}
    for name in buffers:
        module.register_buffer(name, values[name])
    teacher = load_teacher(save(module, tmp_path, dict_class="AutoEncoderTopK", k=K))
    module, x = module.double(), X.double()
    z = largest(module.encoder(x - module.b_dec).relu(), K)
    same(teacher, z, module.decoder(z) + module.b_dec)


def test_dictionary_learning_batch_top_k_whose_k_was_annealed(tmp_path):
    """The config is written when training starts, when k is not yet what it ends at."""
    module = Linear(b_dec=PARTS.b_dec, encoder_bias=PARTS.b_enc)
    module.register_buffer("k", torch.tensor(K, dtype=torch.int))
    module.register_buffer("threshold", torch.tensor(0.4, dtype=torch.float32))
    teacher = load_teacher(save(module, tmp_path, dict_class="BatchTopKSAE", k=D_IN))
    module, x = module.double(), X.double()
    h = module.encoder(x - module.b_dec).relu()
    z = h * (h > module.threshold)
    same(teacher, z, module.decoder(z) + module.b_dec)


def test_dictionary_learning_jump_relu_in_a_module_of_parameters(tmp_path):
    module = nn.Module()
    for name in ("W_enc", "b_enc", "W_dec", "b_dec", "threshold"):
        module.register_parameter(name, nn.Parameter(getattr(PARTS, name).clone()))
    folder = save(module, tmp_path, dict_class="JumpReluAutoEncoder", bandwidth=0.001)
    module, x = module.double(), X.double()
    h = x @ module.W_enc + module.b_enc
    z = (h * (h > module.threshold)).relu()
    same(load_teacher(folder), z, z @ module.W_dec + module.b_dec)


@pytest.mark.parametrize("extra", ["jump", "codebook", "log_scale"])
def test_dictionary_learning_tensors_that_no_class_has_are_refused(tmp_path, extra):
    """Their JumpAutoEncoder has the tensors of an AutoEncoder and one more, which shifts codes."""
    module = Linear(bias=PARTS.b_dec, encoder_bias=PARTS.b_enc)
    module.register_parameter(extra, nn.Parameter(torch.ones(D_SAE)))
    with pytest.raises(TeacherError, match=extra):
        load_teacher(save(module, tmp_path))


class TiedTranspose(nn.Module):
    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("k", [None, K])
def test_openai_module(tmp_path, tied, k):
    module = Linear(pre_bias=PARTS.b_dec, latent_bias=PARTS.b_enc)
    if tied:
        module.decoder = TiedTranspose(module.encoder)
    module.register_buffer("stats_last_nonzero", torch.zeros(D_SAE, dtype=torch.long))
    state = module.state_dict()
    if k is None:
        state["activation"] = "ReLU"
        state["activation_state_dict"] = OrderedDict()
    else:
        state["activation"] = "TopK"
        state["activation_state_dict"] = OrderedDict(k=k, postact_fn="ReLU")
        if tied:  # as the state_dict of their module has it, whose activation is a module too
            state |= {"activation.k": k + 1, "activation.postact_fn": "ReLU"}
            torch.save(state, tmp_path / "7.pt")
            with pytest.raises(TeacherError, match=r"activation\.k"):
                load_teacher(tmp_path / "7.pt")
            state["activation.k"] = k
    torch.save(state, tmp_path / "7.pt")
    teacher = load_teacher(tmp_path / "7.pt")
    x = X.double()
    mean, std = torch.zeros(50, 1), torch.ones(50, 1)
    if k is not None:
        mean, std = x.mean(1, keepdim=True), x.std(1, keepdim=True)
        x = (x - mean) / (std + 1e-5)
    h = (x - PARTS.b_dec) @ PARTS.W_enc.double() + PARTS.b_enc
    z = h.relu() if k is None else largest(h, k).relu()
    W_dec = PARTS.W_enc.T if tied else PARTS.W_dec
    same(teacher, z, (z @ W_dec.double() + PARTS.b_dec) * std + mean)


class SparseCoder(nn.Module):
    def __init__(self, skip: bool = False) -> None:
        super().__init__()
        self.encoder = nn.Linear(D_IN, D_SAE)
        self.W_dec = nn.Parameter(PARTS.W_dec.clone())
        self.b_dec = nn.Parameter(PARTS.b_dec.clone())
        self.W_skip = nn.Parameter(torch.eye(D_IN)) if skip else None
        with torch.no_grad():
            self.encoder.weight.copy_(PARTS.W_enc.T)
            self.encoder.bias.copy_(PARTS.b_enc)

    def save(self, folder: Path, **config: object) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        save_model(self, str(folder / "sae.safetensors"))
        (folder / "cfg.json").write_text(json.dumps({"k": K, "d_in": D_IN, **config}))
        return folder


@pytest.mark.parametrize(
    "config",
    [
        {"expansion_factor": 32, "normalize_decoder": True, "num_latents": D_SAE, "signed": False},
        {"expansion_factor": 2, "num_latents": 0, "multi_topk": True, "skip_connection": False},
        {"activation": "topk", "transcode": False, "lookup_max_order": 4, "gram_table_hash": None},
    ],
)
def test_sparsify_module_with_configs_of_three_ages(tmp_path, config):
    module = SparseCoder()
    teacher = load_teacher(module.save(tmp_path / "h.3", **config))
    module, x = module.double(), X.double()
    z = largest(module.encoder(x - module.b_dec).relu(), K)
    same(teacher, z, z @ module.W_dec + module.b_dec)


@pytest.mark.parametrize(
    ("folder", "hooks"),
    [
        ("layers.3.mlp", ("blocks.3.mlp.hook_in", "blocks.3.hook_mlp_out")),
        ("layers.3", ("blocks.3.hook_resid_pre", "blocks.3.hook_resid_post")),
    ],
)
@pytest.mark.parametrize("skips", [True, False])
def test_sparsify_transcoder_subtracts_no_bias_and_keeps_its_skip(tmp_path, folder, hooks, skips):
    module = SparseCoder(skip=skips)
    teacher = load_teacher(module.save(tmp_path / folder, transcode=True))
    assert teacher.transcodes
    assert (teacher.metadata["hook_name"], teacher.metadata["hook_name_out"]) == hooks
    module, x = module.double(), X.double()
    z = largest(module.encoder(x).relu(), K)
    y = z @ module.W_dec + module.b_dec + (x @ module.W_skip.mT if skips else 0.0)
    torch.testing.assert_close(teacher.to(dtype=torch.float64).encode(x), z)
    torch.testing.assert_close(teacher.to(dtype=torch.float64).reconstruct(x), y)


@pytest.mark.parametrize(
    ("config", "run", "reason"),
    [
        ({}, {"transcode": True}, "transcoder"),  # a setting of the run in their first transcoders
        ({"matching_pursuit": True}, {}, "iteration"),
    ],
)
def test_sparsify_saes_that_are_no_plain_autoencoder_say_why(tmp_path, config, run, reason):
    SparseCoder().save(tmp_path / "layers.3", **config)
    (tmp_path / "config.json").write_text(json.dumps({"model": "m", **run}))
    with pytest.raises(TeacherError, match=reason):
        load_teacher(tmp_path / "layers.3")


OLD = {
    "d_in": D_IN,
    "d_sae": D_SAE,
    "dtype": "torch.float32",
    "device": "cuda",
    "model_name": "gpt2-small",
    "hook_point": "blocks.8.hook_resid_pre",
    "hook_point_layer": 8,
    "hook_point_head_index": None,
    "prepend_bos": True,
    "context_size": 128,
    "dataset_path": "Skylion007/openwebtext",
}


@pytest.mark.parametrize(
    ("config", "family"),
    [
        ({}, "relu"),
        ({"activation_fn_str": "relu", "architecture": "standard"}, "relu"),
        ({"normalize_activations": "layer_norm", "finetuning_scaling_factor": False}, "relu"),
        ({"architecture": "jumprelu", "normalize_activations": "none"}, "jumprelu"),
        ({"architecture": "jumprelu", "apply_b_dec_to_input": False}, "jumprelu"),
        ({"architecture": "topk", "activation_fn_str": "topk",
          "activation_fn_kwargs": {"k": K}}, "topk"),
        ({"architecture": "standard", "activation_fn": "topk",
          "activation_fn_kwargs": {"k": K}, "sae_lens_training_version": "3.13.1"}, "topk"),
    ],
)  # fmt: skip
def test_saelens_configs_of_versions_three_to_five(tmp_path, config, family):
    stored = {"relu": "standard", "topk": "standard"}.get(family, family)
    formats.saelens(tmp_path, PARTS, stored)
    (tmp_path / "cfg.json").write_text(json.dumps({**OLD, **config}))
    teacher = load_teacher(tmp_path)
    assert teacher.family == family
    assert teacher.metadata["hook_name"] == "blocks.8.hook_resid_pre"
    sae = sae_lens.SAE.load_from_disk(tmp_path, device="cpu", dtype="float64")
    with torch.no_grad():
        same(teacher, sae.encode(X.double()), sae(X.double()))


def test_gemma_scope_as_numpy_saves_a_dict(tmp_path):
    arrays = {n: getattr(PARTS, n).numpy() for n in ("W_enc", "W_dec", "b_enc", "b_dec")}
    np.savez_compressed(tmp_path / "params.npz", threshold=PARTS.threshold.numpy(), **arrays)
    x = X.double()
    h = x @ PARTS.W_enc.double() + PARTS.b_enc
    z = h.relu() * (h > PARTS.threshold)
    same(load_teacher(tmp_path), z, z @ PARTS.W_dec.double() + PARTS.b_dec)


def test_a_sharded_or_foreign_safetensors_is_no_saelens(tmp_path):
    save_file({"W_enc": PARTS.W_enc, "W_E": PARTS.W_dec}, tmp_path / "model.safetensors")
    with pytest.raises(TeacherError, match=r"no cfg\.json"):
        load_teacher(tmp_path)
