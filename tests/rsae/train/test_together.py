"""Several SAEs that learn from one pass are each what training alone makes of them."""

from dataclasses import replace
from itertools import islice

import pytest
import torch
from tests.rsae.saes import sparse_world, world_teacher

from rsae import RSAE, RationalActivation
from rsae.data import Activations
from rsae.data.stream import Position
from rsae.errors import ConfigError
from rsae.train import TrainConfig, Training, measure_units, train, train_together

CONFIG = TrainConfig(steps=24, batch_size=128, checkpoint_every=8)
X, _ = sparse_world(2000)
DATA = Activations.from_tensor(X)
RATES = (1.0, 1 / 16)


class Positioned:
    """Batches that say where the next one is, as a stream does, and count themselves."""

    def __init__(self):
        self.given, self.asked, self.open = 0, [], 0

    def __call__(self, start):
        self.asked.append(start)
        self.open += 1
        return _Batches(self, start.batch if isinstance(start, Position) else start)


class _Batches:
    def __init__(self, source, taken):
        self.source, self.position = source, Position(batch=taken)
        self.inner = DATA.batches(CONFIG.batch_size, seed=0, epochs=None, start=taken)

    def __iter__(self):
        return self

    def __next__(self):
        self.source.given += 1
        self.position = Position(batch=self.position.batch + 1)
        return next(self.inner)

    def close(self):
        self.source.open -= 1


def training(rate=1.0, **settings):
    sae = RSAE.from_teacher(world_teacher("jumprelu"), RationalActivation.constant((3, 2), 3.0))
    units = measure_units(sae, X[:512], "l0", CONFIG.window)
    target = (sae.encode(X) != 0).sum(dim=1).float().mean().item()
    return Training(sae, "l0", units, target, CONFIG.scaled(rate), **settings)


def alone(rate):
    one = training(rate)
    train(one.sae, Positioned(), "l0", one.units, one.target_l0, one.config)
    return one.sae


def assert_same(a, b):
    for (name, p), q in zip(a.named_parameters(), b.parameters(), strict=True):
        assert torch.equal(p, q), name


def test_one_pass_serves_them_all():
    source, both = Positioned(), [training(rate) for rate in RATES]
    results = train_together(both, source)
    assert [r.steps for r in results] == [24, 24]
    assert (source.given, source.asked, source.open) == (24, [0], 0)
    for one, rate in zip(both, RATES, strict=True):
        assert_same(one.sae, alone(rate))


def test_one_that_goes_back_is_trained_over_its_steps_again(monkeypatch):
    from rsae.train import loop

    source, both = Positioned(), [training(rate) for rate in RATES]
    step, failed = loop._Run.step, []

    def fails_once(self, x):
        if self.sae is both[1].sae and self.progress.step == 13 and not failed:
            failed.append(self)
            return None
        return step(self, x)

    monkeypatch.setattr(loop._Run, "step", fails_once)
    results = train_together(both, source)
    assert [(r.steps, r.restarts) for r in results] == [(24, 0), (24, 1)]
    assert source.asked == [0, Position(batch=8)]
    assert source.open == 0
    assert_same(both[0].sae, alone(1.0))


@pytest.mark.parametrize("at", [3, 8, 13, 23])
@pytest.mark.parametrize("which", [0, 1])
def test_a_kill_leaves_all_where_their_positions_say(tmp_path, at, which):
    class Killed(BaseException):
        pass

    def die(record):
        if record["step"] == at:
            raise Killed

    def both(stops):
        return [
            training(r, checkpoint=tmp_path / str(i), on_step=die if stops and i == which else None)
            for i, r in enumerate(RATES)
        ]

    source = Positioned()
    with pytest.raises(Killed):
        train_together(both(True), source)
    assert source.open == 0
    again, source = both(False), Positioned()
    train_together(again, source)
    if at > 8:
        assert source.asked[0] == Position(batch=at // 8 * 8)
    for one, rate in zip(again, RATES, strict=True):
        assert_same(one.sae, alone(rate))


def test_unequal_numbers_of_steps_are_refused():
    short = replace(training(), config=replace(CONFIG, steps=3))
    with pytest.raises(ConfigError, match="one number"):
        train_together([training(), short], Positioned())


def test_batches_without_positions_are_counted():
    asked = []

    def batches(start):
        asked.append(start)
        return islice(DATA.batches(CONFIG.batch_size, seed=0, epochs=None, start=start), 100)

    train_together([training()], batches)
    assert asked == [0]
