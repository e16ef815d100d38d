"""Replace the placeholder address of the project: ``python scripts/set_home.py https://...``.

The old address is read from ``[tool.project]`` in pyproject.toml and replaced in every file that
git tracks.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main(new: str) -> None:
    """Rewrite the files; print their names."""
    if not new.startswith("https://"):
        sys.exit("give the address, as in: make home HOME_URL=https://forge.example/owner/project")
    old = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["project"]["home"]
    found = subprocess.run(
        ["git", "grep", "-lI", "-F", old], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in found.stdout.split():
        path = ROOT / name
        path.write_text(path.read_text("utf-8").replace(old, new.rstrip("/")), "utf-8")
        print(name)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
