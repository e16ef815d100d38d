"""What a file or folder is: a trained SAE of any format, an RSAE, a transcoder, or a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from sae_lens.constants import SAE_CFG_FILENAME, SAE_WEIGHTS_FILENAME
from sae_lens.saes.sae import SAEMetadata
from torch import Tensor

from rsae.data import ActivationStore
from rsae.errors import CorruptFileError, TeacherError, quoted
from rsae.files import load_safetensors, public_name, read_json
from rsae.pretrained import Teacher, load_teacher
from rsae.pretrained.metadata import checked_metadata, read_sketches
from rsae.pretrained.saelens import TRANSCODERS
from rsae.sae.model import RSAE
from rsae.sae.transcoder import REFINEMENT, Transcoder, load_transcoder
from rsae.settings import check_kind

__all__ = ["describe", "describe_teacher", "is_rsae", "load_rsae"]

# Of the metadata: thousands of hashes for programs, and what has a row of its own.
_LEFT_OUT = ("training_sketches", "calibration_sketches", REFINEMENT)


def describe(path: str | Path) -> dict[str, Any]:
    """Plain data on what a path holds.

    Its `kind` is "rsae", "transcoder", "activations" or "teacher".

    Args:
        path: A folder or file, or a name that `load_teacher` knows.

    Raises:
        RsaeError: nothing is there, it is damaged, or it is none of the four.

    Example:
        >>> describe("demo:topk")["k"]
        48
    """
    folder = Path(path)
    if (folder / "manifest.json").is_file():
        return _describe_store(ActivationStore.open(folder))
    if is_rsae(folder):
        return _describe_rsae(load_rsae(folder))
    if _architecture(folder) in TRANSCODERS:
        return _describe_transcoder(load_transcoder(folder))
    return describe_teacher(load_teacher(path))


def load_rsae(path: str | Path) -> RSAE:
    """The RSAE in a folder that `rsae upgrade` wrote, its files checked first.

    Args:
        path: The folder, in SAELens' layout.

    Raises:
        TeacherError: the folder holds no RSAE.
        CorruptFileError: one of its files is missing, damaged, or does not fit the other.
        ConfigError: `path` is no path.
    """
    check_kind(path, (str, Path), "the RSAE", "give the folder that rsae upgrade wrote")
    folder = Path(path)
    if not is_rsae(folder):
        raise TeacherError(f"{folder} holds no RSAE; give a folder that rsae upgrade wrote")
    tensors = load_safetensors(folder / SAE_WEIGHTS_FILENAME)
    if bad := [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]:
        raise CorruptFileError(f"{folder}: {', '.join(bad)} hold NaN or infinity; upgrade again")
    try:
        sae = RSAE.load_from_disk(folder)
        _check(sae)
    except Exception as error:  # another program's code on values of any kind and size
        cause = (str(error).splitlines() or [repr(error)])[-1].strip()
        raise CorruptFileError(
            f"{folder}: its weights and {SAE_CFG_FILENAME} do not fit together ({cause}); "
            "restore it or upgrade again"
        ) from error
    said, _ = checked_metadata(sae.cfg.metadata.to_dict())
    sae.cfg.metadata = SAEMetadata(**{**said, **read_sketches(folder)})
    return sae


def _check(sae: RSAE) -> None:
    """Refuse numbers of cfg.json that no RSAE has."""
    numbers = (*sae.rational.state_dict().values(), sae.rational(torch.zeros(1)))
    if not all(torch.isfinite(tensor).all() for tensor in numbers):
        raise ValueError("its rational has coefficients that are not finite")
    if not isinstance(sae.cfg.apply_b_dec_to_input, bool):
        raise ValueError(f"apply_b_dec_to_input is {quoted(sae.cfg.apply_b_dec_to_input)}")
    k = sae.cfg.k
    if k is not None and not (type(k) is int and 1 <= k <= sae.cfg.d_sae):
        raise ValueError(f"k is {quoted(k)}")
    with torch.no_grad():
        sae(torch.zeros(1, sae.cfg.d_in))


def describe_teacher(teacher: Teacher) -> dict[str, Any]:
    """Plain data on a teacher: format, family, shapes, thresholds, normalisation, metadata."""
    return {
        "kind": "teacher",
        "source": public_name(teacher.source),
        "format": teacher.format,
        "family": teacher.family,
        "d_in": teacher.d_in,
        **({"d_out": teacher.d_out} if teacher.transcodes else {}),
        "d_sae": teacher.d_sae,
        "k": teacher.k,
        "threshold": None if teacher.threshold is None else _range(teacher.threshold),
        "apply_b_dec_to_input": teacher.apply_b_dec_to_input,
        "normalize_activations": teacher.normalize_activations,
        "decoder_norm": _range(teacher.W_dec.norm(dim=1)),
        "notes": list(teacher.notes),
        "metadata": _short(teacher.metadata),
    }


def is_rsae(path: str | Path) -> bool:
    """Whether a path is a folder whose `cfg.json` says that it holds an RSAE."""
    return _architecture(Path(path)) == "rational"


def _architecture(folder: Path) -> str | None:
    """What the `cfg.json` in a folder calls the architecture; None where it does not say."""
    if not (folder / SAE_CFG_FILENAME).is_file():
        return None
    config = read_json(folder / SAE_CFG_FILENAME)
    found = config.get("architecture") if isinstance(config, dict) else None
    return found if isinstance(found, str) else None


def _describe_rsae(sae: RSAE) -> dict[str, Any]:
    rational = sae.rational
    return {
        "kind": "rsae",
        "form": sae.cfg.form,
        "support": sae.cfg.support,
        "d_in": sae.cfg.d_in,
        "d_out": sae.cfg.d_out,
        "d_sae": sae.cfg.d_sae,
        "k": sae.cfg.k,
        "degree": list(rational.degree),
        "layers": len(rational.numerator),
        "input_scale": rational.input_scale.item(),
        "output_scale": rational.output_scale.item(),
        "threshold": _range(sae.threshold),
        "refinement": sae.cfg.refinement,
        "apply_b_dec_to_input": sae.cfg.apply_b_dec_to_input,
        "normalize_activations": sae.cfg.normalize_activations,
        "decoder_norm": _range(sae.W_dec.norm(dim=1)),
        "metadata": _short(sae.cfg.metadata.to_dict()),
    }


def _describe_transcoder(transcoder: Transcoder) -> dict[str, Any]:
    threshold = getattr(transcoder.sae, "threshold", None)
    refinement = transcoder.refinement
    return {
        "kind": "transcoder",
        "architecture": transcoder.sae.cfg.architecture(),
        "d_in": transcoder.d_in,
        "d_out": transcoder.d_out,
        "d_sae": transcoder.d_sae,
        "threshold": None if threshold is None else _range(threshold),
        "refinement": None if refinement is None else refinement.to_dict(),
        "apply_b_dec_to_input": transcoder.sae.cfg.apply_b_dec_to_input,
        "normalize_activations": transcoder.sae.cfg.normalize_activations,
        "decoder_norm": _range(transcoder.sae.W_dec.norm(dim=1)),
        "metadata": _short(transcoder.metadata),
    }


def _describe_store(store: ActivationStore) -> dict[str, Any]:
    manifest = store.manifest
    wanted = [
        file
        for hook in manifest.hook_names
        for split in store.splits
        for file in manifest.files(hook, split)
    ]
    return {
        "kind": "activations",
        "model": manifest.model,
        "hooks": list(manifest.hook_names),
        "d_in": manifest.d_in,
        "context_size": manifest.context_size,
        "tokens": dict(manifest.n_tokens),
        "excluded": dict(manifest.n_excluded),
        "dtypes": sorted({shard.dtype for shard in manifest.shards}),
        "shards": {"finished": len(manifest.shards), "planned": len(wanted)},
        "tokens_sha256": dict(manifest.tokens_sha256),
    }


def _range(values: Tensor) -> dict[str, float]:
    values = values.detach().float()
    low, middle, high = values.min(), values.median(), values.max()
    return {"min": low.item(), "median": middle.item(), "max": high.item()}


def _short(metadata: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if name not in _LEFT_OUT}
