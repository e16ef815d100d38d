"""Feed damaged and hostile bytes to every reader (`python -m tests.fuzz --minutes 60`).

Each reader is given a sound file that this project or its writers made, changed at random: bytes,
lengths, JSON values, tensors' types. It must give a result or a typed error in one line. Printed
are, for each reader, the inputs tried, how many of them were still read, and the failures: an error
of another type, more than ten seconds of CPU time, more than a gigabyte of memory, a file written
outside the folder. The exit code is 1 if there was one.
"""

import argparse
import contextlib
import io
import json
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tests.rsae import saes
from tests.rsae.fake_host import HOOKS, FakeHost, tokens
from tests.rsae.pretrained.test_hostile import HOSTILE
from tests.rsae.pretrained.test_refusals import WRITERS
from tests.rsae.tiny_model import save_tiny_model

import remez
from rsae import RSAE, RationalActivation, RationalConfig, UpgradeConfig
from rsae.data import ActivationStore, harvest
from rsae.data.text import documents
from rsae.errors import RsaeError
from rsae.language_model.shape import model_shape
from rsae.sae.load import describe, load_rsae
from rsae.train.checkpoint import load_checkpoint
from rsae.upgrading import fit_rational, run_folder
from rsae.upgrading.config import config_from_toml
from rsae_cli.problems import CommandLineError, check
from rsae_evals import compare, evaluation_set
from rsae_evals.evaluation import _read as read_measurement
from rsae_evals.metrics.probing import read as read_labels
from rsae_evals.report import read as read_report
from rsae_evals.report import write as write_report

TYPED = (RsaeError, remez.RemezError, CommandLineError)
SECONDS = 10  # of CPU time, which other programs do not use up
WAITING = 120  # seconds on the clock, for what sleeps or waits
MEMORY = 2**30
LONGEST_LINE = 2_000
Read = Callable[[Path], Any]


@dataclass(frozen=True)
class Reader:
    """Something that takes files: how sound ones are made, and how they are read."""

    make: Callable[[Path], Any]
    read: Read


def store_of(folder: Path) -> None:
    host = FakeHost()
    harvest(host, {"train": tokens(host, 4)}, HOOKS[0], folder)


def read_store(folder: Path) -> None:
    store = ActivationStore.open(folder)
    describe(folder)
    store.tokens("train")
    store.split("train").tensor()


def rsae_of(folder: Path) -> None:
    RSAE.from_teacher(saes.teacher("jumprelu"), RationalActivation.constant((3, 2))).save_model(
        folder
    )


def read_rsae(folder: Path) -> None:
    describe(folder)
    load_rsae(folder).encode(torch.ones(2, 12))


def run_of(folder: Path) -> None:
    """What an upgrade keeps beside its SAEs: four JSON files and a checkpoint."""
    from rsae.train.checkpoint import Progress, Snapshot, save_checkpoint
    from rsae.train.controller import L0Controller

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "upgrade.json").write_text('{"teacher": "relu", "activations": {}, "config": {}}')
    (folder / "rational.json").write_text(json.dumps(asdict(fit_rational(RationalConfig()))))
    one = {"mse": 1.0, "l0": 2.0, "frac_alive": 0.5, "n_tokens": 40, "files_sha256": "a b"}
    (folder / "metrics.json").write_text(json.dumps({"rsae": one}))
    snapshot = Snapshot({"last_fired": torch.zeros(3)}, Progress(3, L0Controller(8.0, 0.1)))
    save_checkpoint(folder / "rsae.checkpoint", snapshot)


def read_run(folder: Path) -> None:
    problems = []
    for step in (
        lambda: run_folder.claim(folder, {"teacher": "relu"}, resume=True),
        lambda: run_folder.kept_rational(folder, UpgradeConfig()),
        lambda: run_folder._kept_metrics(folder / "metrics.json"),
        lambda: load_checkpoint(folder / "rsae.checkpoint"),
    ):
        try:
            step()
        except RsaeError as error:
            problems.append(error)
    if problems:
        raise problems[0]


