import math
from dataclasses import replace

import pytest
import torch
from tests.rsae.saes import sparse_world, world_teacher

from rsae import RSAE, RationalActivation
from rsae.data import Activations
from rsae.errors import CorruptFileError, TrainingError
from rsae.train import TrainConfig, measure_units, train
from rsae.train.checkpoint import load_checkpoint, save_checkpoint

CONFIG = TrainConfig(steps=24, batch_size=128, checkpoint_every=8)
X, _ = sparse_world(2000)
DATA = Activations.from_tensor(X)


def start() -> RSAE:
    return RSAE.from_teacher(world_teacher("jumprelu"), RationalActivation.constant((3, 2), 3.0))


def batches(taken: int):
    return DATA.batches(CONFIG.batch_size, seed=0, epochs=None, start=taken)


def run(sae, config=CONFIG, data=batches, **settings):
    units = measure_units(start(), X[:512], "l0", config.window)
    target = (start().encode(X) != 0).sum(dim=1).float().mean().item()
    return train(sae, data, "l0", units, target, config, **settings)


def assert_same(a: RSAE, b: RSAE) -> None:
    for (name, p), q in zip(a.named_parameters(), b.parameters(), strict=True):
        torch.testing.assert_close(p, q, msg=name)


class Killed(BaseException):
    """As good as kill -9: the loop has no handler for it."""


@pytest.mark.parametrize("death", [Killed, KeyboardInterrupt])
@pytest.mark.parametrize("at", [3, 8, 13, 23])
def test_a_resumed_run_ends_where_an_uninterrupted_one_ends(tmp_path, at, death):
    whole, halved = start(), start()
    run(whole)

    def die(record):
        if record["step"] == at:
            raise death

    with pytest.raises(death):
        run(halved, checkpoint=tmp_path / "c", on_step=die)
    fresh = start()
    result = run(fresh, checkpoint=tmp_path / "c")
    assert result.steps == CONFIG.steps
    assert_same(fresh, whole)


def test_the_same_seed_gives_the_same_weights():
    a, b = start(), start()
    run(a)
    run(b)
    assert_same(a, b)


def test_training_lowers_the_loss_and_holds_l0():
    sae, records = start(), []
    config = replace(CONFIG, steps=120)
    run(sae, config, on_step=records.append)
    before, after = records[0], records[-1]
    assert after["mse"] < 0.8 * before["mse"]
    assert max(r["l0"] for r in records) < 2 * before["l0"]


def test_what_needs_no_gradient_stays():
    sae = start()
    sae.rational.requires_grad_(False)
    sae.threshold.requires_grad_(False)
    run(sae)
    assert sae.rational.to_dict() == start().rational.to_dict()
    assert torch.equal(sae.threshold, start().threshold)
    assert not torch.equal(sae.W_enc, start().W_enc)


def test_after_a_nan_it_goes_back_and_slows_down():
    broken = {5}

    def data(taken):
        for step, batch in enumerate(batches(taken), start=taken):
            if step in broken:
                broken.remove(step)
                batch = batch * float("nan")
            yield batch

    sae = start()
    result = run(sae, data=data)
    assert (result.steps, result.restarts) == (CONFIG.steps, 1)
    assert all(torch.isfinite(p).all() for p in sae.parameters())


def test_numbers_that_never_are_finite_end_in_one_line():
    with pytest.raises(TrainingError) as caught:
        run(start(), data=lambda taken: (b * float("inf") for b in batches(taken)))
    assert "\n" not in str(caught.value)


def test_a_sae_without_any_code_left_ends_in_one_line():
    sae = start()
    with torch.no_grad():
        sae.threshold.fill_(1e6)
    with pytest.raises(TrainingError) as caught:
        run(sae)
    assert "lost every code" in str(caught.value)


def test_l0_is_brought_back_at_once_when_a_batch_leaves_its_bounds():
    sae, records = start(), []
    with torch.no_grad():
        sae.threshold.zero_()
    run(sae, on_step=records.append)
    target = (start().encode(X) != 0).sum(dim=1).float().mean().item()
    assert records[0]["l0"] > 1.5 * target
    assert all(r["l0"] < 1.5 * target for r in records[1:])


def flip(content: bytes, place: float) -> bytes:
    at = int(place * (len(content) - 1))
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[: len(b) // 2],
        lambda b: b"\xff" * 8 + b[8:],
        *(lambda b, place=place: flip(b, place) for place in (0.3, 0.5, 0.8, 1.0)),
    ],
)
def test_a_damaged_checkpoint_is_one_line(tmp_path, damage):
    file = tmp_path / "c"
    run(start(), checkpoint=file)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(CorruptFileError) as caught:
        run(start(), checkpoint=file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: replace(s, tensors={k: v for k, v in s.tensors.items() if k != "model.W_dec"}),
        lambda s: replace(s, tensors={**s.tensors, "model.W_dec": s.tensors["model.W_dec"][:, :2]}),
        lambda s: replace(s, tensors={**s.tensors, "model.W_dec": s.tensors["model.W_dec"] / 0}),
        lambda s: replace(s, tensors={**s.tensors, "stray": torch.zeros(1)}),
        lambda s: replace(s, tensors={**s.tensors, "last_fired": torch.zeros(3)}),
        lambda s: replace(s, tensors={**s.tensors, "adam.W_dec.exp_avg": torch.zeros(2)}),
        lambda s: replace(s, progress=replace(s.progress, step=-1)),
        lambda s: replace(s, progress=replace(s.progress, step="3")),
        lambda s: replace(s, progress=replace(s.progress, slow_down=0.0)),
        lambda s: replace(s, progress=replace(s.progress, grad_norm=math.inf)),
        lambda s: replace(s, progress=replace(s.progress, max_l0=[])),
    ],
)
def test_a_checkpoint_of_something_else_is_one_line(tmp_path, change):
    """Its checksum is right, so only what is in it says that no run wrote it."""
    file = tmp_path / "c"
    run(start(), checkpoint=file)
    save_checkpoint(file, change(load_checkpoint(file)))
    with pytest.raises(CorruptFileError, match="checkpoint") as caught:
        run(start(), checkpoint=file)
    assert "\n" not in str(caught.value)
