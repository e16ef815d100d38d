"""A comparison as an upgrade would make it, with invented figures: the report needs no model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rsae_evals.results import (
    ActivationCurve,
    Comparison,
    Context,
    Difference,
    FeatureChange,
    FeatureIdentity,
    Histogram,
    IdentityFigure,
    ParetoArea,
    ParetoCurve,
    Variant,
    Verdict,
)

UPGRADE_ARMS = ("teacher", "control", "threshold_only", "rsae_init", "rsae")
WORDS = ["the", "captain", "said", "nothing", "of", "the", "storm", ",", "and", "the", "harbour"]
WORDS += ["lay", "quite", "still", "before", "us", "."]
DELTA_CE_EDGES = np.concatenate([[-1e3], np.linspace(-4, 4, 81), [1e3]])


def histogram(values: np.ndarray, edges: np.ndarray) -> Histogram:
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return Histogram(tuple(map(float, edges)), tuple(map(int, counts)))


def activation(rng: np.random.Generator, gain: float) -> ActivationCurve:
    h = np.linspace(-2.0, 8.0, 241)
    teacher = np.where(h > 0.6, h, 0.0)
    learned = np.where(h > 0.55, h * (1 + gain * np.exp(-((h - 2) ** 2) / 6)), 0.0)
    real = np.concatenate([rng.normal(-0.6, 0.5, 40000), 0.6 + rng.exponential(0.8, 900)])
    return ActivationCurve(
        h=tuple(h),
        learned=tuple(learned),
        teacher=tuple(teacher),
        best=tuple(learned * 0.99),
        threshold=0.6,
        degree=(9, 8),
        pre_activations=histogram(real, np.linspace(-2.0, 8.0, 61)),
        metrics={"gate_mse": 51.6, "gate_mse_best": 51.4, "gate_mse_optimal": 51.3,
                 "gate_error": 0.12},
        n_tokens=1024,
    )  # fmt: skip


def contexts(rng: np.random.Generator, words: list[str]) -> tuple[Context, ...]:
    made = []
    for _ in range(3):
        peak = int(rng.integers(2, len(words) - 2))
        values = np.zeros(len(words))
        values[peak - 1 : peak + 2] = rng.uniform(0.5, 2.5, 3)
        values[peak] = 3 + rng.uniform()
        made.append(Context(tuple(f" {word}" for word in words), tuple(values), peak))
    return tuple(made)


def identity(rng: np.random.Generator, words: list[str]) -> FeatureIdentity:
    cosine = 1 - rng.exponential(0.02, 1152)
    changed = []
    for index in range(12):
        woke, fell = index in (2, 7), index in (4,)
        changed.append(
            FeatureChange(
                feature=17 + 31 * index,
                reference_feature=17 + 31 * index,
                decoder_cosine=0.31 + 0.03 * index,
                firing_jaccard=None if woke or fell else 0.2 + 0.04 * index,
                activation_correlation=None if woke or fell else 0.3 + 0.04 * index,
                density_before=0.0 if woke else 0.012 / (1 + index),
                density_after=0.0 if fell else 0.015 / (1 + index),
                norm_ratio=1.0 + 0.01 * index,
                contexts_before=() if woke else contexts(rng, words),
                contexts_after=() if fell else contexts(rng, words),
            )
        )
    edges = np.linspace(0, 1, 41)
    values = {
        "firing_jaccard": (rng.beta(40, 2, 1152), edges),
        "decoder_cosine": (cosine, np.linspace(-1, 1, 81)),
        "norm_ratio": (rng.normal(1, 0.02, 1152), np.linspace(0.5, 1.5, 41)),
    }
    return FeatureIdentity(
        reference="teacher",
        matched_by="index",
        n_matched=1152,
        n_features=1031,
        least_firings=10,
        n_tokens=30208,
        figures={
            name: IdentityFigure(
                float(np.median(v)), float(np.quantile(v, 0.1)), float(np.mean(v > 0.5)),
                histogram(v, bins),
            )
            for name, (v, bins) in values.items()
        },
        flows={"alive_alive": 1031, "alive_dead": 8, "dead_alive": 40, "dead_dead": 73},
        changed=tuple(changed),
    )  # fmt: skip


def variant(
    rng: np.random.Generator, name: str, mse: float, ce: float, words: list[str]
) -> Variant:
    variance, alive = 268.4, {"teacher": 0.902, "rsae_init": 0.902}.get(name, 0.93)
    metrics: dict[str, float | None] = {
        "mse": mse,
        "explained_variance": 1 - mse / variance,
        "fvu": mse / variance,
        "l0": 68.31 + 0.1 * rng.normal(),
        "l1": 211.0,
        "cossim": 0.891,
        "l2_ratio": 0.93,
        "relative_reconstruction_bias": 1.02,
        "frac_alive": alive,
        "ce_loss_without_sae": 3.412,
        "ce_loss_with_sae": 3.412 + ce,
        "ce_loss_with_ablation": 11.02,
        "delta_ce": ce,
        "ce_loss_score": 1 - ce / 7.608,
        "kl_div_with_sae": 0.9 * ce,
        "sae_top_1_test_accuracy": 0.71,
        "sae_top_5_test_accuracy": 0.78,
    }
    is_rational = name in ("rsae", "rsae_init")
    return Variant(
        name=name,
        detail={
            "class": "RSAE" if is_rational else "StandardSAE", "source": "demo:relu",
            "d_in": 576, "d_sae": 1152, "family": "rational" if is_rational else "relu",
            "weights_sha256": name.encode().hex().ljust(64, "0"),
        },
        metrics=metrics,
        per_seed={"mse": (mse,)},
        per_sequence={"mse": tuple(mse + rng.normal(0, 3, 24))},
        density=histogram(rng.normal(-1.6, 0.5, int(1152 * alive)), np.linspace(-5, 0, 51)),
        delta_ce=histogram(rng.standard_t(3, 24000) * 0.3 + ce, DELTA_CE_EDGES),
        activation=activation(rng, 0.15 if name == "rsae" else 0.0) if is_rational else None,
        identity=None if name == "teacher" else identity(rng, words),
    )  # fmt: skip


def differences(variants: tuple[Variant, ...], verdict: Verdict) -> tuple[Difference, ...]:
    found = []
    for late, later in enumerate(variants):
        for earlier in variants[:late]:
            for metric, value in later.metrics.items():
                before = earlier.metrics[metric]
                assert value is not None
                assert before is not None
                gap = value - before
                width = 0.1 * abs(gap) + 1e-3
                sure = metric in ("mse", "explained_variance", "delta_ce", "ce_loss_score")
                found.append(
                    Difference(
                        metric, earlier.name, later.name, gap, gap - width, gap + width,
                        verdict if sure else Verdict.CANNOT_TELL,
                        "" if sure else "the interval contains zero",
                    )
                )  # fmt: skip
    return tuple(found)


def build(
    names: tuple[str, ...] = UPGRADE_ARMS,
    verdict: Verdict = Verdict.BETTER,
    words: list[str] | None = None,
    **changes: Any,
) -> Comparison:
    """A comparison of `names`, the last one `verdict` against each earlier one."""
    rng = np.random.default_rng(5)
    figures = {
        "teacher": (57.43, 0.214), "control": (53.04, 0.181), "threshold_only": (52.61, 0.179),
        "rsae_init": (57.44, 0.214), "rsae": (51.63, 0.172),
    }  # fmt: skip
    variants = tuple(
        variant(rng, name, *figures.get(name, (55.0 - index, 0.2)), words or WORDS)
        for index, name in enumerate(names)
    )
    fields: dict[str, Any] = {
        "variants": variants,
        "differences": differences(variants, verdict),
        "conclusions": tuple(
            Difference("overall", earlier.name, later.name, None, None, None, verdict,
                       f"reconstruction and downstream loss are {verdict.value}")
            for late, later in enumerate(variants)
            for earlier in variants[:late]
        ),
        "tokens": {"n_tokens": 30208, "n_sequences": 236, "sha256": "9f2c" * 16,
                   "n_tokens_downstream": 15104},
        "level": 0.95,
        "pareto": tuple(
            ParetoCurve(each.name, "mse", (20.0, 40.0, 80.0, 160.0),
                        tuple(float(each.metrics["mse"] or 0) * f for f in (1.5, 1.2, 0.95, 0.7)))
            for each in variants if each.name in ("control", "threshold_only", "rsae")
        ),
        "areas": (ParetoArea("rsae", "control", "mse", 20.0, 160.0, -1.3),),
        "untrained": {
            "residual channels": {"sae_top_1_test_accuracy": 0.64, "sae_top_5_test_accuracy": 0.7},
            "random dictionary": {"sae_top_1_test_accuracy": 0.58, "sae_top_5_test_accuracy": 0.66},
        },
        "warnings": (),
        "undefined": {"teacher/kl_div_with_ablation": "not asked for"},
        "provenance": {
            "host": "SmolLM2-135M-Instruct", "hook_name": "blocks.12.hook_resid_post",
            "command": "rsae upgrade demo:relu --out runs/relu --seed 0", "seeds": [0],
            "versions": {"rsae": "0.1.0", "sae_lens": "6.54.12", "torch": "2.13.0"},
        },
    }  # fmt: skip
    return Comparison(**(fields | changes))


@pytest.fixture(scope="session")
def make_comparison() -> Callable[..., Comparison]:
    return build


@pytest.fixture(scope="session")
def comparison() -> Comparison:
    return build()
