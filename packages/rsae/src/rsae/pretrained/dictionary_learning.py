"""dictionary_learning: `trainer_0/ae.pt`, a state dict, beside `config.json`.

Definition (saprmarks/dictionary_learning `dictionary.py`, `trainers/top_k.py`,
`trainers/batch_top_k.py`, `trainers/matryoshka_batch_top_k.py`), by
`config["trainer"]["dict_class"]`:

    AutoEncoder             h = (x - bias) @ encoder.weight.T + encoder.bias,  z = relu(h),
                            x_hat = z @ decoder.weight.T + bias
    AutoEncoderNew          h = x @ encoder.weight.T + encoder.bias,  z = relu(h),
                            x_hat = z @ decoder.weight.T + decoder.bias
    AutoEncoderTopK         as AutoEncoder with b_dec for bias, z = the k largest of relu(h)
    BatchTopKSAE            as AutoEncoderTopK, z = relu(h) * (relu(h) > threshold)
    MatryoshkaBatchTopKSAE  as BatchTopKSAE, its matrices W_enc (d_in, d_sae), W_dec (d_sae, d_in)
    JumpReluAutoEncoder     h = x @ W_enc + b_enc,  z = relu(h * (h > threshold)),
                            x_hat = z @ W_dec + b_dec
    GatedAutoEncoder        as AutoEncoder with decoder_bias for bias, `rsae.pretrained.gated`

These are the classes' own `encode` and `decode` on the tensors as they are stored.
(`AutoEncoder.from_pretrained` of late versions first rescales the rows of the decoder to norm 1,
which changes the unit of each code and no reconstruction.)

A class is its set of tensors, with a config or without: a file with one more or one less computes
something else (the JumpAutoEncoder of 2024 has a threshold beside an AutoEncoder's tensors).
AutoEncoderTopK and BatchTopKSAE have the same ones, so they need the config. A batch-topk SAE whose
threshold was never estimated (-1) has no rule for a single token, and is refused.

While it trains, their `trainSAE` keeps a backup under the name `ae.pt`: a dict of `step`, `ae` (the
state dict), `optimizer`, `config` and, where activations were divided by their root mean square
norm, that `norm_factor`. Biases and thresholds are multiplied by it, as `scale_biases` does at the
end of training. Its `checkpoints/ae_STEP.pt` have their config a folder up.
"""

import re
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from rsae.errors import TeacherError, quoted
from rsae.files import exists
from rsae.pretrained.base import Family, Teacher
from rsae.pretrained.checks import (
    agree,
    assemble,
    named,
    need,
    need_linear,
    only,
    positive,
    whole,
)
from rsae.pretrained.files import Weights, read_object, without_wrappers
from rsae.pretrained.gated import GATED_NOTE, without_gate

FORMAT = "dictionary_learning"

_GATED_NAMES = {"r_mag", "gate_bias", "mag_bias"}
_MATRICES = {"encoder.weight", "decoder.weight", "W_enc", "W_dec", *_GATED_NAMES}
_LINEAR = {"encoder.weight", "encoder.bias", "decoder.weight"}
_PLAIN = {"W_enc", "b_enc", "W_dec"}


class _Class(NamedTuple):
    """How one of their classes stores and uses its tensors."""

    family: Family
    linear: bool  # nn.Linear's (out, in) matrices, or plain (in, out) ones
    b_dec: str
    subtracts: bool  # whether the encoder sees x - b_dec
    further: tuple[str, ...] = ()  # tensors that it must have beside matrices and biases
    optional: tuple[str, ...] = ()  # buffers that early versions did not have

    @property
    def required(self) -> set[str]:
        return {*(_LINEAR if self.linear else _PLAIN), self.b_dec, *self.further}

    def has(self, names: Set[str]) -> bool:
        """Whether these are the names of its tensors."""
        return self.required <= names <= self.required | set(self.optional)


