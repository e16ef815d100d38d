"""An upgrade on a stream: what a store gives, in one pass, and the same after a kill."""

from dataclasses import replace

import pytest
import torch
from tests.rsae.fake_host import HOOKS, FakeHost
from tests.rsae.saes import teacher

import rsae
from rsae import UpgradeConfig
from rsae.data import ActivationStream, harvest
from rsae.data.document import Document
from rsae.data.text import Tokens, split, tokenize
from rsae.errors import ConfigError
from rsae.train import TrainConfig
from rsae.upgrading import Sample, pursuit, upgrade_together, variants

CONTEXT = 16
CONFIG = UpgradeConfig(
    keep="nothing",
    baselines=True,
    train=TrainConfig(steps=14, batch_size=64, checkpoint_every=4),
    calibration_tokens=400,
)


@pytest.fixture(autouse=True)
def enough_to_calibrate(monkeypatch):
    """A pursuit whose calibration tokens are too few reads a block more."""
    for module in (pursuit, variants):
        monkeypatch.setattr(module, "LEAST_TOKENS", 100)


def tokens_by_split() -> dict[str, Tokens]:
    documents = [
        Document(str(i), " ".join("x" * (1 + (7 * i + j * j) % 83) for j in range(90 + i)))
        for i in range(40)
    ]
    train, rest = split(documents)
    pool = tokenize(FakeHost(), rest, CONTEXT)
    parts = [Tokens(pool.ids[i::2], pool.special[i::2], pool.document[i::2]) for i in (0, 1)]
    train = tokenize(FakeHost(), train, CONTEXT)
    return {"train": train, "calibration": parts[0], "heldout": parts[1]}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return harvest(FakeHost(), tokens_by_split(), HOOKS[0], tmp_path_factory.mktemp("store"))


def streamed(store, host=None) -> Sample:
    tokens = store.tokens("train")
    stream = ActivationStream(host or FakeHost(), tokens, HOOKS[0], context_size=CONTEXT)
    return Sample(stream, store.split("calibration"), store.split("heldout"))


def origin(family, seed=0):
    return teacher(family, seed, d_in=6, d_sae=24)


def stored(store) -> Sample:
    return Sample(*(store.split(name) for name in ("train", "calibration", "heldout")))


def assert_same(a, b) -> None:
    assert list(a.variants) == list(b.variants)
    for name in a.variants:
        for (key, p), q in zip(
            a.variants[name].state_dict().items(), b.variants[name].state_dict().values(),
            strict=True,
        ):  # fmt: skip
            assert torch.equal(p, q), (name, key)
    assert dict(a.metrics) == dict(b.metrics)


@pytest.mark.parametrize("family", ["relu", "jumprelu", "topk"])
def test_a_stream_gives_what_a_store_gives_in_one_pass_for_all_variants(store, family):
    config = replace(CONFIG, keep="directions" if family == "topk" else "nothing")
    expected = rsae.upgrade(origin(family), stored(store), config)
    host = FakeHost()
    found = rsae.upgrade(origin(family), streamed(store, host), config)
    assert_same(found, expected)
    assert expected.stream is None
    assert found.stream is not None
    assert found.stream.n_tokens == 14 * 64
    assert 0 < found.stream.waiting_share <= 1
    once = FakeHost()
    list(streamed(store, once).train.batches(64, seed=0, stop=14))
    assert host.calls == once.calls


@pytest.mark.parametrize("at", [2, 6, 13])
def test_a_killed_run_goes_on_to_the_same_bytes(store, tmp_path, at):
    class Killed(BaseException):
        pass

    def die(record):
        if record["variant"] == "threshold_only" and record["step"] == at:
            raise Killed

    rsae.upgrade(origin("relu"), streamed(store), CONFIG, out=tmp_path / "whole")
    with pytest.raises(Killed):
        rsae.upgrade(origin("relu"), streamed(store), CONFIG, out=tmp_path / "cut", on_step=die)
    seen = []
    rsae.upgrade(
        origin("relu"), streamed(store), CONFIG,
        out=tmp_path / "cut", resume=True, on_step=seen.append,
    )  # fmt: skip
    assert seen[0]["step"] == at // 4 * 4 + 1
    files = sorted(p.relative_to(tmp_path / "whole") for p in (tmp_path / "whole").rglob("*.safe*"))
    assert len(files) > 3
    for file in files:
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "cut" / file).read_bytes()
    assert not list(tmp_path.rglob("*.checkpoint"))


def test_several_saes_learn_from_one_pass(store, tmp_path):
    saes = {"a": origin("relu"), "b": origin("jumprelu", 1), "c": origin("topk", 2)}
    host, seen = FakeHost(), []
    found = upgrade_together(saes, streamed(store, host), CONFIG, out=tmp_path, on_step=seen.append)
    once = FakeHost()
    list(streamed(store, once).train.batches(64, seed=0, stop=14))
    assert host.calls == once.calls
    assert {record["sae"] for record in seen} == set(saes)
    for name, sae in saes.items():
        assert_same(found[name], rsae.upgrade(sae, stored(store), CONFIG))
        assert (tmp_path / name / "cfg.json").exists()
    again = upgrade_together(saes, streamed(store), CONFIG, out=tmp_path, resume=True)
    assert torch.equal(again["b"].rsae.W_enc, found["b"].rsae.W_enc)
    assert again["b"].stream is None


def test_saes_of_one_stream_take_the_same_steps(store):
    other = replace(CONFIG, seed=1)
    with pytest.raises(ConfigError, match="one random seed"):
        upgrade_together(
            {"a": origin("relu"), "b": origin("topk")}, streamed(store), {"a": CONFIG, "b": other}
        )
    with pytest.raises(ConfigError, match="configuration of b"):
        upgrade_together({"a": origin("relu"), "b": origin("topk")}, streamed(store), {"a": CONFIG})
