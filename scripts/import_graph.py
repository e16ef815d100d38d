"""The import graph of the three packages: sizes of folders, and circles of imports.

Every import statement counts that names a module of the same package, those within functions and
under ``if TYPE_CHECKING`` included. Run ``python scripts/import_graph.py [--edges]``; the exit code
is 1 if there is a circle.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {
    "remez": ROOT / "packages/remez/src/remez",
    "rsae": ROOT / "packages/rsae/src/rsae",
    "rsae_evals": ROOT / "packages/evals/src/rsae_evals",
}

Graph = dict[str, set[str]]


def modules(package: str) -> dict[str, Path]:
    """The modules of a package by their dotted names."""
    source = SOURCES[package]
    found = {}
    for path in sorted(source.rglob("*.py")):
        parts = [package, *path.relative_to(source).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def graph(package: str) -> Graph:
    """Which modules of the package each of its modules imports."""
    known = modules(package)
    return {name: _imports(name, path, set(known)) - {name} for name, path in known.items()}


def _imports(name: str, path: Path, known: set[str]) -> set[str]:
    home = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = home.split(".")
                above = ".".join(parts[: len(parts) - node.level + 1])
                base = f"{above}.{base}" if base else above
            inner = {f"{base}.{alias.name}" for alias in node.names}
            found.update(inner & known or {base})
    return found & known


def circles(edges: Graph) -> list[list[str]]:
    """The strongly connected components of more than one module (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(edges[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            component = sorted(stack[at:])
            del stack[at:]
            if len(component) > 1:
                found.append(component)

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return found


def folders(package: str) -> Counter[str]:
    """How many modules each folder of a package holds, ``__init__`` left out."""
    source = SOURCES[package]
    return Counter(
        str(path.parent.relative_to(source.parent))
        for path in modules(package).values()
        if path.name != "__init__.py"
    )


def main() -> int:
    """Print every package's graph in short, or every edge with ``--edges``."""
    worst = 0
    for package in SOURCES:
        edges = graph(package)
        found = circles(edges)
        worst += len(found)
        count = sum(map(len, edges.values()))
        print(f"{package}: {len(edges)} modules, {count} imports, {len(found)} circles")
        for folder, size in sorted(folders(package).items()):
            print(f"  {size:3} modules in {folder}")
        for component in found:
            print(f"  circle of {len(component)}: {', '.join(component)}")
        if "--edges" in sys.argv:
            for name, others in edges.items():
                print(f"  {name} -> {', '.join(sorted(others)) or 'nothing'}")
    return 1 if worst else 0


if __name__ == "__main__":
    sys.exit(main())
