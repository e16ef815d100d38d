"""One cell on a language model: train a teacher, make the variants, evaluate all of them alike."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scripts.train_teachers import Settings, made_with, save, trained

from experiments.records import SHARED, compact
from experiments.specification import Cell, Experiment
from experiments.variants import make_variants
from rsae.data import Activations, ActivationStore, harvest
from rsae.data.text import Tokens, documents, split, tokenize
from rsae.language_model.host import Host, load_host
from rsae.metrics import spread
from rsae.pretrained import Teacher, load_teacher
from rsae.sae.model import RSAE
from rsae.upgrading import Sample
from rsae_evals import Probing, Reconstruction, Splicing, as_coder, evaluate, evaluation_set
from rsae_evals.analysis.feature_identity import identities
from rsae_evals.data.evaluation_set import EvaluationSet
from rsae_evals.evaluation import figures
from rsae_evals.metrics.measurement import Metric
from rsae_evals.metrics.probing.texts import LabelledTexts, packaged
from rsae_evals.results import FeatureIdentity

BATCH_SIZE, LR = 512, 2e-3  # of the teachers
SPLIT_SEED = 14  # of the choice of the documents that are evaluated on
CALIBRATION_EVERY = 8  # one training sequence in so many
PROBED = ("teacher", "teacher_refined", "teacher_pursued", "threshold_only_refined")


@dataclass(frozen=True, eq=False)
class Setting:
    """The tokens and activations that all cells of one model share.

    Attributes:
        model: The name of the language model.
        experiment: The sizes.
        folder: Where activations, teachers and variants are kept.
    """

    model: str
    experiment: Experiment
    folder: Path

    @cached_property
    def host(self) -> Host:
        """The language model."""
        return load_host(self.model)

    @cached_property
    def store(self) -> ActivationStore:
        """Activations at all layers: "train", "calibration" and "evaluation"."""
        context = self.experiment.context_size
        train_on, evaluate_on = chosen_documents(self.experiment.documents)
        pool = tokenize(self.host, train_on, context)
        pool = pool.sample(min(self.experiment.train_tokens, pool.n_tokens))
        every = torch.arange(len(pool.ids)) % CALIBRATION_EVERY == 0
        tokens = {
            "train": _rows(pool, ~every),
            "calibration": _rows(pool, every),
            "evaluation": first_sequences(
                tokenize(self.host, evaluate_on, context), self.experiment.sequences
            ),
        }
        hooks = [f"blocks.{n}.hook_resid_post" for n in self.experiment.layers[self.model]]
        return harvest(self.host, tokens, hooks, self.folder / "activations" / self.model)

    def evaluation(self, hook_name: str) -> EvaluationSet:
        """The evaluation set at a hook."""
        return evaluation_set(
            self.store.split("evaluation", hook_name),
            self.store.tokens("evaluation"),
            host=self.host,
            hook_name=hook_name,
        )


def chosen_documents(n: int) -> tuple[list[Any], list[Any]]:
    """(to train and calibrate on, to evaluate on): whole documents of the packaged text.

    The documents that `rsae upgrade` holds out are not evaluated on: settings were chosen there.
    """
    fresh, used = split(documents(), heldout=0.1, seed=0)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(fresh)).tolist()
    return [*used, *(fresh[i] for i in sorted(order[n:]))], [fresh[i] for i in sorted(order[:n])]


def first_sequences(tokens: Tokens, n: int) -> Tokens:
    """At most n sequences of each document, so that all documents count about alike."""
    seen: dict[int, int] = {}
    chosen = torch.zeros(len(tokens.ids), dtype=torch.bool)
    for row, document in enumerate(tokens.document.tolist()):
        seen[document] = seen.get(document, 0) + 1
        chosen[row] = seen[document] <= n
    return _rows(tokens, chosen)


def _rows(tokens: Tokens, chosen: torch.Tensor) -> Tokens:
    return Tokens(tokens.ids[chosen], tokens.special[chosen], tokens.document[chosen])


def run(cell: Cell, setting: Setting, l1_coefficient: float) -> dict[str, Any]:
    """The record of a cell; what was trained is kept, so that an interrupted cell goes on."""
    begin = time.perf_counter()
    teacher = make_teacher(cell, setting, l1_coefficient)
    variants = variants_of(cell, setting, teacher)
    record = measure(variants, setting, cell)
    return {"cell": cell.name, "seconds": round(time.perf_counter() - begin), **record}


def make_teacher(cell: Cell, setting: Setting, l1_coefficient: float) -> Teacher:
    """An SAE of SAELens' own trainer, trained or read back."""
    store, sizes = setting.store, setting.experiment
    settings = Settings(
        cell.model, cell.hook_name, cell.family, sizes.d_sae, cell.l0, l1_coefficient,
        sizes.teacher_steps, BATCH_SIZE, LR, cell.seed, sizes.context_size,
        store.tokens("train").sha256,
    )  # fmt: skip
    folder = setting.folder / "teachers" / cell.name
    if made_with(folder) != asdict(settings):
        train = store.split("train", cell.hook_name)
        save(trained(settings, train), settings, folder, store.tokens("train").sketch())
    return load_teacher(folder)


