"""The upgrade in stages: fit_gate → calibrate → finetune, strung together by the pipeline."""

from rsae.upgrading.config import GateConfig, UpgradeConfig, config_from_toml, preset
from rsae.upgrading.initial_rational import GateFit, fit_gate
from rsae.upgrading.pipeline import Sample, UpgradeResult, sample_of, upgrade

__all__ = [
    "GateConfig",
    "GateFit",
    "Sample",
    "UpgradeConfig",
    "UpgradeResult",
    "config_from_toml",
    "fit_gate",
    "preset",
    "sample_of",
    "upgrade",
]
