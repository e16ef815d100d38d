"""Sizes, longest functions, worst complexities and the import graph, now and at another commit.

Run ``python scripts/code_figures.py [--before COMMIT] [--most N]``: every figure of the working
tree, and beside it that of the commit. Complexity is McCabe's, as ruff counts it. The exit code is
1 if there is a circle of imports.
"""

import argparse
import ast
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import import_graph

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("remez", "rsae", "evals")
_QUIET = 10  # complexities up to here are not listed


@dataclass(frozen=True)
class Function:
    """A function, its place, its lines and whether a public one has a docstring."""

    name: str
    place: str
    lines: int
    is_public: bool
    is_documented: bool


def functions(path: Path, place: str) -> Iterator[Function]:
    """The functions and methods of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            public = not node.name.startswith("_")
            documented = ast.get_docstring(node) is not None
            yield Function(node.name, f"{place}:{node.lineno}", lines, public, documented)


def sources(tree: Path, package: str) -> list[Path]:
    """The Python files of a package."""
    return sorted((tree / "packages" / package / "src").rglob("*.py"))


def complexities(tree: Path) -> list[tuple[int, str]]:
    """Complexity and place of every function above `_QUIET`, the worst first."""
    command = [
        sys.executable, "-m", "ruff", "check", "--isolated", "--select", "C901", "--ignore-noqa",
        "--config", f"lint.mccabe.max-complexity={_QUIET}", "--output-format", "json", "packages",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    found = []
    for one in json.loads(done.stdout or "[]"):
        name, value = re.search(r"`(.*)` is too complex \((\d+) >", one["message"]).groups()
        place = Path(one["filename"]).resolve().relative_to(tree.resolve())
        found.append((int(value), f"{name} ({place}:{one['location']['row']})"))
    return sorted(found, reverse=True)


def figures(tree: Path, package: str) -> dict[str, str]:
    """The figures of one package, in words."""
    paths = sources(tree, package)
    texts = [path.read_text(encoding="utf-8") for path in paths]
    found = [one for path in paths for one in functions(path, str(path.relative_to(tree)))]
    lengths = sorted(one.lines for one in found)
    public = [one for one in found if one.is_public]
    tenth = lengths[int(0.9 * (len(lengths) - 1))]
    documented = sum(one.is_documented for one in public) / len(public)
    lines = [len(text.splitlines()) for text in texts]
    names = sum(node_is_any(node) for text in texts for node in ast.walk(ast.parse(text)))
    return {
        "files": f"{len(paths)}",
        "lines": f"{sum(lines):,}, {max(lines)} in the longest file",
        "functions": f"{len(found)}",
        "lines of a function": f"median {statistics.median(lengths):.0f}, 90 % {tenth}, "
        f"most {lengths[-1]}",
        "public functions with a docstring": f"{documented:.0%}",
        "uses of Any": f"{names}",
    }


def node_is_any(node: ast.AST) -> bool:
    """Whether a name is `Any`."""
    return isinstance(node, ast.Name) and node.id == "Any"


def longest(tree: Path, most: int) -> list[str]:
    """The longest functions of all packages."""
    found = [
        one
        for package in PACKAGES
        for path in sources(tree, package)
        for one in functions(path, str(path.relative_to(tree)))
    ]
    found.sort(key=lambda one: -one.lines)
    return [f"{one.lines} {one.name} ({one.place})" for one in found[:most]]


def checkout(commit: str, folder: Path) -> None:
    """The packages of a commit, in a folder."""
    archive = subprocess.run(
        ["git", "archive", commit, "packages"], cwd=ROOT, capture_output=True, check=True
    )
    subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)


def beside(now: list[str], before: list[str] | None) -> None:
    """Print lines, and those of the other commit after them."""
    for line in now:
        print(f"  {line}")
    if before is not None:
        print("  before:")
        for line in before:
            print(f"    {line}")


def main() -> int:
    """Print everything."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--before", metavar="COMMIT", help="show the figures of this commit too")
    parser.add_argument("--most", type=int, default=8, help="functions to list (%(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder) if args.before else None
        if old:
            checkout(args.before, old)
        for package in PACKAGES:
            print(package)
            before = figures(old, package) if old else {}
            for name, value in figures(ROOT, package).items():
                print(f"  {name:34} {value}" + (f"   (before: {before[name]})" if old else ""))
        print("longest functions")
        beside(longest(ROOT, args.most), longest(old, args.most) if old else None)
        print(f"complexities above {_QUIET}")
        listed = [
            [f"{value} {name}" for value, name in complexities(tree)[: args.most]] if tree else None
            for tree in (ROOT, old)
        ]
        beside(listed[0] or ["none"], listed[1])
    print("imports")
    return import_graph.main()


if __name__ == "__main__":
    sys.exit(main())
