"""The notebooks of the documentation run: by IPython in this process, which has all loaded."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
interactive = pytest.importorskip("IPython.core.interactiveshell")

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path, monkeypatch, request):
    notebook = nbformat.read(path, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "clear the outputs"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    if any("load_host" in cell.source for cell in notebook.cells):
        import rsae

        host = request.getfixturevalue("host")  # loaded once for all tests
        monkeypatch.setattr(rsae, "load_host", lambda: host)
    shell = interactive.InteractiveShell()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            shell.run_cell(cell.source, store_history=False).raise_error()
