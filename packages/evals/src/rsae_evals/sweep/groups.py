"""Groups of a sweep: SAEs that learn from one pass of one language model, and what is done to one.

A group is the unit of work of every engine. What it has finished is on disk, so that a group which
is run again, after a crash or by a second call, does only what is missing.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsae.commands.activations import (
    Source,
    open_dataset,
    sources_of,
    splits_of,
)
from rsae.commands.dry_run import DryRun
from rsae.commands.inputs import context_of, find_host, find_site
from rsae.commands.upgrade import job_of, upgrade_jobs
from rsae.devices import resolve_device
from rsae.errors import RsaeError
from rsae.files import make_folder, public_name, write_json
from rsae.language_model.host import Host
from rsae.language_model.names import model_of
from rsae.language_model.site import Site
from rsae.terminal import Console
from rsae_evals.sweep.members import Member

__all__ = ["Group", "Placed", "SweepPlan", "is_finished", "plan_of", "run_group", "write_failure"]

_FAILURE = "failure.json"
_LAST_WRITTEN = ("summary.json", "report.json")  # by an upgrade and by its report


@dataclass(frozen=True)
class Placed:
    """A member, where it reads, and the tokens that each of its variants is trained on."""

    member: Member
    site: Site
    tokens: int


@dataclass(frozen=True)
class Group:
    """SAEs of the same widths on one language model with one context size.

    Attributes:
        model: The language model's name or path; None for the packaged one.
        context: Tokens per sequence; None where the SAEs do not say.
        widths: d_in and d_out.
        placed: The SAEs.
    """

    model: str | None
    context: int | None
    widths: tuple[int, int]
    placed: tuple[Placed, ...]

    @property
    def name(self) -> str:
        """The folder of its activations: what is left of a group reads fewer hooks."""
        model = re.sub(r"[^\w.=-]+", "_", public_name(self.model or "packaged"))[-80:]
        hooks = hashlib.sha256(" ".join(map(str, self.sites)).encode()).hexdigest()[:8]
        return f"{model}-{self.context or 'any'}-{self.widths[0]}-{hooks}"

    @property
    def sites(self) -> tuple[Site, ...]:
        """Every site that is read, once."""
        return tuple(dict.fromkeys(placed.site for placed in self.placed))


@dataclass(frozen=True)
class SweepPlan:
    """What is left to do.

    Attributes:
        groups: The members that can be upgraded.
        estimates: By member, time and memory of its upgrade alone; for `--dry-run` only.
        failures: By member, why it cannot be.
    """

    groups: tuple[Group, ...]
    estimates: Mapping[str, dict[str, Any]]
    failures: Mapping[str, Exception]


def plan_of(members: Iterable[Member], args: argparse.Namespace, out: Path) -> SweepPlan:
    """Group the members that are not finished, by what their files say of their language model."""
    found: dict[tuple[Any, ...], list[Placed]] = {}
    estimates: dict[str, dict[str, Any]] = {}
    failures: dict[str, Exception] = {}
    dry = DryRun(args) if args.dry_run else None
    for member in members:
        if is_finished(out / member.name):
            continue
        try:
            job = job_of(args, member.source, out / member.name)
            metadata = job.teacher.metadata
            site = find_site(args.hook, job.teacher, member.source)
            tokens = job.config.train.steps * job.config.train.batch_size
            widths = (job.teacher.d_in, job.teacher.d_out)
            key = (args.model or model_of(metadata), metadata.get("context_size"), widths)
            if dry is not None:
                estimates[member.name] = dry.estimate(job.teacher, job.config)
        except Exception as error:  # noqa: BLE001 - one SAE must not end the sweep
            failures[member.name] = error
            continue
        found.setdefault(key, []).append(Placed(member, site, tokens))
    groups = tuple(
        Group(model, context, widths, tuple(placed))
        for (model, context, widths), placed in found.items()
    )
    return SweepPlan(groups, estimates, failures)


def run_group(group: Group, args: argparse.Namespace, out: Path, console: Console) -> None:
    """Upgrade the members that are not finished; where one fails its cause is kept."""
    left = [placed for placed in group.placed if not is_finished(out / placed.member.name)]
    if not left:
        return
    try:
        host, sources = _prepared(group, args, out, left, console)
    except Exception as error:  # noqa: BLE001 - nor one language model
        for placed in left:
            write_failure(out / placed.member.name, error)
        return
    for site, source in sources.items():
        here = [placed.member for placed in left if placed.site == site]
        for members in [here] if source.streamed else ([one] for one in here):
            _upgrade(members, args, host, source, site, out, console)


def _upgrade(
    members: Sequence[Member],
    args: argparse.Namespace,
    host: Host,
    source: Source,
    site: Site,
    out: Path,
    console: Console,
) -> None:
    """Upgrade SAEs of one site; where one ends a pass that several share, each goes on alone."""
    try:
        jobs = [job_of(args, member.source, out / member.name) for member in members]
        upgrade_jobs(args, jobs, host, source, site, console)
        for job in jobs:
            (job.out / _FAILURE).unlink(missing_ok=True)
    except Exception as error:  # noqa: BLE001 - nor one upgrade
        names = ", ".join(member.name for member in members)
        console.print(f"{names}: {error}", style="red")
        if len(members) == 1:
            write_failure(out / names, error)
            return
        for member in members:
            if not is_finished(out / member.name):
                _upgrade([member], args, host, source, site, out, console)


def _prepared(
    group: Group, args: argparse.Namespace, out: Path, left: Sequence[Placed], console: Console
) -> tuple[Host, dict[Site, Source]]:
    """The language model, and its activations at all sites of the group."""
    documents = open_dataset(args)
    metadata = {"model_name": group.model, "context_size": group.context}
    device = resolve_device(args.device)
    host = find_host(args, metadata, left[0].site, group.widths, device)
    context = context_of(metadata, host, left[0].member.source)
    most = max(placed.tokens for placed in left)
    splits = splits_of(args, host, context, documents, most, console)
    folder = out / "activations" / group.name
    return host, sources_of(args, host, group.sites, splits, folder, console)


def is_finished(folder: Path) -> bool:
    """Whether a member's upgrade and its report are there."""
    return all((folder / name).is_file() for name in _LAST_WRITTEN)


def write_failure(folder: Path, error: BaseException) -> None:
    """Keep why a member failed: a sentence, and for what no user can mend the traceback too."""
    known = isinstance(error, RsaeError)
    write_json(
        make_folder(folder) / _FAILURE,
        {
            "cause": str(error) if known else f"{type(error).__name__}: {error}",
            "traceback": None if known else "".join(traceback.format_exception(error)),
        },
    )
