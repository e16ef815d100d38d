"""`RSAEConfig`: what an `RSAE` is, beside its weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import sae_lens
from sae_lens import SAEConfig
from sae_lens.saes.sae import SAEMetadata
from typing_extensions import override

from rsae.errors import ConfigError
from rsae.files import public_name
from rsae.language_model.names import PACKAGED
from rsae.sae.activation import RationalActivation
from rsae.sae.refinement import Refinement
from rsae.sae.transcoder import REFINEMENT

if TYPE_CHECKING:
    from rsae.pretrained import Teacher

__all__ = ["ARCHITECTURE", "NO_TARGET", "Form", "RSAEConfig", "Support", "metadata_of"]

Form = Literal["magnitude", "gate", "direct"]
Support = Literal["threshold", "level", "topk"]

ARCHITECTURE = "rational"
"""What `cfg.json` calls it."""
NO_TARGET = (
    "refinement and pursuit solve for the activations that explain the output of the MLP, which a "
    "transcoder does not have when it encodes; to describe an output that is known, use "
    "rsae.load_transcoder and its refine in Python"
)
"""Why a transcoder is not refined."""
_OF_THE_TEACHER = ("l0", "num_dead_features", REFINEMENT)
_IDENTITY = RationalActivation.constant((0, 0)).to_dict()


@dataclass
class RSAEConfig(SAEConfig):
    """SAELens' configuration and what the rational activation adds.

    Args:
        form: Whether the rational phi gives a magnitude, a gate or the activation, see `RSAE`.
        support: The rule for which features may be active, see `RSAE`.
        k: Number of features kept per token, for support "topk" only.
        rational: The parameters of the `RationalActivation`. They are here and not among the
            weights because SAELens casts every weight to the model's dtype on loading.
        refinement: The settings of a `Refinement`, or None for none.
        d_out: Of a transcoder, the width of what it predicts; None for an SAE.
        skip: Whether the transcoder has a skip connection.

    Raises:
        ConfigError: The form or support is unknown or they do not go together, settings of the
            refinement contradict each other, or a transcoder is to be refined or to subtract b_dec.
    """

    form: Form = "magnitude"
    support: Support = "threshold"
    k: int | None = None
    rational: dict[str, Any] = field(default_factory=lambda: dict(_IDENTITY))
    refinement: dict[str, Any] | None = None
    d_out: int | None = None
    skip: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.form not in get_args(Form):
            raise ConfigError(f"form {self.form!r} is not one of {get_args(Form)}")
        if self.support not in get_args(Support):
            raise ConfigError(f"support {self.support!r} is not one of {get_args(Support)}")
        if self.support == "level" and self.form != "gate":
            raise ConfigError(
                "support 'level' needs form 'gate'; choose that form or another support"
            )
        if (self.k is not None) != (self.support == "topk"):
            raise ConfigError("k goes with support 'topk', and only with it")
        if self.refinement is not None:
            if self.d_out is not None:
                raise ConfigError(NO_TARGET)
            self.refinement = Refinement.from_dict(self.refinement).to_dict()
        if self.skip and self.d_out is None:
            raise ConfigError("a skip connection goes with a transcoder; give its d_out")
        if self.apply_b_dec_to_input and self.d_out is not None:
            raise ConfigError("the b_dec of a transcoder is one of its output, not of its input")

    @override
    @classmethod
    def architecture(cls) -> str:
        return ARCHITECTURE


def metadata_of(teacher: Teacher) -> SAEMetadata:
    """The metadata of a copy: the teacher's, with the version that SAELens asks for.

    The teacher's L0, number of dead features and refinement do not hold for the copy.
    A model that is read from a package is named as on the hub, with the package in another key.
    """
    kept = {**teacher.metadata, "teacher": teacher.source, "teacher_family": teacher.family}
    for name in _OF_THE_TEACHER:
        kept.pop(name, None)
    if (model := kept.get("model_name")) in PACKAGED:
        kept |= {"model_name": PACKAGED[model], "model_weights": model}
    for name, value in kept.items():
        if isinstance(value, str) and (name == "teacher" or value.startswith(("/", "~", "."))):
            kept[name] = public_name(value)
    return SAEMetadata(**{**kept, "sae_lens_version": sae_lens.__version__})
