"""What can be evaluated: anything that encodes activations into features and decodes them.

Shapes: … tokens, d_in, d_sae features.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from sae_lens.saes.transcoder import Transcoder as SAELensTranscoder
from torch import Tensor, nn

from rsae.files import sha256
from rsae.pretrained import Teacher
from rsae.pretrained.base import Family
from rsae.sae.transcoder import Transcoder
from rsae_evals.errors import EvaluationError

__all__ = ["Coder", "SparseCoder", "as_coder"]

_IN_AND_OUT_OF_ONE_SPACE = ("none", "expected_average_only_in")


@runtime_checkable
class SparseCoder(Protocol):
    """A sparse autoencoder, or anything with its interface.

    ``encode``: (…, d_in) → (…, d_sae), exact zeros where a feature does not fire. ``decode``:
    (…, d_sae) → (…, d_in). An object may also have ``reconstruct`` (…, d_in) → (…, d_in), which is
    then used for x_hat: an SAE that normalises its input cannot undo that from z alone.
    """

    @property
    def d_in(self) -> int:
        """Width of the activations."""
        ...

    @property
    def d_sae(self) -> int:
        """Number of features."""
        ...

    def encode(self, x: Tensor, /) -> Tensor:
        """Feature activations of x."""
        ...

    def decode(self, z: Tensor, /) -> Tensor:
        """Reconstruction from feature activations."""
        ...


class Coder:
    """An SAE seen through one interface (make it with `as_coder`).

    Attributes:
        source: The object itself.
        d_in, d_sae: Widths of its input and of its dictionary.
    """

    def __init__(self, source: Any, d_in: int, d_sae: int) -> None:
        self.source = source
        self.d_in = d_in
        self.d_sae = d_sae

    @property
    def transcodes(self) -> bool:
        """Whether it is a transcoder, which predicts an MLP's output y from its input x."""
        return bool(getattr(self.source, "transcodes", False))

    @property
    def d_out(self) -> int:
        """Width of what it reconstructs: d_in, but for a transcoder."""
        return int(self.source.d_out) if self.transcodes else self.d_in

    @torch.no_grad()
    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Feature activations of x, (…, d_in) → (…, d_sae), on the SAE's device.

        Args:
            x: What is read.
            y: What is reconstructed, (…, d_out), for a refined transcoder.
        """
        x = x.to(self.device)
        if isinstance(self.source, Transcoder):
            return self.source.encode(x, None if y is None else y.to(self.device))
        z: Tensor = self.source.encode(x)
        return z.to_dense() if z.is_sparse else z

    @torch.no_grad()
    def decode(self, z: Tensor, x: Tensor | None = None) -> Tensor:
        """Reconstruction from feature activations, (…, d_sae) → (…, d_out).

        Args:
            z: The feature activations.
            x: What was read, (…, d_in), for a transcoder.
        """
        z = z.to(self.device)
        if not self.transcodes:
            return self.source.decode(z)
        return self.source.decode(z, None if x is None else x.to(self.device))

    @torch.no_grad()
    def run(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Feature activations and reconstruction: (…, d_in) → (…, d_sae), (…, d_out).

        Args:
            x: What is read.
            y: What is reconstructed, (…, d_out), for a refined transcoder.
        """
        z = self.encode(x, y)
        if self.transcodes:
            return z, self.decode(z, x)
        own = getattr(self.source, "normalize_activations", None)
        if not hasattr(self.source, "reconstruct") or own in _IN_AND_OUT_OF_ONE_SPACE:
            return z, self.decode(z)
        return z, self.source.reconstruct(x.to(self.device))

    def reconstruct(self, x: Tensor) -> Tensor:
        """Encode and decode x, (…, d_in) → (…, d_out), in the units of what is reconstructed."""
        return self.run(x)[1]

    @property
    def shows_activation(self) -> bool:
        """Whether `pre_activations` and `activation` are available."""
        return hasattr(self.source, "encode_pre_act") and hasattr(self.source, "activate")

    @torch.no_grad()
    def pre_activations(self, x: Tensor) -> Tensor:
        """What the activation is applied to, (…, d_in) → (…, d_sae).

        Raises:
            EvaluationError: The object does not show them (see `shows_activation`).
        """
        self._check_activation()
        h: Tensor = self.source.encode_pre_act(x.to(self.device))
        return h

    @torch.no_grad()
    def activation(self, h: Tensor) -> Tensor:
        """The activation alone on pre-activations, (…, d_sae) → (…, d_sae).

        Feature activations as `encode` gives them differ from these where the SAE refines them.

        Raises:
            EvaluationError: The object does not show it (see `shows_activation`).
        """
        self._check_activation()
        z: Tensor = self.source.activate(h.to(self.device))
        return z

    def _check_activation(self) -> None:
        if not self.shows_activation:
            raise EvaluationError(
                f"{self.kind} does not show its activation; give it encode_pre_act and activate"
            )

    @property
    def kind(self) -> str:
        """The name of the object's class."""
        return type(self.source).__name__

    @property
    def _weights(self) -> Any:
        """The object that holds tensors and settings."""
        return self.source.sae if isinstance(self.source, Transcoder) else self.source

    @property
    def origin(self) -> str:
        """The path or name it was loaded from; empty where it does not say."""
        return str(getattr(self.source, "source", "") or "")

    @property
    def normalization(self) -> str:
        """How it normalises its input, in SAELens' names."""
        config = getattr(self._weights, "cfg", self._weights)
        return str(getattr(config, "normalize_activations", None) or "none")

    @property
    def degree(self) -> tuple[int, int] | None:
        """Type of the rational in its activation; None where there is none."""
        return getattr(getattr(self.source, "rational", None), "degree", None)

    @property
    def form(self) -> str:
        """What its rational computes: one of `rsae.sae.config.Form`, "magnitude" without one."""
        return str(getattr(getattr(self.source, "cfg", None), "form", "magnitude"))

    def to(self, device: Any = None, dtype: torch.dtype | None = None) -> Coder:
        """The SAE on another device or in another type; one without ``to`` stays as it is."""
        if not hasattr(self.source, "to"):
            return self
        return Coder(self.source.to(device=device, dtype=dtype), self.d_in, self.d_sae)

    @property
    def device(self) -> torch.device:
        """Where its weights are (the CPU for an object without tensors)."""
        return next((t.device for _, t in _tensors(self._weights)), torch.device("cpu"))

    @property
    def family(self) -> str:
        """Its kind in a word: a teacher's family, or an SAE's architecture."""
        config = getattr(self._weights, "cfg", None)
        if config is not None and callable(getattr(config, "architecture", None)):
            return str(config.architecture())
        return str(getattr(self.source, "family", "unknown"))

    @property
    def metadata(self) -> dict[str, Any]:
        """What the object says of its origin (model_name, hook_name, training_documents, …)."""
        found = getattr(self.source, "metadata", None)
        if found is None:
            found = getattr(getattr(self.source, "cfg", None), "metadata", None)
        if found is None:
            return {}
        return dict(found) if isinstance(found, Mapping) else dict(found.to_dict())

    @property
    def fingerprint(self) -> str | None:
        """SHA-256 of its class, settings and weights; None where it shows no tensors."""
        tensors = sorted(_tensors(self._weights), key=lambda item: item[0])
        if not tensors:
            return None
        said = f"{type(self._weights).__qualname__}{_settings(self._weights)}"
        if isinstance(self.source, Transcoder) and self.source.refinement is not None:
            said += str(self.source.refinement)
        digest = hashlib.sha256(said.encode())
        for name, tensor in tensors:
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}{sha256(tensor)}".encode())
        return digest.hexdigest()

    def weight(self, name: str) -> Tensor | None:
        """The tensor ``name`` (W_enc, W_dec, …) of the object, or None."""
        value = getattr(self._weights, name, None)
        return value.detach() if isinstance(value, Tensor) else None


