"""Matrix of Python versions and dependencies, and tests of the built packages: `nox -l` lists them.

`make test` does not need nox. Sessions whose Python is not on this machine are skipped by nox.
"""

import shutil
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent
PYTHONS = ["3.11", "3.12", "3.13"]
PACKAGES = {"remez": "remez[plot,rigorous]", "rsae": "rsae", "evals": "rsae-evals"}
# Whole suites take minutes; these parts need neither a language model nor a browser.
SELECTION = {
    "remez": ["tests/remez"],
    "rsae": ["tests/rsae", "-m", "not model"],
    "evals": ["tests/evals", "-m", "not model and not browser"],
}
TOOLS = ["pytest", "hypothesis", "scikit-learn", "baryrat", "gmpy2"]
nox.options.sessions = ["wheels"]
nox.options.error_on_missing_interpreters = False


def test_wheels(session: nox.Session, package: str, *install: str) -> None:
    """Install the wheels of dist/ and run the tests of a package from a folder without sources."""
    wheels = sorted((ROOT / "dist").glob("*.whl"))
    if not wheels:
        session.error("dist/ holds no wheels; run: python scripts/release.py")
    session.install(*install, f"--find-links={ROOT / 'dist'}", PACKAGES[package], *TOOLS)
    folder = Path(session.create_tmp()) / "tests-only"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "tests", folder / "tests")
    shutil.copytree(ROOT / "benchmarks", folder / "benchmarks")
    shutil.copy(ROOT / "pyproject.toml", folder)
    session.chdir(folder)
    session.env["PYTHONPATH"] = ""  # the sources must not be found
    code = f"import {package.replace('evals', 'rsae_evals')} as p; print(p.__file__)"
    place = session.run("python", "-c", code, silent=True)  # None with --install-only
    assert place is None or "site-packages" in str(place)
    session.run("python", "-m", "pytest", "-q", *SELECTION[package], *session.posargs)


@nox.session(python=PYTHONS)
@nox.parametrize("package", list(PACKAGES))
def wheels(session: nox.Session, package: str) -> None:
    """Test a package from its wheel in an empty environment, with the versions CI installs."""
    test_wheels(session, package, "-c", str(ROOT / "constraints.txt"))


@nox.session(python="3.11")
@nox.parametrize("package", list(PACKAGES))
def oldest(session: nox.Session, package: str) -> None:
    """The same with the oldest versions that the packages declare."""
    test_wheels(session, package, "-c", str(ROOT / "constraints-oldest.txt"))


@nox.session(python=PYTHONS)
@nox.parametrize("package", list(PACKAGES))
def newest(session: nox.Session, package: str) -> None:
    """The same with the newest versions that the index has."""
    test_wheels(session, package, "--upgrade")


@nox.session(python="3.11")
def dashboard(session: nox.Session) -> None:
    """Load a plain export with the package sae-dashboard, in an environment of its own.

    Its requirements (transformers below 4.57, TransformerLens 2) exclude rsae's, so that the
    export is written by the environment that nox runs in. numpy 1.26, which it brings, needs an
    older pyarrow; torchvision, which nothing here uses, is only loaded where it is installed.
    """
    folder = Path(session.create_tmp()) / "export"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    session.install("torch==2.13.0", "sae-dashboard==0.8.0", "pyarrow<22")
    session.run("python", "-m", "pip", "uninstall", "-y", "-q", "torchvision")
    script = "tests/integration/dashboard.py"
    session.run(sys.executable, script, "export", str(folder), external=True)
    session.run("python", script, "check", str(folder), env={"HF_HUB_OFFLINE": "1"})
