"""The command line: data on standard output, one line on standard error, exit codes."""

import contextlib
import json
import subprocess
import sys

import numpy as np
import pytest

import remez
from remez.cli.program import main


def run(capsys, *arguments):
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_fit_prints_a_small_table(capsys):
    code, out, err = run(capsys, "fit", "exp(x)", "--degree", "5", "4", "--domain", "-1", "1")
    assert (code, err) == (0, "")
    assert "4.29" in out
    assert "converged" in out
    assert len(out.splitlines()) < 15


def test_fit_as_json_is_the_fit_again(capsys):
    code, out, _ = run(capsys, "fit", "tanh", "--degree", "5", "4", "--json")
    assert code == 0
    data = json.loads(out)
    assert data["expression"] == "tanh(x)"
    fit = remez.Fit.from_dict(data)
    x = np.linspace(-4, 4, 101)
    assert np.abs(fit(x) - np.tanh(x)).max() <= fit.error * (1 + 1e-6)


def test_a_union_of_intervals_with_negative_exponents(capsys):
    intervals = ["--domain", "-1", "-1e-2", "--domain", "0.01", "1"]
    code, out, _ = run(capsys, "fit", "sign(x)", "--degree", "5", "6", *intervals, "--json")
    assert code == 0
    best = remez.zolotarev.best_sign((5, 6), 0.01).error
    assert best * (1 - 1e-12) <= json.loads(out)["error"] <= best * (1 + 1e-5)


def test_infinite_ends_and_constant_expressions_are_numbers(capsys):
    code, out, _ = run(capsys, "fit", "exp(-x)", "--degree", "2", "2", "--domain", "0", "inf")
    assert code == 0
    assert "inf" in out
    code, out, _ = run(capsys, "fit", "-sin(x)", "--degree", "3", "2", "--domain", "-pi/2", "pi/2")
    assert code == 0
    assert "1.5708" in out


def test_tol_finds_the_degree(capsys):
    code, out, _ = run(capsys, "fit", "exp", "--tol", "1e-6", "--json")
    assert code == 0
    assert json.loads(out)["error"] <= 1e-6


def test_precision_prints_more_digits(capsys):
    arguments = ["fit", "exp(x)", "--degree", "2", "2", "--precision", "30"]
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    line = next(line for line in out.splitlines() if line.startswith("error"))
    assert len(line.split()[-1]) > 20


def test_table_lists_errors_by_degree(capsys):
    code, out, _ = run(capsys, "table", "exp(x)", "--degree", "1", "2", "--json")
    assert code == 0
    errors = np.array(json.loads(out)["errors"])
    assert errors.shape == (2, 3)
    assert errors[0, 0] == pytest.approx(np.sinh(1))


def test_code_to_a_file(tmp_path, capsys):
    target = tmp_path / "tanh.c"
    arguments = ["code", "tanh", "--degree", "5", "4", "--dtype", "float32", "--out", str(target)]
    code, out, _ = run(capsys, *arguments)
    assert (code, out) == (0, "")
    assert "static inline float tanh_approx(float x)" in target.read_text()


def test_plot_writes_an_image(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    target = tmp_path / "error.svg"
    code, _, _ = run(capsys, "plot", "gelu", "--degree", "6", "6", "--out", str(target))
    assert code == 0
    assert "<svg" in target.read_text()


def test_targets_lists_the_language(capsys):
    code, out, _ = run(capsys, "targets")
    assert code == 0
    for name in ("gelu(x)", "leaky_relu(x, 0.01)", "max, min, step"):
        assert name in out
    code, out, _ = run(capsys, "targets", "--json")
    assert json.loads(out)["sign"]["symmetry"] == "odd"


@pytest.mark.parametrize(
    ("arguments", "word", "expected"),
    [
        (["fit", "foo(x)", "--degree", "2", "2"], "foo", 2),
        (["fit", "exp(x)"], "--degree", 2),
        (["fit", "exp(x)", "--degree", "-1", "2"], "degree", 2),
        (["fit", "exp(x)", "--degree", "2", "2", "--domain", "1", "0"], "a < b", 2),
        (["fit", "sign(x)", "--degree", "4", "4"], "discontinuous", 2),
        (["fit", "1/x", "--degree", "2", "2"], "inf at x = 0", 2),
        (["code", "exp", "--degree", "2", "2", "--lang", "cobol"], "cobol", 2),
        (["code", "exp", "--degree", "2", "2", "--out", "/nowhere/at/all.c"], "nowhere", 2),
        (["plot", "exp", "--degree", "2", "2"], "--out", 2),
        (["verify", "/nowhere.json"], "nowhere", 2),
    ],
)
def test_errors_are_one_line_and_an_exit_code(capsys, arguments, word, expected):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (expected, "")
    assert err.count("\n") == 1
    assert err.startswith("remez: error: ")
    assert word in err


def test_a_certificate_is_written_verified_and_not_to_be_tampered_with(tmp_path, capsys):
    pytest.importorskip("flint")
    file = tmp_path / "exp.json"
    code, _, _ = run(capsys, "certify", "exp", "--degree", "3", "3", "--out", str(file))
    assert code == 0
    code, out, _ = run(capsys, "verify", str(file))
    assert code == 0
    assert "verified" in out
    text = file.read_text()
    upper = json.loads(text)["upper"]
    file.write_text(text.replace(str(upper), str(upper).replace("1", "2", 1)))
    code, out, err = run(capsys, "verify", str(file))
    assert code != 0
    assert err.count("\n") == 1


def test_it_works_in_a_pipe_whose_reader_leaves():
    """``remez targets | head -1`` ends quietly."""
    program = f"{sys.executable} -m remez targets | head -n 1"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("exp(x)")
    assert done.stderr == ""


HOSTILE = ["__import__('os').mkdir({0!r})", "open({0!r}, 'w')", "(lambda: open({0!r}, 'w'))()"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_expressions_are_never_executed(capsys, tmp_path, text):
    file = tmp_path / "made"
    for arguments in ([text.format(str(file))], ["exp(x)", "--weight", text.format(str(file))]):
        assert run(capsys, "fit", *arguments, "--degree", "1", "1")[0] == 2
    assert not file.exists()


def test_debug_shows_where_an_error_arises():
    with pytest.raises(remez.RemezError):
        main(["fit", "foo(x)", "--degree", "1", "1", "--debug"])


@pytest.mark.parametrize(
    "words",
    [
        ["fit", "exp(x)", "--degree=--"],
        ["fit", "exp(x)", "--degree", "x" * 10_000, "2"],
        ["fit", "exp(x)", "--precision", "9" * 10_000],
        ["fit", "exp(x)\x1b[2J\u202e", "--degree", "2", "2"],
        ["fit", "exp(x)", "--degree", "2", "2", "--domain", "\x1b[2J", "1"],
        ["x\x1b[2J"],
        ["verify", "/nowhere/\x1b[2J"],
    ],
)
def test_whatever_an_option_holds_the_error_is_one_short_printable_line(capsys, words):
    with contextlib.suppress(SystemExit):
        assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert len(line) <= 600
    assert "error: " in line
