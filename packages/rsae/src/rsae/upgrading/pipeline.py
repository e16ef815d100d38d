"""The upgrade from end to end: fit_rational, calibrate, finetune, each result kept on disk."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from sae_lens.constants import SAE_CFG_FILENAME
from torch import Tensor

from rsae.data import Activations, ActivationStore
from rsae.errors import ConfigError, CorruptFileError, RsaeError, TeacherError, TrainingError
from rsae.files import RunLock, make_folder, read_json, sha256, write_json
from rsae.metrics import Measured, measure, spread
from rsae.pretrained import Teacher, load_teacher
from rsae.pretrained.scale import with_estimated_scale
from rsae.progress import step_reports
from rsae.sae.load import load_rsae
from rsae.sae.model import RSAE
from rsae.settings import check_kind
from rsae.upgrading.calibrate import calibrate
from rsae.upgrading.config import UpgradeConfig
from rsae.upgrading.finetune import finetune
from rsae.upgrading.initial_rational import RationalFit, fit_rational
from rsae.upgrading.plan import Plan, TrainedName, is_nested, plan
from rsae.upgrading.pursuit import LEAST_TOKENS
from rsae.upgrading.refining import as_rsae
from rsae.upgrading.sample import PARTS, Array, Sample, sample_of
from rsae.upgrading.variants import all_variants, pursuit_tokens, worse_than_teacher

__all__ = ["UpgradeResult", "recorded", "upgrade"]

_RUN_FILE = "upgrade.json"
_METRICS_FILE = "metrics.json"
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
        seconds: Seconds by stage; 0 for a stage that was read from disk.
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


def recorded(teacher: Teacher, store: ActivationStore) -> Teacher:
    """The teacher whose copies record the text that they are trained and calibrated on.

    Evaluations read these keys of the metadata and refuse text that was used: the checksum of the
    training tokens, and sketches of the training and of the calibration tokens, beside those that
    the teacher records itself.
    """
    train, known = store.tokens("train"), teacher.metadata
    record = {
        "training_tokens_sha256": train.sha256,
        "training_sketches": [*(known.get("training_sketches") or []), train.sketch()],
        "calibration_sketches": [
            *(known.get("calibration_sketches") or []),
            store.tokens("calibration").sketch(),
        ],
    }
    return replace(teacher, metadata={**known, **record})


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
            (…, d_in), an iterator of such, or a `Sample`.
        progress: Whether to show a bar for each training on a terminal or in a notebook, and lines
            in a log.
        config: The settings; `UpgradeConfig()` by default.
        out: The folder for the results: the upgraded SAE in SAELens' layout, what it started from
            in "rsae_init", what was trained in subfolders of its name. Every finished stage stays;
            a run that was killed goes on from there.
        resume: Whether to continue, or read back, the run in `out`. Without it such a folder is
            refused.
        on_step: Called with the variant (`arm`) and the numbers of each training step.

    Raises:
        TeacherError: The teacher's d_in is not that of the activations.
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
    check_kind(teacher, (Teacher, str, Path), "the teacher", "give a path or rsae.load_teacher(…)")
    if not isinstance(teacher, Teacher):
        teacher = load_teacher(teacher)
    sample = activations if isinstance(activations, Sample) else sample_of(activations)
    if isinstance(activations, ActivationStore):
        teacher = recorded(teacher, activations)
    if sample.train.d_in != teacher.d_in:
        raise TeacherError(
            f"the teacher has d_in = {teacher.d_in}, the activations have width "
            f"{sample.train.d_in}; choose the hook that it was trained on"
        )
    teacher = with_estimated_scale(teacher, sample.calibration.batches(_BATCH))
    with step_reports(on_step, config.train.steps, progress) as report:
        run = _Run(teacher, sample, config, report)
        if out is None:
            return run.all_stages(None)
        folder = Path(out)
        with RunLock(folder):
            _claim(folder, _identity(teacher, sample, config), resume)
            return run.all_stages(folder)


class _Run:
    def __init__(
        self, teacher: Teacher, sample: Sample, config: UpgradeConfig, on_step: Report | None
    ) -> None:
        self.teacher, self.sample, self.config, self.on_step = teacher, sample, config, on_step
        self.plan = plan(teacher, config)
        self.notes: list[str] = []
        self.seconds: dict[str, float] = {}
        if self.plan.trained and is_nested(teacher):
            self.notes.append(
                "the teacher was trained so that prefixes of its dictionary reconstruct too "
                "(Matryoshka); fine-tuning ignores that"
            )

    def all_stages(self, folder: Path | None) -> UpgradeResult:
        fit = self._timed("fit_rational", lambda: _rational(folder, self.config))
        x = spread(self.sample.calibration.tensor(), self.config.calibration_tokens)
        _check_spread(x)
        start = self._timed("calibrate", lambda: self._start(folder, fit, x))
        bases = {"teacher": start}
        if self.config.rational.form != "magnitude":
            bases = {"teacher": as_rsae(self.teacher), "rsae_init": start}
        for name in self.plan.trained:
            bases[name] = self._timed(name, partial(self._trained, folder, name, start))
        variants = self._timed("refine", lambda: self._variants(folder, bases, x))
        heldout = self.sample.heldout.tensor().to(self.teacher.device)
        metrics = self._timed("measure", lambda: _measured(folder, variants, heldout))
        return UpgradeResult(
            rsae=variants["rsae"],
            rsae_init=start,
            variants=variants,
            metrics=metrics,
            plan=self.plan,
            notes=tuple(self.notes),
            worse=worse_than_teacher(metrics),
            certificate=fit,
            seconds=dict(self.seconds),
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

    def _trained(self, folder: Path | None, name: TrainedName, start: RSAE) -> RSAE:
        kept = folder / name if folder else None
        if kept and (kept / SAE_CFG_FILENAME).exists():
            return load_rsae(kept).to(self.teacher.device)
        found = finetune(
            name,
            self.teacher,
            start,
            self.sample.train,
            self.sample.calibration,
            self.config,
            keep="directions" if self.plan.keep == "directions" else "nothing",
            checkpoint=folder / f"{name}.checkpoint" if folder else None,
            on_step=self._tell(name),
        )
        if folder and kept:
            found.coder.save_model(kept)
            for file in folder.glob(f"{name}*.checkpoint"):
                file.unlink()
        return found.coder

    def _variants(
        self, folder: Path | None, bases: Mapping[str, RSAE], x: Tensor
    ) -> dict[str, RSAE]:
        """All variants; the result is read back where it is there, and kept where it is not."""
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
        return lambda record: on_step({"arm": name, **record})


def _check_spread(x: Tensor) -> None:
    """Refuse activations whose variance is 0 or not a number of float32."""
    variance = (x - x.mean(dim=0)).square().sum(dim=-1).mean().item()
    if not _LEAST_VARIANCE < variance < 1 / _LEAST_VARIANCE:
        raise TrainingError(
            f"the activations have a variance of {variance:.3g}: they are constant, or too small "
            "or too large for float32; check the hook, or scale them"
        )


def _rational(folder: Path | None, config: UpgradeConfig) -> RationalFit:
    kept = folder / "rational.json" if folder else None
    if kept and kept.exists():
        try:
            return RationalFit(**read_json(kept))
        except TypeError as error:
            raise CorruptFileError(
                f"{kept} is no initial rational of this program; delete it"
            ) from error
    fit = fit_rational(config.rational)
    if kept:
        write_json(kept, asdict(fit))
    return fit


def _measured(
    folder: Path | None, variants: Mapping[str, RSAE], heldout: Tensor
) -> dict[str, Measured]:
    """Metrics on the held-out part; those that `folder` has of the very same SAEs are read."""
    kept = _kept_metrics(folder / _METRICS_FILE) if folder else {}
    digests = {name: _digest(coder) for name, coder in variants.items()}
    found, fresh = {}, []
    for name, coder in variants.items():
        one = kept.get(name)
        if one and one == (digests[name], replace(one[1], n_tokens=len(heldout))):
            found[name] = one[1]
        else:
            found[name] = measure(coder, heldout)
            fresh.append(name)
    for name, coder in variants.items():
        _record_figures(coder, found["teacher"], found[name])
        place = _folder_of(folder, name, variants) if folder else None
        if place and name in fresh and (place / SAE_CFG_FILENAME).exists():
            coder.save_model(place)
    if folder and fresh:
        content = {n: {"sha256": digests[n], **asdict(one)} for n, one in found.items()}
        write_json(folder / _METRICS_FILE, content)
    return found


def _record_figures(coder: RSAE, teacher: Measured, own: Measured) -> None:
    """Say in an SAE's metadata what was measured of it and of its teacher, on held-out tokens."""
    coder.cfg.metadata["l0"] = own.l0
    coder.cfg.metadata["measured"] = {
        "n_tokens": own.n_tokens,
        "mse": own.mse,
        "l0": own.l0,
        "teacher_mse": teacher.mse,
        "teacher_l0": teacher.l0,
    }


