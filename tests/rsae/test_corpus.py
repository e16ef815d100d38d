"""Documents of parquet, arrow and jsonl files, streamed and read whole."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from rsae.data import ActivationStream
from rsae.data.corpus import streamed_documents
from rsae.data.text import documents
from rsae.errors import TextError

from .fake_host import HOOKS, FakeHost

ROWS = [{"text": f"first{i} second", "title": f"t{i}"} for i in range(30)]


def write(path, rows):
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".arrow":
        table = pa.Table.from_pylist(rows)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
            file.write_table(table)
    else:
        with (gzip.open if path.suffix == ".gz" else open)(path, "wt") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


KINDS = ("a.parquet", "a.arrow", "a.jsonl", "a.jsonl.gz")


@pytest.mark.parametrize("name", KINDS)
def test_documents_are_those_of_the_file_from_any_one_on(tmp_path, name):
    path = write(tmp_path / name, ROWS)
    expected = [(row["title"], row["text"]) for row in ROWS]
    for begin in (0, 7, 29, 30):
        found = [(d.title, d.text) for d in streamed_documents(path)(begin)]
        assert found == expected[begin:]
    assert [(d.title, d.text) for d in documents(path)] == expected
    assert [d.text for d in streamed_documents(tmp_path)(28)] == [d[1] for d in expected[28:]]


def test_a_stream_reads_a_file_as_it_reads_the_documents(tmp_path):
    rows = [{"text": " ".join("x" * (1 + (i + j) % 60) for j in range(40))} for i in range(12)]
    path = write(tmp_path / "a.parquet", rows)
    whole = documents(path)
    settings = {"context_size": 12, "shuffle_rows": 32}
    found, expected = (
        list(ActivationStream(FakeHost(), text, HOOKS[0], **settings).batches(8, seed=1))
        for text in (streamed_documents(path), lambda n: whole[n:])
    )
    assert len(found) == len(expected) > 10
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("rows", [[{"body": "a"}], [{"text": 3}]], ids=["no text", "a number"])
def test_a_file_without_text_is_one_line(tmp_path, name, rows):
    path = write(tmp_path / name, rows)
    with pytest.raises(TextError, match="text") as refusal:
        list(streamed_documents(path)(0))
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_is_one_line(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"\x00\xffno such file\n" * 9)
    with pytest.raises(TextError):
        list(streamed_documents(path)(0))


@pytest.mark.parametrize("source", ["nobody/nothing", "nobody/nothing:test", ":", "no where"])
def test_a_data_set_that_cannot_be_reached_is_one_line(source):
    with pytest.raises(TextError, match=r"cannot be (opened|read)"):
        list(streamed_documents(source)(0))


def test_a_folder_of_several_kinds_is_refused(tmp_path):
    write(tmp_path / "a.parquet", ROWS)
    write(tmp_path / "b.jsonl", ROWS)
    with pytest.raises(TextError, match="one kind"):
        streamed_documents(tmp_path)
