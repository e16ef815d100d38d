"""The upgrade in stages: fit_rational → calibrate → finetune → refine, run by the pipeline."""

from rsae.upgrading.config import RationalConfig, UpgradeConfig, config_from_toml, preset
from rsae.upgrading.initial_rational import RationalFit, fit_rational
from rsae.upgrading.one_pass import StreamUse
from rsae.upgrading.pipeline import UpgradeResult, upgrade, upgrade_together
from rsae.upgrading.plan import Plan, plan
from rsae.upgrading.refining import refine
from rsae.upgrading.sample import Sample, sample_of

__all__ = [
    "Plan",
    "RationalConfig",
    "RationalFit",
    "Sample",
    "StreamUse",
    "UpgradeConfig",
    "UpgradeResult",
    "config_from_toml",
    "fit_rational",
    "plan",
    "preset",
    "refine",
    "sample_of",
    "upgrade",
    "upgrade_together",
]
