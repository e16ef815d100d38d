"""The documentation site builds strictly and shows every public name."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for package in ("remez", "rsae", "rsae_evals"):
        module = importlib.import_module(package)
        page = (tmp_path / "reference" / package / "index.html").read_text()
        shown = set(re.findall(r'id="([\w.]+)"', page))
        public = {name: getattr(module, name) for name in module.__all__}
        classes = {name: one for name, one in public.items() if hasattr(one, "__qualname__")}
        assert {
            name
            for name, one in classes.items()
            if f"{one.__module__}.{one.__qualname__}" not in shown
        } == set()
        assert "fonts.googleapis.com" not in page  # nothing is fetched
        assert "<blockquote>" not in page  # what becomes of a doctest that is no block of code
    for notebook in (ROOT / "docs" / "notebooks").glob("*.ipynb"):
        assert "<code>" in (tmp_path / "notebooks" / notebook.stem / "index.html").read_text()
