"""Gated SAEs are taken as the JumpReLU SAEs that they equal."""

import pytest
import torch
from sae_lens import GatedSAE, GatedSAEConfig
from tests.rsae.pretrained import formats

from rsae import load_teacher
from rsae.errors import TeacherError


def gated(seed, **settings):
    g = torch.Generator().manual_seed(seed)
    sae = GatedSAE(GatedSAEConfig(d_in=6, d_sae=20, **settings))
    with torch.no_grad():
        for name, tensor in sae.named_parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=g) * (0.5 if "_" in name else 1))
    return sae, torch.randn(300, 6, generator=g)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("settings", [{}, {"apply_b_dec_to_input": False},
                                      {"normalize_activations": "layer_norm"}])  # fmt: skip
def test_saelens_gated_saes_compute_the_same(tmp_path, seed, settings):
    sae, x = gated(seed, **settings)
    sae.save_model(tmp_path)
    found = load_teacher(tmp_path)
    assert found.family == "jumprelu"
    assert any("gated" in note for note in found.notes)
    z = sae.encode(x)
    assert 0.05 < (z != 0).float().mean() < 0.95
    torch.testing.assert_close(found.encode(x), z, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.reconstruct(x), sae(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("with_config", [True, False])
def test_dictionary_learning_gated_saes_compute_the_same(tmp_path, with_config):
    """dictionary_learning/dictionary.py, class GatedAutoEncoder, less the norms of later ones."""
    g = torch.Generator().manual_seed(1)
    d_in, d_sae = 6, 20
    shapes = {"W_enc": (d_in, d_sae), "b_enc": (d_sae,), "W_dec": (d_sae, d_in), "b_dec": (d_in,)}
    parts = formats.Parts(
        **{name: torch.randn(shape, generator=g) for name, shape in shapes.items()},
        threshold=torch.rand(d_sae, generator=g),
        k=3,
    )
    folder = formats.dictionary_learning(tmp_path, parts, "GatedAutoEncoder")
    state = torch.load(folder / "ae.pt", weights_only=True)
    state["gate_bias"] = torch.randn(d_sae, generator=g)
    state["r_mag"] = 0.3 * torch.randn(d_sae, generator=g)
    torch.save(state, folder / "ae.pt")
    if not with_config:
        (folder / "config.json").unlink()
    x = torch.randn(300, d_in, generator=g, dtype=torch.float64)
    s = {name: value.double() for name, value in state.items()}
    a = (x - s["decoder_bias"]) @ s["encoder.weight"].T
    z = (a + s["gate_bias"] > 0) * (s["r_mag"].exp() * a + s["mag_bias"]).relu()
    x_hat = z @ s["decoder.weight"].T + s["decoder_bias"]
    found = load_teacher(folder)
    assert found.family == "jumprelu"
    torch.testing.assert_close(found.encode(x.float()).double(), z, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.reconstruct(x.float()).double(), x_hat, rtol=1e-4, atol=1e-4)


def test_gates_of_another_length_are_refused(tmp_path):
    sae, _ = gated(0)
    sae.b_gate = torch.nn.Parameter(torch.zeros(3))
    sae.save_model(tmp_path)
    with pytest.raises(TeacherError, match="do not fit together"):
        load_teacher(tmp_path)
