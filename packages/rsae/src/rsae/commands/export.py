"""`rsae export`: an RSAE as a plain SAE that SAELens loads without this package."""

from __future__ import annotations

import argparse

from rsae.commands.inputs import context_of
from rsae.commands.output import show
from rsae.data import Activations, ActivationStore
from rsae.data.text import documents, tokenize
from rsae.errors import ConfigError, HookError
from rsae.language_model.host import load_host
from rsae.language_model.names import model_of
from rsae.sae.export import check_exportable, export_jumprelu
from rsae.sae.load import is_rsae, load_rsae
from rsae.sae.model import RSAE

__all__ = ["run"]

_TOKENS = 4096


def run(args: argparse.Namespace) -> int:
    """Carry out the command; its options are those of `rsae_cli.parsers`."""
    if is_rsae(args.out):
        raise ConfigError(
            f"{args.out} holds an RSAE, which the plain SAE would overwrite; choose another folder"
        )
    sae = load_rsae(args.path)
    check_exportable(sae)
    hook = sae.cfg.metadata.get("hook_name")
    if not hook:
        raise HookError(f"{args.path} does not name its hook; upgrade a teacher whose metadata do")
    sample = (
        ActivationStore.open(args.activations).split("calibration", hook)
        if args.activations
        else _packaged(sae, hook, args.device, args.dtype)
    )
    export = export_jumprelu(sae, sample)
    show({"out": str(export.save(args.out)), "lost": export.lost, **export.losses()}, args.json)
    return 0


def _packaged(sae: RSAE, hook: str, device: str, dtype: str) -> Activations:
    """Activations of the packaged text at the RSAE's hook."""
    host = load_host(model_of(sae.cfg.metadata.to_dict()), device=device, dtype=dtype)
    context = context_of(sae.cfg.metadata.to_dict(), host, "the RSAE")
    tokens = tokenize(host, documents(), context).sample(_TOKENS)
    parts = zip(tokens.ids.split(8), tokens.special.split(8), strict=True)
    rows = tuple(host.residual(ids, hook).cpu()[~special].float() for ids, special in parts)
    return Activations(rows, tokens.sha256)
