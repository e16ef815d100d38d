"""Arguments of any kind and size in Python: an answer, or one sentence that says what to give."""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.rsae import saes

import rsae
from rsae.data import Activations
from rsae.errors import RsaeError
from rsae.memory import memory_budget
from rsae.sae.export import export_jumprelu
from rsae_evals import compare, evaluate, evaluation_set

X = saes.inputs(400)
NO_ACTIVATIONS = {
    "none": X[:0],
    "one vector": X[0],
    "narrow": X[:, :5],
    "whole": X.long(),
    "yes or no": X > 0,
    "complex": X.to(torch.complex64),
    "sparse": X.to_sparse(),
    "meta": X.to("meta"),
    "NaN": X * math.nan,
    "infinite": torch.cat([X[:-1], torch.full((1, 12), math.inf)]),
    "objects": np.array([[None] * 12] * 400),
    "texts": np.array([["a"] * 12] * 400),
    "masked": np.ma.masked_array(X.numpy(), mask=X.numpy() > 0),
    "list": X.tolist(),
    "empty list": [],
    "iterator": iter([]),
    "text": "x",
    "number": 3,
}
ACTIVATIONS = {
    "half": X.half(),
    "bfloat16": X.bfloat16(),
    "double": X.double(),
    "array": X.numpy(),
    "array of half": X.half().numpy(),
    "other byte order": X.numpy().astype(">f4"),
    "long double": X.numpy().astype(np.longdouble),
    "Fortran": np.asfortranarray(X.numpy()),
    "backwards": X.numpy()[::-1],
    "strided": X.t().contiguous().t(),
    "with gradient": X.clone().requires_grad_(),
    "five": X[:5],
    "zeros": torch.zeros(400, 12),
    "ones": torch.ones(400, 12),
    "tiny": X * 1e-30,
}


def outcome(make):
    """The result, or None for one line; never a warning of numpy's or torch's numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return make()
        except RsaeError as error:
            said = str(error)
    assert "\n" not in said
    assert len(said) < 620
    return None


@pytest.mark.parametrize("x", NO_ACTIVATIONS.values(), ids=NO_ACTIVATIONS)
def test_what_is_no_activation_is_one_sentence(x):
    teacher = saes.teacher("jumprelu")
    whole = rsae.refine(teacher)
    for make in (
        lambda: rsae.refine(teacher, x, method="minimax"),
        lambda: compare({"a": teacher, "b": teacher}, evaluation_set(x)),
        lambda: export_jumprelu(whole, Activations.from_tensor(x)),
    ):
        assert outcome(make) is None


@pytest.mark.parametrize("x", ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_arrays_of_floats_are_activations(x):
    teacher = saes.teacher("jumprelu")
    assert outcome(lambda: Activations.from_tensor(x)).n_tokens == len(x)
    assert outcome(lambda: compare({"a": teacher, "b": teacher}, evaluation_set(x))) is not None
    assert outcome(lambda: rsae.refine(teacher, x, method="minimax")) is not None


@pytest.mark.parametrize("family", saes.FAMILIES)
@pytest.mark.parametrize("scale", [1.0, 1e30, 1e-30, 0.0])
def test_dead_tiny_and_huge_saes_have_an_answer(family, scale):
    origin = saes.teacher(family)
    dead = replace(origin, b_enc=torch.full_like(origin.b_enc, -1e6))
    nothing = replace(origin, W_dec=torch.zeros_like(origin.W_dec))
    scaled = replace(origin, W_dec=origin.W_dec * scale)
    for one in (dead, nothing, scaled):
        outcome(lambda one=one: compare({"a": one, "b": origin}, evaluation_set(X * scale)))


@pytest.mark.parametrize("family", saes.FAMILIES)
def test_one_feature_and_one_dimension(family):
    origin = saes.teacher(family)
    threshold = None if origin.threshold is None else origin.threshold[:1]
    feature = replace(
        origin, W_enc=origin.W_enc[:, :1], b_enc=origin.b_enc[:1], W_dec=origin.W_dec[:1],
        threshold=threshold, k=origin.k and 1,
    )  # fmt: skip
    line = replace(
        origin, W_enc=origin.W_enc[:1], W_dec=origin.W_dec[:, :1], b_dec=origin.b_dec[:1]
    )
    assert outcome(lambda: compare({"a": feature, "b": origin}, evaluation_set(X))) is not None
    assert outcome(lambda: compare({"a": line}, evaluation_set(X[:, :1]))) is not None
    for method in ("cg", "exact", "minimax"):
        assert outcome(lambda method=method: rsae.refine(feature, X, method=method)) is not None


@pytest.mark.parametrize("k", [0, -1, 1.5, "x", True, 10**30, math.nan])
def test_k_is_a_number_of_features(k):
    assert outcome(lambda: replace(saes.teacher("topk"), k=k)) is None


@pytest.mark.parametrize("steps", [0, -1, 1.5, "3", None, True, 10**30, math.nan])
def test_steps_are_a_number(steps):
    assert outcome(lambda: rsae.refine(saes.teacher("relu"), X, steps=steps)) is None


EYE, ZERO = torch.eye(12), torch.zeros(12)


@pytest.mark.parametrize(
    "variants",
    [
        {}, {"a": []}, {"a": None}, {"a": 3}, {3: saes.teacher("relu")}, None, [], "x", {"a": {}},
        {"a": {"W_enc": 1}},
        {"a": {"W_enc": EYE, "b_enc": ZERO, "W_dec": EYE, "b_dec": ZERO[:2]}},
        {"a": {"W_enc": EYE, "b_enc": ZERO, "W_dec": EYE, "b_dec": ZERO, "k": "x"}},
        {"a": {"W_enc": EYE.long(), "b_enc": ZERO, "W_dec": EYE, "b_dec": ZERO}},
        {"a": {"W_enc": EYE.numpy(), "b_enc": ZERO, "W_dec": EYE, "b_dec": ZERO}},
    ],
    ids=range(14),
)  # fmt: skip
def test_variants_are_saes_by_name(variants):
    assert outcome(lambda: compare(variants, evaluation_set(X))) is None


@pytest.mark.parametrize("wrong", ["x", [3], None, X, X.numpy()], ids=range(5))
def test_sets_metrics_levels_and_budgets_are_of_their_kind(wrong):
    teacher = saes.teacher("relu")
    assert outcome(lambda: compare({"a": teacher}, wrong)) is None
    assert outcome(lambda: evaluate([teacher], evaluation_set(X), wrong)) is None
    assert outcome(lambda: compare({"a": teacher}, evaluation_set(X), level=wrong)) is None
    if wrong is not None:
        assert outcome(lambda: memory_budget(wrong).__enter__()) is None
