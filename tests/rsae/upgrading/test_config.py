import pytest

from rsae import RationalConfig, UpgradeConfig
from rsae.errors import ConfigError
from rsae.train import TrainConfig
from rsae.upgrading import config_from_toml, preset


def test_toml_replaces_what_it_names_and_nothing_else(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text(
        "seed = 3\n[rational]\ndegree = [5, 4]\n[train]\nlr = 1\n[train.controller]\nreach = 9\n"
    )
    config = config_from_toml(file, UpgradeConfig())
    assert (config.seed, config.rational.degree, config.train.lr) == (3, (5, 4), 1.0)
    assert config.train.controller.reach == 9.0
    assert config.train.steps == UpgradeConfig().train.steps


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("sed = 3", "sed"),
        ("seed = 'three'", "seed"),
        ("train = 4", "train"),
        ("[train]\nsteps = -1", "steps"),
        ("[train]\nsteps = 1.5", "steps"),
        ("[rational]\nform = 'square'", "square"),
        ("not toml", "TOML"),
    ],
)
def test_a_mistake_is_named_in_one_line(tmp_path, text, named):
    file = tmp_path / "c.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=named) as caught:
        config_from_toml(file, UpgradeConfig())
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.toml"):
        config_from_toml(tmp_path / "absent.toml", UpgradeConfig())


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (RationalConfig, {"delta": 0}),
        (RationalConfig, {"degree": (3,)}),
        (RationalConfig, {"layers": 9}),
        (TrainConfig, {"lr": -1}),
        (TrainConfig, {"batch_size": 0}),
        (TrainConfig, {"precision": "int8"}),
        (TrainConfig, {"decay": 2}),
        (TrainConfig, {"clip": 0}),
        (UpgradeConfig, {"objective": "l2"}),
        (UpgradeConfig, {"calibration_tokens": 0}),
    ],
)
def test_values_outside_their_range_are_refused(kind, settings):
    with pytest.raises(ConfigError):
        kind(**settings)


def test_presets_are_complete_configurations():
    assert preset("default", "relu") == UpgradeConfig()
    assert preset("paper", "topk").train.steps == 22_000
    with pytest.raises(ConfigError):
        preset("fast", "relu")


def test_rates_rise_and_fall_within_the_steps():
    config = TrainConfig(steps=100, warmup=0.1, decay=0.2)
    rates = [config.rate(step) for step in range(100)]
    assert max(rates) == 1.0
    assert min(rates) > 0
    assert rates[:10] == sorted(rates[:10])
    assert rates[80:] == sorted(rates[80:], reverse=True)


def test_a_whole_number_that_no_float_holds_is_told(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(f"[train]\nlr = 1{'0' * 400}\n")
    with pytest.raises(ConfigError, match="more than a number can be"):
        config_from_toml(path, UpgradeConfig())
