"""Harvested activations: what is written is what is read, whatever interrupts."""

import json
import os

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.rsae.fake_host import HOOKS, FakeHost, tokens

from rsae.commands.inputs import open_store
from rsae.data import Activations, ActivationStore, harvest, harvesting
from rsae.data import store as store_module
from rsae.data.document import Document
from rsae.data.text import tokenize
from rsae.errors import HookError, LockedError, StoreError, TextError
from rsae.files import RunLock, sha256


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(harvesting, "_SHARD_TOKENS", 36)  # three sequences of twelve


def splits(host):
    return {"train": tokens(host, 8), "calibration": tokens(host, 2, seed=1)}


def files(folder):
    return {p.relative_to(folder): sha256(p) for p in folder.rglob("*.safetensors")}


def test_every_token_that_is_not_special_is_there_in_order(tmp_path):
    host = FakeHost()
    given_tokens = splits(host)
    harvest(host, given_tokens, HOOKS, tmp_path, batch_size=2)
    store = ActivationStore.open(tmp_path)
    for name, part in given_tokens.items():
        assert torch.equal(store.tokens(name).ids, part.ids)
        for hook in HOOKS:
            expected = host.residuals(part.ids, [hook])[hook][~part.special]
            found = store.split(name, hook)
            assert found.n_tokens == part.n_tokens
            torch.testing.assert_close(found.tensor(), expected, rtol=1e-3, atol=1e-3)
    assert store.manifest.n_excluded == {n: int(t.special.sum()) for n, t in given_tokens.items()}


@pytest.mark.parametrize("stop_after", [0, 1, 2, 5])
def test_an_interrupted_harvest_goes_on_to_the_same_files(tmp_path, stop_after):
    harvest(FakeHost(), splits(FakeHost()), HOOKS, tmp_path / "whole", batch_size=2)
    stopping = FakeHost(stop_after=stop_after)
    with pytest.raises(KeyboardInterrupt):
        harvest(stopping, splits(stopping), HOOKS, tmp_path / "resumed", batch_size=2)
    host = FakeHost()
    harvest(host, splits(host), HOOKS, tmp_path / "resumed", batch_size=2)
    assert files(tmp_path / "resumed") == files(tmp_path / "whole")
    whole, resumed = (ActivationStore.open(tmp_path / n).manifest for n in ("whole", "resumed"))
    assert resumed == whole
    again = FakeHost()
    harvest(again, splits(again), HOOKS, tmp_path / "resumed", batch_size=2)
    assert again.calls == 0


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage", [flip, lambda p: p.write_bytes(p.read_bytes()[:-9]), lambda p: p.unlink()]
)
def test_a_damaged_shard_is_refused_and_made_anew(tmp_path, damage):
    host = FakeHost()
    harvest(host, splits(host), HOOKS[0], tmp_path)
    before = files(tmp_path)
    damage(tmp_path / HOOKS[0] / "train-00001.safetensors")
    with pytest.raises(StoreError, match="missing or damaged"):
        ActivationStore.open(tmp_path).split("train")
    harvest(host, splits(host), HOOKS[0], tmp_path)
    assert files(tmp_path) == before


def test_a_shard_of_special_tokens_alone_is_empty(tmp_path, monkeypatch):
    monkeypatch.setattr(harvesting, "sequences_per_shard", lambda context: 2)
    host = FakeHost()
    part = tokens(host, 6)
    part.special[2:4] = True
    store = harvest(host, {"train": part}, HOOKS[0], tmp_path)
    assert len(store.split("train").tensor()) == part.n_tokens