def as_coder(obj: Any) -> Coder:
    """Any SAE as a `Coder`, the interface that all metrics use.

    Args:
        obj: The SAE, of one of the kinds below.

    Accepted: an `rsae.RSAE`, any SAELens SAE or transcoder, an `rsae.Transcoder`, an
    `rsae.pretrained.Teacher`, any object with ``encode``, ``decode`` and widths (its own or its
    ``cfg``'s), and a bare object or mapping of tensors ``W_enc, b_enc, W_dec, b_dec``, with
    ``threshold`` (JumpReLU), ``k`` (TopK) or neither (ReLU).

    Raises:
        EvaluationError: The object has neither ``encode`` and ``decode`` nor the tensors.

    Example:
        >>> import torch
        >>> from rsae_evals.coder import as_coder
        >>> bare = {"W_enc": torch.eye(2), "b_enc": torch.zeros(2), "W_dec": torch.eye(2),
        ...         "b_dec": torch.zeros(2)}
        >>> as_coder(bare).reconstruct(torch.tensor([[1.0, -1.0]]))
        tensor([[1., 0.]])
    """
    if isinstance(obj, Coder):
        return obj
    if isinstance(obj, Mapping) or not (hasattr(obj, "encode") and hasattr(obj, "decode")):
        teacher = _from_tensors(obj)
        return Coder(teacher, teacher.d_in, teacher.d_sae)
    obj = Transcoder(obj) if isinstance(obj, SAELensTranscoder) else _with_joined_heads(obj)
    owner = obj if hasattr(obj, "d_in") and hasattr(obj, "d_sae") else getattr(obj, "cfg", None)
    if owner is None or not (hasattr(owner, "d_in") and hasattr(owner, "d_sae")):
        raise EvaluationError(
            f"{type(obj).__name__} does not say its widths; give it attributes d_in and d_sae"
        )
    return Coder(obj, int(owner.d_in), int(owner.d_sae))


