"""What several commands start from: where an SAE lives, and the language model that has that."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from rsae.data import ActivationStore
from rsae.errors import HookError, StoreError, TeacherError
from rsae.language_model.host import SINK_POSITIONS, Host, hook_width, load_host
from rsae.language_model.names import advice_on_models, model_of
from rsae.language_model.site import Site
from rsae.pretrained import Teacher

__all__ = [
    "CONTEXT",
    "context_of",
    "find_hook",
    "find_host",
    "find_site",
    "open_store",
    "say_device",
    "with_place",
]

CONTEXT = 128
"""Tokens of a sequence for an SAE whose metadata do not give a context size."""


def find_hook(given: str | None, metadata: Mapping[str, Any], source: str) -> str:
    """The hook that was asked for, or else the one that the SAE names.

    Raises:
        HookError: neither is there.
    """
    hook = given or metadata.get("hook_name")
    if not hook:
        raise HookError(f"{source} does not name its hook; give it with --hook")
    return str(hook)


def find_site(given: str | None, teacher: Teacher, source: str) -> Site:
    """Where a teacher reads, as `find_hook` has it, and what it reconstructs.

    Raises:
        HookError: It does not say.
    """
    hook = find_hook(given, teacher.metadata, source)
    if not teacher.transcodes:
        return Site(hook, hook)
    target = teacher.metadata.get("hook_name_out")
    if not target:
        raise HookError(
            f"{source} does not name the hook that it predicts; write it as hook_name_out into the "
            "metadata of its cfg.json"
        )
    return Site(hook, str(target))


def find_host(
    args: argparse.Namespace,
    metadata: Mapping[str, Any],
    site: Site,
    widths: tuple[int, int],
    device: torch.device,
) -> Host:
    """The language model that was asked for, or else the one that the SAE names.

    Args:
        args: The options of the command.
        metadata: Those of the SAE.
        site: Where it reads and what it reconstructs.
        widths: d_in and d_out.
        device: Where to put the model.

    Raises:
        HostError, HookError: it cannot be loaded, or has no such hook.
        TeacherError: its activations have another width there.
    """
    with advice_on_models(args.model):
        host = load_host(args.model or model_of(metadata), device=device, dtype=args.dtype)
    for name, hook, own in zip(("d_in", "d_out"), (site.input, site.output), widths, strict=True):
        host.check_hook(hook)
        if (width := hook_width(host, hook)) != own:
            raise TeacherError(
                f"the SAE has {name} = {own}, {host.name} has width {width} at {hook}; "
                "choose the language model that it was trained on with --model"
            )
    return host


def with_place(
    metadata: Mapping[str, Any], hook: str, host: Host, model: str | None
) -> dict[str, Any]:
    """The metadata with the hook and the language model, which later commands look for there.

    Args:
        metadata: Those of the SAE.
        hook: The hook that is used.
        host: The language model that is used.
        model: The name that the user gave, which then holds instead of the SAE's own.
    """
    kept = {**metadata, "hook_name": hook}
    if model or not model_of(metadata):
        kept.pop("model_weights", None)
        kept["model_name"] = host.name
    return kept


def context_of(metadata: Mapping[str, Any], host: Host, source: str) -> int:
    """Tokens per sequence that the SAE was trained on, or 128 (the model's most if that is less).

    Raises:
        TeacherError: The SAE names a context that is all sink positions, or longer than the
            model's.
    """
    longest = getattr(host, "max_context_size", None)  # stand-ins of a model need not say
    context = metadata.get("context_size")
    if context is None:
        return CONTEXT if longest is None else min(CONTEXT, longest)
    if context <= SINK_POSITIONS:
        raise TeacherError(
            f"{source} says that its context_size is {context}, of which the first "
            f"{SINK_POSITIONS} positions do not count; correct it, or harvest with --context-size "
            "and give --activations"
        )
    if longest is not None and context > longest:
        raise TeacherError(
            f"{source} says that its context_size is {context:,}, and {host.name} takes "
            f"{longest:,}; name its own model with --model, or harvest with --context-size and "
            "give --activations"
        )
    return int(context)


def say_device(console: Console, device: torch.device, dtype: str) -> None:
    """Say what `--device auto` chose."""
    console.print(f"device: {device}, language model in {dtype}", highlight=False)


def open_store(path: Path, host: Host) -> ActivationStore:
    """The store at a path, which has to be of this language model.

    Raises:
        StoreError: it is damaged, of another model or other weights, or has tokens that the model
            does not know.
    """
    store = ActivationStore.open(path)
    if store.manifest.model_sha256 != host.fingerprint:
        raise StoreError(
            f"the activations in {path} are those of another model than "
            f"{host.name}, or of other weights; harvest them again or name theirs with --model"
        )
    for name in store.splits:
        if (store.tokens(name).ids >= host.d_vocab).any():
            raise StoreError(
                f"the tokens of split {name!r} in {path} are beyond the {host.d_vocab:,} that "
                f"{host.name} knows; harvest them again"
            )
    return store
