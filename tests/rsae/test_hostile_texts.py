"""Texts of files that a terminal would obey or that a program would take for markup."""

import contextlib
import io
import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.rsae.pretrained import formats
from tests.rsae.pretrained.formats import Parts

from rsae.errors import ConfigError, RsaeError, printable
from rsae.progress import progress_on
from rsae.terminal import Console
from rsae_cli import main

PARTS = Parts.random(3, 5)
TEXTS = (
    "[/x]",
    "[red]x",
    ":smile:",
    "a\x1b[2Jb",
    "\x1b]0;title\x07",
    "\u202eevil",
    "x\x9b31m",
    "\x7f",
)


def said(*words):
    """Exit code, and what a command prints on both streams."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = main([str(word) for word in words])
    return code, out.getvalue()


def is_harmless(text):
    return all(character.isprintable() or character == "\n" for character in text)


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_metadata_are_printed_as_they_are(tmp_path, text):
    metadata = {"sae_lens_version": "6.54.12", "hook_name": "blocks.0.hook_resid_post"}
    folder = formats.saelens(
        tmp_path, PARTS, "jumprelu", metadata={**metadata, "dataset_path": text}
    )
    code, printed = said("info", folder)
    assert code == 0
    assert is_harmless(printed)
    assert printable(text) in printed
    code, printed = said("info", folder, "--json")
    assert printed.isascii()
    assert json.loads(printed)["metadata"]["dataset_path"] == text


def test_a_message_is_one_printable_line(tmp_path):
    folder = formats.saelens(tmp_path, PARTS, "jumprelu")
    tensors = load_file(folder / "sae_weights.safetensors")
    tensors["a\x1b[2J\u202e"] = torch.zeros(5)
    save_file(tensors, folder / "sae_weights.safetensors")
    code, printed = said("info", folder)
    assert code == 2
    assert is_harmless(printed)
    assert printed.count("\n") == 1
    for words in (
        ["info", "/tmp/a\x1b[2Jb"],
        ["info", "x/y\x1b[1m"],
        ["upgrade", "demo:\x1b[2J"],
        ["report", "/tmp/\u202e"],
        ["export", "a\x1b[2Jb", "--out", str(tmp_path / "out")],
    ):
        code, printed = said(*words)
        assert code == 2
        assert is_harmless(printed)
    assert is_harmless(str(RsaeError("\x00\ud800\x85\u2028")))
    str(ConfigError("\ud800")).encode()


def test_letters_of_every_script_stay_letters():
    text = "grün שלום 日本語 نمی\u200cشود 👩\u200d🔬 a\u00a0b"
    assert printable(text) == text


def test_a_path_with_brackets_is_no_markup():
    console = Console(file=io.StringIO(), width=200)
    console.print("Report: a[/x]/[red]/b:smile:", soft_wrap=True)
    assert "a[/x]/[red]/b:smile:" in console.file.getvalue()
    with progress_on(Console(file=io.StringIO(), force_terminal=True, width=200)) as bars:
        bars.add_task("a[/x]\x1b[2J", total=1)
        bars.refresh()


@pytest.mark.parametrize("option", ["--text", "--config"])
def test_a_pipe_is_told_and_not_waited_for(tmp_path, option):
    os.mkfifo(tmp_path / "pipe")
    code, printed = said("upgrade", "demo:relu", option, tmp_path / "pipe", "--out", tmp_path / "o")
    assert code == 2
    assert "pipe or device" in printed
    assert said("upgrade", "demo:relu", option, "/dev/zero", "--out", tmp_path / "o")[0] == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has such a device")
def test_a_full_disk_behind_standard_output_is_told(tmp_path):
    folder = formats.saelens(tmp_path, PARTS, "jumprelu")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "rsae", "info", str(folder)],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        "rsae: error: cannot write what is printed: the disk is full; free some space\n"
    )
