"""`Transcoder`: an MLP's output from its input, refined against the output itself.

Shapes: … tokens, d_in, d_sae features, d_out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from sae_lens import SAE
from sae_lens.constants import SAE_CFG_FILENAME, SAE_WEIGHTS_FILENAME
from sae_lens.saes.transcoder import Transcoder as SAELensTranscoder
from torch import Tensor

from rsae.errors import ConfigError, CorruptFileError, TeacherError, quoted
from rsae.files import load_safetensors, make_folder, read_json, save_safetensors, write_json
from rsae.pretrained.saelens import TRANSCODERS
from rsae.sae.refinement import Refinement
from rsae.settings import check_kind

__all__ = ["REFINEMENT", "Transcoder", "load_transcoder"]

REFINEMENT = "rsae_refinement"
"""Where the metadata of a saved transcoder hold its refinement."""


@dataclass(frozen=True, eq=False)
class Transcoder:
    r"""A SAELens transcoder that reads one hook, x, and reconstructs another, y.

        z     = phi(x W_enc + b_enc)                  (…, d_sae)   SAELens' own encoder
        z     = the refined z, with a `Refinement`    (…, d_sae)   encode
        y_hat = z W_dec + b_dec + W_skip x            (…, d_out)   decode

    W_skip x is there in skip transcoders only. The target of the refinement is what the features
    have to explain, y - b_dec - W_skip x, so a refined transcoder needs y as well as x: it
    describes what the MLP did, and does not replace the MLP.

    Args:
        sae: One of SAELens' four transcoder classes, such as `SAE.from_pretrained` gives.
        refinement: The refinement, without pursuit; None for the encoder's own activations.

    Raises:
        ConfigError: `sae` is no transcoder of SAELens, it scales its input by an unknown factor,
            or the refinement has a pursuit, whose thresholds a transcoder does not hold.

    Example:
        >>> import torch
        >>> from sae_lens import Transcoder as Plain, TranscoderConfig
        >>> from rsae import Refinement
        >>> config = TranscoderConfig(d_in=4, d_out=3, d_sae=8, apply_b_dec_to_input=False)
        >>> transcoder = Transcoder(Plain(config), Refinement())
        >>> transcoder.reconstruct(torch.randn(2, 4), torch.randn(2, 3)).shape
        torch.Size([2, 3])

    References:
        Dunefsky, Chlenski & Nanda 2024, arXiv 2406.11944 (transcoders); Paulo, Shabalin &
        Belrose 2025, arXiv 2501.18823 (skip transcoders); SAELens `saes/transcoder.py`.
    """

    sae: SAELensTranscoder
    refinement: Refinement | None = None
    transcodes = True  # as a `Teacher` and an `RSAE` say of themselves

    def __post_init__(self) -> None:
        check_kind(self.sae, SAELensTranscoder, "the transcoder", "give one of SAELens' classes")
        if self.refinement is not None and self.refinement.pursuit is not None:
            raise ConfigError(
                "a transcoder holds no thresholds of a pursuit; refine it without pursuit"
            )
        if self.sae.cfg.normalize_activations == "expected_average_only_in":
            raise ConfigError(
                "the transcoder was trained on inputs scaled by a factor that its file does not "
                "have; fold it in with sae.fold_activation_norm_scaling_factor first"
            )

    @property
    def d_in(self) -> int:
        """Width of x."""
        return int(self.sae.cfg.d_in)

    @property
    def d_out(self) -> int:
        """Width of y."""
        return int(self.sae.cfg.d_out)

    @property
    def d_sae(self) -> int:
        """Number of features."""
        return int(self.sae.cfg.d_sae)

    @property
    def metadata(self) -> dict[str, Any]:
        """The origin, with SAELens' names: model_name, hook_name, hook_name_out, …"""
        return dict(self.sae.cfg.metadata.to_dict())

    @property
    def input_hook(self) -> str | None:
        """The hook of x; None where the file does not say."""
        return self.sae.cfg.metadata.get("hook_name")

    @property
    def output_hook(self) -> str | None:
        """The hook of y; None where the file does not say."""
        return self.sae.cfg.metadata.get("hook_name_out")

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.sae.W_dec.device

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Self:
        """The same transcoder on another device or in another floating type.

        SAELens' object is moved, as PyTorch's modules are, and not copied.

        Args:
            device: The device; None keeps it.
            dtype: The floating type of the weights; None keeps it.
        """
        wanted = {"device": device, "dtype": dtype}
        self.sae.to(**{name: value for name, value in wanted.items() if value is not None})
        return self

    def refine(self, refinement: Refinement | None) -> Self:
        """The same weights with another refinement, or none.

        Args:
            refinement: The refinement, without pursuit; None for the encoder's own activations.

        Raises:
            ConfigError: The refinement has a pursuit.
        """
        return replace(self, refinement=refinement)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Feature activations, (…, d_in), (…, d_out) → (…, d_sae).

        Args:
            x: The activations that are read.
            y: Those that are reconstructed, at the same tokens; without a refinement not used.

        Returns:
            The activations, with exact zeros where a feature is not active.

        Raises:
            ConfigError: There is a refinement and no y, or y has another shape.
        """
        z = self.sae.encode(x)
        if self.refinement is None:
            return z
        if y is None or y.shape != (*x.shape[:-1], self.d_out):
            given = "no output" if y is None else f"an output of shape {tuple(y.shape)}"
            raise ConfigError(
                f"a refined transcoder needs the output that it reconstructs, (…, {self.d_out}), "
                f"at the tokens of its input of shape {tuple(x.shape)}, and was given {given}"
            )
        return self.refinement(z, y.to(z.dtype) - self._offset(x), self.sae.W_dec)

    def decode(self, z: Tensor, x: Tensor) -> Tensor:
        """Reconstruction of y, (…, d_sae), (…, d_in) → (…, d_out).

        Args:
            z: The feature activations.
            x: The activations that were read, for the skip connection.

        Returns:
            y_hat, z W_dec + b_dec + W_skip x.
        """
        return z @ self.sae.W_dec + self._offset(x)

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Encode and decode, (…, d_in), (…, d_out) → (…, d_out).

        Args:
            x: The activations that are read.
            y: Those that are reconstructed, for a refined transcoder.

        Returns:
            y_hat, as `decode` gives it.
        """
        return self.decode(self.encode(x, y), x)

    def _offset(self, x: Tensor) -> Tensor:
        """What is reconstructed without any feature, b_dec + W_skip x."""
        W_skip = getattr(self.sae, "W_skip", None)
        b_dec = self.sae.b_dec
        return b_dec if W_skip is None else b_dec + x.to(b_dec.dtype) @ W_skip.T

    def save(self, path: str | Path) -> Path:
        """Write SAELens' two files, each whole or not at all, and return the folder.

        SAELens reads the folder as the plain transcoder; the refinement is in its metadata, where
        `load_transcoder` finds it.

        Args:
            path: The folder; it is made where it is missing.

        Raises:
            OutputError: The folder cannot be written.
        """
        folder = make_folder(path)
        state_dict = self.sae.state_dict()
        self.sae.process_state_dict_for_saving(state_dict)
        save_safetensors(folder / SAE_WEIGHTS_FILENAME, state_dict)
        config = self.sae.cfg.to_dict()
        config["metadata"].pop(REFINEMENT, None)
        if self.refinement is not None:
            config["metadata"][REFINEMENT] = self.refinement.to_dict()
        write_json(folder / SAE_CFG_FILENAME, config)
        return folder