def test_a_text_of_special_tokens_alone_is_told(tmp_path):
    """The first positions of a sequence do not count: documents of two words have no token."""
    host = FakeHost()
    few = tokenize(host, [Document("a", "one two"), Document("b", "three")], 16)
    with pytest.raises(TextError, match="longer documents"):
        harvest(host, {"train": tokens(host, 4, ctx=16), "heldout": few}, HOOKS[0], tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_tokens_are_kept_when_a_harvest_goes_on_and_damaged_ones_made_anew(tmp_path):
    host = FakeHost()
    harvest(host, splits(host), HOOKS[0], tmp_path)
    files = sorted((tmp_path / "tokens").iterdir())
    before = [(path.stat().st_ino, path.read_bytes()) for path in files]
    harvest(host, splits(host), HOOKS[0], tmp_path)
    assert [(path.stat().st_ino, path.read_bytes()) for path in files] == before
    files[0].write_bytes(b"half")
    files[1].unlink()
    harvest(host, splits(host), HOOKS[0], tmp_path)
    assert [path.read_bytes() for path in files] == [content for _, content in before]


def test_tokens_that_the_model_does_not_know_are_refused(tmp_path):
    host = FakeHost()
    harvest(host, splits(host), HOOKS[0], tmp_path)
    most = max(int(part.ids.max()) for part in splits(host).values())
    host.d_vocab = most + 1
    assert open_store(tmp_path, host).splits
    host.d_vocab = most
    with pytest.raises(StoreError, match="beyond"):
        open_store(tmp_path, host)
    part = splits(host)["train"]
    part.ids[0, 5] = -1
    negative = {**splits(host), "train": part}
    harvest(host, negative, HOOKS[0], tmp_path / "negative")
    with pytest.raises(StoreError, match="damaged"):
        ActivationStore.open(tmp_path / "negative").tokens("train")


def test_damaged_tokens_and_manifests_are_refused(tmp_path):
    host = FakeHost()
    harvest(host, splits(host), HOOKS[0], tmp_path)
    store = ActivationStore.open(tmp_path)
    store.save_tokens("train", tokens(host, 8, seed=5))
    with pytest.raises(StoreError, match="damaged"):
        store.tokens("train")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    del manifest["d_in"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="damaged"):
        ActivationStore.open(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(StoreError, match="another version"):
        ActivationStore.open(tmp_path)
    with pytest.raises(StoreError, match="rsae harvest"):
        ActivationStore.open(tmp_path / "nowhere")


def test_a_name_that_the_store_does_not_have(tmp_path):
    host = FakeHost()
    store = harvest(host, splits(host), HOOKS, tmp_path)
    with pytest.raises(StoreError, match="train, calibration"):
        store.split("test", HOOKS[0])
    with pytest.raises(StoreError, match="it has blocks"):
        store.split("train")
    with pytest.raises(HookError):
        harvest(host, splits(host), "blocks.7.hook_resid_post", tmp_path)


def test_other_activations_or_another_run_in_the_folder(tmp_path):
    host = FakeHost()
    harvest(host, splits(host), HOOKS[0], tmp_path)
    with pytest.raises(StoreError, match="differ in hook_names"):
        harvest(host, splits(host), HOOKS[1], tmp_path)
    with RunLock(tmp_path), pytest.raises(LockedError):
        harvest(host, splits(host), HOOKS[0], tmp_path)


def test_nan_is_refused_and_large_values_are_kept(tmp_path):
    host = FakeHost(scale=1e6)
    store = harvest(host, splits(host), HOOKS[0], tmp_path / "large")
    assert {shard.dtype for shard in store.manifest.shards} == {"float32"}
    part = splits(host)["train"]
    expected = host.residuals(part.ids, HOOKS[:1])[HOOKS[0]][~part.special]
    assert torch.equal(store.split("train").tensor(), expected)
    broken = FakeHost(scale=float("nan"))
    with pytest.raises(StoreError, match="NaN or infinity"):
        harvest(broken, splits(broken), HOOKS[0], tmp_path / "nan")


@pytest.mark.parametrize(
    "x", [torch.tensor([[float("nan")]]), torch.zeros(0, 3), torch.zeros(3), torch.ones(2, 2).int()]
)
def test_a_tensor_that_is_no_sample(x):
    with pytest.raises(StoreError):
        Activations.from_tensor(x)


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    batch_size=st.integers(1, 12),
    seed=st.none() | st.integers(0, 5),
    epochs=st.integers(1, 3),
    start=st.integers(0, 30),
)
def test_batches_pass_over_every_row_and_resume(sizes, batch_size, seed, epochs, start):
    n = sum(sizes)
    rows = torch.arange(float(n))[:, None]
    sample = Activations(rows.split(sizes), "")
    batches = list(sample.batches(batch_size, seed=seed, epochs=epochs))
    per_epoch = -(-n // batch_size)
    assert len(batches) == epochs * per_epoch
    for epoch in range(epochs):
        seen = torch.cat(batches[epoch * per_epoch : (epoch + 1) * per_epoch])
        assert torch.equal(seen if seed is None else seen.sort(dim=0).values, rows)
    resumed = list(sample.batches(batch_size, seed=seed, epochs=epochs, start=start))
    assert len(resumed) == max(0, len(batches) - start)
    assert all(torch.equal(a, b) for a, b in zip(resumed, batches[start:], strict=True))


def test_seeds_give_orders_of_their_own():
    sample = Activations.from_tensor(torch.arange(50.0)[:, None])
    orders = [torch.cat(list(sample.batches(7, seed=seed, epochs=2))) for seed in (0, 0, 1)]
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])
    assert not torch.equal(orders[0][:50], orders[0][50:])


def test_a_shard_is_hashed_once_and_again_when_it_changes(tmp_path, monkeypatch):
    host = FakeHost()
    part = tokens(host, 6)
    store = harvest(host, {"train": part}, HOOKS[0], tmp_path / "store")
    hashed = []
    monkeypatch.setattr(store_module, "sha256", lambda x: hashed.append(x) or sha256(x))
    for _ in range(3):
        ActivationStore.open(tmp_path / "store").split("train")
    shard = store.manifest.shards[0]
    path = tmp_path / "store" / shard.file
    assert hashed.count(path) == 1
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, (0, 0))
    with pytest.raises(StoreError, match="damaged"):
        ActivationStore.open(tmp_path / "store").split("train")
