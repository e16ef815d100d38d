"""What an upgrade will do: how much of the SAE may change, what is trained, what the result is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rsae.errors import ConfigError
from rsae.pretrained import Teacher
from rsae.sae.config import NO_TARGET
from rsae.upgrading.config import Kept, UpgradeConfig

__all__ = ["Plan", "Step", "TrainedName", "is_nested", "plan"]

TrainedName = Literal["control", "threshold_only", "rational"]
Step = Literal["none", "refined", "pursued"]

# Measured on synthetic worlds with known features and on language models: docs/rsae/results.md.
_BY_FAMILY: dict[str, Kept] = {"relu": "nothing", "jumprelu": "features", "topk": "features"}
# A transcoder cannot be refined, so that something has to be trained: as little as there is.
_OF_TRANSCODERS: dict[str, Kept] = {
    family: "directions" if kept == "features" else kept for family, kept in _BY_FAMILY.items()
}

_CHANGES = {
    "features": "no weight is trained",
    "directions": "the decoder stays as it is, encoder and thresholds are trained",
    "nothing": "every weight is trained",
}
_STEPS = {
    "none": "not refined",
    "refined": "then activations are refined on the features that fire",
    "pursued": "then active features are chosen once more, each as often as before, and refined",
}
_PARTS = {"control": "training", "threshold_only": "thresholds", "rational": "the rational"}


@dataclass(frozen=True)
class Plan:
    """One upgrade, decided before anything is computed.

    Attributes:
        keep: What is not trained: "features", "directions" or "nothing".
        base: The variant that the result is made from: "teacher" or a trained one.
        step: The next step: "refined" (conjugate gradients), "pursued" (pursuit first) or "none".
        trained: The variants to train, in the order of the table.
        family: The family of the teacher.
        chosen: Whether `keep` was chosen for the family, and not by the user.
        transcodes: Whether the teacher is a transcoder: nothing is refined or pursued.
    """

    keep: Kept
    base: Literal["teacher"] | TrainedName
    step: Step
    trained: tuple[TrainedName, ...]
    family: str
    chosen: bool
    transcodes: bool = False

    @property
    def sentence(self) -> str:
        """What will be done, in one sentence."""
        kind = "transcoders" if self.transcodes else "SAEs"
        why = f" (the default for {self.family} {kind})" if self.chosen else ""
        what = _CHANGES[self.keep]
        if self.base == "threshold_only":
            what += ", the activation stays as it is"
        step = "a transcoder is not refined" if self.transcodes else _STEPS[self.step]
        return f"Keep {self.keep}{why}: {what}, {step}."

    @property
    def copy_step(self) -> Step:
        """What follows each trained variant in the table, so that all are treated alike."""
        return "refined" if self.step == "none" else self.step

    @property
    def baseline(self) -> str:
        """The variant that the result is measured against.

        The teacher itself where the result is not trained; else the teacher, fine-tuned by its own
        family's objective, and refined as the result is. Where that training is the result itself
        (JumpReLU), or where no baseline is trained, the teacher that is only refined.
        """
        if self.base == "teacher":
            return "teacher"
        others = [name for name in ("control", "threshold_only") if name in self.trained]
        control = others[0] if others and others[0] != self.base else "teacher"
        return control if self.step == "none" else f"{control}_{self.step}"

    def made_of(self, variants: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        """(what was added, variant) from the teacher to the result, over those measured."""
        order = [name for name in _PARTS if name in self.trained]
        trained = order[: order.index(self.base) + 1] if self.base in order else []
        chain = [(_PARTS[name], name) for name in trained]
        if trained and trained[0] == "threshold_only":  # a JumpReLU's control and thresholds
            chain[0] = ("training and thresholds", "threshold_only")
        elif trained == ["rational"]:
            chain[0] = ("training with the rational", "rational")
        if self.step == "none":
            return (*chain[:-1], (chain[-1][0], "rsae"))
        if self.step == "refined":
            return (*chain, ("refinement", "rsae"))
        if f"{self.base}_refined" in variants:
            return (*chain, ("refinement", f"{self.base}_refined"), ("pursuit", "rsae"))
        return (*chain, ("refinement and pursuit", "rsae"))


def plan(teacher: Teacher, config: UpgradeConfig) -> Plan:
    """Decide from the teacher's family and the settings.

    "auto" keeps features for JumpReLU (to which BatchTopK and Matryoshka SAEs belong) and TopK,
    and nothing for L1-trained ReLU SAEs, which find more known features when they are trained. A
    rational that is to be trained, and the paper's objective, mean "nothing". The L1 families are
    refined without pursuit, which costs them known features; so is whatever was trained in full.

    A transcoder is not refined, since it does not know the output of the MLP when it encodes:
    "auto" keeps directions where it keeps the features of an SAE.

    Raises:
        ConfigError: The features of a transcoder are to be kept, so that nothing could be done.
    """
    chosen = config.keep == "auto"
    trains_rational = config.rational.trained or config.rational.form != "magnitude"
    keep: Kept
    if config.keep != "auto":
        keep = config.keep
    elif config.objective == "l1" or trains_rational:
        keep, chosen = "nothing", False
    else:
        keep = (_OF_TRANSCODERS if teacher.transcodes else _BY_FAMILY)[teacher.family]
    step: Step = "refined" if keep == "nothing" or teacher.family == "relu" else "pursued"
    if teacher.transcodes and keep == "features":
        raise ConfigError(
            f"keep directions or nothing of a transcoder, not the features alone: {NO_TARGET}"
        )
    if teacher.transcodes or (config.objective == "l1" and keep != "features"):
        step = "none"
    variants: tuple[TrainedName, ...] = ("control", "threshold_only", "rational")
    if teacher.family == "jumprelu" and config.objective == "family":
        variants = ("threshold_only", "rational")  # its own objective trains thresholds
    if keep == "features":
        trained = variants if config.baselines else ()
        return Plan(keep, "teacher", step, trained, teacher.family, chosen)
    base: TrainedName = "rational" if trains_rational else "threshold_only"
    if not (config.baselines or trains_rational):
        variants = tuple(name for name in variants if name != "rational")
    if config.only == "rsae":
        variants = (base,)
    return Plan(keep, base, step, variants, teacher.family, chosen, teacher.transcodes)


def is_nested(teacher: Teacher) -> bool:
    """Whether its metadata says that prefixes of its dictionary were trained to reconstruct too."""
    details = teacher.metadata.get("training_architecture_details")
    widths = details.get("matryoshka_widths") if isinstance(details, dict) else None
    names = (teacher.metadata.get(key) for key in ("training_architecture", "architecture"))
    return bool(widths) or any("matryoshka" in str(name).lower() for name in names)
