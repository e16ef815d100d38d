"""The repository keeps its own rules."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"remez": "remez", "rsae": "rsae", "evals": "rsae_evals"}
MODULES = sorted(ROOT.glob("packages/*/src/**/*.py"))
TEXTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "packages/**/*.md", "packages/**/*.py", "tests/**/*.py")
    for path in ROOT.glob(pattern)
    if ".venv" not in path.parts
)
PAGES = [path for path in TEXTS if path.suffix == ".md"]


def project(folder: str) -> dict:
    return tomllib.loads((ROOT / "packages" / folder / "pyproject.toml").read_text())["project"]


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return done.stdout.strip()


@pytest.mark.parametrize(("folder", "module"), PACKAGES.items())
def test_package_is_complete(folder: str, module: str) -> None:
    package = ROOT / "packages" / folder
    for name in ("README.md", "LICENSE", f"src/{module}/py.typed", f"src/{module}/__init__.py"):
        assert (package / name).is_file(), name


def test_members_are_pinned_to_each_other_at_equal_versions() -> None:
    versions = {project(folder)["version"] for folder in PACKAGES}
    assert len(versions) == 1
    (version,) = versions
    siblings = [
        requirement
        for folder in PACKAGES
        for requirement in project(folder)["dependencies"]
        if re.match(r"(remez|rsae)\b", requirement)
    ]
    assert siblings
    assert all(requirement.endswith(f"=={version}") for requirement in siblings)


def test_remez_asks_for_nothing_heavy() -> None:
    names = {re.split(r"[<>=!~\[ ]", item)[0] for item in project("remez")["dependencies"]}
    assert names <= {"numpy", "scipy", "numba", "mpmath", "rich"}


def test_importing_remez_is_light() -> None:
    heavy = ("torch", "matplotlib", "numba", "rich", "flint", "mpmath", "scipy")
    loaded = run_python(
        f"import sys, remez; print([name for name in {heavy!r} if name in sys.modules])"
    )
    assert loaded == "[]"


@pytest.mark.parametrize("module", PACKAGES.values())
def test_everything_in_all_exists_and_is_documented(module: str) -> None:
    package = importlib.import_module(module)
    missing = [name for name in package.__all__ if not hasattr(package, name)]
    public = [getattr(package, name, None) for name in package.__all__]
    bare = [one for one in public if callable(one) and not (one.__doc__ or "").strip()]
    assert (missing, bare) == ([], [])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_module_outgrows_a_room(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 450


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_local_links_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", path.read_text())
    broken = [target for target in targets if not (path.parent / target).exists()]
    assert broken == []


def test_no_path_of_one_machine() -> None:
    pattern = re.compile(r"(?<![\w.])/(?:work|home|root|Users)/\w")
    found = [str(path) for path in TEXTS if pattern.search(path.read_text())]
    assert [name for name in found if not name.endswith("test_repository.py")] == []


def test_every_lint_exception_has_a_reason() -> None:
    block = (ROOT / "pyproject.toml").read_text().split("ignore = [", 1)[1].split("\n]", 1)[0]
    assert [line for line in block.splitlines() if line.strip() and "#" not in line] == []


def title_rule():
    """The function `complaint` of the script that the commit-msg hook runs."""
    path = ROOT / "scripts" / "commit_title.py"
    spec = importlib.util.spec_from_file_location("commit_title", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.complaint


def test_rule_of_commit_titles() -> None:
    complaint = title_rule()
    assert complaint("Add a sweep over poles\n\nIt counts.\n# comment\n") is None
    assert complaint("x" * 72) is None
    assert "73 characters" in complaint("x" * 73)
    assert "no title" in complaint("\n\nbody")
    assert "full stop" in complaint("Add a sweep.")
    assert "empty line" in complaint("Add a sweep\nover poles")


def test_title_of_the_last_commit() -> None:
    done = subprocess.run(
        ["git", "log", "-1", "--no-merges", "--format=%B"], capture_output=True, text=True, cwd=ROOT
    )
    if done.returncode != 0 or not (ROOT / ".git").exists():
        pytest.skip("no git history here")
    assert title_rule()(done.stdout) is None


FRAGMENTS = [path for path in (ROOT / "changelog.d").iterdir() if path.name != "README.md"]


def test_fragments_of_the_changelog_are_named_and_written_as_agreed() -> None:
    """`towncrier build` leaves out, without a word, a file whose name it does not understand."""
    wrong = [
        path.name
        for path in FRAGMENTS
        if path.suffix != ".jinja"
        and not re.fullmatch(r"[a-z0-9-]+\.(added|changed|fixed)\.md", path.name)
    ]
    assert wrong == []
    texts = {path.name: path.read_text().strip() for path in FRAGMENTS if path.suffix == ".md"}
    assert [name for name, text in texts.items() if not text or text.startswith(("-", "#"))] == []


def test_the_changelog_can_be_built() -> None:
    pytest.importorskip("towncrier")
    done = subprocess.run(
        [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "0"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    first_lines = [path.read_text().splitlines()[0] for path in FRAGMENTS if path.suffix == ".md"]
    assert [line for line in first_lines if line not in done.stdout] == []
