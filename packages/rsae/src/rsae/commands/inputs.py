"""What several commands start from: where an SAE lives, and the language model that has that."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from rsae.data import ActivationStore
from rsae.errors import HookError, StoreError, TeacherError
from rsae.language_model.host import Host, hook_width, load_host
from rsae.language_model.names import advice_on_models, model_of

__all__ = ["CONTEXT", "find_hook", "find_host", "open_store"]

CONTEXT = 128
"""Tokens per sequence for an SAE that does not say on how long sequences it was trained."""


def find_hook(given: str | None, metadata: Mapping[str, Any], source: str) -> str:
    """The hook that was asked for, or else the one that the SAE names.

    Raises:
        HookError: neither is there.
    """
    hook = given or metadata.get("hook_name")
    if not hook:
        raise HookError(f"{source} does not say where it lives; name it with --hook")
    return str(hook)


def find_host(
    args: argparse.Namespace,
    metadata: Mapping[str, Any],
    hook: str,
    d_in: int,
    device: torch.device,
) -> Host:
    """The language model that was asked for, or else the one that the SAE names.

    Raises:
        HostError, HookError: it cannot be loaded, or has no such hook.
        TeacherError: its activations have another width there.
    """
    with advice_on_models(args.model):
        host = load_host(args.model or model_of(metadata), device=device, dtype=args.dtype)
    host.check_hook(hook)
    if (width := hook_width(host, hook)) != d_in:
        raise TeacherError(
            f"the SAE has d_in = {d_in}, {host.name} has width {width} at {hook}; "
            "choose the language model that it was trained on with --model"
        )
    return host


def open_store(path: Path, host: Host) -> ActivationStore:
    """The store at a path, which has to be of this language model.

    Raises:
        StoreError: it is damaged, or of another model or other weights.
    """
    store = ActivationStore.open(path)
    if store.manifest.model_sha256 != host.fingerprint:
        raise StoreError(
            f"the activations in {path} are those of another model than "
            f"{host.name}, or of other weights; harvest them again or name theirs with --model"
        )
    return store
