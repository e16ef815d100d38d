"""Transcoders: SAELens' own classes compute the same, and the refinement explains the output."""

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sae_lens import SAE
from sae_lens.registry import get_sae_class
from sae_lens.saes.sae import SAEMetadata
from tests.rsae.tiny_model import save_tiny_model

import rsae
from rsae import Refinement, Transcoder, load_transcoder
from rsae.data import harvest
from rsae.data.document import Document
from rsae.data.text import tokenize
from rsae.errors import ConfigError, CorruptFileError, HookError, TeacherError
from rsae.language_model.host import load_host
from rsae.sae.refinement import Pursuit
from rsae.upgrading.refining import as_rsae
from rsae_cli import main
from rsae_evals import EvaluationError, as_coder, downstream, reconstruction

ARCHITECTURES = (
    "transcoder",
    "skip_transcoder",
    "jumprelu_transcoder",
    "jumprelu_skip_transcoder",
)
IN, OUT = "blocks.1.mlp.hook_in", "blocks.1.hook_mlp_out"


def plain(architecture="skip_transcoder", d_in=8, d_out=8, d_sae=24, seed=0):
    cls, config = get_sae_class(architecture)
    metadata = SAEMetadata(hook_name=IN, hook_name_out=OUT, model_name="tiny")
    sae = cls(
        config(d_in=d_in, d_out=d_out, d_sae=d_sae, apply_b_dec_to_input=False, metadata=metadata)
    )
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in sae.named_parameters():
            value.copy_(torch.randn(value.shape, generator=g) / 3)
            if name == "threshold":
                value.abs_()
    return sae.requires_grad_(False)


def pairs(n=50, d_in=8, d_out=8):
    g = torch.Generator().manual_seed(1)
    return torch.randn(n, d_in, generator=g), torch.randn(n, d_out, generator=g)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_without_a_refinement_it_computes_what_saelens_does_also_from_its_file(
    tmp_path, architecture
):
    sae = plain(architecture, d_out=5)
    x, y = pairs(d_out=5)
    Transcoder(sae).save(tmp_path)
    found = load_transcoder(tmp_path)
    assert (found.d_in, found.d_out, found.d_sae) == (8, 5, 24)
    assert (found.input_hook, found.output_hook) == (IN, OUT)
    for one in (Transcoder(sae), found):
        torch.testing.assert_close(one.encode(x, y), sae.encode(x))
        torch.testing.assert_close(one.reconstruct(x), sae(x))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_refined_one_is_a_plain_transcoder_to_saelens_and_refined_here(tmp_path, architecture):
    sae = plain(architecture)
    x, y = pairs()
    refined = Transcoder(sae).refine(Refinement(steps=4))
    refined.save(tmp_path)
    again = load_transcoder(tmp_path)
    assert again.refinement == refined.refinement
    torch.testing.assert_close(again.encode(x, y), refined.encode(x, y))
    theirs = SAE.load_from_disk(tmp_path)
    assert type(theirs) is type(sae)
    torch.testing.assert_close(theirs(x), sae(x))
    again.refine(None).save(tmp_path)
    assert load_transcoder(tmp_path).refinement is None


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(ARCHITECTURES),
    st.integers(0, 10_000),
    st.integers(1, 7),
    st.sampled_from(["cg", "exact"]),
)
def test_refinement_raises_no_tokens_error_and_adds_no_feature(architecture, seed, d_out, method):
    transcoder = Transcoder(plain(architecture, d_out=d_out, seed=seed))
    x, y = pairs(d_out=d_out)
    refined = transcoder.refine(Refinement(method))
    before = (y - transcoder.reconstruct(x)).square().sum(dim=1)
    after = (y - refined.reconstruct(x, y)).square().sum(dim=1)
    assert (after <= before * (1 + 1e-4) + 1e-5).all()
    new = (refined.encode(x, y) != 0) & (transcoder.encode(x) == 0)
    assert not new.any()


def test_the_exact_refinement_solves_the_least_squares_of_what_the_skip_leaves():
    sae = plain("skip_transcoder", d_out=20, d_sae=6)
    with torch.no_grad():
        sae.b_enc.fill_(50.0)  # every feature fires
    x, _ = pairs()
    wanted = torch.rand(len(x), 6, generator=torch.Generator().manual_seed(2)) + 0.5
    y = wanted @ sae.W_dec + sae.b_dec + x @ sae.W_skip.T
    found = Transcoder(sae, Refinement("exact")).encode(x, y)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


