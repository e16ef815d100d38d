"""What is measured: the cells of the experiment on language models, as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

FAMILIES = ("relu", "jumprelu", "topk", "batchtopk")

#: SAELens' L1 coefficient that gives a ReLU SAE about this L0, for the models below.
L1_BY_L0 = {20: 2.6, 50: 1.3, 100: 0.7, 200: 0.3}


@dataclass(frozen=True)
class Cell:
    """One teacher and everything that is made from it.

    Attributes:
        model: Name for `rsae.language_model.host.load_host`.
        layer: The residual stream after this layer is reconstructed.
        family: Family of the teacher.
        l0: The teacher's k, or the L0 that its training aims at.
        seed: Random seed of the teacher, its batches, and the order of fine-tuning.
    """

    model: str
    layer: int
    family: str
    l0: int
    seed: int

    @property
    def hook_name(self) -> str:
        """The hook of the activations."""
        return f"blocks.{self.layer}.hook_resid_post"

    @property
    def group(self) -> str:
        """What the seeds of a row of the tables have in common."""
        return f"{self.model}-{self.layer}-{self.family}-{self.l0}"

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{self.group}-{self.seed}"


@dataclass(frozen=True)
class WorldCell:
    """One teacher of a synthetic world and everything that is made from it.

    Attributes:
        world: Random seed of the world.
        family: Family of the teacher.
        repetition: 0, 1, …: which of the world's teachers of this family.
    """

    world: int
    family: str
    repetition: int

    @property
    def offset(self) -> int:
        """What is added to every random seed but the world's, so that no two cells share one."""
        return 1_000 * self.repetition

    @property
    def teacher_seed(self) -> int:
        """Random seed of the teacher and of the samples that it is trained on."""
        return self.world + 1_000 + self.offset

    @property
    def folder(self) -> str:
        """The folder of the world and its teachers."""
        return f"{self.world}-{self.teacher_seed}"

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{self.family}-{self.folder}"


@dataclass(frozen=True)
class Experiment:
    """A set of cells and the sizes that they share.

    Attributes:
        layers: Layers by model.
        l0s, seeds, families: The values that are crossed.
        train_tokens: Tokens that teachers and variants are trained on, at most.
        calibration_tokens: Tokens on which L0 is matched and pursuits are calibrated.
        teacher_steps: Steps of 512 tokens of a teacher's training.
        steps: Steps of 1024 tokens of each variant's training.
        d_sae: Number of features.
        documents: Number of documents that are evaluated on, and on nothing else.
        sequences: Sequences of 128 tokens taken of each of them.
        spliced: Sequences that are spliced into the language model, in all.
        texts: Labelled texts for probing.
    """

    layers: dict[str, tuple[int, ...]]
    l0s: tuple[int, ...]
    seeds: tuple[int, ...] = (100, 101, 102)
    families: tuple[str, ...] = FAMILIES
    train_tokens: int = 150_000
    calibration_tokens: int = 8_192
    teacher_steps: int = 1_000
    steps: int = 400
    d_sae: int = 1_024
    documents: int = 24
    sequences: int = 4
    spliced: int = 96
    texts: int = 2_400
    context_size: int = field(default=128, kw_only=True)

    def cells(self) -> Iterator[Cell]:
        """All cells, seed by seed, so that an interrupted run has every family."""
        for l0, seed, (model, layers) in product(self.l0s, self.seeds, self.layers.items()):
            for layer, family in product(layers, self.families):
                yield Cell(model, layer, family, l0, seed)


#: No setting of this project was chosen on these layers, documents or seeds.
EXPERIMENTS = {
    "reduced": Experiment(
        {"smollm2": (20,)}, (50,), train_tokens=80_000, teacher_steps=600, spliced=24, texts=600
    ),
    "full": Experiment({"smollm2": (8, 20), "gemma3-270m": (6, 12)}, (20, 50, 100, 200)),
}

#: Synthetic worlds on which nothing was chosen, and how many teachers of each family a world has.
WORLDS = (41, 42, 43)
TEACHERS_PER_WORLD = 3
WORLD_FAMILIES = (*FAMILIES, "matryoshka")
WORLD_STEPS = 400


def world_cells() -> Iterator[WorldCell]:
    """All cells on synthetic worlds; an interrupted run has every world and family early."""
    for repetition, world in product(range(TEACHERS_PER_WORLD), WORLDS):
        for family in WORLD_FAMILIES:
            yield WorldCell(world, family, repetition)