def load_transcoder(path: str | Path) -> Transcoder:
    """The transcoder in a folder of SAELens' layout, with the refinement it was saved with.

    Args:
        path: The folder, with `cfg.json` and `sae_weights.safetensors`. One of the hub is loaded by
            `sae_lens.SAE.from_pretrained` and given to `Transcoder`.

    Raises:
        TeacherError: There is no transcoder in the folder.
        CorruptFileError: A file is damaged, or the two do not fit together.
        ConfigError: The refinement's settings are unknown, or `path` is no path.
    """
    check_kind(path, (str, Path), "the transcoder", "give its folder")
    folder = Path(path)
    file = folder / SAE_CFG_FILENAME
    if not file.is_file():
        raise TeacherError(f"{folder} has no {SAE_CFG_FILENAME}; give the folder of a transcoder")
    config = read_json(file)
    found = config.get("architecture") if isinstance(config, dict) else None
    if found not in TRANSCODERS:
        raise TeacherError(
            f"{folder} holds the architecture {quoted(found)}, no transcoder; "
            "load an SAE by rsae.load_teacher"
        )
    tensors = load_safetensors(folder / SAE_WEIGHTS_FILENAME)
    if bad := [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]:
        raise CorruptFileError(f"{folder}: {', '.join(bad)} hold NaN or infinity; restore it")
    try:
        sae = SAE.load_from_disk(folder)
        with torch.no_grad():
            sae(torch.zeros(1, sae.cfg.d_in))
    except Exception as error:  # another program's code on values of any kind and size
        raise CorruptFileError(
            f"{folder}: its weights and {SAE_CFG_FILENAME} do not fit together "
            f"({quoted(str(error))}); restore it"
        ) from error
    settings = sae.cfg.metadata.get(REFINEMENT)
    return Transcoder(sae, None if settings is None else Refinement.from_dict(settings))
