"""`rsae refine`: a trained SAE with a refinement after its encoder, and the report on it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sae_lens.saes.sae import SAEMetadata

from rsae.commands.inputs import (
    context_of,
    find_hook,
    find_host,
    open_store,
    say_device,
    with_place,
)
from rsae.commands.output import show
from rsae.commands.report import write_report
from rsae.data import ActivationStore, harvest
from rsae.data.splits import token_splits
from rsae.devices import resolve_device
from rsae.errors import ConfigError, TeacherError
from rsae.files import exists, make_folder, public_name, write_json
from rsae.language_model.host import Host
from rsae.language_model.site import Site
from rsae.pretrained import Teacher, load_teacher
from rsae.pretrained.scale import needs_scale
from rsae.progress import progress_on
from rsae.sae.config import NO_TARGET
from rsae.sae.load import is_rsae, load_rsae
from rsae.sae.model import RSAE
from rsae.terminal import Console
from rsae.upgrading.refining import as_rsae, refine
from rsae.upgrading.run_folder import REFINE_FILE, check_unclaimed, claim, digest, digest_of_teacher

__all__ = ["run"]

_LAST = "report.html"  # what a finished run has written last


def run(args: argparse.Namespace) -> int:
    """Carry out the command; its options are those of `rsae_cli.parsers`."""
    finished = exists(args.out / _LAST) or not exists(args.out / REFINE_FILE)
    if is_rsae(args.out) and finished:
        raise ConfigError(f"{args.out} holds an SAE already; choose another folder")
    console = Console(stderr=args.json)
    device = resolve_device(args.device)
    source = load_rsae(args.path) if is_rsae(args.path) else load_teacher(args.path)
    if source.transcodes:
        raise TeacherError(f"{args.path}: {NO_TARGET}")
    source = source.to(device)
    plan = _plan(args, source)
    if args.dry_run:
        show(plan, args.json)
        return 0
    identity = _identity(plan, source)
    check_unclaimed(args.out, identity, REFINE_FILE)
    metadata = _metadata(source)
    hook = find_hook(args.hook, metadata, args.path)
    site = Site(hook, hook)
    host = find_host(args, metadata, site, (plan["d_in"], plan["d_in"]), device)
    say_device(console, device, args.dtype)
    make_folder(args.out)
    store = _store(args, plan, host, metadata, hook, console)
    read = {"model": store.manifest.model_sha256, **store.manifest.tokens_sha256}
    claim(args.out, {**identity, "activations": read}, resume=True, record=REFINE_FILE)
    begin = time.perf_counter()
    place = with_place(metadata, hook, host, args.model)
    variants = _variants(args, plan, source, store, place, console)
    seconds = time.perf_counter() - begin
    last = list(variants.values())[-1]
    last.save_model(args.out)
    summary = {
        **plan,
        "sae": public_name(args.path),
        "host": public_name(host.name),
        "hook_name": hook,
        "refinement": last.cfg.refinement,
        "seconds": round(seconds, 2),
    }
    write_json(args.out / "summary.json", {**summary, "out": args.out.name})
    sequences = {"sequences": None} if args.eval_tokens else {}
    write_report(
        variants,
        args.out,
        host=host,
        site=site,
        store=store,
        summary=summary,
        console=console,
        command="rsae compare",
        **sequences,
    )
    if args.json:
        Console().print_data(summary)
    return 0


def _identity(plan: Mapping[str, Any], source: RSAE | Teacher) -> dict[str, Any]:
    """What makes two runs on the same activations the same, so that one can go on in its folder."""
    names = ("method", "steps", "pursuit", "exact_k", "calibration_tokens")
    return {
        "sae": digest(source) if isinstance(source, RSAE) else digest_of_teacher(source),
        "settings": {name: plan[name] for name in names},
    }


def _metadata(source: RSAE | Teacher) -> dict[str, Any]:
    return source.metadata if isinstance(source, Teacher) else source.cfg.metadata.to_dict()


def _plan(args: argparse.Namespace, source: RSAE | Teacher) -> dict[str, Any]:
    """What will be done, as plain data."""
    calibrated = args.pursuit or args.method == "minimax" or needs_scale(source)
    shape = source if isinstance(source, Teacher) else source.cfg
    return {
        "sae": args.path,
        "d_in": shape.d_in,
        "d_sae": shape.d_sae,
        "method": args.method,
        "steps": args.steps,
        "pursuit": args.pursuit,
        "exact_k": args.exact_k,
        "calibration_tokens": args.tokens if calibrated else 0,
        "out": str(args.out),
    }


def _store(
    args: argparse.Namespace,
    plan: Mapping[str, Any],
    host: Host,
    metadata: Mapping[str, Any],
    hook: str,
    console: Console,
) -> ActivationStore:
    """The store that was given, or the activations of a text: held-out documents, and others."""
    if args.activations:
        return open_store(args.activations, host)
    with console.status("reading the text"):
        context = context_of(metadata, host, args.path)
        splits = token_splits(
            host, args.text, args.tokens, context, heldout_tokens=args.eval_tokens
        )
    tokens = {"heldout": splits["heldout"]}
    if n := plan["calibration_tokens"]:
        # Other sequences of the held-out documents, so that an L0 matched there holds; where they
        # are too few, the documents that training would have had.
        near = splits["calibration"]
        tokens["calibration"] = near.sample(n) if near.n_tokens >= n else splits["train"]
    with progress_on(console) as progress:
        return harvest(host, tokens, hook, args.out / "activations", progress=progress)


def _variants(
    args: argparse.Namespace,
    plan: Mapping[str, Any],
    source: RSAE | Teacher,
    store: ActivationStore,
    place: dict[str, Any],
    console: Console,
) -> dict[str, RSAE]:
    """The SAE as it is, refined, and with pursuit, in this order."""
    calibration = store if plan["calibration_tokens"] else None
    if isinstance(source, Teacher):
        source = replace(source, metadata=place)
    else:
        source.cfg.metadata = SAEMetadata(**place)
    plain = as_rsae(source, calibration).set_refinement(None)
    found = {"teacher": plain}
    settings: dict[str, Any] = {"method": args.method, "steps": args.steps}
    with console.status("calibrating" if calibration else "refining"):
        found["refined"] = refine(plain, calibration, **settings)
        if args.pursuit:
            pursuit = {"pursuit": True, "exact_k": args.exact_k}
            found["pursued"] = refine(plain, calibration, **settings, **pursuit)
    return found
