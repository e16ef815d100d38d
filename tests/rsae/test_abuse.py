"""Numbers that no upgrade can be made of: an answer, or one sentence that says so."""

import math
import warnings
from dataclasses import fields

import numpy as np
import pytest
import torch
from tests.rsae import saes

import rsae
from rsae import RationalConfig, UpgradeConfig
from rsae.errors import ConfigError, RsaeError
from rsae.train import TrainConfig
from rsae.train.controller import ControllerConfig
from rsae.upgrading.config import config_from_toml

X = saes.inputs(400)
CONFIG = UpgradeConfig(train=TrainConfig(steps=3, batch_size=64), calibration_tokens=40)


def outcome(*given, config=CONFIG, **more):
    """The result, or one line; never a warning of numpy's or torch's numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return rsae.upgrade(*given, config, **more)
        except RsaeError as error:
            return str(error)


@pytest.mark.parametrize("family", saes.FAMILIES)
@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(400, 12),
        torch.ones(400, 12),
        X * 1e-30,
        X * 1e-20,
        X * 1e30,
        X * 1e19,
        X.double().numpy() * 1e200,
        X.clone().fill_(math.nan),
        torch.cat([X[:-1], torch.full((1, 12), math.inf)]),
        X[:3],
        X[:0],
        X[0],
        X[:, :5],
        X.long(),
        X > 0,
        iter([]),
        [],
        [X[:5, :3], X],
        ["text"],
        None,
        7,
        "activations",
        np.array([["a", "b"]]),
        np.array(1.0),
    ],
    ids=range(24),
)
def test_activations_that_are_none_are_one_sentence(family, x):
    said = outcome(saes.teacher(family), x)
    assert isinstance(said, str)
    assert "\n" not in said


@pytest.mark.parametrize("family", saes.FAMILIES)
def test_a_dead_teacher_is_told(family):
    from dataclasses import replace

    origin = saes.teacher(family)
    dead = replace(origin, b_enc=torch.full_like(origin.b_enc, -1e6))
    assert "no feature" in outcome(dead, X)
    nothing = replace(origin, W_dec=torch.zeros_like(origin.W_dec))
    assert outcome(nothing, X) is not None


@pytest.mark.parametrize("family", saes.FAMILIES)
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_small_and_large_units_are_units(family, scale):
    found = outcome(saes.teacher(family, scale=scale), X * scale)
    assert math.isfinite(found.metrics["rsae"].mse)


@pytest.mark.parametrize(
    "shape",
    [
        lambda x: x.numpy(),
        lambda x: x.numpy().astype("float64"),
        lambda x: x.half().numpy(),
        lambda x: x.reshape(20, 20, 12),
        lambda x: x.reshape(20, 20, 12).numpy(),
        lambda x: iter(x.split(64)),
        lambda x: list(x.numpy().reshape(4, 10, 10, 12)),
        lambda x: x.numpy()[::-1],
        lambda x: x.requires_grad_(),
    ],
)
def test_arrays_of_any_kind_are_activations(shape):
    found = outcome(saes.teacher("relu"), shape(X.clone()))
    assert found.metrics["rsae"].n_tokens == 40


def test_a_name_is_a_teacher_and_so_is_a_path():
    x = np.random.default_rng(0).normal(size=(200, 576)).astype("float32") * 5
    config = UpgradeConfig(train=TrainConfig(steps=0), calibration_tokens=40)
    assert outcome("demo:relu", x, config=config).rsae.cfg.d_in == 576


CONFIGS = (RationalConfig, TrainConfig, ControllerConfig, UpgradeConfig)
WRONG = (math.nan, math.inf, -math.inf, None, "x", [1.5], {}, 1e400, -(10**400), True, object())


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("value", WRONG, ids=range(len(WRONG)))
def test_no_setting_is_of_another_kind(kind, value):
    for field in fields(kind):
        if value is True and field.type == "bool":
            continue
        with pytest.raises(ConfigError) as caught:
            kind(**{field.name: value})
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", '"x"', "[1]", "{}", "true", "1979-05-27"])
def test_no_setting_of_a_file_is_of_another_kind(tmp_path, value):
    tables = {"": UpgradeConfig(), "rational": RationalConfig(), "train": TrainConfig()}
    tables["train.controller"] = ControllerConfig()
    for table, record in tables.items():
        for field in fields(record):
            head = f"[{table}]\n" if table else ""
            (tmp_path / "x.toml").write_text(f"{head}{field.name} = {value}\n")
            if value == "{}" and field.name in ("rational", "train", "controller"):
                continue
            if value == "true" and field.type == "bool":
                continue
            with pytest.raises(ConfigError):
                config_from_toml(tmp_path / "x.toml", UpgradeConfig())
