"""Export: the plain JumpReLU SAE nearest to an RSAE, for programs that know only SAELens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import sae_lens
import torch
from sae_lens import JumpReLUSAE, JumpReLUSAEConfig
from sae_lens.constants import SAE_CFG_FILENAME, SAE_WEIGHTS_FILENAME
from sae_lens.saes.sae import SAEMetadata
from torch import Tensor

from rsae.data import Activations
from rsae.devices import own_random_numbers
from rsae.errors import ConfigError, StoreError
from rsae.files import make_folder, save_safetensors, write_json
from rsae.pretrained.metadata import write_sketches
from rsae.sae.model import RSAE
from rsae.sae.refinement import Refinement

__all__ = ["Export", "check_exportable", "export_jumprelu"]

_BATCH = 1024


@dataclass(frozen=True, eq=False)
class Export:
    """A plain SAE and its increase in error, measured on the same tokens.

    Attributes:
        sae: SAELens' own class.
        n_tokens: Number of tokens for the gains and the errors.
        mse: MSE of the plain SAE, the mean over tokens of |x - x_hat|^2.
        mse_rsae: MSE of the RSAE.
        l0: mean number of activations of the plain SAE that are not zero.
        l0_rsae: of the RSAE; another number only where it has a refinement.
        refinement: The refinement of the RSAE, which a plain SAE cannot have, or None.
    """

    sae: JumpReLUSAE
    n_tokens: int
    mse: float
    mse_rsae: float
    l0: float
    l0_rsae: float
    refinement: Refinement | None = None

    @property
    def lost(self) -> str:
        """A sentence on what the plain SAE lacks."""
        if self.refinement is None:
            return "the rational activation: each feature has one gain instead"
        pursuit = (
            " and its pursuit, so that other features fire," if self.refinement.pursuit else ""
        )
        return (
            f"the refinement{pursuit} and the rational activation: weights, the encoder's "
            "thresholds and one gain per feature are kept"
        )

    def losses(self) -> dict[str, float]:
        """The numbers alone."""
        return {
            "n_tokens": self.n_tokens,
            "mse_rsae": self.mse_rsae,
            "mse": self.mse,
            "mse_increase": self.mse / self.mse_rsae - 1,
            "l0": self.l0,
            "l0_rsae": self.l0_rsae,
        }

    def save(self, path: str | Path) -> Path:
        """Write SAELens' two files, each whole or not at all, and return the folder.

        Sketches of the training text go into a third, as for an RSAE.

        Raises:
            OutputError: the folder cannot be written.
        """
        folder = make_folder(path)
        save_safetensors(folder / SAE_WEIGHTS_FILENAME, self.sae.state_dict())
        config = self.sae.cfg.to_dict()
        config["metadata"] = write_sketches(folder, config["metadata"])
        write_json(folder / SAE_CFG_FILENAME, config)
        return folder


def check_exportable(sae: RSAE) -> None:
    """Refuse an RSAE that no JumpReLU SAE comes near.

    Raises:
        ConfigError: It is a transcoder, or its support is not given by thresholds.
    """
    if sae.transcodes:
        raise ConfigError(
            "a transcoder has no plain SAE to export to; evaluate it, or load it with rsae"
        )
    if sae.cfg.support != "threshold":
        raise ConfigError(
            f"an RSAE of support {sae.cfg.support!r} has no thresholds that a JumpReLU could "
            "keep; upgrade with support 'threshold'"
        )


@torch.no_grad()
def export_jumprelu(sae: RSAE, activations: Activations) -> Export:
    r"""The JumpReLU SAE with the RSAE's thresholds and activations nearest to the RSAE's.

    Where h_j > tau_j the RSAE's activation is z_j and the plain one's g_j h_j, with the constant
    gain of least squares over the tokens given,

        g_j = sum z_j h_j / sum h_j^2,

    and that of all features together where feature j does not occur or g_j is not positive. The
    gains go into W_enc, b_enc and the thresholds, so that the encoder's support and the decoder
    stay as they are. A refinement cannot be exported: a plain SAE reads activations off in one
    pass. The gains come as near to the refined activations as one number per feature can.

    Args:
        sae: An RSAE of support "threshold".
        activations: Activations of its hook, (n, d_in).

    Raises:
        ConfigError: It is a transcoder, its support is not given by thresholds, or no feature
            fires.
        StoreError: The activations have another width.
    """
    check_exportable(sae)
    if activations.d_in != sae.cfg.d_in:
        raise StoreError(
            f"the activations have width {activations.d_in}, the RSAE has d_in = {sae.cfg.d_in}; "
            "give those of its own hook"
        )
    gain = _gains(sae, activations)
    plain = _plain(sae, gain)
    error = error_rsae = count = count_rsae = 0.0
    for x in activations.batches(_BATCH):
        z = plain.encode(x)
        error += (x - plain.decode(z)).square().sum().item()
        z_rsae = sae.encode(x)
        error_rsae += (x - sae.decode(z_rsae)).square().sum().item()
        count += z.count_nonzero().item()
        count_rsae += z_rsae.count_nonzero().item()
    if sae.cfg.reshape_activations == "hook_z":  # SAELens takes separate heads only
        plain.cfg.reshape_activations = "hook_z"
        plain.turn_on_forward_pass_hook_z_reshaping()
    n = activations.n_tokens
    means = (error / n, error_rsae / n, count / n, count_rsae / n)
    export = Export(plain, n, *means, refinement=sae.refinement)
    plain.cfg.metadata["export"] = export.losses()
    return export


def _gains(sae: RSAE, activations: Activations) -> Tensor:
    product, square = torch.zeros(2, sae.cfg.d_sae, dtype=torch.float64)
    for x in activations.batches(_BATCH):
        h = sae.encode_pre_act(x)
        h = h.relu() * (sae.activate(h) != 0)
        z = sae.encode(x)
        product += (z * h).double().sum(dim=0)
        square += h.double().square().sum(dim=0)
        sae.decode(z)  # SAELens keeps what undoes the input's normalisation until it is used
    together = product.sum() / square.sum()
    if not together > 0:
        raise ConfigError(
            "no feature of this RSAE fires on these activations; use those of its own hook"
        )
    gain = product / square
    return torch.where(gain > 0, gain, together).float()


def _plain(sae: RSAE, gain: Tensor) -> JumpReLUSAE:
    config = JumpReLUSAEConfig(
        d_in=sae.cfg.d_in,
        d_sae=sae.cfg.d_sae,
        apply_b_dec_to_input=sae.cfg.apply_b_dec_to_input,
        normalize_activations=sae.cfg.normalize_activations,
        metadata=SAEMetadata(
            **{
                "prepend_bos": True,  # as in `rsae.data.text.tokenize`; Neuronpedia's runner asks
                **{key: v for key, v in sae.cfg.metadata.to_dict().items() if v is not None},
                "sae_lens_version": sae_lens.__version__,
            }
        ),
    )
    with own_random_numbers(sae.device):  # SAELens draws weights that are replaced here
        plain = JumpReLUSAE(config)
    plain.W_enc.copy_(sae.W_enc * gain)
    plain.b_enc.copy_(sae.b_enc * gain)
    plain.threshold.copy_(sae.threshold.clamp(min=0) * gain)
    plain.W_dec.copy_(sae.W_dec)
    plain.b_dec.copy_(sae.b_dec)
    return plain
