"""The folder of an upgrade: whose run it is, and what an earlier call left in it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch
from sae_lens.constants import SAE_CFG_FILENAME

from rsae.data import Activations
from rsae.errors import ConfigError, CorruptFileError, RsaeError
from rsae.files import make_folder, read_json, sha256, write_json
from rsae.metrics import Measured, measure
from rsae.pretrained import Teacher
from rsae.sae.activation import RationalActivation
from rsae.sae.model import RSAE
from rsae.upgrading.config import UpgradeConfig
from rsae.upgrading.initial_rational import RationalFit, fit_rational
from rsae.upgrading.sample import PARTS, Sample

__all__ = [
    "REFINE_FILE", "RUN_FILE", "check_unclaimed", "claim", "digest", "digest_of_teacher",
    "identity_of", "kept_rational", "measured_in",
]  # fmt: skip

RUN_FILE = "upgrade.json"
"""Of which upgrade a folder is."""
REFINE_FILE = "refine.json"
"""Of which refinement a folder is."""

_METRICS_FILE = "metrics.json"


def kept_rational(folder: Path | None, config: UpgradeConfig) -> RationalFit:
    """The initial rational, which is read where `folder` has it and kept there where not.

    Raises:
        CorruptFileError: what is there is no rational.
    """
    kept = folder / "rational.json" if folder else None
    if kept and kept.exists():
        content = read_json(kept)
        if not _is_rational(content, config):
            raise CorruptFileError(f"{kept} is no initial rational of this run; delete it")
        return RationalFit(**content)
    fit = fit_rational(config.rational)
    if kept:
        write_json(kept, asdict(fit))
    return fit


def _is_rational(content: Any, config: UpgradeConfig) -> bool:
    """Whether JSON holds a `RationalFit` of the form asked for, all its numbers finite."""
    if not isinstance(content, dict) or content.keys() != {f.name for f in fields(RationalFit)}:
        return False
    try:
        rational = RationalActivation.from_dict(content["rational"])
    except (ConfigError, TypeError, ValueError, RuntimeError, OverflowError):
        return False
    return (
        content["form"] == config.rational.form
        and isinstance(content["source"], str)
        and all(_is_finite(content[name]) for name in ("delta", "error", "kernel_error"))
        and all(torch.isfinite(tensor).all() for tensor in rational.state_dict().values())
    )


def _is_finite(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def measured_in(
    folder: Path | None, variants: Mapping[str, RSAE], heldout: Activations
) -> dict[str, Measured]:
    """Metrics on the held-out part; those that `folder` has of the very same SAEs are read."""
    kept = _kept_metrics(folder / _METRICS_FILE) if folder else {}
    digests = {name: digest(sae) for name, sae in variants.items()}
    found, fresh = {}, []
    for name, sae in variants.items():
        one = kept.get(name)
        if one and one == (digests[name], replace(one[1], n_tokens=heldout.n_tokens)):
            found[name] = one[1]
        else:
            found[name] = measure(sae, heldout)
            fresh.append(name)
    for name, sae in variants.items():
        _record_figures(sae, found["teacher"], found[name])
        place = _folder_of(folder, name, variants) if folder else None
        if place and name in fresh and (place / SAE_CFG_FILENAME).exists():
            sae.save_model(place)
    if folder and fresh:
        content = {n: {"sha256": digests[n], **asdict(one)} for n, one in found.items()}
        write_json(folder / _METRICS_FILE, content)
    return found


def _record_figures(sae: RSAE, teacher: Measured, own: Measured) -> None:
    """Say in an SAE's metadata what was measured of it and of its teacher, on held-out tokens."""
    sae.cfg.metadata["l0"] = own.l0
    sae.cfg.metadata["measured"] = {
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
        kept = {n: (one.pop("sha256"), Measured(**one)) for n, one in read_json(file).items()}
    except (RsaeError, AttributeError, KeyError, TypeError):
        return {}
    means = ("mse", "l0", "frac_alive")
    return {
        name: (digest, one)
        for name, (digest, one) in kept.items()
        if all(_is_finite(getattr(one, mean)) for mean in means)
    }


def digest(sae: RSAE) -> str:
    """SHA-256 of what the SAE computes with: tensors and settings of the refinement."""
    tensors = torch.cat([t.detach().float().flatten() for t in sae.state_dict().values()])
    settings = json.dumps(sae.cfg.refinement, sort_keys=True)
    return f"{sha256(tensors)} {hashlib.sha256(settings.encode()).hexdigest()}"


def _folder_of(folder: Path, name: str, variants: Mapping[str, RSAE]) -> Path:
    """Where a variant is, if it is kept; a teacher that the upgrade starts as is "rsae_init"."""
    if name == "teacher" and "rsae_init" not in variants:
        return folder / "rsae_init"
    return folder if name == "rsae" else folder / name


def identity_of(teacher: Teacher, sample: Sample, config: UpgradeConfig) -> dict[str, Any]:
    """What makes two runs the same run."""
    return {
        "teacher": digest_of_teacher(teacher),
        "activations": {name: getattr(sample, name).sha256 for name in PARTS},
        # Baselines can be added to a run that had none.
        "config": {
            k: v for k, v in _plain(asdict(config)).items() if k not in ("baselines", "only")
        },
    }


def digest_of_teacher(teacher: Teacher) -> str:
    """What a teacher computes with: its settings in words, and SHA-256 of its tensors."""
    names = ("W_enc", "b_enc", "W_dec", "b_dec", "threshold", "W_skip")
    tensors = [getattr(teacher, name) for name in names]
    weights = sha256(torch.cat([t.flatten() for t in tensors if t is not None]))
    settings = (
        teacher.family,
        teacher.k,
        teacher.apply_b_dec_to_input,
        teacher.normalize_activations,
    )
    return " ".join(map(str, (*settings, weights)))


def _plain(value: Any) -> Any:
    """Tuples as lists, as they come back from JSON."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def claim(folder: Path, identity: dict[str, Any], resume: bool, record: str = RUN_FILE) -> None:
    """Write down which run this folder is for, or check that it is for this one.

    Args:
        folder: The folder.
        identity: What makes two runs the same run.
        resume: Whether the folder may be of this run already.
        record: Name of the file that says so.

    Raises:
        ConfigError: It is of another run, or of this one without `resume`.
        CorruptFileError: The file is none that was written here.
    """
    file = make_folder(folder) / record
    if not file.exists():
        if (folder / SAE_CFG_FILENAME).exists():
            raise ConfigError(f"{folder} holds an SAE of no run; choose another folder")
        check_unclaimed(folder, identity, record)
        write_json(file, identity)
        return
    if not resume:
        raise ConfigError(f"{folder} holds a run already; add --resume or choose another folder")
    check_unclaimed(folder, identity, record)


def check_unclaimed(folder: Path, identity: Mapping[str, Any], record: str = RUN_FILE) -> None:
    """Refuse a folder of another run, by what is known of this one so far.

    Raises:
        ConfigError: It is of another run, or of another command.
        CorruptFileError: The file is none that was written here.
    """
    others = [name for name in (RUN_FILE, REFINE_FILE) if name != record]
    if any((folder / name).exists() for name in others):
        raise ConfigError(f"{folder} holds a run of another command; choose another folder")
    file = folder / record
    if not file.exists():
        return
    before = read_json(file)
    if not isinstance(before, dict):
        raise CorruptFileError(f"{file} is no record of a run; choose another folder")
    differing = [key for key, value in identity.items() if before.get(key) != value]
    if differing:
        raise ConfigError(
            f"{folder} holds a run with another {' and '.join(differing)}; choose another folder"
        )
