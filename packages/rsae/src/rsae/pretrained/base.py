"""`Teacher`: what any trained sparse autoencoder is to this package, whatever file it came from."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor

from rsae.errors import TeacherError, quoted

Family = Literal["relu", "jumprelu", "topk"]
Normalization = Literal["none", "layer_norm", "constant_norm_rescale", "expected_average_only_in"]


@dataclass(frozen=True, eq=False)
class Teacher:
    """A trained sparse autoencoder, in float32 and in one layout for all origins.

        u     = normalize(x)                                     (…, d_in)
        h     = (u - b_dec) @ W_enc + b_enc                      (…, d_sae)   encode_pre_act
        z     = phi(h)                                           (…, d_sae)   encode
        u_hat = z @ W_dec + b_dec                                (…, d_in)    decode
        x_hat = denormalize(u_hat)                               (…, d_in)    reconstruct

    `b_dec` is subtracted only where `apply_b_dec_to_input`. The activation phi is

    - `relu`: max(h, 0);
    - `jumprelu`: h where h > threshold, else 0 (thresholds are at least 0: `relu(h) * (h > t)`
      of a negative t is that of t = 0, and is stored so);
    - `topk`: max(h, 0) for the k largest of a token, else 0.

    `normalize_activations` has SAELens' names. `layer_norm` and `constant_norm_rescale` depend on
    x, so `decode` stays in the normalised space and `reconstruct` goes back to that of x:

    - `layer_norm`: u = (x - mean x) / (std x + 1e-5), std with Bessel's correction, and
      x_hat = u_hat * std x + mean x (no eps on the way back: both origins have it so);
    - `constant_norm_rescale`: u = x * sqrt(d_in) / |x|, undone after decoding;
    - `none`, and `expected_average_only_in`, whose factor belongs to the data: u = x.

    A transcoder reads the input x of an MLP and predicts the MLP's output y:

        y_hat = z @ W_dec + b_dec + x @ W_skip.T                 (…, d_out)   reconstruct

    W_skip is there in skip transcoders only; b_dec is not subtracted, and nothing of the output is
    denormalised.

    Attributes:
        family: The activation: "relu", "jumprelu" or "topk".
        W_enc: Encoder, (d_in, d_sae).
        b_enc: Encoder bias, (d_sae,).
        W_dec: Decoder, (d_sae, d_in), of a transcoder (d_sae, d_out); one row per feature.
        b_dec: Decoder bias, (d_in,), of a transcoder (d_out,).
        threshold: Thresholds of JumpReLU, (d_sae,), for `jumprelu` only.
        k: Number of features kept per token, for `topk` only.
        apply_b_dec_to_input: Whether the encoder sees u - b_dec or u.
        normalize_activations: How x is normalised before the encoder.
        metadata: The origin as stored in the file (model_name, hook_name, …), with SAELens' names.
        source: The path or name it was loaded from.
        format: Its file format, one of `rsae.pretrained.FORMATS`.
        notes: Sentences on what was assumed or folded on loading.
        transcodes: Whether it is a transcoder.
        W_skip: Skip connection of a skip transcoder, (d_out, d_in).

    Raises:
        TeacherError: The family or normalisation is unknown, or k is out of range.

    Example:
        >>> import torch
        >>> from rsae.pretrained import Teacher
        >>> eye = torch.eye(2)
        >>> teacher = Teacher("relu", eye, torch.zeros(2), eye, torch.zeros(2))
        >>> teacher.encode(torch.tensor([1.0, -1.0]))
        tensor([1., 0.])

    References:
        SAELens `saes/sae.py` (normalisation), `standard_sae.py`, `jumprelu_sae.py`,
        `topk_sae.py`, `transcoder.py`; openai/sparse_autoencoder `model.py` (LN); Rajamanoharan et
        al. 2024, arXiv 2407.14435 (JumpReLU); Gao et al. 2024, arXiv 2406.04093 (TopK).
    """

    family: Family
    W_enc: Tensor
    b_enc: Tensor
    W_dec: Tensor
    b_dec: Tensor
    threshold: Tensor | None = None
    k: int | None = None
    apply_b_dec_to_input: bool = True
    normalize_activations: Normalization = "none"
    metadata: dict[str, Any] = field(default_factory=dict)
    source: str = ""
    format: str = ""
    notes: tuple[str, ...] = ()
    transcodes: bool = False
    W_skip: Tensor | None = None

    def __post_init__(self) -> None:
        if self.family not in get_args(Family):
            raise TeacherError(
                f"unknown family {self.family!r}; use one of {', '.join(get_args(Family))}"
            )
        if self.normalize_activations not in get_args(Normalization):
            raise TeacherError(
                f"{self.source}: normalize_activations {quoted(self.normalize_activations)} is not "
                f"supported; use a teacher with one of {', '.join(get_args(Normalization))}"
            )
        if (self.threshold is not None) != (self.family == "jumprelu"):
            raise TeacherError("thresholds go with the family 'jumprelu'; give both or neither")
        if (self.k is not None) != (self.family == "topk"):
            raise TeacherError("k goes with the family 'topk'; give both or neither")
        if self.W_skip is not None and not self.transcodes:
            raise TeacherError("a skip connection goes with a transcoder; say that it is one")
        self._check_tensors()
        if self.k is not None and not (type(self.k) is int and 1 <= self.k <= self.d_sae):
            raise TeacherError(
                f"{self.source}: k = {quoted(self.k)} is no whole number between 1 and d_sae = "
                f"{self.d_sae}; use the config that belongs to these weights"
            )

    def _check_tensors(self) -> None:
        tensors = {name: getattr(self, name) for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
        for name in ("threshold", "W_skip"):
            if getattr(self, name) is not None:
                tensors[name] = getattr(self, name)
        for name, value in tensors.items():
            if not (isinstance(value, Tensor) and value.is_floating_point()):
                raise TeacherError(
                    f"{name} is {quoted(type(value).__name__)} without floats; give float tensors"
                )
        if self.W_enc.ndim != 2 or self.b_enc.ndim != 1 or self.W_dec.ndim != 2:
            raise TeacherError("matrices have two dimensions, biases one; give such tensors")
        d_in, d_sae = self.W_enc.shape
        d_out = len(self.b_dec) if self.transcodes else d_in
        skips = self.W_skip is None or self.W_skip.shape == (d_out, d_in)
        widths = (len(self.b_enc), *self.W_dec.shape, len(self.b_dec))
        if widths != (d_sae, d_sae, d_out, d_out) or not skips:
            shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in tensors.items())
            raise TeacherError(f"these tensors do not belong together: {shapes}; d_in is {d_in}")

    @property
    def d_in(self) -> int:
        """Width of the activations."""
        return self.W_enc.shape[0]

    @property
    def d_out(self) -> int:
        """Width of what is reconstructed: d_in, but for a transcoder."""
        return self.W_dec.shape[1]

    @property
    def row_width(self) -> int:
        """Width of what it is trained on: d_in, of a transcoder d_in + d_out (x beside y)."""
        return self.d_in + self.d_out if self.transcodes else self.d_in

    @property
    def d_sae(self) -> int:
        """Number of features in its dictionary."""
        return self.W_enc.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """Floating type of its weights (float32 as loaded)."""
        return self.W_enc.dtype

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.W_enc.device

    def encode_pre_act(self, x: Tensor) -> Tensor:
        """Pre-activations h of x, (…, d_in) → (…, d_sae), x in its own units."""
        return self._affine(self._normalize(x)[0])

    def encode(self, x: Tensor) -> Tensor:
        """Feature activations z = phi(h) of x, (…, d_in) → (…, d_sae), exactly 0 if inactive."""
        return self.activate(self.encode_pre_act(x))

    def activate(self, h: Tensor) -> Tensor:
        """Its activation phi on pre-activations, (…, d_sae) → (…, d_sae)."""
        if self.threshold is not None:
            return h.relu() * (h > self.threshold)
        if self.k is not None:
            kept = torch.topk(h, self.k, dim=-1, sorted=False)
            return torch.zeros_like(h).scatter_(-1, kept.indices, kept.values.relu())
        return h.relu()

    def decode(self, z: Tensor, x: Tensor | None = None) -> Tensor:
        """Reconstruction z @ W_dec + b_dec, (…, d_sae) → (…, d_out), in the normalised space.

        Args:
            z: The feature activations.
            x: What was read, (…, d_in); for a skip transcoder only, which adds x @ W_skip.T.

        Returns:
            The reconstruction.

        Raises:
            TeacherError: A skip transcoder is given no x.
        """
        decoded = z.to(self.dtype) @ self.W_dec + self.b_dec
        if self.W_skip is None:
            return decoded
        if x is None:
            raise TeacherError("a skip transcoder decodes with what it read; give x as well")
        return decoded + x.to(self.dtype) @ self.W_skip.T

    def reconstruct(self, x: Tensor) -> Tensor:
        """Encode and decode x, (…, d_in) → (…, d_out), in the units of what is reconstructed."""
        u, scale, shift = self._normalize(x)
        decoded = self.decode(self.activate(self._affine(u)), x)
        return decoded if self.transcodes else decoded * scale + shift

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Self:
        """The same teacher on another device or in another floating type.

        Args:
            device: The device; None keeps it.
            dtype: The floating type of the weights; None keeps it.
        """
        threshold, W_skip = self.threshold, self.W_skip
        return replace(
            self,
            W_enc=self.W_enc.to(device, dtype),
            b_enc=self.b_enc.to(device, dtype),
            W_dec=self.W_dec.to(device, dtype),
            b_dec=self.b_dec.to(device, dtype),
            threshold=None if threshold is None else threshold.to(device, dtype),
            W_skip=None if W_skip is None else W_skip.to(device, dtype),
        )

    def __repr__(self) -> str:
        k = f", k={self.k}" if self.k is not None else ""
        return (
            f"Teacher({self.family}{k}, d_in={self.d_in}, d_sae={self.d_sae}, "
            f"format={self.format!r}, source={self.source!r})"
        )

    def _affine(self, u: Tensor) -> Tensor:
        if self.apply_b_dec_to_input:
            u = u - self.b_dec
        return u @ self.W_enc + self.b_enc

    def _normalize(self, x: Tensor) -> tuple[Tensor, Tensor | float, Tensor | float]:
        """(u, scale, shift) with x = u * scale + shift, up to eps."""
        if x.shape[-1:] != (self.d_in,):
            raise TeacherError(
                f"the activations have shape {tuple(x.shape)}, this teacher has d_in = "
                f"{self.d_in}; use activations of its own hook"
            )
        x = x.to(self.dtype)
        if self.normalize_activations == "layer_norm":
            mean = x.mean(dim=-1, keepdim=True)
            centred = x - mean
            std = centred.std(dim=-1, keepdim=True)
            return centred / (std + 1e-5), std, mean
        if self.normalize_activations == "constant_norm_rescale":
            scale = x.norm(dim=-1, keepdim=True) / self.d_in**0.5
            return x / scale, scale, 0.0
        return x, 1.0, 0.0
