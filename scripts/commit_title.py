"""Check the title of a commit message: ``python scripts/commit_title.py FILE``.

Run by the commit-msg hook of `.pre-commit-config.yaml`; tests/repo applies the same rule to HEAD.
"""

import sys
from pathlib import Path

LONGEST = 72


def complaint(message: str) -> str | None:
    """What is wrong with the title of a commit message, None where nothing is."""
    lines = [line for line in message.splitlines() if not line.startswith("#")]
    title = lines[0] if lines else ""
    if not title.strip():
        return "the commit has no title"
    if len(title) > LONGEST:
        return f"the title has {len(title)} characters, at most {LONGEST} are allowed: {title}"
    if title.endswith("."):
        return f"the title ends with a full stop: {title}"
    if len(lines) > 1 and lines[1].strip():
        return "the second line is not empty: leave one empty line below the title"
    return None


if __name__ == "__main__":
    sys.exit(complaint(Path(sys.argv[1]).read_text("utf-8")))
