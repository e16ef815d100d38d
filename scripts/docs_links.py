"""A hook of MkDocs: links that leave docs/ lead to the forge, so that pages work in both places."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Replace relative links to files outside docs/ by addresses on the forge."""
    folder = Path(page.file.abs_src_path).parent

    def target(match: re.Match[str]) -> str:
        path = (folder / match[1]).resolve()
        if path.is_relative_to(ROOT / "docs") or not path.is_relative_to(ROOT):
            return match[0]
        return f"]({config['repo_url']}/blob/main/{path.relative_to(ROOT)}{match[2] or ''})"

    return re.sub(r"\]\((?!https?://|#|mailto:)([^)#\s]+)(#[^)\s]+)?\)", target, markdown)
