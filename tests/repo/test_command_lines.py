"""Habits that the commands `remez` and `rsae` share."""

import argparse
import json
import shlex
import subprocess
import sys

import pytest

from remez.cli.program import _parser as remez_parser
from remez.cli.program import main as remez
from rsae_cli import build_parser as rsae_parser
from rsae_cli import doctor
from rsae_cli import main as rsae

PROGRAMS = {"remez": (remez_parser, remez), "rsae": (rsae_parser, rsae)}


def parsers(parser):
    """A parser and those of its commands, to the last."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from parsers(child)


EVERY = {one.prog: one for make, _ in PROGRAMS.values() for one in parsers(make())}
LEAVES = [name for name in EVERY if name != "rsae teacher"]


@pytest.mark.parametrize("name", LEAVES)
def test_every_help_shows_an_example_that_parses(name):
    text = EVERY[name].format_help()
    words = shlex.split(EVERY[name].example)
    assert words[: len(name.split())] == name.split()
    assert f"example: {EVERY[name].example}" in " ".join(text.split())
    EVERY[words[0]].parse_args(words[1:])


@pytest.mark.parametrize("name", EVERY)
def test_every_option_has_a_help_with_its_default(name):
    for action in EVERY[name]._actions:
        if isinstance(action, argparse._SubParsersAction):
            continue
        assert action.help, action.option_strings
        if action.default not in (None, False, argparse.SUPPRESS) and action.default != []:
            assert "default" in action.help, action.option_strings


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (["remez", "fit", "exp", "--degree", "2", "2", "--precison", "20"], "--precision"),
        (["remez", "certfy", "exp"], "certify"),
        (["rsae", "upgrade", "--step", "3"], "--steps"),
        (["rsae", "compare", "a", "--prob"], "--probe"),
        (["rsae", "teacher", "inspct", "a"], "inspect"),
        (["rsae", "upgrade", "--preset", "papr"], "paper"),
        (["rsae", "upgrde"], "upgrade"),
        (["rsae", "--versoin"], "--version"),  # rather than that a command is missing
        (["remez", "--print-completoin=bash"], "--print-completion"),
        (["rsae", "teacher", "--hepl"], "--help"),
        (["rsae", "refine", "demo:topk", "--outt", "x"], "--out"),  # or that --out is missing
        (["rsae", "refine", "demo:topk", "--pursit"], "--pursuit"),
        (["remez", "fit", "exp", "--degre", "2", "2"], "--degree"),
    ],
)
def test_a_mistyped_option_or_command_is_one_line_with_the_right_one(capsys, arguments, suggestion):
    with pytest.raises(SystemExit) as stop:
        PROGRAMS[arguments[0]][1](arguments[1:])
    printed = capsys.readouterr()
    assert stop.value.code == 2
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert f"did you mean {suggestion}?" in printed.err


def test_nothing_near_is_no_suggestion(capsys):
    with pytest.raises(SystemExit):
        remez(["fit", "exp", "--qqqqqq"])
    assert "did you mean" not in capsys.readouterr().err


@pytest.mark.parametrize("name", PROGRAMS)
def test_version(capsys, name):
    with pytest.raises(SystemExit) as stop:
        PROGRAMS[name][1](["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(name)


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_script(capsys, name, shell):
    pytest.importorskip("shtab")
    with pytest.raises(SystemExit) as stop:
        PROGRAMS[name][1](["--print-completion", shell])
    assert stop.value.code == 0
    script = capsys.readouterr().out
    assert "--precision" in script or "--steps" in script


def test_completion_without_shtab_names_the_package(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit):
        remez(["--print-completion", "bash"])
    assert "pip install shtab" in capsys.readouterr().err


@pytest.mark.parametrize("name", PROGRAMS)
def test_python_m_runs_the_command(name):
    done = subprocess.run(
        [sys.executable, "-m", name, "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(name)


def test_a_value_that_looks_like_an_option_is_not_called_mistyped(capsys):
    with pytest.raises(SystemExit):
        remez(["fit", "--degree", "-1", "2"])
    assert "arguments are required" in capsys.readouterr().err


def test_doctor_finds_what_is_missing_and_what_to_do(monkeypatch, capsys):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    known = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda n: None if n == "gguf" else known(n))
    assert rsae(["doctor"]) == 1
    (line,) = [one for one in capsys.readouterr().out.splitlines() if one.startswith("gguf")]
    assert "missing" in line
    assert "pip install 'gguf" in line
    monkeypatch.setattr(doctor, "_version", lambda n: "2.0" if n == "torch" else known(n))
    assert rsae(["doctor", "--json"]) == 1
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["torch"]["required"]
    assert "2.0" in found["torch"]["value"]
    assert not found["remez"]["required"]


def test_doctor_says_when_the_hub_does_not_answer(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "does not answer" in doctor._hub().value


def test_doctor_loads_no_torch():
    code = (
        "import sys; from rsae_cli import main; main(['doctor', '--json'])\n"
        "print([n for n in ('torch', 'transformers', 'sae_lens') if n in sys.modules], "
        "file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={"PATH": "/nonexistent", "HF_HUB_OFFLINE": "1", "PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert done.stderr.strip().endswith("[]")
