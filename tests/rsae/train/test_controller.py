import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsae.errors import ConfigError
from rsae.train import ControllerConfig, L0Controller


def simulate(target, start_l0, equilibrium, steepness, lag, noise=0.0, steps=1500):
    """A plant like ours: log L0 follows, with a lag, a falling power law of lambda."""
    controller = L0Controller(target=target, start=1.0)
    log_l0, trace = math.log(start_l0), []
    for step in range(steps):
        goal = math.log(target) - steepness * math.log(controller.weight / equilibrium)
        log_l0 += lag * (goal - log_l0)
        wobble = noise * math.sin(2.4 * step)
        controller = controller.update(math.exp(log_l0 + wobble))
        trace.append(math.exp(log_l0))
    return controller, trace


@given(
    st.floats(5, 200),
    st.floats(0.7, 1.4),
    st.floats(0.1, 10),
    st.floats(0.2, 0.8),
    st.floats(0.02, 0.2),
)
def test_it_settles_on_every_plausible_plant(target, start, equilibrium, steepness, lag):
    controller, trace = simulate(target, start * target, equilibrium, steepness, lag)
    assert trace[-1] == pytest.approx(target, rel=0.02)
    assert controller.weight == pytest.approx(equilibrium, rel=0.1)


@given(st.floats(1e-3, 1e5), st.integers(0, 100))
def test_lambda_stays_within_its_reach_and_its_step(l0, steps):
    config = ControllerConfig()
    controller = L0Controller(target=30.0, start=2.0, config=config)
    for _ in range(steps):
        after = controller.update(l0)
        assert abs(math.log(after.weight / controller.weight)) <= config.max_step + 1e-9
        controller = after
    reach = config.reach * (1 + 1e-9)
    assert 2.0 / reach <= controller.weight <= 2.0 * reach


def test_noise_of_batches_does_not_drive_it_away():
    _, trace = simulate(50.0, 60.0, 3.0, 0.5, 0.1, noise=0.05)
    assert all(abs(math.log(l0 / 50.0)) < 0.1 for l0 in trace[-100:])


def test_update_is_pure():
    controller = L0Controller(target=10.0, start=1.0)
    controller.update(20.0)
    assert controller == L0Controller(target=10.0, start=1.0)


@pytest.mark.parametrize(
    "settings",
    [{"integral": -1}, {"max_step": 0}, {"reach": 1}, {"memory": 1}, {"excursion": 2.5}],
)
def test_bounds_are_checked(settings):
    with pytest.raises(ConfigError):
        ControllerConfig(**settings)
