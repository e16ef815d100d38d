"""`RSAE`: a SAELens SAE whose activation is a trainable rational function.

Shapes: … tokens, d_in, d_sae features.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from sae_lens import SAE, register_sae_class
from sae_lens.constants import SAE_CFG_FILENAME, SAE_WEIGHTS_FILENAME
from sae_lens.registry import SAE_CLASS_REGISTRY
from torch import Tensor, nn
from typing_extensions import override

from rsae.devices import own_random_numbers
from rsae.errors import ConfigError
from rsae.files import make_folder, save_safetensors, write_json, write_text
from rsae.pretrained.metadata import write_sketches
from rsae.sae.activation import RationalActivation
from rsae.sae.card import model_card
from rsae.sae.config import ARCHITECTURE, NO_TARGET, Form, RSAEConfig, Support, metadata_of
from rsae.sae.refinement import Refinement

if TYPE_CHECKING:
    from rsae.pretrained import Teacher

__all__ = ["RSAE"]

_RATIONAL = "rational."


class RSAE(SAE[RSAEConfig]):
    r"""A sparse autoencoder with a rational activation and exact zeros.

        h     = (x - b_dec) W_enc + b_enc                 (…, d_sae)   encode_pre_act
        z_j   = value_j(h_j) where j is in the support, exactly 0 elsewhere       activate
        z     = the refined z, where the SAE has a `Refinement`                   encode
        x_hat = z W_dec + b_dec                           (…, d_in)    decode

    The value, by form, with one rational phi(u) = C_out * r(u / C_in) for all features and
    s_j = `feature_scale` (1 unless decoder norms were folded):

    - "magnitude": z_j = h_j * phi(h_j / s_j)
    - "gate":      z_j = h_j * phi((h_j - tau_j) / s_j)
    - "direct":    z_j = s_j * phi(h_j / s_j)

    The support, in training and in use, tau = `threshold`:

    - "threshold": h_j > tau_j
    - "level":     phi((h_j - tau_j) / s_j) > C_out / 2      (form "gate" only)
    - "topk":      h_j > 0 and h_j / s_j among the token's k largest

    A transcoder (`cfg.d_out`) reads the input x of an MLP and predicts the MLP's output y:

        y_hat = z W_dec + b_dec + W_skip x                (…, d_out)   decode

    W_skip x is there in skip transcoders only, b_dec is not subtracted, nothing of the output is
    denormalised, and there is no refinement, which would have to know y.

    With phi = 1 in form "magnitude" it equals the teacher exactly, and a refinement does not change
    the weights. `hook_sae_acts_post` sees the refined activations. b_dec is subtracted only where
    `cfg.apply_b_dec_to_input`; input normalisation, hooks, error term and file layout are
    SAELens' own.

    Args:
        cfg: The configuration.
        use_error_term: Whether the SAE adds its reconstruction error to its output, as in SAELens.

    Example:
        >>> import torch
        >>> from rsae import RSAE, RSAEConfig
        >>> sae = RSAE(RSAEConfig(d_in=4, d_sae=8))
        >>> sae.encode(torch.zeros(1, 4)).count_nonzero().item()
        0

    References:
        Yin & Yu 2026, arXiv 2606.14990, where the support is not exact and L0 = d_sae.
    """

    b_enc: nn.Parameter
    threshold: nn.Parameter
    feature_scale: Tensor
    rational: RationalActivation
    W_skip: nn.Parameter | None  # (d_out, d_in) of a skip transcoder
    pursuit_threshold: Tensor  # (d_sae,) only with pursuit, in units of y_j = z_j |W_dec_j|

    @override
    def initialize_weights(self) -> None:
        super().initialize_weights()
        shape, like = (self.cfg.d_sae,), {"dtype": self.dtype, "device": self.device}
        if self.cfg.d_out is not None:
            rows = (self.cfg.d_sae, self.d_out)
            self.W_dec = nn.Parameter(torch.zeros(rows, **like))  # type: ignore[arg-type]
            self.b_dec = nn.Parameter(torch.zeros(self.d_out, **like))  # type: ignore[arg-type]
        self.register_parameter("W_skip", None)
        if self.cfg.skip:
            skip = (self.d_out, self.cfg.d_in)
            self.W_skip = nn.Parameter(torch.zeros(skip, **like))  # type: ignore[arg-type]
        self.b_enc = nn.Parameter(torch.zeros(shape, **like))  # type: ignore[arg-type]
        self.threshold = nn.Parameter(torch.zeros(shape, **like))  # type: ignore[arg-type]
        self.register_buffer("feature_scale", torch.ones(shape, **like))  # type: ignore[arg-type]
        self.rational = RationalActivation.from_dict(self.cfg.rational, device=self.device)
        if self.refinement is not None and self.refinement.pursuit is not None:
            self.register_buffer("pursuit_threshold", torch.zeros(shape, **like))  # type: ignore[arg-type]

    @property
    def transcodes(self) -> bool:
        """Whether it is a transcoder, which predicts an MLP's output from its input."""
        return self.cfg.d_out is not None

    @property
    def d_out(self) -> int:
        """Width of what is reconstructed: d_in, but for a transcoder."""
        return self.cfg.d_in if self.cfg.d_out is None else self.cfg.d_out

    def sides(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """What it reads and what it is to reconstruct, (n, …) → (n, d_in), (n, d_out).

        Args:
            rows: Activations x, (n, d_in), which are both; for a transcoder x beside y,
                (n, d_in + d_out).

        Returns:
            The activations x and y.
        """
        return rows[..., : self.cfg.d_in], rows[..., -self.d_out :]

    @property
    def refinement(self) -> Refinement | None:
        """The refinement of `encode`, or None; `set_refinement` changes it."""
        found = self.cfg.refinement
        return None if found is None else Refinement.from_dict(found)

    def set_refinement(
        self, refinement: Refinement | None, pursuit_threshold: Tensor | None = None
    ) -> Self:
        """Switch the refinement on or off, in place; the weights do not change.

        Args:
            refinement: The refinement, or None for the encoder's own activations.
            pursuit_threshold: The thresholds t_j, (d_sae,), if and only if the refinement has a
                pursuit.

        Returns:
            The SAE itself.

        Raises:
            ConfigError: There are thresholds without a pursuit, a pursuit without thresholds,
                thresholds of another shape, or it is a transcoder.
        """
        if refinement is not None and self.transcodes:
            raise ConfigError(NO_TARGET)
        pursuit = refinement is not None and refinement.pursuit is not None
        if pursuit != (pursuit_threshold is not None):
            raise ConfigError("pursuit thresholds go with pursuit; give both or neither")
        if pursuit_threshold is not None and pursuit_threshold.shape != (self.cfg.d_sae,):
            raise ConfigError(
                f"{tuple(pursuit_threshold.shape)} pursuit thresholds do not fit "
                f"{self.cfg.d_sae} features"
            )
        self.cfg.refinement = None if refinement is None else refinement.to_dict()
        self._buffers.pop("pursuit_threshold", None)
        if pursuit_threshold is not None:
            found = pursuit_threshold.detach().to(self.device, self.dtype)
            self.register_buffer("pursuit_threshold", found)
        return self

    def _repr_html_(self) -> str:
        """What a notebook shows: sizes, form, support, refinement, and where it came from."""
        cfg, metadata = self.cfg, self.cfg.metadata.to_dict()
        found = self.refinement
        facts = {
            "d_in → d_sae": f"{cfg.d_in} → {cfg.d_sae}",
            "transcoder to d_out": cfg.d_out,
            "form, support": f"{cfg.form}, {cfg.support}" + (f" (k = {cfg.k})" if cfg.k else ""),
            "rational of type": str(self.rational.degree),
            "refinement": "none" if found is None else f"{found.method}, {found.steps} steps",
            "hook": metadata.get("hook_name"),
            "reconstructed hook": metadata.get("hook_name_out"),
            "language model": metadata.get("model_name"),
            "made from": metadata.get("teacher"),
        }
        rows = (
            f"<tr><th>{name}</th><td>{escape(str(value))}</td></tr>"
            for name, value in facts.items()
            if value is not None
        )
        return f"<table><caption>RSAE</caption><tbody>{''.join(rows)}</tbody></table>"

    @classmethod
    def from_teacher(
        cls,
        teacher: Teacher,
        rational: RationalActivation,
        form: Form = "magnitude",
        support: Support = "threshold",
    ) -> Self:
        """A copy of the teacher's weights with `rational` in place of its activation.

        Thresholds are the teacher's for JumpReLU and 0 for the others. The teacher's metadata is
        kept.

        Args:
            teacher: The trained SAE.
            rational: The rational activation.
            form: What the rational computes, see `RSAE`.
            support: The rule for which features may be active; "topk" for a TopK teacher.
        """
        config = RSAEConfig(
            d_in=teacher.d_in,
            d_sae=teacher.d_sae,
            device=str(teacher.device),
            apply_b_dec_to_input=teacher.apply_b_dec_to_input,
            normalize_activations=teacher.normalize_activations,  # type: ignore[arg-type]
            form=form,
            support=support,
            k=teacher.k if support == "topk" else None,
            rational=rational.to_dict(),
            metadata=metadata_of(teacher),
            d_out=teacher.d_out if teacher.transcodes else None,
            skip=teacher.W_skip is not None,
            reshape_activations="hook_z" if _is_z(teacher.metadata.get("hook_name")) else "none",
        )
        with own_random_numbers(teacher.device):  # SAELens draws weights that are replaced here
            sae = cls(config)
        with torch.no_grad():
            for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
                getattr(sae, name).copy_(getattr(teacher, name))
            if sae.W_skip is not None and teacher.W_skip is not None:
                sae.W_skip.copy_(teacher.W_skip)
            if teacher.threshold is not None:
                sae.threshold.copy_(teacher.threshold.clamp(min=0))
        return sae.to(teacher.device)

    @override
    def turn_on_forward_pass_hook_z_reshaping(self) -> None:
        """Take (…, n_heads, d_head) activations of ``hook_z`` as well as (…, d_in).

        SAELens' own reshaping takes only the former, and training and evaluation give the latter.
        """
        super().turn_on_forward_pass_hook_z_reshaping()
        self.d_head = None
        self.reshape_fn_in = self._join_heads
        self.reshape_fn_out = _split_heads

    def _join_heads(self, x: Tensor) -> Tensor:
        apart = x.ndim > 2 and x.shape[-1] != self.cfg.d_in
        self.d_head = x.shape[-1] if apart else None  # type: ignore[assignment]
        return x.flatten(-2) if apart else x

    @override
    def process_sae_in(self, sae_in: Tensor) -> Tensor:
        if not self.transcodes:
            return super().process_sae_in(sae_in)
        return self.run_time_activation_norm_fn_in(self.hook_sae_input(sae_in.to(self.dtype)))

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Encode and decode, (…, d_in) → (…, d_out)."""
        if not self.transcodes:
            return super().forward(x)
        return self.hook_sae_output(self.decode(self.encode(x), x))

    def encode_pre_act(self, x: Tensor) -> Tensor:
        """Pre-activations h, (…, d_in) → (…, d_sae)."""
        return self.hook_sae_acts_pre(self.process_sae_in(x) @ self.W_enc + self.b_enc)

    @override
    def encode(self, x: Tensor) -> Tensor:
        """Feature activations z, (…, d_in) → (…, d_sae); exact zeros outside the support."""
        refinement = self.refinement
        if refinement is None:
            return self.hook_sae_acts_post(self.activate(self.encode_pre_act(x)))
        z, target = self.first_pass(x)
        threshold = self.pursuit_threshold if refinement.pursuit else None
        z = refinement(z, target, self.W_dec, threshold, overwrite_z=True)
        return self.hook_sae_acts_post(z)

    def first_pass(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's own activations, (…, d_sae), and the target of the refinement, (…, d_in).

        The target is the normalised input less b_dec.
        """
        inputs = self.process_sae_in(x)
        h = self.hook_sae_acts_pre(inputs @ self.W_enc + self.b_enc)
        target = inputs if self.cfg.apply_b_dec_to_input else inputs - self.b_dec
        return self.activate(h), target

    @override
    def decode(self, feature_acts: Tensor, x: Tensor | None = None) -> Tensor:
        """Decode, (…, d_sae) → (…, d_out).

        Args:
            feature_acts: The feature activations.
            x: What was read, (…, d_in); for a skip transcoder only.

        Returns:
            The reconstruction.

        Raises:
            ConfigError: A skip transcoder is given no x.
        """
        recons = self.hook_sae_recons(feature_acts @ self.W_dec + self.b_dec)
        return self.reshape_fn_out(self.completed(recons, x), self.d_head)

    def completed(self, recons: Tensor, x: Tensor | None) -> Tensor:
        """From z W_dec + b_dec, (…, d_out), to the reconstruction: denormalised, or with W_skip x.

        Args:
            recons: What the features and b_dec make.
            x: What was read, (…, d_in); for a skip transcoder only.

        Returns:
            The reconstruction.

        Raises:
            ConfigError: A skip transcoder is given no x.
        """
        if not self.transcodes:
            return self.run_time_activation_norm_fn_out(recons)
        if self.W_skip is None:
            return recons
        if x is None:
            raise ConfigError("a skip transcoder decodes with what it read; give x as well")
        return recons + x.to(self.dtype) @ self.W_skip.T

    def activate(self, h: Tensor) -> Tensor:
        """The activation alone: pre-activations → feature activations, (…, d_sae) each."""
        if self.cfg.support == "threshold" and h.device.type == "cpu" and not _traced(h):
            return self._activate_support(h)
        phi = self.shape(h, self.threshold, self.feature_scale)
        support = self.support(h, self.threshold, self.feature_scale, phi)
        value = self.value(h, self.feature_scale, phi).to(h.dtype)
        return torch.where(support, value, torch.zeros_like(value))

    def _activate_support(self, h: Tensor) -> Tensor:
        """The same on the few entries above their thresholds, without gradients."""
        entries = (h > self.threshold).flatten().nonzero()[:, 0]
        features = entries % self.cfg.d_sae
        active, threshold = h.flatten()[entries], self.threshold[features]
        scale = self.feature_scale[features]
        value = self.value(active, scale, self.shape(active, threshold, scale)).to(h.dtype)
        return torch.zeros_like(h).flatten().index_copy_(0, entries, value).reshape(h.shape)

    def shape(self, h: Tensor, threshold: Tensor, scale: Tensor) -> Tensor:
        """The rational phi at each entry, in at least float32; the arguments broadcast.

        Args:
            h: Pre-activations.
            threshold: Thresholds tau of the same features.
            scale: Their `feature_scale`.
        """
        offset = threshold if self.cfg.form == "gate" else 0.0
        return self.rational((h - offset) / scale)

    def value(self, h: Tensor, scale: Tensor, phi: Tensor) -> Tensor:
        """The feature activations of entries that are in the support.

        Args:
            h: Pre-activations.
            scale: The `feature_scale` of the same features.
            phi: The rational at these entries, from `shape`.
        """
        return phi * (scale if self.cfg.form == "direct" else h)

    def support(self, h: Tensor, threshold: Tensor, scale: Tensor, phi: Tensor) -> Tensor:
        """Boolean mask of the features that may be active; "topk" needs whole rows of h.

        Args:
            h: Pre-activations.
            threshold: Thresholds tau of the same features.
            scale: Their `feature_scale`.
            phi: The rational at these entries, from `shape`.
        """
        if self.cfg.support == "level":
            return phi > self.rational.output_scale / 2
        if self.cfg.support == "threshold":
            return h > threshold
        assert self.cfg.k is not None
        largest = torch.topk(h / scale, self.cfg.k, dim=-1, sorted=False).indices
        chosen = torch.zeros_like(h, dtype=torch.bool).scatter_(-1, largest, True)
        return chosen & (h > 0)

    @override
    @torch.no_grad()
    def fold_W_dec_norm(self) -> None:
        """Make decoder rows unit vectors, the reconstruction unchanged.

        A rational is not 1-homogeneous, so the norms go into the pre-activations, the thresholds
        *and* the input scale of each feature: phi then sees the argument it saw before.
        """
        norms = self.fold_and_get_W_dec_norm()
        self.threshold.mul_(norms)
        self.feature_scale.mul_(norms)

    @override
    def process_state_dict_for_saving(self, state_dict: dict[str, Any]) -> None:
        for name in [name for name in state_dict if name.startswith(_RATIONAL)]:
            del state_dict[name]
        self.cfg.rational = self.rational.to_dict()

    @override
    def process_state_dict_for_loading(self, state_dict: dict[str, Any]) -> None:
        device = state_dict["W_dec"].device
        rational = RationalActivation.from_dict(self.cfg.rational, device=device)
        state_dict.update({_RATIONAL + name: t for name, t in rational.state_dict().items()})

    @override
    def save_model(self, path: str | Path) -> tuple[Path, Path]:
        """Write `sae_weights.safetensors`, `README.md` and `cfg.json`, each whole or not at all.

        That is a model hub's layout; `cfg.json` comes last, so a folder with it is complete.
        Sketches of the training text, where the metadata has them, go into `text_sketches.json`.

        Raises:
            OutputError: The folder cannot be written.
        """
        folder = make_folder(path)
        state_dict = self.state_dict()
        self.process_state_dict_for_saving(state_dict)
        weights = save_safetensors(folder / SAE_WEIGHTS_FILENAME, state_dict)
        config = self.cfg.to_dict()
        config["metadata"] = write_sketches(folder, config["metadata"])
        write_text(folder / "README.md", model_card(self.cfg, self.rational.degree))
        return weights, write_json(folder / SAE_CFG_FILENAME, config)


def _split_heads(x: Tensor, d_head: int | None) -> Tensor:
    return x if d_head is None else x.unflatten(-1, (-1, d_head))


def _is_z(hook_name: str | None) -> bool:
    """Whether SAELens takes a hook for one of several heads (its rule is the name's end)."""
    return hook_name is not None and hook_name.endswith("hook_z")


def _traced(h: Tensor) -> bool:
    """Whether a gradient may be wanted, or a graph is recorded that needs fixed shapes."""
    return torch.is_grad_enabled() or torch.compiler.is_compiling() or type(h) is not Tensor


if ARCHITECTURE not in SAE_CLASS_REGISTRY:
    register_sae_class(ARCHITECTURE, RSAE, RSAEConfig)
