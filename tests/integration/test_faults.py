"""Kills, signals, full disks and other runs × commands: nothing is lost, nothing is mixed."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(module: str, *words: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", module, *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


def test_no_fault_loses_or_mixes_anything(tmp_path):
    done = run("tests.integration.faults", str(tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    found = json.loads(done.stdout)
    found.pop("seconds")
    for case, seen in found.items():
        assert seen.get("apart", 0) <= 1e-5, (case, seen)
        assert seen.get("again", 0) == 0, (case, seen)
        assert seen.get("partials", 0) == 0, (case, seen)
        assert len(seen.get("said", ())) <= 1, (case, seen)
    for name in ("SIGTERM", "SIGHUP"):
        seen = found[f"upgrade {name}"]
        assert seen["code"] is None or "--resume" in seen["said"][0], seen  # None: it was done
    for case in (case for case in found if " full at " in case):
        assert found[case]["code"] in (2, 4), (case, found[case])  # 4: a sweep's SAE failed
        assert found[case]["code"] == 4 or "size limit" in found[case]["said"][0], found[case]
    for case in (case for case in found if " filled at " in case):
        assert found[case]["code"] == 2, (case, found[case])
        assert "disk is full" in found[case]["said"][0], (case, found[case])
    for case in (case for case in found if " read-only" in case or " without " in case):
        assert found[case]["code"] == 2, (case, found[case])
        assert len(found[case]["said"]) == 1, (case, found[case])
    assert found["upgrade deleted"]["code"] in (0, 2)
    assert found["upgrade twice"]["code"] == 0
    assert found["upgrade twice"]["second"] in (0, 2)
    assert found["compare twice"]["codes"] == [0, 0]
    for what in ("text", "teacher", "model", "config"):
        assert found[what]["code"] == 2, what
        assert "another" in found[what]["said"][0] or "other" in found[what]["said"][0]


def test_no_reader_is_brought_down_by_damaged_files(tmp_path):
    """Seven inputs for each reader, the same every time, of `python -m tests.fuzz`."""
    done = run("tests.fuzz", "--inputs", "140", "--minutes", "5", TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "untyped 0, hangs over 10 s 0, memory over 1 GB 0, files outside 0" in done.stdout
