"""A hook of MkDocs: notebooks as pages, links that leave docs/, public names on reference pages."""

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import nbformat
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """A page in place of every notebook, with its text and code; the tests run the notebooks."""
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        files.remove(file)
        name = file.src_uri.removesuffix(".ipynb") + ".md"
        text = notebook(ROOT / "docs" / file.src_uri)
        source = f"{config['repo_url']}/blob/main/docs/{file.src_uri}"
        text += f"\n\n[This page as a notebook]({source})\n"
        files.append(File.generated(config, name, content=text))
    return files


def notebook(path: Path) -> str:
    """A notebook as Markdown."""
    cells = nbformat.read(path, as_version=4).cells
    texts = (
        c.source if c.cell_type == "markdown" else f"```python\n{c.source}\n```" for c in cells
    )
    return "\n\n".join(texts)


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Fill in the public names, and let links out of docs/ lead to the forge."""
    folder = (ROOT / "docs" / page.file.src_uri).parent

    def target(match: re.Match[str]) -> str:
        path = (folder / match[1]).resolve()
        if path.suffix == ".ipynb":
            return match[0].replace(".ipynb", ".md")
        if path.is_relative_to(ROOT / "docs") or not path.is_relative_to(ROOT):
            return match[0]
        return f"]({config['repo_url']}/blob/main/{path.relative_to(ROOT)}{match[2] or ''})"

    markdown = re.sub(r"^<!-- public names of (\w+) -->$", reference, markdown, flags=re.M)
    return re.sub(r"\]\((?!https?://|#|mailto:)([^)#\s]+)(#[^)\s]+)?\)", target, markdown)


def reference(package: re.Match[str]) -> str:
    """One directive of mkdocstrings for every name of the package's ``__all__``."""
    module = importlib.import_module(package[1])
    names = (place(getattr(module, name)) for name in sorted(module.__all__, key=str.lower))
    return "\n\n".join(f"::: {name}" for name in names if name)


def place(one: Any) -> str | None:
    """Where an object is defined, as a dotted name."""
    if inspect.ismodule(one):
        return one.__name__
    return f"{one.__module__}.{one.__qualname__}" if hasattr(one, "__qualname__") else None