def variants_of(cell: Cell, setting: Setting, teacher: Teacher) -> dict[str, RSAE]:
    """All variants of a cell, trained or read back."""
    store, sizes = setting.store, setting.experiment
    calibration = spread(
        store.split("calibration", cell.hook_name).tensor(), sizes.calibration_tokens
    )
    sample = Sample(
        store.split("train", cell.hook_name),
        Activations.from_tensor(calibration),
        Activations.from_tensor(spread(calibration, 1_024)),  # the records hold what is reported
    )
    folder = setting.folder / "upgrades" / cell.name
    return make_variants(teacher, sample, steps=sizes.steps, seed=cell.seed, folder=folder)


def measure(variants: dict[str, RSAE], setting: Setting, cell: Cell) -> dict[str, Any]:
    """Every variant's figures and sums on the evaluation set, and its identity with the teacher."""
    heldout = setting.evaluation(cell.hook_name)
    metrics: list[Metric] = [Reconstruction(), Splicing(setting.experiment.spliced)]
    found = evaluate(list(variants.values()), heldout, metrics)
    probed = {name: variants[name] for name in PROBED if name in variants}
    probing = Probing(fewer(packaged(), setting.experiment.texts))
    accuracies = evaluate(list(probed.values()), heldout, [probing])
    saes = {name: as_coder(sae) for name, sae in variants.items()}
    same = identities(saes, saes["teacher"], "teacher", heldout)
    sums = {name: compact(one.measurements) for name, one in zip(variants, found, strict=True)}
    variants: dict[str, Any] = {
        name: {
            "figures": known(figures(metrics, one.measurements)),
            "identity": medians(same[name]),
            "sums": {k: v for k, v in sums[name].items() if k not in SHARED},
        }
        for name, one in zip(variants, found, strict=True)
    }
    for name, one in zip(probed, accuracies, strict=True):
        variants[name]["figures"] |= known(figures([probing], one.measurements))
    shared = {name: sums["teacher"][name] for name in SHARED}
    return {"evaluation_sha256": heldout.sha256, "sums": shared, "variants": variants}


def known(values: Mapping[str, float]) -> dict[str, float | None]:
    """Figures for JSON: None where one is undefined."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def medians(found: FeatureIdentity | None) -> dict[str, Any]:
    """[median, 10th percentile] of each figure of identity, and what became of dead features."""
    if found is None:
        return {}
    values = {k: [v.median, v.tenth_percentile] for k, v in found.figures.items()}
    return {**values, "matched_by": found.matched_by, "flows": found.flows}


def fewer(texts: LabelledTexts, n: int) -> LabelledTexts:
    """Every m-th labelled text."""
    step = max(1, len(texts.texts) // n)
    labels = {task: values[::step] for task, values in texts.labels.items()}
    return LabelledTexts(texts.name, texts.texts[::step], labels)