_MATRYOSHKA = _Class("jumprelu", False, "b_dec", True, ("k", "threshold", "group_sizes"))
_CLASSES = {
    "AutoEncoder": _Class("relu", True, "bias", True),
    "AutoEncoderNew": _Class("relu", True, "decoder.bias", False),
    "AutoEncoderTopK": _Class("topk", True, "b_dec", True, (), ("k", "threshold")),
    "BatchTopKSAE": _Class("jumprelu", True, "b_dec", True, ("k", "threshold")),
    "MatryoshkaBatchTopKSAE": _MATRYOSHKA,
    "MatroyshkaBatchTopKSAE": _MATRYOSHKA,  # their first spelling
    "JumpReluAutoEncoder": _Class("jumprelu", False, "b_dec", False, ("threshold",)),
    "GatedAutoEncoder": _Class("jumprelu", False, "decoder_bias", True, ("threshold",)),
}


def claims(weights: Weights) -> bool:
    """Whether a file's entries are named as dictionary_learning names them."""
    if weights.container != "torch":
        return False
    names = _state(weights).keys()
    return bool(_MATRICES & names) and not {"pre_bias", "latent_bias"} & names


def read(weights: Weights) -> Teacher:
    """Build the teacher from `ae.pt` and, where it is needed, the `config.json` beside it.

    Raises:
        TeacherError: the class is unknown, ambiguous or has no threshold, or the tensors
            do not fit.
        CorruptFileError: a file is damaged.
    """
    path, state = weights.path, _state(weights)
    content = _without_gate(state, path) if _GATED_NAMES & state.keys() else state
    config = _config(weights)
    name = _class_name(content, config, path)
    kind = _CLASSES[name]
    W_enc, b_enc, W_dec = _matrices(content, kind, path)
    b_dec = need(content, kind.b_dec, path)
    threshold = _threshold(content, name, path) if kind.family == "jumprelu" else None
    _check_names(content, name, path)
    factor = weights.content.get("norm_factor") if state is not weights.content else None
    notes = (GATED_NOTE,) if name == "GatedAutoEncoder" else ()
    if factor is not None:
        factor = positive(factor, "norm_factor", path)
        b_enc, b_dec = b_enc * factor, b_dec * factor
        threshold = None if threshold is None else threshold * factor
        note = f"an unfinished run's backup: biases are multiplied by its norm_factor {factor}"
        notes = (*notes, note)
    teacher = assemble(
        kind.family,
        W_enc,
        b_enc,
        W_dec,
        b_dec,
        path=path,
        format=FORMAT,
        threshold=threshold,
        k=_k(content, config, path) if kind.family == "topk" else None,
        apply_b_dec_to_input=kind.subtracts,
        metadata=_metadata(config),
        notes=notes,
    )
    agree(config, "activation_dim", teacher.d_in, path)
    agree(config, "dict_size", teacher.d_sae, path)
    return teacher


def _state(weights: Weights) -> Mapping[str, Any]:
    """The state dict: the file itself, or the entry `ae` of an unfinished run's backup."""
    inner = weights.content.get("ae")
    if isinstance(inner, Mapping) and not _MATRICES & weights.content.keys():
        return without_wrappers(inner, weights.path)
    return weights.content


