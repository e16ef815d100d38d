"""`load_teacher`: from a path or a name to a `Teacher`."""

from __future__ import annotations

from pathlib import Path

from ..errors import TeacherError
from ..io import load_safetensors, read_json
from . import saelens
from .base import Teacher

FORMATS = ("saelens",)


def load_teacher(path_or_release: str | Path, format: str | None = None) -> Teacher:
    """Read a trained sparse autoencoder."""
    name = str(path_or_release)
    if name.startswith("demo:"):
        return load_teacher(_demo_folder(name.removeprefix("demo:")))
    folder = Path(name)
    if not folder.exists():
        raise TeacherError(f"{folder} does not exist; check the path")
    weights = folder / "sae_weights.safetensors"
    return saelens.read(load_safetensors(weights), read_json(folder / "cfg.json"), weights)


def _demo_folder(family: str) -> Path:
    folder = Path(__file__).parent.parent / "demo" / "teachers" / family
    if not folder.is_dir():
        raise TeacherError(f"no packaged teacher 'demo:{family}'; use demo:relu, :jumprelu, :topk")
    return folder
