"""Files are written whole or not at all, and damaged ones are refused in one line."""

import errno
import json
import multiprocessing
import os
import resource
import signal
import struct
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from rsae.errors import CorruptFileError, LockedError, OutputError
from rsae.files import (
    RunLock,
    load_safetensors,
    load_safetensors_and_metadata,
    read_json,
    save_safetensors,
    sha256,
    write_atomic,
    write_json,
)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.json"
    write_json(target, {"old": 1})

    def broken(partial):
        partial.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError, match="the disk is full"):
        write_atomic(target, broken)
    assert read_json(target) == {"old": 1}
    assert list(tmp_path.iterdir()) == [target]


def test_nan_is_no_json(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())


def test_tensors_round_trip(tmp_path):
    tensors = {"a": torch.randn(3, 5), "b": torch.arange(4), "c": torch.randn(4, 2).half().T}
    found = load_safetensors(save_safetensors(tmp_path / "t.safetensors", tensors))
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-7],
        lambda content: content[:5],
        lambda content: b"",
        lambda content: struct.pack("<Q", 2**63) + content[8:],
        lambda content: struct.pack("<Q", 2**40) + content[8:],
        lambda content: content[:8] + b"}" + content[9:],
        lambda content: b"\x80\x04" + content[2:],
    ],
    ids=["truncated", "no header", "empty", "absurd", "huge", "no json", "pickle"],
)
def test_a_damaged_safetensors_file_is_refused_in_one_line(tmp_path, damage):
    path = save_safetensors(tmp_path / "t.safetensors", {"a": torch.randn(3, 5)})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CorruptFileError) as caught:
        load_safetensors(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(max_examples=200)
@given(place=st.floats(0, 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_or_changes_nothing(place, bit):
    tensors = {"a": torch.arange(40.0).reshape(5, 8), "b": torch.ones(3, dtype=torch.bfloat16)}
    with TemporaryDirectory() as folder:
        path = save_safetensors(Path(folder) / "t.safetensors", tensors, {"step": "3"})
        content = bytearray(path.read_bytes())
        content[int(place * (len(content) - 1))] ^= 1 << bit
        path.write_bytes(content)
        try:
            found, said = load_safetensors_and_metadata(path)
        except CorruptFileError:
            return
    # a space of the header's padding, or the name of the checksum itself
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert said["step"] == "3"


def test_a_file_of_another_program_needs_no_checksum(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "t.safetensors", {"format": "pt"})
    found, said = load_safetensors_and_metadata(tmp_path / "t.safetensors")
    assert found["a"].tolist() == [1, 1]
    assert said == {"format": "pt"}


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_file_that_is_no_json(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match="no valid JSON"):
        read_json(path)


def test_the_checksum_is_sha256_of_the_bytes(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(path) == known
    assert sha256(torch.tensor(list(b"abc"), dtype=torch.uint8)) == known


def test_two_runs_in_one_folder_are_refused_and_leftovers_removed(tmp_path):
    (tmp_path / ".a.json.123.partial").write_text("half")
    with RunLock(tmp_path):
        assert not list(tmp_path.glob("*.partial"))
        with pytest.raises(LockedError, match="another run"), RunLock(tmp_path):
            pass
    with RunLock(tmp_path):
        pass


def test_what_a_killed_process_left_of_a_file_goes_when_it_is_written_again(tmp_path):
    """A report and a cache of measurements are written without a lock on their folder."""
    gone, alive = 2**30, os.getppid()
    names = [f".a[1].json.{gone}.partial", f".a[1].json.{alive}.partial", f".b.{gone}.partial"]
    for name in (*names, ".a[1].json.mine.partial"):
        (tmp_path / name).write_text("half")
    write_json(tmp_path / "a[1].json", {})
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"a[1].json", *names[1:], ".a[1].json.mine.partial"}


def test_the_lock_of_a_killed_process_is_gone(tmp_path):
    fork = multiprocessing.get_context("fork")  # a new interpreter would load torch for seconds
    held = fork.Event()

    def hold():
        with RunLock(tmp_path):
            held.set()
            time.sleep(60)

    process = fork.Process(target=hold)
    process.start()
    assert held.wait(60)
    with pytest.raises(LockedError), RunLock(tmp_path):
        pass
    process.kill()
    process.join()
    with RunLock(tmp_path):
        pass


def test_a_path_through_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError), RunLock(tmp_path / "file" / "run"):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="permission denied"):
            write_json(tmp_path / "a.json", {})
    finally:
        tmp_path.chmod(0o700)


def test_a_file_beyond_the_size_limit_leaves_nothing(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OutputError, match="size limit"):
            save_safetensors(tmp_path / "t.safetensors", {"a": torch.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(tmp_path.iterdir())


def test_json_is_read_as_written(tmp_path):
    content = {"name": "é", "values": [1, 2.5, None]}
    assert read_json(write_json(tmp_path / "a.json", content)) == content
    assert json.loads((tmp_path / "a.json").read_text()) == content


@pytest.mark.parametrize("depth", [101, 900, 100_000])
@pytest.mark.parametrize("kind", ["[%s]", '{"a": %s}'])
def test_json_nested_too_deep_to_be_walked_is_refused(tmp_path, depth, kind):
    before, after = kind.split("%s")
    path = tmp_path / "deep.json"
    path.write_text(before * depth + "1" + after * depth)
    with pytest.raises(CorruptFileError, match="no valid JSON"):
        read_json(path)
    path.write_text(before * 99 + "1" + after * 99)
    read_json(path)
