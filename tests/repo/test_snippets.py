"""Python of the pages that is no doctest: it parses, and every name of ours in it exists.

Most of it takes minutes or a user's own files, and the notebooks run the same calls.
"""

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = ("remez", "rsae", "rsae_evals")
SNIPPETS = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}")
    for pattern in ("*.md", "packages/*/*.md", "docs/**/*.md")
    for page in sorted(ROOT.glob(pattern))
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.S))
    if ">>>" not in block
]


def names(tree: ast.AST) -> set[tuple[str, str]]:
    """Module and name of what is imported from our packages, or is an attribute of one."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in OURS:
            found |= {(node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found |= {(node.value.id, node.attr)} if node.value.id in OURS else set()
    return found


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_snippet_parses_and_names_what_exists(snippet: str) -> None:
    missing = [
        f"{module}.{name}"
        for module, name in names(ast.parse(snippet))
        if not hasattr(importlib.import_module(module), name)
    ]
    assert missing == []


def test_the_snippet_of_the_evaluations_readme_prints_what_it_shows(capsys) -> None:
    page = (ROOT / "packages/evals/README.md").read_text()
    code, shown = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", page, re.S).groups()
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out == shown
