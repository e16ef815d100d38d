"""What can happen to a command while it runs (`python -m tests.integration.faults DIR`).

Commands × faults on the small host of `killed`: every run is a process of its own, forked from this
one so that the libraries load once. Prints for each case what was seen, as JSON.
"""

import contextlib
import ctypes
import errno
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from tests.integration.killed import D_IN, Slow, Tokenizer, difference, prepare
from tests.rsae.fake_host import HOOKS

from rsae import files
from rsae.data import ActivationStore
from rsae_cli import main

Words = list[str]
STEPS = "8"
LOADERS = (
    "rsae.commands.inputs", "rsae.commands.harvest", "rsae.commands.export",
    "rsae_evals.data.materials",
)  # fmt: skip
REPORTS = {"compare": "report", "eval": "report", "report": ".", "sweep": "teacher"}
# Of an upgrade, in the order in which they are written: a disk may fill up at any of them.
WRITTEN = (
    "control-slow.checkpoint", "threshold_only.checkpoint", "rational.checkpoint",
    "rational/sae_weights.safetensors", "sae_weights.safetensors", "cfg.json", "metrics.json",
    "summary.json", "report.json",
)  # fmt: skip
LEAST = 1_000  # bytes: the line on stderr goes to a file, too


def commands(folder: Path, out: Path) -> dict[str, Words]:
    text = ["--text", str(folder / "text.jsonl")]
    teacher = str(folder / "teacher")
    upgrade = ["upgrade", teacher, *text, "--tokens", "4000", "--steps", STEPS, "--resume"]
    return {
        "harvest": [
            "harvest", *text, "--hook", HOOKS[0], "--tokens", "4000", "--context-size", "16",
            "--out", str(out),
        ],
        "upgrade": [*upgrade, "--config", str(folder / "settings.toml"), "--out", str(out)],
        "compare": [
            "compare", teacher, f"again={teacher}", *text, "--tokens", "600",
            "--context-size", "16", "--cache", str(out / "cache"), "--out", str(out / "report"),
        ],
    }  # fmt: skip


def writers(folder: Path, out: Path) -> dict[str, Words]:
    """Every command that writes, the last ones on what the first ones left."""
    text = ["--text", str(folder / "text.jsonl")]
    teacher, few = str(folder / "teacher"), ["--tokens", "4000"]
    return {
        **commands(folder, out),
        "refine": ["refine", teacher, *text, *few, "--pursuit", "--out", str(out)],
        "export": [
            "export", str(folder / "upgrade-whole"), "--out", str(out),
            "--activations", str(folder / "upgrade-whole" / "activations"),
        ],
        "eval": [
            "eval", teacher, *text, "--tokens", "600", "--context-size", "16",
            "--cache", str(out / "cache"), "--out", str(out / "report"),
        ],
        "report": ["report", str(folder / "compare-whole" / "report"), "--out", str(out)],
        "sweep": ["sweep", teacher, *text, *few, "--steps", STEPS, "--out", str(out)],
    }  # fmt: skip


def small_host(**host: object) -> None:
    """Let the commands load a language model of a few numbers."""
    small = {"d_model": D_IN, "tokenizer": Tokenizer(), **host}
    for name in LOADERS:
        sys.modules[name].load_host = lambda *args, **more: Slow(**small)


def start(
    words: Words,
    before: Callable[[], object] = lambda: None,
    log: Path | None = None,
    **host: object,
) -> int:
    """A process that runs a command; its id. What it says on stderr goes to `log`."""
    if log:
        log.write_text("")
    child = os.fork()
    if child:
        return child
    small_host(**host)
    with open(os.devnull, "w") as null, open(log or os.devnull, "w", buffering=1) as errors:
        before()
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
        code = 70
        sys.stdout, sys.stderr = null, errors
        with contextlib.suppress(BaseException):
            code = main(words)
        os._exit(code)


