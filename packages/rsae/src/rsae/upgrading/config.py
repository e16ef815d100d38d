"""The settings of an upgrade, and how they are read from TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from rsae.errors import ConfigError, CorruptFileError, quoted
from rsae.files import existing_file
from rsae.sae.config import Form
from rsae.settings import check_fields
from rsae.train import TrainConfig

__all__ = [
    "Keep",
    "Kept",
    "Preset",
    "RationalConfig",
    "UpgradeConfig",
    "config_from_toml",
    "preset",
]

Kept = Literal["features", "directions", "nothing"]
Keep = Literal["auto"] | Kept
Only = Literal["all", "rsae"]
Objective = Literal["family", "l1"]
Preset = Literal["default", "paper"]
T = TypeVar("T")


@dataclass(frozen=True)
class RationalConfig:
    """The rational that replaces the teacher's activation.

    Args:
        form: What the rational computes, see `rsae.RSAE`. "magnitude" starts at exactly 1, so the
            upgrade starts as the teacher; "gate" starts at Zolotarev's step; "direct" fits the
            activation itself.
        degree: Type (m, n) of a magnitude or of a direct fit.
        layers: Number of layers of type (3, 2) that compose a gate: 2 give (9, 8), 3 give (27, 26).
        delta: Half the gap around the gate's step, relative to C_in.
        trained: Whether the result is the variant whose coefficients are trained with the weights.
            The default is not: on known features a trained shape gains squared error and loses
            F1. A form other than "magnitude" is always trained.

    Raises:
        ConfigError: A value is outside its range.
    """

    form: Form = "magnitude"
    degree: tuple[int, int] = (3, 2)
    layers: int = 3
    delta: float = 1e-3
    trained: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        if self.form not in get_args(Form):
            raise ConfigError(f"form {self.form!r} is not one of {get_args(Form)}")
        if len(self.degree) != 2 or min(self.degree) < 0 or not 1 <= self.layers <= 4:
            raise ConfigError("degree is two numbers of at least 0, layers between 1 and 4")
        if not 0 < self.delta < 1:
            raise ConfigError("delta is between 0 and 1")


@dataclass(frozen=True)
class UpgradeConfig:
    """One upgrade: what is kept, the rational, the training, the objective.

    Args:
        keep: What of the teacher is not changed. "features": no weight is trained, refinement or
            pursuit only. "directions": the decoder stays, encoder and thresholds are trained by a
            narrow kernel, pursuit follows. "nothing": all is trained, refinement follows. "auto"
            is the best of these for the teacher's family, see `rsae.upgrading.plan.plan`.
        baselines: Whether to train also the variants that the result is not made from (the
            fine-tuned teacher, trained thresholds, a trained rational), for the table.
        only: "rsae" trains nothing but what the result is made from, for those who know the
            baselines; "all" trains beside it what it is measured against.
        rational: Settings of the rational.
        train: Settings of the training, the same for every variant.
        objective: The penalty. "family" takes that of the teacher's family (L0 by a
            straight-through estimator, with trained thresholds); "l1" is the paper's.
        calibration_tokens: Tokens on which scales are measured and L0 is matched, spread evenly
            over the calibration split.
        seed: Random seed of the order of the batches.

    Raises:
        ConfigError: A value is outside its range.
    """

    keep: Keep = "auto"
    baselines: bool = False
    only: Only = "all"
    rational: RationalConfig = field(default_factory=RationalConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    objective: Objective = "family"
    calibration_tokens: int = 16_384
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
        if self.keep not in ("auto", *get_args(Kept)):
            raise ConfigError(
                f"keep is one of {('auto', *get_args(Kept))}, not {quoted(self.keep)}"
            )
        if self.keep == "features" and (self.rational.trained or self.rational.form != "magnitude"):
            raise ConfigError(
                "keep 'features' trains nothing, so the rational stays the magnitude 1; leave out "
                "its form and 'trained', or keep 'directions' or 'nothing'"
            )
        if self.objective not in get_args(Objective):
            raise ConfigError(f"objective is one of {get_args(Objective)}, not {self.objective!r}")
        if self.only not in get_args(Only):
            raise ConfigError(f"only is one of {get_args(Only)}, not {quoted(self.only)}")
        if self.only == "rsae" and self.baselines:
            raise ConfigError("only 'rsae' leaves the baselines out that are asked for; choose one")
        if self.calibration_tokens < 1:
            raise ConfigError("calibration_tokens is at least 1")


def preset(name: Preset, family: str) -> UpgradeConfig:
    """A complete configuration by name.

    - "default": what `UpgradeConfig()` is;
    - "paper": Yin & Yu 2026, arXiv 2606.14990: a type (3, 2) fit of the activation for ReLU, a
      (9, 8) gate for JumpReLU and TopK, an L1 penalty, 22 000 steps, no refinement. Zeros stay
      exact and L0 stays controlled, which the paper does not do.

    Raises:
        ConfigError: an unknown name.
    """
    if name not in get_args(Preset):
        raise ConfigError(f"preset {name!r} is not one of {get_args(Preset)}")
    if name == "default":
        return UpgradeConfig()
    form: Form = "direct" if family == "relu" else "gate"
    return UpgradeConfig(
        keep="nothing",
        rational=RationalConfig(form=form, degree=(3, 2), layers=2, delta=1e-2, trained=True),
        train=TrainConfig(steps=22_000, rational_lr=1e-4),
        objective="l1",
    )


def config_from_toml(path: Path, base: UpgradeConfig) -> UpgradeConfig:
    """`base` with what a TOML file sets: top-level keys, and tables [rational], [train],
    [train.controller].

    Raises:
        ConfigError: the file cannot be read, or has a key or a type that is not known.
    """
    try:
        content = tomllib.loads(existing_file(path).read_text(encoding="utf-8"))
    except (CorruptFileError, OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no readable TOML file ({error}); mend it") from error
    return merge(base, content, str(path))


def merge(base: T, content: Mapping[str, Any], where: str) -> T:
    """A record with some of its fields, nested ones included, replaced."""
    known = {f.name: getattr(base, f.name) for f in fields(base)}  # type: ignore[arg-type]
    for key, value in content.items():
        if key not in known:
            raise ConfigError(f"{where}: unknown setting {quoted(key)}; known: {', '.join(known)}")
        old = known[key]
        if is_dataclass(old):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{where}: {key} is a table of settings, not {quoted(value)}")
            known[key] = merge(old, value, f"{where}: {key}")
        else:
            known[key] = _like(old, value, f"{where}: {key}")
    return type(base)(**known)


def _like(old: Any, value: Any, where: str) -> Any:
    if isinstance(old, tuple) and isinstance(value, list):
        return tuple(value)
    if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ConfigError(f"{where} is {quoted(value)}, more than a number can be") from None
    if type(value) is not type(old):
        raise ConfigError(f"{where} is a {type(old).__name__}, not {quoted(value)}")
    return value
