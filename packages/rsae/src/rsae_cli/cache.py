"""`rsae cache`: what is kept in the user's cache folder, and how it is cleared."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import platformdirs

__all__ = ["run"]

_PARTS = {
    "models": ("models", "unpacked language models"),
    "activations": ("evals/activations", "activations of rsae eval, compare and probe"),
    "measurements": ("evals/measurements", "measurements of rsae eval, compare and probe"),
}


def run(args: argparse.Namespace) -> int:
    """Carry out the command; its options are those of `rsae_cli.parsers`."""
    root = platformdirs.user_cache_path("rsae")
    if args.clear:
        for name in _PARTS if args.clear == "all" else [args.clear]:
            shutil.rmtree(root / _PARTS[name][0], ignore_errors=True)
    sizes = {name: _size(root / folder) for name, (folder, _) in _PARTS.items()}
    if args.json:
        print(json.dumps({"folder": str(root), "bytes": sizes}))
        return 0
    print(root)
    for name, size in sizes.items():
        print(f"  {name:<13}{size / 2**20:>10,.0f} MiB   {_PARTS[name][1]}")
    return 0


def _size(folder: Path) -> int:
    """Bytes of all files below a folder; one that goes meanwhile counts nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total
