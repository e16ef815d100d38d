"""`rsae upgrade`: load a teacher, cache activations, upgrade it and write the report."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from rsae.commands.activations import Source, open_dataset, source_of
from rsae.commands.dry_run import DryRun
from rsae.commands.inputs import find_host, find_site, say_device, with_place
from rsae.commands.output import show
from rsae.commands.report import write_report
from rsae.devices import resolve_device
from rsae.errors import TeacherError
from rsae.files import make_folder, public_name, write_json
from rsae.language_model.host import Host
from rsae.language_model.site import Site
from rsae.memory import memory_budget, parse_size
from rsae.pretrained import Teacher, load_teacher
from rsae.pretrained.scale import with_estimated_scale
from rsae.progress import StepBar, progress_on
from rsae.sae.transcoder import REFINEMENT
from rsae.terminal import Console
from rsae.train.loop import follow
from rsae.train.parallel import processes
from rsae.train.trackers import JsonLines, Tracker, external_tracker
from rsae.upgrading.config import UpgradeConfig, config_from_toml, preset
from rsae.upgrading.estimate import peak_memory_gib
from rsae.upgrading.finetune import trainings
from rsae.upgrading.pipeline import UpgradeResult, recorded, upgrade, upgrade_together
from rsae.upgrading.plan import plan

__all__ = ["Job", "job_of", "run", "upgrade_jobs"]

_DEMO = ("demo:relu", "demo:jumprelu", "demo:topk")
_BATCH = 4096
_WORSE = 3  # exit code where a result has a higher error than its teacher


def run(args: argparse.Namespace) -> int:
    """Carry out the command; its options are those of `rsae_cli.parsers`.

    Under torchrun the first process does, and the others train with it.
    """
    device = resolve_device(args.device)
    budget = parse_size(args.memory) if args.memory else None
    with memory_budget(budget), processes(device) as rank:
        if rank > 0:
            follow(device)
            return 0
        return _run(args, device)


def _run(args: argparse.Namespace, device: torch.device) -> int:
    console = Console(stderr=args.json)
    names = [args.teacher] if args.teacher else list(_DEMO)
    jobs = [
        job_of(args, name, args.out / name.removeprefix("demo:") if len(names) > 1 else args.out)
        for name in names
    ]
    if args.dry_run:
        dry = DryRun(args)
        show([dry.estimate(job.teacher, job.config) for job in jobs], args.json)
        return 0
    documents = open_dataset(args)
    teacher = jobs[0].teacher
    site = find_site(args.hook, teacher, teacher.source)
    host = find_host(args, teacher.metadata, site, (teacher.d_in, teacher.d_out), device)
    say_device(console, device, args.dtype)
    most = max(job.config.train.steps * job.config.train.batch_size for job in jobs)
    source = source_of(args, host, teacher, site, documents, most, console)
    summaries = upgrade_jobs(args, jobs, host, source, site, console)
    if args.json:
        Console().print_data(summaries)
    return _WORSE if any(summary["worse"] for summary in summaries) else 0


@dataclass(frozen=True, eq=False)
class Job:
    """One SAE to upgrade: how it was named, the SAE, the settings and the folder."""

    name: str
    teacher: Teacher
    config: UpgradeConfig
    out: Path


def job_of(args: argparse.Namespace, name: str, out: Path) -> Job:
    """Load the SAE, and take the settings from the options.

    Raises:
        TeacherError, CorruptFileError, ConfigError: see `load_teacher` and `config_from_toml`.
    """
    teacher = load_teacher(name).to(resolve_device(args.device))
    if REFINEMENT in teacher.metadata:
        note = "the refinement that it was saved with is left out"
        teacher = replace(teacher, notes=(*teacher.notes, note))
    if args.family not in ("auto", teacher.family):
        raise TeacherError(f"{name} is a {teacher.family} SAE; leave out --family {args.family}")
    config = preset(args.preset, teacher.family)
    if args.config:
        config = config_from_toml(args.config, config)
    if args.steps is not None:
        config = replace(config, train=replace(config.train, steps=args.steps))
    if args.keep is not None:
        config = replace(config, keep=args.keep)
    if args.only:
        config = replace(config, only=args.only)
    if args.baselines:
        config = replace(config, baselines=True)
    if args.seed is not None:
        config = replace(config, seed=args.seed)
    plan(teacher, config)  # refuses what cannot be, before a language model is loaded
    return Job(name, teacher, config, out)


def upgrade_jobs(
    args: argparse.Namespace,
    jobs: Sequence[Job],
    host: Host,
    source: Source,
    site: Site,
    console: Console,
) -> list[dict[str, Any]]:
    """Upgrade SAEs of one site, evaluate each, write all into their folders; what was done.

    From a stream they learn in one pass of the language model.
    """
    complete = _in_one_pass if source.streamed and len(jobs) > 1 else _one_by_one
    return complete(args, jobs, host, source, site, console)


def _one_by_one(
    args: argparse.Namespace,
    jobs: Sequence[Job],
    host: Host,
    source: Source,
    site: Site,
    console: Console,
) -> list[dict[str, Any]]:
    """Each SAE from its training to its report before the next one begins."""
    summaries = []
    for job in jobs:
        made = _announced(args, job, host, source, site, console)
        with progress_on(console) as progress:
            bar = StepBar(progress, job.config.train.steps)

            def on_step(record: dict[str, Any], bar: StepBar = bar, made: _Run = made) -> None:
                bar.show(record)
                made.log(record)

            result = upgrade(
                recorded(made.job.teacher, source.store, source.train),
                source.sample,
                job.config,
                out=job.out,
                resume=args.resume,
                on_step=on_step,
            )
        summaries.append(_finished(made, result, host, source, site, console))
    return summaries


def _in_one_pass(
    args: argparse.Namespace,
    jobs: Sequence[Job],
    host: Host,
    source: Source,
    site: Site,
    console: Console,
) -> list[dict[str, Any]]:
    """All SAEs trained on one pass of the stream, then one report after another."""
    made = {job.out.name: _announced(args, job, host, source, site, console) for job in jobs}
    with progress_on(console) as progress:
        bar = StepBar(progress, jobs[0].config.train.steps)

        def on_step(record: dict[str, Any]) -> None:
            name = record["sae"]
            bar.show({**record, "variant": f"{name} {record['variant']}"})
            made[name].log({key: value for key, value in record.items() if key != "sae"})

        results = upgrade_together(
            {n: recorded(one.job.teacher, source.store, source.train) for n, one in made.items()},
            source.sample,
            {name: one.job.config for name, one in made.items()},
            out=jobs[0].out.parent,
            resume=args.resume,
            on_step=on_step,
        )
    return [
        _finished(one, results[name], host, source, site, console) for name, one in made.items()
    ]


@dataclass(frozen=True, eq=False)
class _Run:
    """A job whose teacher is ready, and where the numbers of its steps go."""

    job: Job
    lines: JsonLines
    trackers: tuple[Tracker, ...]

    def log(self, record: dict[str, Any]) -> None:
        if record["step"] % 10 == 0:
            for tracker in self.trackers:
                tracker.log(record)


def _announced(
    args: argparse.Namespace, job: Job, host: Host, source: Source, site: Site, console: Console
) -> _Run:
    place = with_place(job.teacher.metadata, site.input, host, args.model)
    teacher = with_estimated_scale(
        replace(job.teacher, metadata=place), source.sample.calibration.batches(_BATCH)
    )
    job = replace(job, teacher=teacher)
    make_folder(job.out)
    lines = JsonLines(job.out / "run.jsonl")
    trackers = (external_tracker(args.tracker, job.out),) if args.tracker else ()
    console.print(f"{job.name}: {job.teacher.family}, {job.teacher.d_sae} features")
    console.print(plan(teacher, job.config).sentence, highlight=False)
    for note in job.teacher.notes:
        console.print(f"Note: {note}", highlight=False)
    return _Run(job, lines, (lines, *trackers))


def _finished(
    made: _Run, result: UpgradeResult, host: Host, source: Source, site: Site, console: Console
) -> dict[str, Any]:
    """What was done, printed and written beside the report."""
    job = made.job
    summary = _summary(job, result, site, host)
    if result.worse:
        console.print(f"{job.name} came out {result.worse}.", style="red", soft_wrap=True)
    for note in (*result.notes, *_dead(summary)):
        console.print(f"Note: {note}.", highlight=False)
    made.lines.log({"variant": "all", **summary, "out": job.out.name})
    write_json(job.out / "summary.json", {**summary, "out": job.out.name})
    write_report(
        {**result.variants, "teacher": job.teacher},
        job.out,
        host=host,
        site=site,
        store=source.store,
        summary=summary,
        console=console,
        command="the same command with --resume",
        baseline=result.plan.baseline,
        made_of=result.plan.made_of(tuple(result.variants)),
    )
    console.print(_costs(summary))
    return summary


def _summary(job: Job, result: UpgradeResult, site: Site, host: Host) -> dict[str, Any]:
    tokens = job.config.train.steps * job.config.train.batch_size
    trained = {name: s for name, s in result.seconds.items() if name in result.metrics and s > 1}
    return {
        "teacher": public_name(job.name),
        "family": job.teacher.family,
        "host": public_name(host.name),
        "hook_name": str(site),
        "out": str(job.out),
        "seed": job.config.seed,
        "keep": result.plan.keep,
        "plan": result.plan.sentence,
        "worse": result.worse,
        "notes": list(result.notes),
        "features": job.teacher.d_sae,
        "alive": {name: result.metrics[name].frac_alive for name in ("teacher", "rsae")},
        "seconds": dict(result.seconds),
        "training_tokens_per_second": {
            name: trainings(name) * tokens / s for name, s in trained.items()
        },
        **({} if result.stream is None else {"stream": asdict(result.stream)}),
        "peak_memory_gib": peak_memory_gib(),
        "gate": {"error": result.certificate.error, "source": result.certificate.source},
    }


def _dead(summary: dict[str, Any]) -> list[str]:
    """A sentence where features fire on no held-out token, before and after."""
    before, after = (
        round((1 - summary["alive"][name]) * summary["features"]) for name in ("teacher", "rsae")
    )
    if not before + after:
        return []
    return [
        f"{after} of {summary['features']} features fire on no held-out token, {before} before; "
        "an upgrade does not aim to revive them"
    ]


def _costs(summary: dict[str, Any]) -> str:
    stages = ", ".join(f"{name} {s:.1f} s" for name, s in summary["seconds"].items())
    rates = summary["training_tokens_per_second"].values()
    rate = f"; training {min(rates):,.0f} tokens/s" if rates else ""
    if (use := summary.get("stream")) is not None:
        rate = (
            f"; {use['n_tokens']:,} tokens streamed, {use['n_tokens'] / use['seconds']:,.0f} "
            f"tokens/s, training waited {100 * use['waiting_share']:.0f} % of the time"
        )
    return f"stages: {stages}{rate}; peak memory {peak_memory_gib()} GiB"
