"""The metadata of a foreign file, checked field by field, since it is not trusted."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsae.errors import CorruptFileError, quoted
from rsae.files import exists, read_json, write_json

__all__ = [
    "SKETCHES_FILE",
    "checked_metadata",
    "lost_sketches",
    "read_sketches",
    "with_sketches",
    "write_sketches",
]

SKETCHES_FILE = "text_sketches.json"
"""Beside `cfg.json`: sketches of the text that an SAE was trained and calibrated on."""

_TEXTS = (
    "model_name",
    "model_weights",
    "hook_name",
    "training_tokens_sha256",
    "teacher",
    "teacher_family",
)
_LISTS = ("training_sketches", "calibration_sketches")
# In cfg.json: how many sketches there are. Programs that copy cfg.json and the weights alone lose
# the sketches, and keep this.
_COUNT = "text_sketches"
_SKETCH = re.compile(r"[0-9a-f]{1,16}(?: [0-9a-f]{1,16})*|")
_LONGEST_TEXT = 1_000  # characters of a name or path
_LARGEST_CONTEXT = 2**20  # tokens of a sequence
_LARGEST_INTEGER = 2**63
_DEEPEST = 8  # levels of lists and objects
_MOST = 10_000  # entries of a list or object: a dataset's settings have dozens
# What SAELens' SAEMetadata, on which the keys become attributes, could not bear.
_RESERVED = {"self", "to_dict", "from_dict", "get", "keys", "values", "items"}


def checked_metadata(metadata: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The entries that can be used, and a sentence for each one that was left out.

    `model_name` and `hook_name` are short texts, `context_size` is a number of tokens between 1
    and 2^20, and `training_sketches` and `calibration_sketches` are lists of
    `rsae.data.text.Tokens.sketch`, and `text_sketches` is their number. Any other entry is kept if
    it is plain JSON of a modest size.

    Example:
        >>> checked_metadata({"context_size": -3, "prepend_bos": True})
        ({'prepend_bos': True}, ('its metadata says context_size = -3, which was left out',))
    """
    kept: dict[str, Any] = {}
    notes: list[str] = []
    for name, value in metadata.items():
        if value is None:
            continue
        if _is_usable_name(name) and _is_sound(name, value):
            kept[name] = value
        else:
            notes.append(f"its metadata says {_word(name)} = {quoted(value)}, which was left out")
    return kept, tuple(notes)


def with_sketches(metadata: Mapping[str, Any], **further: list[str]) -> dict[str, Any]:
    """The metadata with further sketches of text that was used, and their number.

    Args:
        metadata: Those of an SAE.
        further: The sketches by the metadata's key, ``training_sketches`` or
            ``calibration_sketches``.

    Example:
        >>> with_sketches({"training_sketches": ["0a"]}, training_sketches=["1b"])
        {'training_sketches': ['0a', '1b'], 'text_sketches': 2}
    """
    found = {name: [*(metadata.get(name) or []), *more] for name, more in further.items()}
    before = lost_sketches(metadata)
    kept = {**metadata, **found}
    return {**kept, _COUNT: before + _number(kept)}


def lost_sketches(metadata: Mapping[str, Any]) -> int:
    """How many sketches the metadata say there are beyond those that are there.

    Example:
        >>> lost_sketches({"text_sketches": 2, "training_sketches": ["0a"]})
        1
    """
    said = metadata.get(_COUNT)
    return max(0, said - _number(metadata)) if isinstance(said, int) and _is_number(said) else 0


def _number(metadata: Mapping[str, Any]) -> int:
    lists = (metadata.get(name) for name in _LISTS)
    return sum(len(found) for found in lists if isinstance(found, list | tuple))


def write_sketches(folder: Path, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Write the sketches among an SAE's metadata beside its `cfg.json`; return the other entries.

    They are thousands of hashes, which nobody who opens `cfg.json` wants to see there. Their
    number is among the entries, so that a lost file is noticed.

    Raises:
        OutputError: the folder cannot be written.
    """
    sketches = {name: metadata[name] for name in _LISTS if metadata.get(name)}
    if sketches:
        write_json(folder / SKETCHES_FILE, sketches)
    else:
        (folder / SKETCHES_FILE).unlink(missing_ok=True)  # of what was saved here before
    kept = {name: value for name, value in metadata.items() if name not in (*_LISTS, _COUNT)}
    number = lost_sketches(metadata) + _number(metadata)
    return {**kept, _COUNT: number} if number else kept


def read_sketches(folder: Path) -> dict[str, Any]:
    """The entries of the metadata that `write_sketches` kept in a folder; none is no error.

    Raises:
        CorruptFileError: The file is damaged, so the training text of the SAE is unknown.
    """
    file = folder / SKETCHES_FILE
    if not exists(file):
        return {}
    sketches = read_json(file)
    if not isinstance(sketches, dict) or not all(
        name in _LISTS and _is_sound(name, value) for name, value in sketches.items()
    ):
        raise CorruptFileError(f"{file} holds no sketches of texts; restore it or make it again")
    return sketches


def _is_usable_name(name: Any) -> bool:
    return (
        _is_text(name)
        and name.isprintable()
        and not name.startswith("__")
        and name not in _RESERVED
    )


def _is_sound(name: str, value: Any) -> bool:
    if name in _TEXTS:
        return _is_text(value) and value.isprintable()
    if name == "context_size":
        return type(value) is int and 1 <= value <= _LARGEST_CONTEXT
    if name == _COUNT:
        return _is_number(value)
    if name in _LISTS:
        return isinstance(value, list | tuple) and all(
            isinstance(one, str) and _SKETCH.fullmatch(one) for one in value
        )
    return _is_plain(value, _DEEPEST)


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _MOST


def _is_text(value: Any) -> bool:
    """A string of characters (no half of a surrogate pair), and not endless."""
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _is_plain(value: Any, depth: int) -> bool:
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int):
        return abs(value) < _LARGEST_INTEGER
    if isinstance(value, float):
        return value == value and abs(value) != float("inf")
    if isinstance(value, str):
        return _is_text(value)
    if depth == 0 or not isinstance(value, dict | list | tuple) or len(value) > _MOST:
        return False
    if isinstance(value, dict):
        return all(_is_text(name) and _is_plain(one, depth - 1) for name, one in value.items())
    return all(_is_plain(one, depth - 1) for one in value)


def _word(name: Any) -> str:
    return name if _is_text(name) and name.isidentifier() else quoted(name)
