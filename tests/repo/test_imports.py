"""Imports run in one direction, and no folder outgrows what one can survey."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST = 16  # modules in a folder


def _load():
    path = ROOT / "scripts/import_graph.py"
    spec = importlib.util.spec_from_file_location("import_graph", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


import_graph = _load()


@pytest.mark.parametrize("package", import_graph.SOURCES)
def test_no_circle_of_imports(package):
    edges = import_graph.graph(package)
    assert len(edges) > 20
    assert import_graph.circles(edges) == []


@pytest.mark.parametrize("module", ["rsae.upgrading", "rsae.sae.config", "rsae.sae.transcoder"])
def test_a_module_that_is_imported_first_registers_the_rsae(module):
    registered = "assert 'rational' in sae_lens.registry.SAE_CLASS_REGISTRY"
    code = f"import {module}, sae_lens.registry; {registered}"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("package", import_graph.SOURCES)
def test_no_folder_is_crowded(package):
    assert {k: n for k, n in import_graph.folders(package).items() if n > MOST} == {}


def test_circles_are_found_within_functions_and_under_type_checking(tmp_path, monkeypatch):
    files = {
        "one.py": "def f():\n    from . import two\n",
        "two.py": "if TYPE_CHECKING:\n    import package.three\n",
        "three.py": "from package.one import f\n",
        "four.py": "from . import one\n",
        "__init__.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setitem(import_graph.SOURCES, "package", tmp_path)
    circle = ["package.one", "package.three", "package.two"]
    assert import_graph.circles(import_graph.graph("package")) == [circle]
