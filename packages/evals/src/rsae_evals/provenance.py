"""Where figures come from: versions, and the command that made them."""

from __future__ import annotations

import platform
import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PACKAGES = (
    "rsae", "rsae-evals", "remez", "torch", "sae-lens", "transformer-lens", "transformers",
    "numpy", "scikit-learn",
)  # fmt: skip


def provenance() -> dict[str, Any]:
    """Versions of what takes part, and the command line of this process."""
    return {"command": shlex.join(["rsae", *sys.argv[1:]]), "versions": versions()}


def versions() -> dict[str, str]:
    """Versions of the packages that figures depend on, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
