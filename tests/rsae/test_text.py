"""Documents are split whole, and sequences stay within one."""

import importlib
import json
import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.rsae.fake_host import FakeHost, long_words, tokens

from rsae.data.corpus import streamed_documents
from rsae.data.document import Document
from rsae.data.splits import token_splits
from rsae.data.text import documents, sampled_tokens, split, tokenize
from rsae.errors import TextError

text = importlib.import_module("rsae.data.text")


@given(sizes=st.lists(st.integers(1, 400), min_size=2, max_size=30), seed=st.integers(0, 9))
def test_no_document_is_in_both_parts(sizes, seed):
    texts = [Document(str(i), "x" * size) for i, size in enumerate(sizes)]
    train, heldout = split(texts, 0.1, seed=seed)
    assert train
    assert heldout
    assert sorted(d.title for d in train + heldout) == sorted(d.title for d in texts)
    assert split(texts, 0.1, seed=seed) == (train, heldout)


def test_a_lone_document_cannot_be_split():
    with pytest.raises(TextError, match="longer text"):
        split([Document("a", "b")])


def test_the_packaged_text_is_there():
    texts = documents()
    assert len(texts) == 80
    assert all(document.text.strip() for document in texts)


def test_files_of_a_user(tmp_path):
    (tmp_path / "a.txt").write_text("one two")
    (tmp_path / "b.jsonl").write_text('{"text": "three"}\n\n{"text": "four", "title": "t"}\n')
    (tmp_path / "c.png").write_bytes(b"\x89")
    assert [d.text for d in documents(tmp_path)] == ["one two", "three", "four"]
    paragraphs = ["word " * 1000] * 20
    (tmp_path / "long.md").write_text("\n\n".join(paragraphs))
    pieces = documents(tmp_path / "long.md")
    assert len(pieces) > 1
    assert "\n\n".join(piece.text for piece in pieces) == "\n\n".join(paragraphs)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.txt", b" \n", "no text"),
        ("a.txt", b"\xff\xfe\xff", "UTF-8"),
        ("a.jsonl", b"{", "line 1"),
        ("a.jsonl", json.dumps({"body": "x"}).encode(), 'field "text"'),
        ("a.jsonl", json.dumps({"text": 3}).encode(), "no string"),
    ],
)
def test_texts_that_cannot_be_read(tmp_path, name, content, match):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TextError, match=match):
        documents(tmp_path / name)
    with pytest.raises(TextError, match="no text at"):
        documents(tmp_path / "nowhere")


def test_a_whole_disk_is_not_walked_for_texts(tmp_path, monkeypatch):
    monkeypatch.setattr("rsae.files._MOST_OTHERS", 50)
    for number in range(60):
        (tmp_path / f"{number}.txt").write_text("text")
    assert len(documents(tmp_path)) == 60
    for number in range(60):
        (tmp_path / "a" / str(number)).mkdir(parents=True)
    for read in (documents, streamed_documents):
        with pytest.raises(TextError, match="no text; give a folder of texts"):
            read(tmp_path)


def test_sequences_open_with_bos_and_hold_each_document_once():
    host = FakeHost()
    texts = [Document("a", "w ww www " * 9), Document("b", "wwww")]
    found = tokenize(host, texts, 8)
    assert (found.ids[:, 0] == host.bos_token_id).all()
    for index, document in enumerate(texts):
        body = found.ids[found.document == index][:, 1:].flatten()
        expected = host.tokenizer.encode(document.text)
        assert body[: len(expected)].tolist() == expected
        assert (body[len(expected) :] == host.pad_token_id).all()
    assert torch.equal(found.special, host.is_special(found.ids))
    with pytest.raises(TextError, match="empty"):
        tokenize(host, [], 8)


def test_a_sample_has_what_was_asked_for_and_no_sequence_more():
    whole = tokens(FakeHost(), 20)
    part = whole.sample(50)
    smallest = int((~part.special).sum(dim=1).min())
    assert 50 <= part.n_tokens < 50 + part.context_size
    assert smallest > 0
    assert {tuple(row) for row in part.ids.tolist()} <= {tuple(row) for row in whole.ids.tolist()}
    with pytest.raises(TextError, match="--tokens"):
        whole.sample(10_000)


@given(sizes=st.lists(st.integers(0, 60), min_size=1, max_size=12), n=st.integers(1, 200))
def test_a_sample_of_a_text_that_is_read_twice_is_that_of_the_whole(sizes, n):
    """For any documents, empty ones and ones of many sequences included."""
    texts = [Document(str(i), long_words(size, seed=i)) for i, size in enumerate(sizes)]
    if not sum(sizes):
        with pytest.raises(TextError, match="empty"):
            sampled_tokens(FakeHost(), lambda: texts, 8, lambda total: min(n, total))
        return
    whole = tokenize(FakeHost(), texts, 8)
    found = sampled_tokens(FakeHost(), lambda: texts, 8, lambda total: min(n, total), seed=3)
    expected = whole.sample(min(n, whole.n_tokens), seed=3)
    for name in ("ids", "special", "document"):
        assert torch.equal(getattr(found, name), getattr(expected, name))


def test_no_more_than_three_documents_of_a_text_are_held_at_once(tmp_path, monkeypatch):
    """The one that is read, the one before it, and what an iterator keeps of it."""
    held, most = weakref.WeakSet(), []
    parse = text._parse

    def counted(line, where):
        most.append(len(held))
        document = parse(line, where)
        held.add(document)
        return document

    monkeypatch.setattr(text, "_parse", counted)
    splits_of([long_words(200, seed=i) for i in range(40)], tmp_path)
    assert len(most) >= 80
    assert max(most) <= 3


def splits_of(texts, folder):
    file = folder / "text.jsonl"
    file.write_text("\n".join(json.dumps({"title": "", "text": text}) for text in texts))
    return token_splits(FakeHost(), file, 1000, 16)


def test_a_document_that_occurs_twice_is_on_one_side_only(tmp_path):
    texts = [long_words(300, i % 20) for i in range(40)]
    once, twice = splits_of(texts[:20], tmp_path), splits_of(texts, tmp_path)
    for name, part in once.items():
        assert torch.equal(part.ids, twice[name].ids)


def test_a_text_whose_documents_repeat_one_another_is_refused_before_anything_is_done(tmp_path):
    common = long_words(300, 0)
    texts = [f"{common} {long_words(100, i)}" for i in range(1, 30)]
    with pytest.raises(TextError, match="repeat one another"):
        splits_of(texts, tmp_path)