def end(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run(words: Words, **more: object) -> int:
    return end(start(words, **more))


def stop(child: int, seconds: float, number: int) -> int | None:
    """Send a signal after a time; the exit code, or None if the process ended before."""
    time.sleep(seconds)
    if os.waitpid(child, os.WNOHANG) != (0, 0):
        return None
    os.kill(child, number)
    return end(child)


def same(name: str, out: Path, whole: Path) -> float:
    """How far what a command left is from what an undisturbed one leaves."""
    if name == "upgrade":
        return difference(out, whole)
    if name in REPORTS:
        variants = [
            json.loads((p / REPORTS[name] / "report.json").read_text())["variants"]
            for p in (out, whole)
        ]
        return float(variants[0] != variants[1])
    if name in ("refine", "export"):
        files = [(p / "sae_weights.safetensors").read_bytes() for p in (out, whole)]
        return float(files[0] != files[1])
    mine, theirs = (ActivationStore.open(path) for path in (out, whole))
    return float(mine.manifest != theirs.manifest)


def partials(folder: Path) -> int:
    return sum(1 for _ in folder.rglob("*.partial"))


def lines(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines() if line.startswith("rsae: ")]


def disturbed(folder: Path, seconds: dict[str, float]) -> dict[str, dict]:
    """Kills and signals at random moments, then the same command again."""
    rng = random.Random(0)
    found = {}
    numbers = {"harvest": (signal.SIGTERM,), "compare": (signal.SIGKILL,)}
    numbers["upgrade"] = (signal.SIGTERM, signal.SIGHUP)  # SIGKILL: `killed`
    for name, length in seconds.items():
        for number in numbers[name]:
            out = folder / f"{name}-{number}"
            words = commands(folder, out)[name]
            log = folder / "log"
            code = stop(start(words, log=log), rng.uniform(0.1, 0.9) * length, number)
            said = lines(log)
            again = run(words)
            found[f"{name} {signal.Signals(number).name}"] = {
                "code": code,
                "said": said,
                "again": again,
                "apart": same(name, out, folder / f"{name}-whole"),
                "partials": partials(out),
            }
    return found


def sizes(whole: Path) -> list[int]:
    """Limits on the size of a file, under which the first, a middle or the last one fails."""
    found = sorted({path.stat().st_size for path in whole.rglob("*") if path.is_file()})
    # A report's length depends on how long the run took.
    return sorted({max(LEAST, int(0.98 * found[i])) for i in (0, len(found) // 2, -1)})


def full_disk(folder: Path) -> dict[str, dict]:
    """No file may exceed some kilobytes, as on a disk that fills up; then it may again."""
    found = {}
    for name in writers(folder, folder):
        for size in sizes(folder / f"{name}-whole"):
            out = folder / f"{name}-full-{size}"
            words = writers(folder, out)[name]
            if size > LEAST:  # or else nothing after the activations would ever fail
                for kept in (folder / f"{name}-whole").glob("**/activations"):
                    place = out / kept.relative_to(folder / f"{name}-whole")
                    shutil.copytree(kept, place, dirs_exist_ok=True)

            def small(size: int = size) -> None:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

            log = folder / "log"
            code = run(words, before=small, log=log)
            said, left = lines(log), partials(out)
            again = run(words, log=log)
            apart = same(name, out, folder / f"{name}-whole") if again == 0 else 1.0
            found[f"{name} full at {size}"] = {
                "code": code, "said": said, "partials": left + partials(out), "apart": apart,
                "again": again, "then": lines(log),
            }  # fmt: skip
    return found


def full_from(target: Path) -> Callable[[], None]:
    """What makes the disk full in this process once a file is to be written, and for good."""

    def before() -> None:
        flush, full = files._flush_to_disk, []

        def fill(path: Path) -> None:
            if full or (path.parent == target.parent and path.name.startswith(f".{target.name}.")):
                full.append(path)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            flush(path)

        files._flush_to_disk = fill

    return before


def filling_disk(folder: Path) -> dict[str, dict]:
    """A disk that fills up in the middle of an upgrade, which then goes on to the same bytes."""
    found = {}
    whole, log = folder / "upgrade-whole", folder / "log"
    for number, name in enumerate(WRITTEN):
        out = folder / f"upgrade-filled-{number}"
        words = writers(folder, out)["upgrade"]
        code = run(words, before=full_from(out / name), log=log)
        said, left = lines(log), partials(out)
        again = run(words)
        weights = [(path / "sae_weights.safetensors").read_bytes() for path in (out, whole)]
        found[f"upgrade filled at {name}"] = {
            "code": code, "said": said, "partials": left, "again": again,
            "apart": max(same("upgrade", out, whole), float(weights[0] != weights[1])),
        }  # fmt: skip
    return found


def as_a_user() -> None:
    """What the superuser may do beyond the permissions of files, this process may no longer."""
    if os.geteuid() == 0:
        version, everything = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        assert ctypes.CDLL(None).capset(version, everything) == 0


def allow(folder: Path, writing: bool) -> None:
    """Change whether a folder and what is below it may be written."""
    for path in (folder, *folder.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(mode | 0o200 if writing else mode & ~0o222)


def read_only(folder: Path) -> dict[str, dict]:
    """A folder that may not be written, and one with everything in it that may not."""
    found = {}
    log, fixed = folder / "log", folder / "read-only"
    fixed.mkdir()
    for name in writers(folder, folder):
        whole = folder / f"{name}-whole"
        for place, out in (("below one", fixed / "out"), ("done", whole)):
            allow(fixed if place == "below one" else whole, writing=False)
            code = run(writers(folder, out)[name], before=as_a_user, log=log)
            allow(fixed if place == "below one" else whole, writing=True)
            found[f"{name} read-only, {place}"] = {
                "code": code, "said": lines(log), "partials": partials(out)
            }  # fmt: skip
    return found


def unreadable(folder: Path) -> dict[str, dict]:
    """Inputs that may not be read."""
    found = {}
    log = folder / "log"
    for name, path in (
        ("upgrade", "teacher/cfg.json"), ("upgrade", "teacher"), ("upgrade", "settings.toml"),
        ("harvest", "text.jsonl"), ("report", "compare-whole/report/report.json"),
        ("export", "upgrade-whole/activations/manifest.json"), ("sweep", "teacher"),
    ):  # fmt: skip
        mode = (folder / path).stat().st_mode
        (folder / path).chmod(0)
        out = folder / "unreadable"
        code = run(writers(folder, out)[name], before=as_a_user, log=log)
        (folder / path).chmod(mode)
        found[f"{name} without {path}"] = {"code": code, "said": lines(log)}
        shutil.rmtree(out, ignore_errors=True)
    return found


def until(ripe: Callable[[], bool]) -> None:
    """Wait for something that a process does, a minute at most."""
    end_of_patience = time.monotonic() + 60
    while not ripe():
        if time.monotonic() > end_of_patience:
            raise SystemExit("a process did not come to where it is disturbed")
        time.sleep(0.01)


def in_the_way(folder: Path) -> dict[str, dict]:
    """A folder that is deleted, one in which another works, two comparisons on one cache."""
    found = {}
    log, out = folder / "log", folder / "upgrade-gone"
    child = start(commands(folder, out)["upgrade"], log=log)
    until(lambda: any(out.glob("*")))
    shutil.rmtree(out, ignore_errors=True)
    found["upgrade deleted"] = {"code": end(child), "said": lines(log)}
    out = folder / "upgrade-two"
    child = start(commands(folder, out)["upgrade"])
    until(lambda: (out / "activations" / ".lock").exists())
    second = run(commands(folder, out)["upgrade"], log=log)
    found["upgrade twice"] = {
        "code": end(child),
        "second": second,
        "said": lines(log),
        "apart": same("upgrade", out, folder / "upgrade-whole"),
    }
    out = folder / "compare-two"
    words = commands(folder, out)["compare"]
    other = [str(folder / "other") if word == str(out / "report") else word for word in words]
    both = [start(words), start(other)]
    found["compare twice"] = {
        "codes": [end(child) for child in both],
        "apart": same("compare", out, folder / "compare-whole"),
    }
    return found


def changed(folder: Path) -> dict[str, dict]:
    """A text, teacher, model or setting changed between a kill and --resume is another run."""
    found = {}
    for what in ("text", "teacher", "model", "config"):
        world = folder / f"changed-{what}"
        world.mkdir()
        prepare(world)
        out = world / "out"
        words = commands(world, out)["upgrade"]
        child = start(words)
        until(lambda out=out: (out / "rational.json").exists())
        os.kill(child, signal.SIGKILL)
        end(child)
        host: dict = {}
        if what == "text":
            text = (world / "text.jsonl").read_text()
            (world / "text.jsonl").write_text(text.replace("xxx x", "xx xx"))
        if what == "teacher":
            path = world / "teacher" / "cfg.json"
            path.write_text(
                json.dumps(json.loads(path.read_text()) | {"apply_b_dec_to_input": False})
            )
        if what == "model":
            host = {"scale": 1.5, "fingerprint": "e" * 64}
        if what == "config":
            (world / "settings.toml").write_text("[train]\nbatch_size = 128\n")
        log = world / "log"
        found[what] = {"code": run(words, log=log, **host), "said": lines(log)}
    return found


def report(folder: Path) -> dict[str, dict]:
    for name in (*LOADERS, "rsae.commands.upgrade", "rsae_evals.commands.evaluation"):
        importlib.import_module(name)  # once, for all processes that are forked
    prepare(folder)
    seconds = {}
    small_host()
    for name in writers(folder, folder):
        with open(os.devnull, "w") as null, contextlib.redirect_stdout(null):
            # in this process, so that all is loaded before the forks
            code = main(writers(folder, folder / f"{name}-whole")[name])
        assert code == 0, name
    for name in commands(folder, folder):
        begin = time.monotonic()
        assert run(commands(folder, folder / f"{name}-timed")[name]) == 0, name
        seconds[name] = time.monotonic() - begin
    cases = (
        lambda: disturbed(folder, seconds), lambda: full_disk(folder),
        lambda: filling_disk(folder), lambda: read_only(folder), lambda: unreadable(folder),
    )  # fmt: skip
    found: dict[str, dict] = {"seconds": seconds}
    for case in (*cases, lambda: in_the_way(folder), lambda: changed(folder)):
        found |= case()
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.stdout.write(json.dumps(report(Path(sys.argv[1])), indent=1))
