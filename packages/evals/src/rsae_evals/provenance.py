"""Where figures come from: versions, and the command that made them."""

from __future__ import annotations

import platform
import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rsae.files import public_name

_PACKAGES = (
    "rsae", "rsae-evals", "remez", "torch", "sae-lens", "transformer-lens", "transformers",
    "numpy", "scikit-learn",
)  # fmt: skip


def provenance() -> dict[str, Any]:
    """Versions of what takes part, and the command line of this process."""
    words = ["rsae", *(_public(word) for word in sys.argv[1:])]
    return {"command": shlex.join(words), "versions": versions()}


def _public(word: str) -> str:
    """An argument without what of its path is this machine's: reports are shared."""
    name, equals, paths = word.rpartition("=")
    return name + equals + ",".join(public_name(path) for path in paths.split(","))


def versions() -> dict[str, str]:
    """Versions of the packages that figures depend on, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
