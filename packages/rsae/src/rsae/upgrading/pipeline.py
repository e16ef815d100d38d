"""The upgrade from end to end: fit_rational, calibrate, finetune, each result kept on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from sae_lens.constants import SAE_CFG_FILENAME
from torch import Tensor

from rsae.data import Activations, ActivationStore, ActivationStream
from rsae.data.text import Tokens
from rsae.errors import ConfigError, TeacherError, TrainingError
from rsae.files import RunLock
from rsae.metrics import Measured, measure, spread
from rsae.pretrained import Teacher, load_teacher
from rsae.pretrained.metadata import with_sketches
from rsae.pretrained.scale import with_estimated_scale
from rsae.progress import step_reports
from rsae.sae.load import load_rsae
from rsae.sae.model import RSAE
from rsae.settings import check_kind
from rsae.upgrading.calibrate import calibrate
from rsae.upgrading.config import UpgradeConfig
from rsae.upgrading.finetune import Candidates, Trained, candidates, finetune
from rsae.upgrading.initial_rational import RationalFit
from rsae.upgrading.one_pass import StreamUse, train_on_stream
from rsae.upgrading.plan import Plan, TrainedName, is_nested, plan
from rsae.upgrading.pursuit import LEAST_TOKENS
from rsae.upgrading.refining import as_rsae
from rsae.upgrading.run_folder import claim, identity_of, kept_rational, measured_in
from rsae.upgrading.sample import Array, Sample, sample_of
from rsae.upgrading.variants import all_variants, pursuit_tokens, worse_than_teacher

__all__ = ["UpgradeResult", "recorded", "upgrade", "upgrade_together"]

_BATCH = 4096
_LEAST_VARIANCE = 1e-24  # squares of a thousandth of the spread are still normal in float32
Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class UpgradeResult:
    """The result of an upgrade, and the variants that it is measured beside.

    Attributes:
        rsae: The upgraded SAE.
        rsae_init: The RSAE before anything is trained or refined.
        variants: The SAEs by name, in the order of the table: "teacher", what was trained of
            "control" (the teacher by its own family's objective), "threshold_only" (trained
            thresholds, no rational) and "rational", each followed by its copy that is refined as
            the result is ("…_refined" or "…_pursued"), and "rsae", the result, last.
        metrics: The metrics of each variant, on the held-out part.
        plan: What was kept and trained, and which step came last.
        notes: Sentences on what the run assumed or changed.
        worse: A sentence where the result has a higher error than the teacher, else empty.
        certificate: The rational's fit and its error.
        seconds: Seconds by stage; 0 for a stage that was read from disk. Variants that were
            trained on one pass of a stream are one stage, "stream".
        stream: What that pass took; None where nothing was trained on a stream.
    """

    rsae: RSAE
    rsae_init: RSAE
    variants: Mapping[str, RSAE]
    metrics: Mapping[str, Measured]
    plan: Plan
    notes: tuple[str, ...]
    worse: str
    certificate: RationalFit
    seconds: Mapping[str, float]
    stream: StreamUse | None = None


def recorded(teacher: Teacher, store: ActivationStore, train: Tokens | None = None) -> Teacher:
    """The teacher whose copies record the text that they are trained and calibrated on.

    Evaluations read these keys of the metadata and refuse text that was used: the checksum of the
    training tokens, and sketches of the training and of the calibration tokens, beside those that
    the teacher records itself.

    Args:
        teacher: The trained SAE.
        store: Activations with a calibration split.
        train: The tokens to train on; those of the store's split by default.
    """
    train, known = train or store.tokens("train"), teacher.metadata
    record = with_sketches(
        known,
        training_sketches=[train.sketch()],
        calibration_sketches=[store.tokens("calibration").sketch()],
    )
    return replace(teacher, metadata={**record, "training_tokens_sha256": train.sha256})


def upgrade(
    teacher: Teacher | str | Path,
    activations: Sample | Activations | ActivationStore | Array | Iterable[Array],
    config: UpgradeConfig | None = None,
    *,
    out: Path | str | None = None,
    resume: bool = False,
    on_step: Report | None = None,
    progress: bool = False,
) -> UpgradeResult:
    """Lower a trained SAE's error, changing as much of it as `config.keep` allows.

    Args:
        teacher: The trained SAE, from `rsae.load_teacher`, or what that takes, such as "demo:relu".
        activations: Activations of the teacher's hook: a store, a tensor or NumPy array
            (…, d_in), an iterator of such, or a `Sample`, which may train on an
            `ActivationStream`: then all variants learn from one pass of the language model.
            For a transcoder a store of both of its hooks, or x and y side by side,
            (…, d_in + d_out).
        progress: Whether to show a bar for each training on a terminal or in a notebook, and lines
            in a log.
        config: The settings; `UpgradeConfig()` by default.
        out: The folder for the results: the upgraded SAE in SAELens' layout, what it started from
            in "rsae_init", what was trained in subfolders of its name. Every finished stage stays;
            a run that was killed goes on from there.
        resume: Whether to continue, or read back, the run in `out`. Without it such a folder is
            refused.
        on_step: Called after each training step with its numbers and, as `variant`, whose they are.

    Returns:
        The result, its variants, and what was measured on the way.

    Raises:
        TeacherError: The activations are not of the teacher's width.
        ConfigError: `out` holds another run, or resume was not asked for.
        TrainingError: The activations are constant, beyond float32, or fire no feature; or
            training does not go on.
        OutputError, LockedError: see their messages.

    Example:
        >>> import rsae                                              # doctest: +SKIP
        >>> teacher = rsae.load_teacher("demo:relu")                 # doctest: +SKIP
        >>> result = rsae.upgrade(teacher, store, out="runs/relu")   # doctest: +SKIP
        >>> result.rsae.encode(x)                                    # doctest: +SKIP
    """
    config = UpgradeConfig() if config is None else config
    check_kind(config, UpgradeConfig, "the configuration", "give an rsae.UpgradeConfig")
    teacher = _loaded(teacher)
    sample = _sample(activations, teacher)
    store = activations if isinstance(activations, ActivationStore) else None
    with step_reports(on_step, config.train.steps, progress) as report:
        run = _Run(_ready(teacher, sample, store), sample, config, report)
        return _complete([run], [None if out is None else Path(out)], resume)[0]


def upgrade_together(
    teachers: Mapping[str, Teacher | str | Path],
    activations: Sample | ActivationStore,
    config: UpgradeConfig | Mapping[str, UpgradeConfig] | None = None,
    *,
    out: Path | str | None = None,
    resume: bool = False,
    on_step: Report | None = None,
) -> dict[str, UpgradeResult]:
    """Upgrade several SAEs of the same model and hook.

    Where the activations to train on are a stream, all variants of all SAEs learn from one pass of
    the language model, so that all are held in memory at once. Each result is what `upgrade`
    makes of that SAE alone.

    Args:
        teachers: The trained SAEs by a name of your choice.
        activations: Those of their hook, as `upgrade` takes them.
        config: The settings, for all or by name. On a stream, all take the same number of steps,
            batches of the same size, and the same random seed.
        out: A folder; each SAE has a folder of its name in it, see `upgrade`.
        resume: Whether to continue, or read back, the runs in `out`.
        on_step: Called with the numbers of each training step, the SAE's name as `sae`.

    Returns:
        The results by name.

    Raises:
        ConfigError: A name has no settings, or settings that a stream wants alike differ.
        TeacherError, TrainingError, OutputError, LockedError: see `upgrade`.

    Example:
        >>> from rsae.upgrading import Sample, upgrade_together               # doctest: +SKIP
        >>> parts = store.split("calibration"), store.split("heldout")        # doctest: +SKIP
        >>> teachers = {"a": "demo:relu", "b": "demo:topk"}                   # doctest: +SKIP
        >>> upgrade_together(teachers, Sample(stream, *parts))["b"].rsae      # doctest: +SKIP
    """
    loaded = {name: _loaded(teacher) for name, teacher in teachers.items()}
    sample = _sample(activations, next(iter(loaded.values())))
    store = activations if isinstance(activations, ActivationStore) else None
    settings = {name: _settings_of(name, config) for name in teachers}
    alike = {(c.train.steps, c.train.batch_size, c.seed) for c in settings.values()}
    if isinstance(sample.train, ActivationStream) and len(alike) > 1:
        raise ConfigError(
            "SAEs that learn from one stream take as many steps, batches of one size and one "
            "random seed; give them the same, or upgrade them one by one"
        )

    def tell(name: str) -> Report | None:
        return on_step and (lambda record: on_step({"sae": name, **record}))

    runs = [
        _Run(_ready(teacher, sample, store), sample, settings[name], tell(name))
        for name, teacher in loaded.items()
    ]
    folders = [None if out is None else Path(out) / name for name in teachers]
    return dict(zip(teachers, _complete(runs, folders, resume), strict=True))


def _settings_of(
    name: str, config: UpgradeConfig | Mapping[str, UpgradeConfig] | None
) -> UpgradeConfig:
    if config is None:
        return UpgradeConfig()
    found = config.get(name) if isinstance(config, Mapping) else config
    check_kind(found, UpgradeConfig, f"the configuration of {name}", "give an rsae.UpgradeConfig")
    assert isinstance(found, UpgradeConfig)
    return found


def _loaded(teacher: Teacher | str | Path) -> Teacher:
    check_kind(teacher, (Teacher, str, Path), "the teacher", "give a path or rsae.load_teacher(…)")
    return teacher if isinstance(teacher, Teacher) else load_teacher(teacher)


def _sample(
    activations: Sample | Activations | ActivationStore | Array | Iterable[Array], teacher: Teacher
) -> Sample:
    if isinstance(activations, Sample):
        return activations
    names = ("hook_name", "hook_name_out") if teacher.transcodes else ()
    return sample_of(activations, *(teacher.metadata.get(name) for name in names))


def _ready(teacher: Teacher, sample: Sample, store: ActivationStore | None) -> Teacher:
    """The teacher, of the width of the activations, its text recorded, its scale known."""
    if store is not None:
        teacher = recorded(teacher, store)
    if sample.train.d_in != teacher.row_width:
        both = f" and d_out = {teacher.d_out}" if teacher.transcodes else ""
        raise TeacherError(
            f"the teacher has d_in = {teacher.d_in}{both}, the activations have width "
            f"{sample.train.d_in}; choose the hook that it was trained on"
        )
    return with_estimated_scale(teacher, sample.calibration.batches(_BATCH))


def _complete(
    runs: Sequence[_Run], folders: Sequence[Path | None], resume: bool
) -> list[UpgradeResult]:
    """Every stage of every run; the folders are locked until all are done."""
    with ExitStack() as locks:
        for run, folder in zip(runs, folders, strict=True):
            if folder is not None:
                locks.enter_context(RunLock(folder))
                claim(folder, identity_of(run.teacher, run.sample, run.config), resume)
            run.folder = folder
        for run in runs:
            run.begin()
        if any(isinstance(run.sample.train, ActivationStream) for run in runs):
            _on_one_stream(runs)
        return [run.end() for run in runs]


def _on_one_stream(runs: Sequence[_Run]) -> None:
    """Train whatever is not there yet, of all runs, on one pass of their stream."""
    made = [(run, one) for run in runs for one in run.candidates()]
    stream, config = runs[0].sample.train, runs[0].config
    if not made or not isinstance(stream, ActivationStream):
        return
    begin = time.perf_counter()
    trained, use = train_on_stream([one for _, one in made], stream, config)
    for (run, _), one in zip(made, trained, strict=True):
        run.keep(one)
        run.stream, run.seconds["stream"] = use, time.perf_counter() - begin


class _Run:
    """One upgrade: `begin`, training, `end`."""

    def __init__(
        self, teacher: Teacher, sample: Sample, config: UpgradeConfig, on_step: Report | None
    ) -> None:
        self.teacher, self.sample, self.config, self.on_step = teacher, sample, config, on_step
        self.folder: Path | None = None
        self.plan = plan(teacher, config)
        self.notes: list[str] = []
        self.seconds: dict[str, float] = {}
        self.stream: StreamUse | None = None
        self.trained: dict[str, RSAE] = {}
        if self.plan.trained and is_nested(teacher):
            self.notes.append(
                "the teacher was trained so that prefixes of its dictionary reconstruct too "
                "(Matryoshka); fine-tuning ignores that"
            )

    def begin(self) -> None:
        """The initial rational, and the RSAE that training starts from."""
        self.fit = self._timed("fit_rational", lambda: kept_rational(self.folder, self.config))
        self.x = spread(self.sample.calibration, self.config.calibration_tokens)
        _check_spread(self.x[:, -self.teacher.d_out :])
        self.start = self._timed("calibrate", lambda: self._start(self.folder, self.fit, self.x))

    def end(self) -> UpgradeResult:
        """Train what is not trained on a stream; refine and measure all."""
        bases = {"teacher": self.start}
        if self.config.rational.form != "magnitude":
            bases = {"teacher": as_rsae(self.teacher), "rsae_init": self.start}
        for name in self.plan.trained:
            if name not in self.trained:
                self.trained[name] = self._timed(name, partial(self._trained, name))
            bases[name] = self.trained[name]
        variants = self._timed("refine", lambda: self._variants(self.folder, bases, self.x))
        heldout = self.sample.heldout
        metrics = self._timed("measure", lambda: measured_in(self.folder, variants, heldout))
        return UpgradeResult(
            rsae=variants["rsae"],
            rsae_init=self.start,
            variants=variants,
            metrics=metrics,
            plan=self.plan,
            notes=tuple(self.notes),
            worse=worse_than_teacher(metrics, self.plan),
            certificate=self.fit,
            seconds=dict(self.seconds),
            stream=self.stream,
        )

    def _timed(self, stage: str, work: Callable[[], Any]) -> Any:
        begin = time.perf_counter()
        result = work()
        self.seconds[stage] = time.perf_counter() - begin
        return result

    def _start(self, folder: Path | None, fit: RationalFit, x: Tensor) -> RSAE:
        kept = folder / "rsae_init" if folder else None
        if kept and (kept / SAE_CFG_FILENAME).exists():
            return load_rsae(kept).to(self.teacher.device)
        x = x.to(self.teacher.device)
        start = calibrate(self.teacher, fit, x)
        if measure(start, x).l0 == 0:
            raise TrainingError(
                "no feature of the teacher fires on these activations, so that there is no L0 to "
                "hold; check the hook, the model, and the scale of the activations"
            )
        if kept:
            start.save_model(kept)
        return start

    def candidates(self) -> list[Candidates]:
        """The variants that are still to be trained."""
        return [
            candidates(
                name,
                self.teacher,
                self.start,
                self.sample.calibration,
                self.config,
                **self._settings(name),
            )
            for name in self.plan.trained
            if self._kept(name) is None
        ]

    def keep(self, found: Trained) -> None:
        """Take a trained variant, and write it into the folder."""
        self.trained[found.name] = found.sae
        if (rows := found.training.split_to) is not None:
            self.notes.append(
                f"the device's memory ran out while {found.name} was trained; its batches went "
                f"through in parts of {rows} tokens, with the same gradient"
            )
        if self.folder:
            found.sae.save_model(self.folder / found.name)
            for file in self.folder.glob(f"{found.name}*.checkpoint"):
                file.unlink()

    def _trained(self, name: TrainedName) -> RSAE:
        if (kept := self._kept(name)) is not None:
            return load_rsae(kept).to(self.teacher.device)
        train_on = self.sample.train
        assert isinstance(train_on, Activations)  # a stream's variants are all trained by now
        found = finetune(
            name,
            self.teacher,
            self.start,
            train_on,
            self.sample.calibration,
            self.config,
            **self._settings(name),
        )
        self.keep(found)
        return found.sae

    def _kept(self, name: TrainedName) -> Path | None:
        """The folder of a variant that an earlier call trained."""
        kept = self.folder / name if self.folder else None
        return kept if kept and (kept / SAE_CFG_FILENAME).exists() else None

    def _settings(self, name: TrainedName) -> dict[str, Any]:
        return {
            "keep": "directions" if self.plan.keep == "directions" else "nothing",
            "checkpoint": self.folder / f"{name}.checkpoint" if self.folder else None,
            "on_step": self._tell(name),
        }

    def _variants(
        self, folder: Path | None, bases: Mapping[str, RSAE], x: Tensor
    ) -> dict[str, RSAE]:
        """All variants; the result is read back where it is there, and kept where it is not."""
        tokens = None
        if not self.plan.transcodes:
            tokens = pursuit_tokens(
                self.sample.calibration, self.sample.train, self.config.calibration_tokens
            )
        if tokens is None and self.plan.step == "pursued":
            self.plan = replace(self.plan, step="refined")
            self.notes.append(
                f"pursuit needs {LEAST_TOKENS:,} tokens to set its thresholds on, and there are "
                "fewer; activations are refined on the features that fire instead"
            )
        variants = all_variants(self.plan, bases, x.to(self.teacher.device), tokens)
        if folder and (folder / SAE_CFG_FILENAME).exists():
            variants["rsae"] = load_rsae(folder).to(self.teacher.device)
        elif folder:
            variants["rsae"].save_model(folder)
        return variants

    def _tell(self, name: TrainedName) -> Report | None:
        on_step = self.on_step
        if on_step is None:
            return None
        return lambda record: on_step({"variant": name, **record})


def _check_spread(x: Tensor) -> None:
    """Refuse activations whose variance is 0 or not a number of float32."""
    variance = (x - x.mean(dim=0)).square().sum(dim=-1).mean().item()
    if not _LEAST_VARIANCE < variance < 1 / _LEAST_VARIANCE:
        raise TrainingError(
            f"the activations have a variance of {variance:.3g}: they are constant, or too small "
            "or too large for float32; check the hook, or scale them"
        )