def _without_gate(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """A GatedAutoEncoder's tensors as those of the JumpReLU SAE that it equals, matrices (in, out).

    Raises:
        TeacherError: one of them is missing.
    """
    plain = {name: value for name, value in content.items() if name not in _LINEAR}
    plain["W_enc"] = need_linear(content, "encoder.weight", path)
    plain["W_dec"] = need_linear(content, "decoder.weight", path)
    return without_gate(plain, ("W_enc", "gate_bias", "mag_bias", "r_mag"), path)


def _config(weights: Weights) -> Mapping[str, Any]:
    """The trainer's settings, of config.json beside or above a checkpoint, or of the backup."""
    path = weights.path
    beside = weights.beside.get("config.json")
    above = path.parent.parent / "config.json"
    if beside is None and path.parent.name == "checkpoints" and exists(above):
        beside = read_object(above)
    if beside is None:
        config = weights.content.get("config", {})
    else:
        config = beside.get("trainer", {})
    if not isinstance(config, Mapping):
        raise TeacherError(f"{path}: trainer in config.json is no object; restore it")
    return config


def _class_name(content: Mapping[str, Any], config: Mapping[str, Any], path: Path) -> str:
    """The class by the config (old ones write `<class '….AutoEncoder'>`), or by the tensors."""
    said = config.get("dict_class", "")
    words = re.findall(r"\w+", said) if isinstance(said, str) else [quoted(said)]
    name = words[-1] if words else _class_by_names(content, path)
    if name not in _CLASSES:
        raise TeacherError(
            f"{path}: the class {quoted(name)} is not supported; use one of {', '.join(_CLASSES)}"
        )
    return name


def _class_by_names(content: Mapping[str, Any], path: Path) -> str:
    """The one class that has tensors of these names."""
    fitting = {kind: name for name, kind in _CLASSES.items() if kind.has(content.keys())}
    if len(fitting) == 1:
        return next(iter(fitting.values()))
    if fitting:
        raise TeacherError(
            f"{path}: {' and '.join(fitting.values())} store the same tensors; "
            "put their config.json, which names the class, beside it"
        )
    nearest = min(_CLASSES, key=lambda name: len(_CLASSES[name].required ^ content.keys()))
    missing = sorted(_CLASSES[nearest].required - content.keys())
    stray = [name for name in content if name not in _CLASSES[nearest].required]
    differs = [f"{', '.join(missing)} is missing"] if missing else []
    differs += [f"{named(stray)} is more than it has"] if stray else []
    raise TeacherError(
        f"{path}: its tensors are those of no class of dictionary_learning; the nearest is "
        f"{nearest}, of which {' and '.join(differs)}; use the file of an SAE of one of them"
    )


def _check_names(content: Mapping[str, Any], name: str, path: Path) -> None:
    """Refuse a file that has not all of the class's tensors, or others."""
    kind = _CLASSES[name]
    if missing := sorted(kind.required - content.keys()):
        raise TeacherError(
            f"{path}: {missing[0]} is missing, which a {name} has; use the config that belongs to "
            "these weights"
        )
    only(content, kind.required | set(kind.optional), f"the class {name}", path)


def _matrices(
    content: Mapping[str, Any], kind: _Class, path: Path
) -> tuple[Tensor, Tensor, Tensor]:
    """(W_enc, b_enc, W_dec) in the layout of `Teacher`."""
    if kind.linear:
        return (
            need_linear(content, "encoder.weight", path),
            need(content, "encoder.bias", path),
            need_linear(content, "decoder.weight", path),
        )
    return need(content, "W_enc", path), need(content, "b_enc", path), need(content, "W_dec", path)


def _threshold(content: Mapping[str, Any], name: str, path: Path) -> Tensor:
    threshold = need(content, "threshold", path)
    if name != "JumpReluAutoEncoder" and bool((threshold < 0).any()):
        raise TeacherError(
            f"{path}: the threshold of this {name} was never estimated (-1), so that it "
            "has no rule for a single token; train it past threshold_start_step, or call it an "
            "AutoEncoderTopK in config.json"
        )
    return threshold


def _k(content: Mapping[str, Any], config: Mapping[str, Any], path: Path) -> int:
    """k of the buffer and of the config, which must agree where both are there."""
    given = [v for v in (content.get("k"), config.get("k")) if v is not None]
    if not given:
        raise TeacherError(f"{path}: k is missing; put their config.json beside it")
    values = {whole(value, "k", path) for value in given}
    if len(values) > 1:
        raise TeacherError(
            f"{path}: k is {values.pop()} in one place and {values.pop()} in another; "
            "use the config that belongs to these weights"
        )
    return values.pop()


def _metadata(config: Mapping[str, Any]) -> dict[str, Any]:
    """The model, and the hook where the site is the residual stream (their default)."""
    metadata: dict[str, Any] = {}
    if isinstance(config.get("lm_name"), str):
        metadata["model_name"] = config["lm_name"]
    site = config.get("submodule_name") or "resid_post"
    if type(config.get("layer")) is int and str(site).startswith("resid_post"):
        metadata["hook_name"] = f"blocks.{config['layer']}.hook_resid_post"
    return metadata