def report_of(folder: Path) -> None:
    x = saes.inputs(300)
    variants = {"teacher": saes.teacher("relu"), "rsae": saes.teacher("jumprelu")}
    write_report(compare(variants, evaluation_set(x), cache=folder / "measurements"), folder)
    for name in ("report.html", "report.md"):
        (folder / name).unlink()


def read_report_again(folder: Path) -> None:
    for path in (folder / "measurements").glob("*.safetensors"):
        read_measurement(path)
    write_report(read_report(folder), folder / "again")


def text_file(name: str, content: str) -> Callable[[Path], Any]:
    def make(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)

    return make


def fit_of(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    fit = remez.fit(remez.targets.exp, (2, 2))
    (folder / "fit.json").write_text(json.dumps(fit.to_dict()))
    remez.certify(fit).save(folder / "certificate.json")


def read_fit(folder: Path) -> None:
    try:
        content = json.loads((folder / "fit.json").read_text())
    except ValueError:
        content = None  # what is no JSON is not this reader's
    if isinstance(content, dict):
        remez.Fit.from_dict(content)(0.5)
    remez.verify(folder / "certificate.json")


def read_expression(folder: Path) -> None:
    text = (folder / "expression.txt").read_text(errors="replace")
    remez.parse(text)(0.5)


def read_command(folder: Path) -> None:
    from rsae_cli import build_parser

    words = (folder / "command.txt").read_text(errors="replace").split()
    said = io.StringIO()  # argparse's own usage and help
    with (
        contextlib.redirect_stderr(said),
        contextlib.redirect_stdout(said),
        contextlib.suppress(SystemExit),
    ):
        check(build_parser().parse_args(words))


def read_documents(folder: Path) -> None:
    documents(folder / "text.jsonl")
    documents(folder)


def model_of(folder: Path) -> None:
    """Of a language model's folder, its settings."""
    save_tiny_model(folder)
    for path in folder.iterdir():
        if path.name != "config.json":
            path.unlink()


SETTINGS = """\
seed = 3
[rational]
form = "gate"
degree = [3, 2]
[train]
steps = 40
lr = 0.03
[train.controller]
reach = 100.0
"""
LABELS = '[{"text": "good", "tone": "up"}, {"text": "bad", "tone": "down"}]'
READERS: dict[str, Reader] = {
    **{name: Reader(write, describe) for name, write in WRITERS.items()},
    "rsae": Reader(rsae_of, read_rsae),
    "store": Reader(store_of, read_store),
    "run": Reader(run_of, read_run),
    "report": Reader(report_of, read_report_again),
    "model": Reader(model_of, model_shape),
    "settings": Reader(
        text_file("x.toml", SETTINGS), lambda f: config_from_toml(f / "x.toml", UpgradeConfig())
    ),
    "labels": Reader(text_file("x.json", LABELS), lambda f: read_labels(f / "x.json")),
    "labels csv": Reader(
        text_file("x.csv", 'text,tone\n"a, b",up\nc,down\n'), lambda f: read_labels(f / "x.csv")
    ),
    "texts": Reader(text_file("text.jsonl", '{"text": "a b"}\n{"text": "c"}\n'), read_documents),
    "fit": Reader(fit_of, read_fit),
    "expression": Reader(
        text_file("expression.txt", "exp(-x**2)/(1 + sin(3*x)**2) - sqrt(x + 2)"), read_expression
    ),
    "command": Reader(
        text_file(
            "command.txt", "upgrade demo:relu --out o --steps 3 --hook blocks.1.hook_resid_pre"
        ),
        read_command,
    ),
}


def change(path: Path, rng: random.Random) -> None:
    """Damage a file: its bytes or, where it has a structure, a value in it."""
    ways = [change_bytes, change_bytes]
    if path.suffix == ".json":
        ways += [change_json] * 4
    if path.suffix == ".safetensors":
        ways += [change_tensors] * 3
    try:
        rng.choice(ways)(path, rng)
    except (ValueError, LookupError, RuntimeError, OSError, SafetensorError, RecursionError):
        change_bytes(path, rng)  # damaged before: its structure is gone


def change_bytes(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    place = rng.randrange(len(content) + 1)
    way = rng.randrange(6)
    if way == 0:
        del content[place:]
    elif way == 1:
        content[place:place] = rng.randbytes(rng.choice([1, 8, 1000]))
    elif way == 2:
        del content[place : place + rng.choice([1, 4, 100])]
    elif way == 3:
        content[place:place] = rng.choice([b"\0", b"\xff\xfe", b"9" * 5000, b"(" * 3000, b"1e999"])
    elif way == 4 and content:
        piece = content[place : place + 20]
        content[place:place] = piece * rng.choice([1, 50])
    else:
        for _ in range(rng.choice([1, 3, 30])):
            if content:
                content[rng.randrange(len(content))] = rng.randrange(256)
    path.write_bytes(content)


def change_json(path: Path, rng: random.Random) -> None:
    """Put a hostile value in the place of one, or take one out."""
    content = json.loads(path.read_text())
    places = list(_places(content))
    if not places:
        raise ValueError
    owner, key = rng.choice(places)
    if rng.random() < 0.15:
        del owner[key]
        path.write_text(json.dumps(content))
        return
    owner[key] = "@@"
    path.write_text(json.dumps(content).replace('"@@"', rng.choice(HOSTILE)))


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    items = content.items() if isinstance(content, dict) else ()
    items = enumerate(content[:50]) if isinstance(content, list) else items
    for key, value in items:
        yield content, key
        yield from _places(value)


def change_tensors(path: Path, rng: random.Random) -> None:
    tensors = load_file(path)
    name = rng.choice(sorted(tensors))
    x = tensors[name]
    ways: list[Callable[[], torch.Tensor]] = [
        lambda: x.double(),
        lambda: x.long(),
        lambda: x.bool(),
        lambda: x.bfloat16(),
        lambda: x.flatten()[:-1],
        lambda: x[None],
        lambda: x * float("nan"),
        lambda: x * 1e38 * 10,
        lambda: x[:0],
        lambda: x.t() if x.ndim == 2 else x.flip(0),
    ]
    tensors[name] = rng.choice(ways)().contiguous()
    if rng.random() < 0.2:
        tensors[rng.choice(["x", "threshold", "module.W_enc"])] = tensors.pop(name)
    save_file(tensors, path)


class Hung(BaseException):
    """More than ten seconds of CPU time, or two minutes, for what reads one small file."""


@contextmanager
def limits() -> Iterator[None]:
    """Ten seconds of CPU time, and a gigabyte more address space than is in use."""

    def hang(*_: object) -> None:
        raise Hung

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    handlers = {kind: signal.signal(kind, hang) for kind in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WAITING)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, before[1]))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, before)
        for kind, handler in handlers.items():
            signal.signal(kind, handler)