def _with_joined_heads(obj: Any) -> Any:
    """A SAELens SAE that takes heads apart, as one that takes (…, d_in); the same tensors.

    The caller's own object is not changed.
    """
    if not getattr(obj, "hook_z_reshaping_mode", False):
        return obj
    joined = copy.copy(obj)
    joined.turn_off_forward_pass_hook_z_reshaping()
    return joined


def _from_tensors(obj: Any) -> Teacher:
    """A teacher of the family that the tensors at hand imply."""
    tensors = dict(obj) if isinstance(obj, Mapping) else {k: getattr(obj, k, None) for k in _NAMES}
    missing = [name for name in _NAMES[:4] if tensors.get(name) is None]
    if missing:
        raise EvaluationError(
            f"{type(obj).__name__} has neither encode and decode nor the tensors "
            f"{', '.join(missing)}; pass an SAE, a teacher, or W_enc, b_enc, W_dec, b_dec"
        )
    threshold, k = tensors.get("threshold"), tensors.get("k")
    family: Family = "jumprelu" if threshold is not None else "topk" if k is not None else "relu"
    weights: dict[str, Any] = {name: tensors[name] for name in _NAMES[:4]}
    return Teacher(family, threshold=threshold, k=k, **weights)


_NAMES = ("W_enc", "b_enc", "W_dec", "b_dec", "threshold", "k")


def _tensors(obj: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(obj, nn.Module):
        yield from obj.state_dict().items()
    else:
        attributes = getattr(obj, "__dict__", {})
        yield from ((k, v) for k, v in attributes.items() if isinstance(v, Tensor))


def _settings(obj: Any) -> str:
    """The scalars that, beside the tensors, decide what an object computes."""
    owner = getattr(obj, "cfg", obj)
    if is_dataclass(owner) and not isinstance(owner, type):
        names = [f.name for f in fields(owner)]
    else:
        names = sorted(getattr(owner, "__dict__", {}))
    plain = (bool, int, float, str, tuple, list, dict)
    # The rational's numbers are among the tensors; cfg has them as they were when it was saved.
    left_out = ("source", "format", "metadata", "rational")
    values = {n: getattr(owner, n) for n in names if n not in left_out}
    return repr({n: v for n, v in values.items() if isinstance(v, plain)})
