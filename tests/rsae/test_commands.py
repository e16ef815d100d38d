"""The commands that look at files and write plain ones."""

import json

import pytest
import sae_lens
import torch
from tests.rsae import coders
from tests.rsae.fake_host import HOOKS, FakeHost, tokens

from rsae import RSAE, RationalActivation
from rsae.activations import Activations, harvest
from rsae.cli import main
from rsae.errors import ConfigError
from rsae.export import export_jumprelu

DEMO = ("demo:relu", "demo:jumprelu", "demo:topk")


def curved(numerator=(2.0, 0.3, 0.2)) -> RSAE:
    """An RSAE of thresholds whose magnitude is `numerator` / (1 + |1|)."""
    teacher = coders.teacher("jumprelu", metadata={"hook_name": HOOKS[0]})
    rational = RationalActivation([list(numerator)], [[1.0]], input_scale=3.0)
    return RSAE.from_teacher(teacher, rational)


@pytest.mark.parametrize("name", DEMO)
def test_a_teacher_is_described(capsys, name):
    assert main(["teacher", "inspect", name, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["family"] == name.removeprefix("demo:")
    assert (found["format"], found["d_in"]) == ("saelens", 576)
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
    coder, x = curved(), coders.inputs(300)
    export = export_jumprelu(coder, Activations.from_tensor(x))
    plain = sae_lens.SAE.load_from_disk(export.save(tmp_path))
    assert type(plain) is sae_lens.JumpReLUSAE
    with torch.no_grad():
        z, z_plain = coder.encode(x), plain.encode(x)
        assert torch.equal(z != 0, z_plain != 0)
        assert (z != 0).any()
        mse = (x - plain.decode(z_plain)).square().sum(dim=1).mean().item()
        # no other gain of any feature gives codes that are nearer
        residual = ((z - z_plain) * z_plain).sum(dim=0)
        assert residual.abs().max() < 1e-4 * (z_plain**2).sum(dim=0).max()
    assert export.mse == pytest.approx(mse, rel=1e-5)
    assert "export" not in coder.cfg.metadata.to_dict()


def test_a_constant_magnitude_is_exported_without_loss():
    coder, x = curved((3.0, 0.0)), coders.inputs(200)
    export = export_jumprelu(coder, Activations.from_tensor(x))
    torch.testing.assert_close(export.sae.encode(x), coder.encode(x))
    assert export.mse == pytest.approx(export.mse_rsae, rel=1e-5)


def test_an_rsae_without_thresholds_is_refused():
    teacher = coders.teacher("topk")
    coder = RSAE.from_teacher(teacher, RationalActivation.constant((3, 2)), support="topk")
    with pytest.raises(ConfigError, match="no thresholds"):
        export_jumprelu(coder, Activations.from_tensor(coders.inputs(20)))


@pytest.mark.parametrize("arguments", [["--tokens", "0"], ["--context-size", "4"]])
def test_harvest_refuses_what_leaves_nothing(tmp_path, capsys, arguments):
    command = ["harvest", "--hook", HOOKS[0], "--out", str(tmp_path / "s"), *arguments]
    assert main(command) == 2
    assert arguments[0] in capsys.readouterr().err
    assert not (tmp_path / "s").exists()
