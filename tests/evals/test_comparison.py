import json
from dataclasses import replace

import pytest

from rsae_evals.results import (
    ActivationCurve,
    Comparison,
    Context,
    Difference,
    FeatureChange,
    FeatureIdentity,
    GainPart,
    Histogram,
    IdentityFigure,
    ParetoArea,
    ParetoCurve,
    Variant,
    Verdict,
)


def a_comparison() -> Comparison:
    histogram = Histogram((0.0, 0.5, 1.0), (3, 4))
    context = Context(("a", " b"), (0.0, 1.5), 1)
    identity = FeatureIdentity(
        reference="teacher",
        matched_by="index",
        n_matched=5,
        n_features=4,
        least_firings=10,
        n_tokens=10,
        figures={"firing_jaccard": IdentityFigure(0.9, None, 1.0, histogram)},
        flows={"alive_alive": 3, "alive_dead": 1, "dead_alive": 0, "dead_dead": 0},
        changed=(FeatureChange(7, 7, 0.2, None, None, 0.1, 0.0, 1.1, (context,), ()),),
    )
    curve = ActivationCurve(
        (0.0, 1.0), (0.0, 1.1), (0.0, 1.0), None, 0.5, (3, 2), histogram, {}, 10
    )
    variants = tuple(
        Variant(
            name=name,
            detail={"d_sae": 8},
            metrics={"mse": 1.0, "ce_loss_score": None},
            per_seed={"mse": (0.9, 1.1)},
            per_sequence={"mse": (1.0, None)},
            density=histogram,
            activation=curve,
            identity=identity,
        )
        for name in ("teacher", "rsae")
    )
    difference = Difference("mse", "teacher", "rsae", -0.1, -0.2, -0.05, Verdict.BETTER)
    overall = Difference("overall", "teacher", "rsae", None, None, None, Verdict.BETTER, "why")
    return Comparison(
        variants=variants,
        differences=(difference,),
        conclusions=(overall,),
        tokens={"n_tokens": 10, "sha256": "x"},
        level=0.95,
        pareto=(ParetoCurve("rsae", "mse", (20.0, 30.0), (2.0, 1.0)),),
        areas=(ParetoArea("rsae", "teacher", "mse", 20.0, 30.0, -0.1),),
        warnings=("strict L0 differs",),
        gain=(GainPart("mse", "training", "teacher", "rsae", -0.1, 1.0),),
        undefined={"rsae/ce_loss_score": "ablation is no worse than the clean run"},
    )


def test_a_comparison_survives_json():
    comparison = replace(a_comparison(), known_features=a_comparison())
    assert Comparison.from_dict(json.loads(json.dumps(comparison.to_dict()))) == comparison


def test_another_schema_is_refused():
    with pytest.raises(ValueError, match="schema"):
        Comparison.from_dict({**a_comparison().to_dict(), "schema": 99})


def test_lookups():
    comparison = a_comparison()
    assert comparison.variant("rsae").name == "rsae"
    assert comparison.difference("mse", "rsae", "teacher").verdict is Verdict.BETTER
    assert comparison.difference("overall", "rsae", "teacher").reason == "why"
    with pytest.raises(KeyError):
        comparison.difference("mse", "teacher", "rsae")
