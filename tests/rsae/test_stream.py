"""Activations as a text is read: the batches of a store, positions, memory, waiting."""

import gc
import json
import threading
from itertools import islice

import pytest
import torch

from rsae.data import ActivationStream, harvest
from rsae.data import harvesting as harvesting_module
from rsae.data.document import Document
from rsae.data.stream import Position
from rsae.data.text import Tokens, tokenize
from rsae.errors import ConfigError, HookError, StoreError, TextError

from .fake_host import HOOKS, FakeHost

CONTEXT = 12


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Groups of five sequences, so that blocks begin and end within them."""
    monkeypatch.setattr(harvesting_module, "_SHARD_TOKENS", 5 * CONTEXT)


def text(n=9, words=70):
    return [
        Document(str(i), " ".join("x" * (1 + (7 * i + j) % 83) for j in range(words + 5 * i)))
        for i in range(n)
    ]


def stream_of(documents, host=None, **settings):
    settings = {"shuffle_rows": 40, "context_size": CONTEXT, **settings}
    source = documents if isinstance(documents, Tokens) else lambda n: documents[n:]
    return ActivationStream(host or FakeHost(), source, HOOKS[1], **settings)


@pytest.mark.parametrize("seed", [None, 0, 7])
@pytest.mark.parametrize(("batch_size", "shuffle_rows"), [(8, 40), (7, 40), (64, 10), (13, 10**6)])
def test_a_stream_gives_the_batches_of_a_store(tmp_path, seed, batch_size, shuffle_rows):
    documents = text()
    host = FakeHost()
    store = harvest(host, {"train": tokenize(host, documents, CONTEXT)}, HOOKS[1], tmp_path)
    expected = list(
        store.split("train").batches(batch_size, seed=seed, epochs=2, shuffle_rows=shuffle_rows)
    )
    stream = stream_of(documents, shuffle_rows=shuffle_rows)
    found = list(stream.batches(batch_size, seed=seed, epochs=2))
    assert len(found) == len(expected)
    assert all(map(torch.equal, found, expected))
    assert found[0].dtype == torch.float32


def test_activations_beyond_float16_are_kept_as_a_store_keeps_them(tmp_path):
    host = FakeHost(scale=1e5)
    documents = text(3)
    store = harvest(host, {"train": tokenize(host, documents, CONTEXT)}, HOOKS[1], tmp_path)
    found = torch.cat(list(stream_of(documents, host).batches(8)))
    torch.testing.assert_close(found, store.split("train").tensor(), rtol=0, atol=0)
    with pytest.raises(StoreError, match="NaN"):
        next(stream_of(documents, FakeHost(scale=float("inf"))).batches(8))


@pytest.mark.parametrize("taken", [0, 1, 4, 5, 6, 23, 60, 130])
def test_an_interrupted_stream_goes_on_where_it_was(taken):
    documents = text()
    expected = list(stream_of(documents).batches(8, seed=3, epochs=3))
    first = stream_of(documents).batches(8, seed=3, epochs=3)
    begun = list(islice(first, taken))
    assert all(map(torch.equal, begun, expected))
    position = Position.from_dict(json.loads(json.dumps(first.position.to_dict())))
    first.close()
    for start in (position, taken):
        rest = list(stream_of(documents).batches(8, seed=3, epochs=3, start=start))
        assert len(rest) == len(expected) - taken
        assert all(map(torch.equal, rest, expected[taken:]))


def test_a_position_passes_over_documents_and_a_number_runs_no_model_on_them():
    documents = text()
    first = stream_of(documents).batches(8, seed=0)
    list(islice(first, 40))
    position, asked = first.position, []
    first.close()
    assert position.document > 2

    def follow(n):
        asked.append(n)
        return documents[n:]

    host = FakeHost()
    stream = ActivationStream(host, follow, HOOKS[1], CONTEXT, shuffle_rows=40)
    next(stream.batches(8, seed=0, start=position))
    assert asked[0] == position.document
    calls = host.calls
    next(ActivationStream(FakeHost(), follow, HOOKS[1], CONTEXT).batches(8, start=0))
    counted = stream_of(documents, counter := FakeHost()).batches(8, seed=0, start=40)
    next(counted)
    counted.close()
    assert counter.calls <= calls + 4


@pytest.mark.parametrize("content", [None, {}, {"epoch": 0}, {**Position().to_dict(), "batch": -1},
                                     {**Position().to_dict(), "skip": "x"}])  # fmt: skip
def test_what_is_no_position_is_refused(content):
    with pytest.raises(ConfigError, match="start the stream from its beginning"):
        Position.from_dict(content)


@pytest.mark.parametrize("documents", [[], [Document("a", " \n")], [Document("a", "x y")]])
def test_a_text_without_tokens_is_one_line(documents):
    with pytest.raises(TextError, match="give a longer"):
        next(stream_of(documents).batches(8, epochs=None))


def test_empty_documents_among_others_are_passed_over():
    documents = text(4)
    holes = [Document("", ""), *documents[:2], Document("", "\n"), *documents[2:]]
    found, expected = (list(stream_of(d).batches(8, seed=1)) for d in (holes, documents))
    assert all(map(torch.equal, found, expected))


def test_a_hook_that_is_not_there_is_told_before_anything_is_read():
    with pytest.raises(HookError):
        ActivationStream(FakeHost(), lambda n: text()[n:], "nowhere")


def test_an_error_of_the_producer_reaches_the_consumer_and_no_thread_is_left():
    before = threading.active_count()
    batches = stream_of(text(), FakeHost(stop_after=12)).batches(8)
    with pytest.raises(KeyboardInterrupt):
        list(batches)
    some = stream_of(text()).batches(8)
    next(some)
    some.close()
    assert threading.active_count() == before
    assert 0 < some.waiting_share <= 1


def test_memory_does_not_grow_with_the_text():
    """The bytes of all activations alive, five and twenty-five buffers into a text."""

    def corpus(begin):
        return (
            Document(str(i), " ".join("x" * (1 + (i + j) % 83) for j in range(100)))
            for i in range(begin, 1000)
        )

    stream = ActivationStream(FakeHost(d_model=64), corpus, HOOKS[0], CONTEXT, shuffle_rows=512)
    batches = stream.batches(256, seed=0)
    held = {}
    gc.collect()
    gc.freeze()  # what other tests keep alive is neither counted nor looked through
    for number, _ in enumerate(islice(batches, 52)):
        if number in (10, 11, 31, 50, 51):
            gc.collect()
            alive = (t for t in gc.get_objects() if type(t) is torch.Tensor)
            held[number] = sum(t.nbytes for t in alive if t.shape[-1:] == (64,))
    gc.unfreeze()
    batches.close()
    assert max(held.values()) <= 6 * 512 * 64 * 4
    assert held[51] <= 2 * max(held[10], held[11], 512 * 64 * 4)


@pytest.mark.parametrize("n_tokens", [1, 50, 171, 10**6])
def test_a_pass_ends_with_the_sequence_that_reaches_its_tokens(n_tokens):
    """As if the text ended there, wherever the stream is taken up again."""
    documents = text()
    tokens = tokenize(FakeHost(), documents, CONTEXT)
    reached = (~tokens.special).sum(dim=1).cumsum(0) - (~tokens.special).sum(dim=1) < n_tokens
    first = Tokens(tokens.ids[reached], tokens.special[reached], tokens.document[reached])
    expected = list(stream_of(first).batches(8, seed=3, epochs=3))
    limited = stream_of(documents, n_tokens=n_tokens)
    assert all(map(torch.equal, limited.batches(8, seed=3, epochs=3), expected))
    for taken in (1, len(expected) // 2, len(expected) - 1):
        begun = limited.batches(8, seed=3, epochs=3)
        list(islice(begun, taken))
        rest = list(limited.batches(8, seed=3, epochs=3, start=begun.position))
        begun.close()
        assert len(rest) == len(expected) - taken
        assert all(map(torch.equal, rest, expected[taken:]))


@pytest.mark.parametrize("stop", [1, 4, 5, 6, 10, 10**6])
def test_no_block_is_made_that_is_not_read(stop):
    documents, host = text(), FakeHost()
    expected = list(islice(stream_of(documents).batches(8, seed=3), stop))
    found = stream_of(documents, host).batches(8, seed=3, stop=stop)
    given = list(found)
    assert len(given) == len(expected)
    assert all(map(torch.equal, given, expected))
    assert found.position.given == len(given)
    if stop <= 5:
        least = FakeHost()
        next(stream_of(documents, least).batches(8, seed=3, stop=1))
        assert host.calls == least.calls


def test_what_makes_the_batches_is_in_the_checksum():
    tokens = tokenize(FakeHost(), text(), CONTEXT)
    fewer = Tokens(tokens.ids[1:], tokens.special[1:], tokens.document[1:])
    streams = [
        stream_of(tokens), stream_of(fewer),
        stream_of(text(), name="a"), stream_of(text(), name="b"),
        stream_of(text(), name="a", n_tokens=100), stream_of(tokens, shuffle_rows=48),
        stream_of(tokens, FakeHost(fingerprint="e" * 64)),
    ]  # fmt: skip
    assert len({stream.sha256 for stream in streams}) == len(streams)
    assert stream_of(tokens).sha256 == streams[0].sha256
    with pytest.raises(ConfigError, match="one context size"):
        stream_of(tokens, context_size=CONTEXT + 1)
