"""A hook of MkDocs: links that leave docs/, and the list of public names on the reference pages."""

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Fill in the public names, and let links out of docs/ lead to the forge."""
    folder = Path(page.file.abs_src_path).parent

    def target(match: re.Match[str]) -> str:
        path = (folder / match[1]).resolve()
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
