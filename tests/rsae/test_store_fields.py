"""No field of a store is trusted: manifest, tokens and shards are checked one by one."""

import json

import pytest
import torch
from safetensors.torch import save_file
from tests.rsae.fake_host import HOOKS, FakeHost, tokens
from tests.rsae.pretrained.test_hostile import HOSTILE, short

from rsae.data import ActivationStore, harvest
from rsae.errors import RsaeError, StoreError
from rsae.files import sha256
from rsae.sae.load import describe

FIELDS = (
    "model", "model_sha256", "d_in", "hook_names", "context_size", "n_sequences", "n_tokens",
    "tokens_sha256", "excluded_token_ids", "excluded_positions", "n_excluded",
    "sequences_per_shard", "shards", "format",
)  # fmt: skip
FINE = {
    ("excluded_token_ids", "[]"),
    ("excluded_token_ids", "[1]"),
    ("excluded_positions", "0"),
}


@pytest.fixture
def store(tmp_path):
    host = FakeHost()
    return harvest(host, {"train": tokens(host, 4)}, HOOKS[0], tmp_path / "store").folder


def edit(store, change):
    content = json.loads((store / "manifest.json").read_text())
    change(content)
    (store / "manifest.json").write_text(json.dumps(content))


def refused(store):
    """Nothing of it is handed out, and one line says why."""

    def read():
        opened = ActivationStore.open(store)
        describe(store)
        return opened.split("train"), opened.tokens("train")

    with pytest.raises(RsaeError) as caught:
        read()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("raw", HOSTILE, ids=short)
def test_no_field_of_a_manifest_is_trusted(store, raw):
    whole = (store / "manifest.json").read_text()
    content = json.loads(whole)
    for field in FIELDS:
        if field == "model" and raw not in ("null", "[]", "true"):
            continue  # any text may be a model's name
        text = json.dumps(content | {field: "@@"}).replace('"@@"', raw)
        (store / "manifest.json").write_text(text)
        if (field, raw) not in FINE:
            refused(store)
    for field in ("n_sequences", "n_tokens", "n_excluded", "tokens_sha256"):
        text = json.dumps(content | {field: {"train": "@@"}}).replace('"@@"', raw)
        (store / "manifest.json").write_text(text)
        if field != "n_excluded" or raw != "0":
            refused(store)
    for field in ("file", "n_tokens", "dtype", "sha256"):
        shard = content["shards"][0] | {field: "@@"}
        text = json.dumps(content | {"shards": [shard]}).replace('"@@"', raw)
        (store / "manifest.json").write_text(text)
        refused(store)


@pytest.mark.parametrize("name", ["../train", "a/b", "", ".", "..", "/etc", "a\0b"])
def test_a_name_of_a_manifest_is_no_way_out_of_the_folder(store, name):
    edit(store, lambda content: content.update(hook_names=[name]))
    refused(store)


@pytest.mark.parametrize(
    "rows",
    [
        lambda x: x.float() * torch.nan,
        lambda x: x.half() * torch.inf,
        lambda x: x.long(),
        lambda x: x[:, :-1].contiguous(),
        lambda x: x[:-1].contiguous(),
        lambda x: x.flatten(),
        lambda x: x.double(),
        lambda x: x.bfloat16(),
    ],
    ids=["nan", "inf", "int64", "width", "rows", "flat", "float64", "bfloat16"],
)
def test_a_shard_that_is_not_what_the_manifest_says_is_refused(store, rows):
    """Whoever writes the shard writes its checksum too."""
    path = store / HOOKS[0] / "train-00000.safetensors"
    kept = ActivationStore.open(store).split("train").tensor().half()
    for rename in ({"activations": rows(kept)}, {"other": kept}):
        save_file(rename, path)
        edit(store, lambda content: content["shards"][0].update(sha256=sha256(path)))
        refused(store)
        edit(
            store,
            lambda content: content["shards"][0].update(
                n_tokens=len(kept) - 1, sha256=sha256(path)
            ),
        )
        refused(store)
        edit(store, lambda content: content["shards"][0].update(n_tokens=len(kept)))


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.pop("special"),
        lambda t: t.update(ids=t["ids"].int()),
        lambda t: t.update(ids=t["ids"][:, :-1].contiguous()),
        lambda t: t.update(special=t["special"].long()),
        lambda t: t.update(special=~t["special"]),
        lambda t: t.update(document=t["document"][:-1].contiguous()),
        lambda t: t.update(document=t["document"].float()),
    ],
)
def test_tokens_that_are_not_what_the_manifest_says_are_refused(store, change):
    found = ActivationStore.open(store).tokens("train")
    tensors = {"ids": found.ids, "special": found.special, "document": found.document}
    change(tensors)
    save_file(tensors, store / "tokens" / "train.safetensors")
    with pytest.raises(StoreError, match="damaged"):
        ActivationStore.open(store).tokens("train")


def test_a_model_is_its_weights(store, tmp_path):
    """A harvest is not taken up with other weights under the same name; a new name is no matter."""
    host = FakeHost(scale=2.0, fingerprint="e" * 64)
    with pytest.raises(StoreError, match="model_sha256"):
        harvest(host, {"train": tokens(host, 4)}, HOOKS[0], store)
    moved = FakeHost(name="the same elsewhere")
    harvest(moved, {"train": tokens(moved, 4)}, HOOKS[0], store)
    assert moved.calls == 0
