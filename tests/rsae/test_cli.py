"""The program: quick to help, one line for what a user can mend."""

import importlib.util
import json
import subprocess
import sys

import pytest

from rsae_cli import build_parser, main


def test_help_needs_neither_torch_nor_saelens():
    code = (
        "import json, sys, rsae_cli\n"
        "text = rsae_cli.build_parser().format_help()\n"
        "heavy = [n for n in ('torch', 'sae_lens', 'numpy', 'rich', 'rsae') if n in sys.modules]\n"
        "print(json.dumps([text, heavy]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    text, heavy = json.loads(done.stdout)
    assert heavy == []
    commands = ["upgrade", "harvest", "teacher", "info", "export"]
    if importlib.util.find_spec("rsae_evals"):
        commands += ["eval", "compare", "report"]
    for command in commands:
        assert f"    {command} " in text


def test_a_reader_that_has_had_enough_is_no_traceback():
    code = (
        "import argparse, sys, rsae_cli.program as program\n"
        "run = lambda args: print('x' * 10**6) or 0\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.set_defaults(run=run)\n"
        "program.build_parser = lambda: parser\n"
        "sys.exit(program.main([]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout.read(10) == b"x" * 10
    process.stdout.close()
    assert process.wait() == 141
    assert process.stderr.read() == b""


def test_every_command_says_what_json_and_debug_do():
    choices = build_parser()._subparsers._group_actions[0].choices
    for name in set(choices) - {"teacher"}:
        assert {"--json", "--debug"} <= choices[name]._option_string_actions.keys()


@pytest.mark.parametrize("arguments", [["info", "nowhere"], ["teacher", "inspect", "nowhere"]])
def test_what_a_user_can_mend_is_one_line_and_code_two(capsys, arguments):
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("rsae: error: nowhere")
    assert printed.err.count("\n") == 1


def test_an_unknown_format_is_refused_by_name(capsys):
    assert main(["teacher", "inspect", "demo:relu", "--format", "onnx"]) == 2
    assert "sparsify" in capsys.readouterr().err
