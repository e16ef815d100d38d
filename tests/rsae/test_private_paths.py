"""What is shared says nothing of the machine that it was made on."""

import torch
from tests.rsae import coders

from rsae import RSAE, RationalActivation
from rsae.files import public_name


def test_a_saved_rsae_has_no_path_of_this_machine(tmp_path):
    lives = {"model_name": str(tmp_path / "my" / "model"), "dataset_path": "~/mine/text"}
    source = str(tmp_path / "secret" / "teacher" / "sae_weights.safetensors")
    teacher = coders.teacher("relu", metadata=lives, source=source)
    coder = RSAE.from_teacher(teacher, RationalActivation.constant((3, 2)))
    coder.save_model(tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        content = path.read_bytes()
        assert b"secret" not in content, path.name
        assert str(tmp_path).encode() not in content, path.name
    assert coder.cfg.metadata.teacher == "teacher"
    assert torch.equal(coder.W_dec, teacher.W_dec)


def test_names_on_a_hub_are_told(tmp_path):
    assert public_name("gpt2-small-res-jb/blocks.8.hook_resid_pre").count("/") == 1
    assert public_name("demo:relu") == "demo:relu"
    assert public_name(str(tmp_path / "a" / "b.pt")) == "a"
    assert public_name("~/a/model") == "model"
