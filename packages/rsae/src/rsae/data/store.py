"""Activations on disk: a manifest, the tokens, and shards of safetensors per hook.

    DIR/manifest.json                       what it is of, and every finished shard's checksum
    DIR/tokens/SPLIT.safetensors            ids, special, document
    DIR/HOOK/SPLIT-00000.safetensors        activations (n, d_in), special tokens left out

The manifest is the truth: a shard that it does not name is not there.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rsae.data.sample import Activations
from rsae.data.text import Tokens
from rsae.errors import CorruptFileError, StoreError
from rsae.files import load_safetensors, read_json, save_safetensors, sha256, write_json
from rsae.settings import check_kind

__all__ = ["ActivationStore", "Manifest", "Shard"]

_MANIFEST = "manifest.json"
_FORMAT = "rsae activations 2"
_NAME = re.compile(r"[\w-][\w.-]*")  # of hooks and splits, which are folders and files
_HASH = re.compile(r"[0-9a-f]{64}")
_MOST_SHARDS = 10**6


@dataclass(frozen=True)
class Shard:
    """One finished file.

    Attributes:
        file: Its path within the store.
        n_tokens: Rows.
        dtype: ``float16``, or ``float32`` where a value is beyond the range of ``float16``.
        sha256: Checksum of the file.
    """

    file: str
    n_tokens: int
    dtype: str
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a store holds.

    Attributes:
        model: Name of the host.
        model_sha256: `rsae.language_model.host.Host.fingerprint`: a model is its weights.
        d_in: Width of the activations.
        hook_names: Where it was read.
        context_size: Tokens per sequence, BOS included.
        n_sequences: Per split.
        n_tokens: Per split, those that were kept.
        tokens_sha256: Per split, of the token ids.
        excluded_token_ids: Special tokens, which were left out.
        excluded_positions: So many positions at the beginning of every sequence were, too.
        n_excluded: Per split, how many tokens that is.
        sequences_per_shard: Every shard holds the tokens of so many sequences.
        shards: Finished files.
    """

    model: str
    model_sha256: str
    d_in: int
    hook_names: tuple[str, ...]
    context_size: int
    n_sequences: dict[str, int]
    n_tokens: dict[str, int]
    tokens_sha256: dict[str, str]
    excluded_token_ids: tuple[int, ...]
    excluded_positions: int
    n_excluded: dict[str, int]
    sequences_per_shard: int
    shards: tuple[Shard, ...] = field(default=())

    def files(self, hook_name: str, split: str) -> list[str]:
        """Names of the shards of one split at one hook, in order."""
        number = -(-self.n_sequences[split] // self.sequences_per_shard)
        return [f"{hook_name}/{split}-{i:05d}.safetensors" for i in range(number)]

    def differences(self, other: "Manifest") -> list[str]:
        """In which settings, by name, this differs from another (by what name a model was found
        is none)."""
        mine, theirs = asdict(self), asdict(other)
        settings = [name for name in mine if name not in ("shards", "model")]
        return [name for name in settings if mine[name] != theirs[name]]


@dataclass(frozen=True)
class ActivationStore:
    """Cached activations and their tokens.

    Attributes:
        folder: The folder of the store.
        manifest: What it holds.
    """

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: Path | str) -> "ActivationStore":
        """Open a store; its shards are checked when they are read.

        Raises:
            StoreError: there is none, or it is of another version.
            ConfigError: `folder` is no path.
        """
        check_kind(folder, (str, Path), "the store", "give the folder that rsae.harvest wrote")
        path = Path(folder)
        if not (path / _MANIFEST).is_file():
            raise StoreError(f"{path} holds no activations; make them with: rsae harvest")
        content = read_json(path / _MANIFEST)
        if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
            raise StoreError(f"{path} is of another version or no store; harvest into a new folder")
        try:
            return cls(path, _manifest_from(content))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"{path / _MANIFEST} is damaged ({error}); harvest into a new folder"
            ) from error

    @property
    def hook_names(self) -> tuple[str, ...]:
        """The hooks whose activations are here."""
        return self.manifest.hook_names

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return tuple(self.manifest.n_tokens)

    def split(self, name: str, hook_name: str | None = None) -> Activations:
        """The activations of one split.

        Args:
            name: ``"train"``, ``"calibration"`` or ``"heldout"``.
            hook_name: At which hook; may be left out where there is only one.

        Raises:
            StoreError: there is no such split or hook, or a shard is missing or damaged.
        """
        self._check_split(name)
        hook = self._one_hook(hook_name)
        finished = {shard.file: shard for shard in self.manifest.shards}
        parts = []
        checksums = []
        for file in self.manifest.files(hook, name):
            if file not in finished:
                raise StoreError(f"{self.folder} is unfinished; run the same rsae harvest again")
            parts.append(self._read(finished[file]))
            checksums.append(finished[file].sha256)
        rows = sum(len(part) for part in parts)
        if rows != self.manifest.n_tokens[name]:
            raise StoreError(
                f"{self.folder}: split {name!r} has {rows} rows where "
                f"{self.manifest.n_tokens[name]} are due; harvest into a new folder"
            )
        return Activations(tuple(parts), _checksum_of(checksums))

    def tokens(self, name: str) -> Tokens:
        """The token sequences of one split, special tokens included.

        Raises:
            StoreError: there is no such split, or its file is damaged.
        """
        self._check_split(name)
        tensors = load_safetensors(_tokens_file(self.folder, name))
        if not self._are_tokens(tensors, name):
            raise StoreError(
                f"the tokens of split {name!r} in {self.folder} are damaged; "
                "run the same rsae harvest again"
            )
        return Tokens(tensors["ids"], tensors["special"], tensors["document"])

    def is_whole(self, shard: Shard) -> bool:
        """Whether a shard's file is there and has the checksum it was written with."""
        path = self.folder / shard.file
        if not path.is_file():
            return False
        status = path.stat()
        return _sha256(path, status.st_size, status.st_mtime_ns) == shard.sha256

    def holds(self, name: str, tokens: Tokens) -> bool:
        """Whether these tokens of a split are on disk, whole.

        Args:
            name: The split.
            tokens: Its sequences, special tokens included.
        """
        try:
            kept = self.tokens(name)
        except (CorruptFileError, StoreError):
            return False
        pairs = ((kept.ids, tokens.ids), (kept.special, tokens.special))
        return all(torch.equal(*pair) for pair in (*pairs, (kept.document, tokens.document)))

    def save_tokens(self, name: str, tokens: Tokens) -> None:
        """Write the tokens of a split.

        Args:
            name: The split.
            tokens: Its sequences, special tokens included.
        """
        save_safetensors(
            _tokens_file(self.folder, name),
            {"ids": tokens.ids, "special": tokens.special, "document": tokens.document},
        )

    def save_manifest(self) -> None:
        """Write the manifest."""
        write_json(self.folder / _MANIFEST, {"format": _FORMAT, **asdict(self.manifest)})

    def _read(self, shard: Shard) -> Tensor:
        if not self.is_whole(shard):
            raise StoreError(
                f"{self.folder / shard.file} is missing or damaged; "
                "run the same rsae harvest again to replace it"
            )
        try:
            rows = load_safetensors(self.folder / shard.file)["activations"]
        except (CorruptFileError, KeyError) as error:
            raise StoreError(
                f"{self.folder / shard.file} holds no activations; harvest into a new folder"
            ) from error
        dtype = str(rows.dtype).removeprefix("torch.")
        if dtype != shard.dtype or rows.shape != (shard.n_tokens, self.manifest.d_in):
            raise StoreError(
                f"{self.folder / shard.file} holds {dtype} of shape {tuple(rows.shape)} where "
                f"{shard.dtype} of {(shard.n_tokens, self.manifest.d_in)} is due; "
                "harvest into a new folder"
            )
        if not torch.isfinite(rows).all():
            raise StoreError(
                f"{self.folder / shard.file} holds NaN or infinity; harvest into a new folder"
            )
        return rows

    def _are_tokens(self, tensors: Mapping[str, Tensor], name: str) -> bool:
        """Whether tensors are the tokens of a split: their kinds, their shapes, their checksum."""
        if tensors.keys() != {"ids", "special", "document"}:
            return False
        ids, special, document = tensors["ids"], tensors["special"], tensors["document"]
        manifest = self.manifest
        return (
            [ids.dtype, special.dtype, document.dtype] == [torch.int64, torch.bool, torch.int64]
            and ids.shape == special.shape == (manifest.n_sequences[name], manifest.context_size)
            and document.shape == ids.shape[:1]
            and bool((ids >= 0).all())
            and int((~special).sum()) == manifest.n_tokens[name]
            and sha256(ids) == manifest.tokens_sha256[name]
        )

    def _check_split(self, name: str) -> None:
        if name not in self.splits:
            raise StoreError(
                f"{self.folder} has no split {name!r}; it has {', '.join(self.splits)}"
            )

    def _one_hook(self, hook_name: str | None) -> str:
        hooks = self.hook_names
        if hook_name is None and len(hooks) == 1:
            return hooks[0]
        if hook_name not in hooks:
            raise StoreError(f"{self.folder} has no hook {hook_name!r}; it has {', '.join(hooks)}")
        return hook_name


