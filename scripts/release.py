"""Rehearse a release: ``python scripts/release.py [--test PACKAGE ...]``; nothing is published.

Builds wheels and sdists twice and compares them, checks their metadata, optionally tests wheels in
empty environments (nox), prints the changelog that the fragments give, and the name of the tag.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("remez", "rsae", "evals")


def run(*command: str, **environment: str) -> None:
    """Run a command in the repository's root; stop where it fails."""
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, **environment})


def epoch() -> str:
    """The time of the last commit, which archives carry in place of the time they were built at."""
    done = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True
    )
    return done.stdout.strip() or "1577836800"  # 2020-01-01, in an archive without history


def build(out: Path) -> dict[str, str]:
    """Build all packages into `out`; SHA-256 by file name."""
    for package in PACKAGES:
        run(
            sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out),
            f"packages/{package}", SOURCE_DATE_EPOCH=epoch(),
        )  # fmt: skip
    files = sorted(path for path in out.iterdir() if path.suffix in (".whl", ".gz"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def main() -> None:
    """Run every step; the first failure ends with its message."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--test", nargs="*", default=[], choices=PACKAGES, help="packages to test from their wheels"
    )
    args = parser.parse_args()
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    dist.mkdir()
    first = build(dist)
    with tempfile.TemporaryDirectory() as folder:
        second = build(Path(folder))
    if first != second:
        sys.exit(f"two builds differ: {sorted(set(first.items()) ^ set(second.items()))}")
    print("two builds are equal to the last byte:")
    for name, digest in first.items():
        print(f"  {digest}  {name}")
    run(sys.executable, "-m", "twine", "check", "--strict", *map(str, dist.iterdir()))
    for package in args.test:
        run(sys.executable, "-m", "nox", "-s", f"wheels-3.11(package='{package}')")
    text = (ROOT / "packages/remez/pyproject.toml").read_text("utf-8")
    version = tomllib.loads(text)["project"]["version"]
    run(sys.executable, "-m", "towncrier", "build", "--draft", "--version", version)
    print(f"tag: v{version}")
    print("to publish: towncrier build, commit, git tag, twine upload dist/*")


if __name__ == "__main__":
    main()
