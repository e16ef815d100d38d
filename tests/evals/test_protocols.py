import pytest
import torch
from sae_lens import StandardSAE, StandardSAEConfig

from rsae_evals import EvaluationError, SparseCoder, as_coder


def test_teacher_rsae_saelens_and_bare_tensors_are_saes(teacher, rsae, data):
    sae = StandardSAE(StandardSAEConfig(d_in=teacher.d_in, d_sae=teacher.d_sae))
    bare = {name: getattr(teacher, name) for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
    x = data[:10]
    for obj in (teacher, rsae, sae, bare, bare | {"threshold": teacher.threshold}):
        sae = as_coder(obj)
        assert isinstance(sae, SparseCoder)
        z, out = sae.run(x)
        assert z.shape == (10, teacher.d_sae)
        assert out.shape == x.shape
    assert torch.equal(
        as_coder(bare | {"threshold": teacher.threshold}).encode(x), teacher.encode(x)
    )
    assert (as_coder(bare | {"k": 3}).encode(x) != 0).sum(-1).max() <= 3


def test_a_normalising_sae_reconstructs_in_the_units_of_x(data):
    d = data.shape[1]
    eye = torch.eye(d)
    from rsae.pretrained import Teacher

    twice = Teacher(
        "relu", torch.cat([eye, -eye], 1), torch.zeros(2 * d), torch.cat([eye, -eye]),
        torch.zeros(d), normalize_activations="layer_norm",
    )  # fmt: skip
    out = as_coder(twice).reconstruct(5 + 3 * data[:10])
    assert torch.allclose(out, 5 + 3 * data[:10], atol=1e-3)


def test_fingerprints_tell_weights_apart(teacher, rsae):
    first = as_coder(rsae).fingerprint
    assert first == as_coder(rsae).fingerprint
    assert first != as_coder(teacher).fingerprint
    with torch.no_grad():
        rsae.rational.log_output_scale += 0.1
    assert as_coder(rsae).fingerprint != first


@pytest.mark.parametrize(("obj", "message"), [(object(), "neither"), ({"W_enc": 1}, "b_enc")])
def test_what_is_no_sae_is_said_in_a_line(obj, message):
    with pytest.raises(EvaluationError, match=message):
        as_coder(obj)


def test_a_sae_without_widths_is_refused():
    with pytest.raises(EvaluationError, match="d_in"):
        as_coder(type("Odd", (), {"encode": None, "decode": None})())


def test_a_refined_sae_has_a_fingerprint_of_its_own_that_saving_keeps(tmp_path):
    from rsae import RSAE, refine
    from rsae.upgrading.refining import as_rsae

    plain = as_rsae("demo:topk")
    refined = refine(plain)
    assert as_coder(plain).fingerprint != as_coder(refined).fingerprint
    refined.save_model(tmp_path)
    again = RSAE.load_from_disk(tmp_path)
    assert as_coder(again).fingerprint == as_coder(refined).fingerprint