class Outside:
    """Files that are written or made outside a folder, seen by an audit hook.

    The caches of compiled code beside the modules, ``__pycache__``, are not counted.
    """

    def __init__(self) -> None:
        self.allowed: Path | None = None
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if self.allowed is None:
            return
        writes = event == "open" and isinstance(args[1], str) and set("wax+") & set(args[1])
        if not writes and event not in ("os.mkdir", "os.rename", "os.remove", "os.symlink"):
            return
        path = args[0]
        if not isinstance(path, str | Path) or "__pycache__" in Path(path).parts:
            return
        if not Path(path).resolve().is_relative_to(self.allowed):
            self.seen.append(f"{event} {path}")


def attempt(reader: Reader, folder: Path, outside: Outside) -> str:
    """ "read", "typed", or what went wrong in a line."""
    outside.seen.clear()
    outside.allowed = folder.resolve()
    try:
        with limits(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", RuntimeWarning)
            reader.read(folder)
        verdict = "read"
    except TYPED as error:
        line = str(error)
        sound = "\n" not in line and len(line) < LONGEST_LINE
        verdict = "typed" if sound else f"a message of {len(line)} characters: {line[:80]!r}"
    except Hung:
        verdict = "hang"
    except MemoryError:
        verdict = "memory"
    except Exception as error:  # noqa: BLE001 - any other error is what is looked for
        place = traceback.extract_tb(error.__traceback__)[-1]
        verdict = f"untyped {type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
    finally:
        outside.allowed = None
    return f"outside: {outside.seen[0]}" if outside.seen else verdict


def fuzz(
    seconds: float, most: int | None, seed: int, names: list[str], keep: Path | None
) -> Counter[tuple[str, str]]:
    """Change and read until the time is up, or so many are; (reader, outcome) → how often."""
    rng = random.Random(seed)
    outside = Outside()
    found: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as temporary:
        sound = {name: Path(temporary) / "sound" / name.replace(" ", "_") for name in names}
        files: dict[str, dict[Path, bytes]] = {}
        for name, folder in sound.items():
            folder.mkdir(parents=True)
            READERS[name].make(folder)
            paths = (path for path in folder.rglob("*") if path.is_file())
            files[name] = {path.relative_to(folder): path.read_bytes() for path in paths}
            untouched = attempt(READERS[name], folder, outside)
            assert untouched == "read", (name, untouched)
        end = time.monotonic() + seconds
        number = 0
        while time.monotonic() < end and number != most:
            name = names[number % len(names)]
            number += 1
            with tempfile.TemporaryDirectory(dir=temporary) as one:
                folder = Path(one) / "input"
                for path, content in files[name].items():
                    (folder / path).parent.mkdir(parents=True, exist_ok=True)
                    (folder / path).write_bytes(content)
                for _ in range(rng.choice([1, 1, 2, 4])):
                    change(folder / rng.choice(sorted(files[name])), rng)
                outcome = attempt(READERS[name], folder, outside)
                found[name, outcome] += 1
                if keep and outcome not in ("read", "typed") and found[name, outcome] == 1:
                    folder.rename(keep / f"{name.replace(' ', '_')}-{number}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--inputs", type=int, help="stop after so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", choices=sorted(READERS), action="append")
    parser.add_argument("--keep", type=Path, help="folder for the first input of each failure")
    args = parser.parse_args()
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    sys.dont_write_bytecode = True  # a module first imported by a reader is no file of its own
    names = args.reader or list(READERS)
    found = fuzz(60 * args.minutes, args.inputs, args.seed, names, args.keep)
    out = sys.stdout.write
    out(f"{'reader':<22}{'tried':>8}{'read':>8}{'typed':>8}{'failed':>8}\n")
    for name in names:
        mine = {outcome: n for (reader, outcome), n in found.items() if reader == name}
        tried, read, typed = sum(mine.values()), mine.get("read", 0), mine.get("typed", 0)
        out(f"{name:<22}{tried:>8}{read:>8}{typed:>8}{tried - read - typed:>8}\n")
    failures = {key: n for key, n in found.items() if key[1] not in ("read", "typed")}
    for (name, outcome), n in sorted(failures.items()):
        out(f"{n:>6} × {name}: {outcome}\n")
    kinds = {"untyped": "untyped", "hangs over 10 s": "hang", "memory over 1 GB": "memory"}
    kinds |= {"files outside": "outside", "long messages": "a message"}
    counts = {
        label: sum(n for (_, outcome), n in failures.items() if outcome.startswith(start))
        for label, start in kinds.items()
    }
    said = ", ".join(f"{label} {n}" for label, n in counts.items())
    out(f"inputs tried {sum(found.values())}, {said}\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
