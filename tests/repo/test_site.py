"""The documentation site builds strictly and shows every public name."""

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("package", ["remez", "rsae", "rsae_evals"])
def test_the_reference_lists_every_public_name(package):
    page = (ROOT / "docs" / "reference" / f"{package}.md").read_text()
    listed = set(re.findall(r"^::: (\S+)$", page, re.M))
    module = importlib.import_module(package)
    public = [getattr(module, name) for name in module.__all__]
    wanted = {
        one.__name__ if inspect.ismodule(one) else f"{one.__module__}.{one.__qualname__}"
        for one in public
        if inspect.ismodule(one) or hasattr(one, "__qualname__")
    }
    assert listed == wanted


def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "reference" / "remez" / "index.html").read_text()
    assert 'id="remez.interface.fit"' in page
    assert "fonts.googleapis.com" not in page  # nothing is fetched