def _kept_metrics(file: Path) -> dict[str, tuple[str, Measured]]:
    """Measurements of an earlier run; none where the file is missing or damaged."""
    if not file.exists():
        return {}
    try:
        return {name: (one.pop("sha256"), Measured(**one)) for name, one in read_json(file).items()}
    except (RsaeError, AttributeError, KeyError, TypeError):
        return {}


def _digest(coder: RSAE) -> str:
    """SHA-256 of what the SAE computes with: tensors and settings of the refinement."""
    tensors = torch.cat([t.detach().float().flatten() for t in coder.state_dict().values()])
    settings = json.dumps(coder.cfg.refinement, sort_keys=True)
    return f"{sha256(tensors)} {hashlib.sha256(settings.encode()).hexdigest()}"


def _folder_of(folder: Path, name: str, variants: Mapping[str, RSAE]) -> Path:
    """Where a variant is, if it is kept; a teacher that the upgrade starts as is "rsae_init"."""
    if name == "teacher" and "rsae_init" not in variants:
        return folder / "rsae_init"
    return folder if name == "rsae" else folder / name


def _identity(teacher: Teacher, sample: Sample, config: UpgradeConfig) -> dict[str, Any]:
    """What makes two runs the same run."""
    parts = {name: getattr(sample, name).sha256 for name in PARTS}
    tensors = (teacher.W_enc, teacher.b_enc, teacher.W_dec, teacher.b_dec, teacher.threshold)
    weights = sha256(torch.cat([t.flatten() for t in tensors if t is not None]))
    return {
        "teacher": " ".join(
            map(
                str,
                (
                    teacher.family,
                    teacher.k,
                    teacher.apply_b_dec_to_input,
                    teacher.normalize_activations,
                    weights,
                ),
            )
        ),
        "activations": parts,
        # Baselines can be added to a run that had none.
        "config": {k: v for k, v in _plain(asdict(config)).items() if k != "baselines"},
    }


def _plain(value: Any) -> Any:
    """Tuples as lists, as they come back from JSON."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _claim(folder: Path, identity: dict[str, Any], resume: bool) -> None:
    """Write down which run this folder is for, or check that it is for this one."""
    file = make_folder(folder) / _RUN_FILE
    if not file.exists():
        if (folder / SAE_CFG_FILENAME).exists():
            raise ConfigError(f"{folder} holds an SAE of no run; choose another folder")
        write_json(file, identity)
        return
    if not resume:
        raise ConfigError(f"{folder} holds a run already; add --resume or choose another folder")
    before = read_json(file)
    if not isinstance(before, dict):
        raise CorruptFileError(f"{file} is no record of a run; choose another folder")
    differing = [key for key, value in identity.items() if before.get(key) != value]
    if differing:
        raise ConfigError(
            f"{folder} holds a run with another {' and '.join(differing)}; choose another folder"
        )
