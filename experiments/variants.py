"""The variants of one teacher, made by `rsae.upgrade` as anybody makes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import rsae
from rsae.metrics import measure
from rsae.pretrained import Teacher
from rsae.sae.load import is_rsae, load_rsae
from rsae.sae.model import RSAE
from rsae.upgrading import Sample, UpgradeConfig, fit_rational, preset
from rsae.upgrading.calibrate import calibrate
from rsae.upgrading.finetune import finetune

__all__ = ["make_variants"]

_RATES = (1.0, 1 / 16)


def make_variants(
    teacher: Teacher, sample: Sample, *, steps: int, seed: int, folder: Path
) -> dict[str, RSAE]:
    """Teacher, refined and pursued; control, thresholds, rational, each refined; the paper's.

    Args:
        teacher: The teacher.
        sample: What is trained and calibrated on.
        steps: Steps of each training.
        seed: Random seed of the order of the batches.
        folder: Where every variant is kept as soon as it is there.
    """
    config = UpgradeConfig(keep="nothing", baselines=True, seed=seed)
    config = replace(config, train=replace(config.train, steps=steps))
    made = rsae.upgrade(teacher, sample, config, out=folder, resume=True)
    found = dict(made.variants)
    found["threshold_only_refined"] = found.pop("rsae")
    found["paper"] = _papers(teacher, sample, config, folder.with_name(f"{folder.name}-paper"))
    return found


def _papers(teacher: Teacher, sample: Sample, like: UpgradeConfig, folder: Path) -> RSAE:
    """The paper's setting, trained for as many steps and in the same order as the others.

    At the rates of the other variants or at a sixteenth of them, as the fine-tuned teacher is,
    whichever has the lower error on the calibration tokens.
    """
    if is_rsae(folder):
        return load_rsae(folder)
    config = preset("paper", teacher.family)
    x = sample.calibration.tensor()
    start = calibrate(teacher, fit_rational(config.rational), x)

    def at(rates: float) -> RSAE:
        train = replace(config.train, steps=like.train.steps).scaled(rates)
        settings = replace(config, seed=like.seed, train=train)
        made = finetune("rational", teacher, start, sample.train, sample.calibration, settings)
        return made.sae

    found = min(map(at, _RATES), key=lambda sae: measure(sae, x).mse)
    found.save_model(folder)
    return found
