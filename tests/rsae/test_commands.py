"""The commands that look at files and write plain ones."""

import importlib
import json

import pytest
import sae_lens
import torch
from tests.rsae import saes
from tests.rsae.fake_host import HOOKS, FakeHost, tokens, write_text

import rsae
from rsae import RSAE, RationalActivation
from rsae.data import Activations, harvest
from rsae.errors import ConfigError
from rsae.files import RunLock
from rsae.sae.export import export_jumprelu
from rsae_cli import main

harvesting = importlib.import_module("rsae.commands.harvest")
export_command = importlib.import_module("rsae.commands.export")

DEMO = ("demo:relu", "demo:jumprelu", "demo:topk")


def curved(numerator=(2.0, 0.3, 0.2)) -> RSAE:
    """An RSAE of thresholds whose magnitude is `numerator` / (1 + |1|)."""
    teacher = saes.teacher("jumprelu", metadata={"hook_name": HOOKS[0]})
    rational = RationalActivation([list(numerator)], [[1.0]], input_scale=3.0)
    return RSAE.from_teacher(teacher, rational)


@pytest.mark.parametrize("name", DEMO)
def test_a_teacher_is_described(capsys, name):
    assert main(["teacher", "inspect", name, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["family"] == name.removeprefix("demo:")
    assert (found["format"], found["d_in"]) == ("saelens", 576)
    assert found["source"] == name
    assert found["metadata"]["hook_name"] == "blocks.12.hook_resid_post"
    assert "training_sketches" not in found["metadata"]


def test_info_tells_the_three_kinds_apart(tmp_path, capsys):
    curved().save_model(tmp_path / "rsae")
    host = FakeHost()
    harvest(host, {"train": tokens(host, 3)}, HOOKS, tmp_path / "store")
    kinds = []
    for path in (tmp_path / "rsae", tmp_path / "store", DEMO[0]):
        assert main(["info", str(path), "--json"]) == 0
        kinds.append(json.loads(capsys.readouterr().out))
    assert [kind["kind"] for kind in kinds] == ["rsae", "activations", "teacher"]
    assert kinds[0]["degree"] == [2, 0]
    assert kinds[1]["shards"] == {"finished": 2, "planned": 2}


@pytest.mark.parametrize("break_it", [lambda p: p.unlink(), lambda p: p.write_bytes(b"x" * 50)])
def test_a_damaged_rsae_is_one_line(tmp_path, capsys, break_it):
    curved().save_model(tmp_path)
    break_it(tmp_path / "sae_weights.safetensors")
    assert main(["info", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_an_export_is_what_saelens_loads_and_its_loss_is_true(tmp_path):
    sae, x = curved(), saes.inputs(300)
    export = export_jumprelu(sae, Activations.from_tensor(x))
    plain = sae_lens.SAE.load_from_disk(export.save(tmp_path))
    assert type(plain) is sae_lens.JumpReLUSAE
    with torch.no_grad():
        z, z_plain = sae.encode(x), plain.encode(x)
        assert torch.equal(z != 0, z_plain != 0)
        assert (z != 0).any()
        mse = (x - plain.decode(z_plain)).square().sum(dim=1).mean().item()
        # no other gain of any feature gives codes that are nearer
        residual = ((z - z_plain) * z_plain).sum(dim=0)
        assert residual.abs().max() < 1e-4 * (z_plain**2).sum(dim=0).max()
    assert export.mse == pytest.approx(mse, rel=1e-5)
    assert "export" not in sae.cfg.metadata.to_dict()


def test_a_constant_magnitude_is_exported_without_loss():
    sae, x = curved((3.0, 0.0)), saes.inputs(200)
    export = export_jumprelu(sae, Activations.from_tensor(x))
    torch.testing.assert_close(export.sae.encode(x), sae.encode(x))
    assert export.mse == pytest.approx(export.mse_rsae, rel=1e-5)


def test_an_rsae_without_thresholds_is_refused():
    teacher = saes.teacher("topk")
    sae = RSAE.from_teacher(teacher, RationalActivation.constant((3, 2)), support="topk")
    with pytest.raises(ConfigError, match="no thresholds"):
        export_jumprelu(sae, Activations.from_tensor(saes.inputs(20)))


@pytest.fixture
def text(tmp_path):
    """A text of which no run of words occurs twice, as JSON lines."""
    write_text(tmp_path, [150] * 30)
    return tmp_path / "text.jsonl"


@pytest.fixture
def harvest_command(text, monkeypatch, capsys):
    """`rsae harvest … --json` of the small host; what it printed."""
    monkeypatch.setattr(harvesting, "load_host", lambda name, **_: FakeHost(d_model=12))

    def run(out, *more, code=0):
        fixed = ["--text", str(text), "--tokens", "2000", "--context-size", "16", "--json"]
        assert main(["harvest", "--out", str(out), *fixed, *more]) == code
        printed = capsys.readouterr()
        return json.loads(printed.out) if code == 0 else printed.err

    return run


def test_harvest_writes_a_store_of_several_hooks_and_goes_on(harvest_command, tmp_path, capsys):
    found = harvest_command(tmp_path / "s", "--hook", *HOOKS)
    assert found["kind"] == "activations"
    assert found["hooks"] == list(HOOKS)
    assert found["shards"]["finished"] == found["shards"]["planned"]
    assert 2000 <= found["tokens"]["train"] < 2000 + 16
    assert main(["info", str(tmp_path / "s"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) | {"out": found["out"]} == found
    shard = next((tmp_path / "s").glob("*/train-00000.safetensors"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-8])
    assert harvest_command(tmp_path / "s", "--hook", *HOOKS) == found
    assert shard.read_bytes() == whole


def test_harvest_refuses_the_folder_of_another_text_or_run(harvest_command, tmp_path):
    harvest_command(tmp_path / "s", "--hook", HOOKS[0])
    assert "hook_names" in harvest_command(tmp_path / "s", "--hook", HOOKS[1], code=2)
    with RunLock(tmp_path / "s"):
        assert "another run" in harvest_command(tmp_path / "s", "--hook", HOOKS[0], code=2)
    assert "no hook" in harvest_command(tmp_path / "t", "--hook", "blocks.9", code=2)
    assert not (tmp_path / "t").exists()


def test_export_says_that_a_refinement_stays_behind(tmp_path):
    x = saes.inputs(500)
    sae = rsae.refine(curved())
    export = export_jumprelu(sae, Activations.from_tensor(x))
    assert "refinement" in export.lost
    found = export.losses()
    assert found["mse_rsae"] < found["mse"]
    assert found["l0_rsae"] <= found["l0"]
    without = export_jumprelu(curved(), Activations.from_tensor(x))
    assert found["mse"] < without.mse  # the gains are those of the refined activations
    assert "refinement" not in without.lost


@pytest.mark.parametrize("of_a_store", [True, False])
def test_export_says_what_the_plain_sae_loses(
    harvest_command, tmp_path, capsys, monkeypatch, of_a_store
):
    curved().save_model(tmp_path / "rsae")
    monkeypatch.setattr(export_command, "load_host", lambda name, **_: FakeHost(d_model=12))
    flags = ["--out", str(tmp_path / "plain"), "--json"]
    if of_a_store:
        harvest_command(tmp_path / "s", "--hook", *HOOKS)
        flags += ["--activations", str(tmp_path / "s")]
    assert main(["export", str(tmp_path / "rsae"), "--as", "jumprelu", *flags]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["mse_increase"] == pytest.approx(found["mse"] / found["mse_rsae"] - 1)
    sae = sae_lens.SAE.load_from_disk(tmp_path / "plain")
    assert sae.cfg.metadata.hook_name == HOOKS[0]
    assert main(["teacher", "inspect", str(tmp_path / "plain"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["family"] == "jumprelu"


def test_export_refuses_what_has_no_rsae_and_activations_of_another_width(tmp_path, capsys):
    assert main(["export", DEMO[0], "--out", str(tmp_path / "plain")]) == 2
    assert "holds no RSAE" in capsys.readouterr().err
    curved().save_model(tmp_path / "rsae")
    host = FakeHost(d_model=6)
    harvest(host, {"calibration": tokens(host, 3)}, HOOKS[0], tmp_path / "s")
    flags = ["--out", str(tmp_path / "plain"), "--activations", str(tmp_path / "s")]
    assert main(["export", str(tmp_path / "rsae"), *flags]) == 2
    assert "12" in capsys.readouterr().err
    assert not (tmp_path / "plain").exists()


def test_export_does_not_overwrite_an_rsae(tmp_path, capsys):
    curved().save_model(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert main(["export", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "another folder" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("arguments", [["--tokens", "0"], ["--context-size", "4"]])
def test_harvest_refuses_what_leaves_nothing(tmp_path, capsys, arguments):
    command = ["harvest", "--hook", HOOKS[0], "--out", str(tmp_path / "s"), *arguments]
    assert main(command) == 2
    assert arguments[0] in capsys.readouterr().err
    assert not (tmp_path / "s").exists()