def test_what_cannot_be_is_said(tmp_path):
    x, y = pairs()
    refined = Transcoder(plain(), Refinement())
    with pytest.raises(ConfigError, match="needs the output"):
        refined.encode(x)
    with pytest.raises(ConfigError, match=r"shape \(3, 8\)"):
        refined.encode(x, y[:3])
    with pytest.raises(ConfigError, match="without pursuit"):
        refined.refine(Refinement(pursuit=Pursuit(0.5, 0.0)))
    with pytest.raises(ConfigError, match="SAELens"):
        Transcoder(x)
    with pytest.raises(TeacherError, match=r"no cfg\.json"):
        load_transcoder(tmp_path)
    refined.save(tmp_path)
    config = json.loads((tmp_path / "cfg.json").read_text())
    (tmp_path / "cfg.json").write_text(json.dumps({**config, "d_sae": 7}))
    with pytest.raises(CorruptFileError, match="do not fit"):
        load_transcoder(tmp_path)
    (tmp_path / "cfg.json").write_text(json.dumps({**config, "architecture": "standard"}))
    with pytest.raises(TeacherError, match="no transcoder"):
        load_transcoder(tmp_path)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return load_host(save_tiny_model(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def tokens(tiny):
    return tokenize(tiny, [Document("a", " ".join(f"w{i % 20}" for i in range(90)))], 12)


def test_pairs_are_harvested_and_measured(tiny, tokens, tmp_path):
    store = harvest(tiny, {"train": tokens}, [IN, OUT], tmp_path / "store")
    x, y = store.split("train", IN), store.split("train", OUT)
    transcoder = Transcoder(plain("skip_transcoder"))
    before = reconstruction(transcoder, x, targets=y, batch_size=7)
    error = (y.tensor() - transcoder.sae(x.tensor())).square().sum(dim=1).mean().item()
    assert before["mse"] == pytest.approx(error, rel=1e-5)
    after = reconstruction(transcoder.refine(Refinement()), x, targets=y)
    assert after["mse"] < before["mse"]
    assert after["l0"] <= before["l0"]
    with pytest.raises(EvaluationError, match="as many tokens"):
        reconstruction(transcoder, x, targets=y.tensor()[:-1])
    with pytest.raises(EvaluationError, match="an SAE none"):
        reconstruction(rsae.load_teacher("demo:topk"), torch.ones(5, 576), targets=y.tensor()[:5])


def test_the_splice_reads_the_mlps_input_and_replaces_its_output(tiny, tokens):
    state = tiny.bridge.original_model.state_dict()
    weights = {
        name: next(v for k, v in state.items() if "layers.1.mlp" in k and name in k)
        for name in ("gate_proj", "up_proj", "down_proj")
    }
    ordinary = ~tiny.is_special(tokens.ids)
    seen = []

    def own(x, y):
        seen.append((x, y))
        gate, up = x @ weights["gate_proj"].T, x @ weights["up_proj"].T
        return (torch.nn.functional.silu(gate) * up) @ weights["down_proj"].T

    with torch.no_grad():
        spliced = tiny.logits(tokens.ids, OUT, own, IN)
    torch.testing.assert_close(spliced, tiny.logits(tokens.ids))
    expected = tiny.residuals(tokens.ids, [IN, OUT])
    torch.testing.assert_close(seen[0], tuple(expected[hook][ordinary] for hook in (IN, OUT)))
    transcoder = Transcoder(plain("jumprelu_skip_transcoder"))
    found = downstream(transcoder, tiny, tokens, OUT, input_hook=IN)
    theirs = tiny.logits(tokens.ids, OUT, lambda x, y: transcoder.sae(x), IN)
    log_p = torch.log_softmax(theirs[:, :-1].double(), dim=-1)
    loss = -log_p.gather(-1, tokens.ids[:, 1:, None])[..., 0]
    counted = ~torch.isnan(torch.from_numpy(found.ce_spliced))
    torch.testing.assert_close(
        torch.from_numpy(found.ce_spliced)[counted], loss[counted], rtol=1e-5, atol=1e-5
    )
    eye = torch.eye(8)
    sae = {"W_enc": eye, "b_enc": eye[0], "W_dec": eye, "b_dec": eye[0]}
    with pytest.raises(EvaluationError, match="an SAE none"):
        downstream(sae, tiny, tokens, OUT, input_hook=IN)
    narrow = replace(transcoder, sae=plain(d_out=5))
    with pytest.raises(EvaluationError, match="d_out = 5"):
        downstream(narrow, tiny, tokens, OUT, input_hook=IN)


def test_an_input_hook_after_the_output_hook_is_refused(tiny, tokens):
    with pytest.raises(HookError, match=r"mlp\.hook_in runs after blocks\.0\.hook_mlp_out"):
        tiny.logits(tokens.ids, "blocks.0.hook_mlp_out", lambda x, y: y, IN)
    with pytest.raises(HookError, match="runs after"):
        downstream(Transcoder(plain()), tiny, tokens, IN, input_hook=OUT)


def test_evaluation_sees_the_tensors_of_a_transcoder():
    sae = plain("jumprelu_skip_transcoder")
    seen = as_coder(Transcoder(sae))
    for name in ("W_enc", "W_dec", "W_skip", "threshold"):
        assert torch.equal(seen.weight(name), getattr(sae, name))
    assert seen.family == "jumprelu_skip_transcoder"
    assert seen.fingerprint == as_coder(sae).fingerprint  # SAELens' own object
    others = [plain("jumprelu_skip_transcoder", seed=1), plain(), plain("transcoder")]
    fingerprints = {as_coder(Transcoder(one)).fingerprint for one in (sae, *others)}
    fingerprints |= {as_coder(Transcoder(sae, Refinement(steps=n))).fingerprint for n in (2, 3)}
    assert len(fingerprints - {None}) == 6


def test_a_transcoder_moves_to_another_device_and_type():
    seen = as_coder(Transcoder(plain())).to("cpu", torch.float64)
    assert seen.encode(pairs()[0].double()).dtype == torch.float64
    assert as_coder(Transcoder(plain())).to("meta").device.type == "meta"
    assert Transcoder(plain()).to(dtype=torch.float64).device.type == "cpu"


def test_an_input_scale_that_no_file_has_is_refused():
    sae = plain()
    sae.cfg.normalize_activations = "expected_average_only_in"
    with pytest.raises(ConfigError, match="fold_activation_norm_scaling_factor"):
        Transcoder(sae)
    sae.fold_activation_norm_scaling_factor(2.0)
    assert Transcoder(sae).d_in == 8


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_info_shows_the_transcoder_in_a_folder(tmp_path, capsys, architecture):
    Transcoder(plain(architecture, d_out=5), Refinement(steps=2)).save(tmp_path)
    assert main(["info", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["architecture"]) == ("transcoder", architecture)
    assert (found["d_in"], found["d_out"], found["d_sae"]) == (8, 5, 24)
    assert found["refinement"]["steps"] == 2
    assert (found["threshold"] is not None) == ("jumprelu" in architecture)
    said = found["metadata"]
    assert (said["hook_name"], said["hook_name_out"], said["model_name"]) == (IN, OUT, "tiny")
    assert "rsae_refinement" not in said


def test_refine_by_command_says_why_a_transcoder_is_not_refined(tmp_path, capsys):
    Transcoder(plain()).save(tmp_path / "transcoder")
    out = ["--out", str(tmp_path / "out")]
    assert main(["refine", str(tmp_path / "transcoder"), *out]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "the output of the MLP, which a transcoder does not have when it encodes" in line
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="does not have when it encodes"):
        rsae.refine(tmp_path / "transcoder")


@pytest.mark.parametrize("normalization", ["none", "layer_norm", "constant_norm_rescale"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_teacher_and_its_rsae_compute_what_saelens_does(tmp_path, architecture, normalization):
    sae = plain(architecture, d_out=5)
    sae.cfg.normalize_activations = normalization
    Transcoder(sae).save(tmp_path / "transcoder")
    theirs = SAE.load_from_disk(tmp_path / "transcoder")
    x, _ = pairs()
    teacher = rsae.load_teacher(tmp_path / "transcoder")
    assert (teacher.d_in, teacher.d_out, teacher.d_sae) == (8, 5, 24)
    torch.testing.assert_close(teacher.encode(x), theirs.encode(x))
    torch.testing.assert_close(teacher.reconstruct(x), theirs(x))
    copy = as_rsae(teacher)
    copy.save_model(tmp_path / "rsae")
    for one in (copy, rsae.load_rsae(tmp_path / "rsae"), SAE.load_from_disk(tmp_path / "rsae")):
        torch.testing.assert_close(one.encode(x), theirs.encode(x))
        torch.testing.assert_close(one(x), theirs(x))
    with pytest.raises(ConfigError, match="does not have when it encodes"):
        copy.set_refinement(Refinement())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"apply_b_dec_to_input": True}, "b_dec of a transcoder is one of its output"),
        ({"normalize_activations": "expected_average_only_in"}, "fold_activation_norm"),
        ({"d_out": 7}, "d_out = 7"),
        ({"d_in": 7}, "d_in = 7"),
        ({"architecture": "transcoder"}, "has no W_skip"),
        ({"architecture": "standard"}, "the encoder is"),
    ],
    ids=str,
)
def test_settings_that_do_not_fit_the_tensors_of_a_transcoder_are_refused(tmp_path, change, said):
    Transcoder(plain("skip_transcoder", d_out=5)).save(tmp_path)
    config = json.loads((tmp_path / "cfg.json").read_text())
    (tmp_path / "cfg.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(TeacherError, match=said):
        rsae.load_teacher(tmp_path)
