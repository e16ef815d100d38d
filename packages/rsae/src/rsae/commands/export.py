"""`rsae export`: an RSAE as a plain SAE that SAELens loads without this package."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..activations import Activations, ActivationStore
from ..describe import load_rsae
from ..errors import HookError, StoreError
from ..export import export_jumprelu
from ..hosts import load_host
from ..model import RSAE
from ..text import documents, tokenize
from .output import show

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["register"]

_TOKENS = 4096
_CONTEXT = 128


def register(subparsers: _SubParsersAction[Any]) -> None:
    """Add `rsae export`."""
    parser = subparsers.add_parser(
        "export",
        help="write the nearest plain SAE, with the loss stated",
        description="Thresholds are kept; the rational becomes one gain per feature, by least "
        "squares on the packaged text or on a store of activations.",
    )
    add = parser.add_argument
    add("path", metavar="PATH", help="a folder that rsae upgrade wrote")
    add("--as", dest="architecture", choices=["jumprelu"], default="jumprelu")
    add("--out", type=Path, required=True, help="folder of the plain SAE")
    add("--activations", type=Path, help="a store made by rsae harvest; its calibration split")
    add("--json", action="store_true", help="the loss as JSON on stdout")
    add("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    coder = load_rsae(args.path)
    hook = coder.cfg.metadata.get("hook_name")
    if not hook:
        raise HookError(f"{args.path} does not say where it lives; upgrade from such a teacher")
    sample = (
        ActivationStore.open(args.activations).split("calibration", hook)
        if args.activations
        else _packaged(coder, hook)
    )
    if sample.d_in != coder.cfg.d_in:
        raise StoreError(
            f"the activations have {sample.d_in} dimensions, the RSAE codes {coder.cfg.d_in}; "
            "give those of its own host"
        )
    export = export_jumprelu(coder, sample)
    show({"out": str(export.save(args.out)), **export.losses()}, args.json)
    return 0


def _packaged(coder: RSAE, hook: str) -> Activations:
    """Activations of the packaged text at the RSAE's hook."""
    host = load_host(coder.cfg.metadata.get("model_name"))
    context = int(coder.cfg.metadata.get("context_size") or _CONTEXT)
    tokens = tokenize(host, documents(), context).sample(_TOKENS)
    parts = zip(tokens.ids.split(8), tokens.special.split(8), strict=True)
    rows = tuple(host.residual(ids, hook)[~special].cpu() for ids, special in parts)
    return Activations(rows, tokens.sha256)