@lru_cache(maxsize=_MOST_SHARDS)
def _sha256(path: Path, size: int, modified: int) -> str:
    """Checksum of a file, read once by a process as long as its size and time stay the same."""
    return sha256(path)


def _tokens_file(folder: Path, split: str) -> Path:
    return folder / "tokens" / f"{split}.safetensors"


def _manifest_from(content: Mapping[str, Any]) -> Manifest:
    """A manifest of plain JSON, every field of which is checked."""
    settings = dict(content)
    for name in ("hook_names", "excluded_token_ids", "shards"):
        if not isinstance(settings[name], list):
            raise TypeError(f"its {name} is no list")
    settings["hook_names"] = tuple(settings["hook_names"])
    settings["excluded_token_ids"] = tuple(settings["excluded_token_ids"])
    settings["shards"] = tuple(Shard(**shard) for shard in settings["shards"])
    manifest = Manifest(**settings)
    _check(manifest)
    return manifest


def _check(manifest: Manifest) -> None:
    splits = manifest.n_tokens.keys()
    counts = (manifest.n_sequences, manifest.n_tokens, manifest.n_excluded)
    sound = {
        "model": isinstance(manifest.model, str) and _is_hash(manifest.model_sha256),
        "d_in": _is_count(manifest.d_in, 1),
        "hook_names": bool(manifest.hook_names) and all(map(_is_name, manifest.hook_names)),
        "context_size": _is_count(manifest.context_size, 1),
        "splits": bool(splits) and all(map(_is_name, splits)),
        "counts": all(
            counted.keys() == splits and all(_is_count(n) for n in counted.values())
            for counted in counts
        ),
        "tokens_sha256": manifest.tokens_sha256.keys() == splits
        and all(map(_is_hash, manifest.tokens_sha256.values())),
        "excluded": all(map(_is_count, manifest.excluded_token_ids))
        and _is_count(manifest.excluded_positions),
        "sequences_per_shard": _is_count(manifest.sequences_per_shard, 1),
        "shards": all(
            isinstance(shard.file, str)
            and _is_count(shard.n_tokens)
            and shard.dtype in ("float16", "float32")
            and _is_hash(shard.sha256)
            for shard in manifest.shards
        ),
    }
    bad = [name for name, is_sound in sound.items() if not is_sound]
    if bad:
        raise ValueError(f"its {', '.join(bad)} cannot be")
    planned = sum(manifest.n_sequences.values()) // manifest.sequences_per_shard
    if planned * len(manifest.hook_names) > _MOST_SHARDS:
        raise ValueError("it plans for millions of shards")


def _is_count(value: Any, least: int = 0) -> bool:
    return type(value) is int and least <= value < 2**63


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) < 200 and _NAME.fullmatch(value) is not None


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and _HASH.fullmatch(value) is not None


def _checksum_of(checksums: list[str]) -> str:
    return hashlib.sha256("\n".join(checksums).encode()).hexdigest()
