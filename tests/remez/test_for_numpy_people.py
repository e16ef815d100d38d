"""Names, help, files and notebook pictures."""

import json
import pydoc
import types

import numpy as np
import pytest

import remez
from remez import RemezError
from remez.cli.program import main


def test_dir_lists_the_public_names():
    plain = {name for name in dir(remez) if not name.startswith("__")}
    assert plain == set(remez.__all__)
    for name in remez.__all__:
        value = getattr(remez, name)
        assert isinstance(value, types.ModuleType) or value.__doc__


def test_help_shows_the_functions():
    text = pydoc.render_doc(remez, renderer=pydoc.plaintext)
    assert "4.3e-12" in text
    assert "fit(" in text
    assert "import_module" not in text


@pytest.mark.parametrize(
    ("fn", "options"),
    [("gelu", {}), ("sign", {}), ("exp(-x)", {"domain": (0, np.inf)}), ("exp", {"precision": 25})],
)
def test_saved_and_loaded(fn, options, tmp_path):
    fit = remez.fit(fn, (4, 4), **options)
    fit.save(tmp_path / "fit.json")
    read = remez.load(tmp_path / "fit.json")
    assert read.error == fit.error
    assert read.domain == fit.domain
    low, high = max(fit.domain.hull[0], 0.5), min(fit.domain.hull[1], 2)
    assert read(0.5 * (low + high)) == fit(0.5 * (low + high))
    assert read.error_at(np.array([low])) == fit.error_at(np.array([low]))


def test_a_callable_is_given_back(tmp_path):
    remez.fit(np.exp, (3, 3)).save(tmp_path / "fit.json")
    assert np.isfinite(remez.load(tmp_path / "fit.json", np.exp).error_at(np.array([0.3]))).all()


def test_what_the_command_line_wrote_is_loaded(tmp_path):
    path = tmp_path / "fit.json"
    assert main(["fit", "log", "--degree", "3", "3", "--out", str(path)]) == 0
    assert remez.load(path).domain.hull == (1.0, 2.0)


@pytest.mark.parametrize("text", ["", "[]", "{}", "not json", json.dumps({"expression": "exp"})])
def test_a_file_without_a_fit(text, tmp_path):
    (tmp_path / "f.json").write_text(text)
    with pytest.raises(RemezError):
        remez.load(tmp_path / "f.json")


def test_a_fit_in_a_notebook(tmp_path):
    pytest.importorskip("matplotlib")
    fit = remez.fit(np.exp, (3, 2))
    page = fit._repr_html_()
    assert "<svg" in page
    assert f"{fit.error:.6g}" in page
    fit.save(tmp_path / "f.json")
    assert "<svg" not in remez.load(tmp_path / "f.json")._repr_html_()


def test_a_name_is_escaped_in_html():
    def fn(x):
        return np.exp(x)

    fn.__name__ = "<script>"
    assert "<script>" not in remez.fit(fn, (2, 2))._repr_html_()


def test_latex():
    text = remez.fit("1/(2 + x)", (0, 1), throw=False)._repr_latex_()
    assert text.startswith(r"$r(x) = \frac{")
    assert remez.fit("exp", (2, 0))._repr_latex_().count("frac") == 0
    assert "\\frac{2}" in remez.fit("exp(-x)", (2, 2), (0, np.inf))._repr_latex_()


def test_tables_and_code_in_a_notebook():
    table = remez.error_table("exp", 2)
    assert f"{table.errors[2, 1]:.3e}" in table._repr_html_()
    assert "&lt;" not in remez.fit("exp", (2, 2)).to_code("python")._repr_html_()
