"""What the front pages show is what happens."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
PAGES = [
    page
    for pattern in ("*.md", "packages/*/*.md", "docs/**/*.md")
    for page in sorted(ROOT.glob(pattern))
    if ">>>" in page.read_text()
]
MODULES = sorted(
    ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
    for source in ROOT.glob("packages/*/src")
    for path in source.rglob("*.py")
    if path.name != "__main__.py"
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_of_the_pages_run_as_printed(page: Path) -> None:
    found = doctest.testfile(str(page), module_relative=False, optionflags=FLAGS)
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings_run_as_printed(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert found.failed == 0


def test_every_package_is_covered() -> None:
    assert {name.split(".")[0] for name in MODULES} == {
        "remez", "rsae", "rsae_cli", "rsae_evals", "rsae_evals_cli"
    }  # fmt: skip


def test_the_settings_page_shows_the_defaults(tmp_path: Path) -> None:
    from rsae.upgrading.config import UpgradeConfig, config_from_toml

    page = (ROOT / "docs/rsae/configuration.md").read_text()
    file = tmp_path / "settings.toml"
    file.write_text(page.split("```toml\n")[1].split("```")[0])
    assert config_from_toml(file, UpgradeConfig()) == UpgradeConfig()
