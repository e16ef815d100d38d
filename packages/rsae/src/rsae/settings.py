"""Settings of any kind, from TOML or from Python: types and finiteness, checked in one place."""

import math
from dataclasses import MISSING, fields, is_dataclass
from numbers import Integral, Real
from typing import Any

from rsae.errors import ConfigError, quoted

__all__ = ["check_fields", "check_kind"]

_LARGEST = 2**63


def check_fields(record: Any) -> None:
    """Refuse a setting whose type is not that of its default.

    Whole numbers are below 2^63 in size, other numbers are finite, tuples are of whole numbers.

    Raises:
        ConfigError: a field is of another kind, NaN or infinite.
    """
    for field in fields(record):
        default = field.default
        if default is MISSING and field.default_factory is not MISSING:
            default = field.default_factory()
        value = getattr(record, field.name)
        kind = _kind(default)
        if kind and not _is(value, default):
            raise ConfigError(f"{field.name} is {quoted(value)}, not {kind}; correct it")


def check_kind(value: Any, kinds: type | tuple[type, ...], what: str, instead: str) -> None:
    """Refuse an argument of another kind.

    Args:
        value: The argument.
        kinds: What it may be.
        what: What it stands for, as the message says it.
        instead: What to give in its place.

    Raises:
        ConfigError: it is of none of the kinds.

    Example:
        >>> check_kind("gpt2", int, "the seed", "give a whole number")
        Traceback (most recent call last):
            ...
        rsae.errors.ConfigError: the seed is 'gpt2', of type str; give a whole number
    """
    if not isinstance(value, kinds):
        raise ConfigError(f"{what} is {quoted(value)}, of type {type(value).__name__}; {instead}")


def _kind(default: Any) -> str:
    if is_dataclass(default):
        return f"a {type(default).__name__}"
    kinds = {bool: "true or false", int: "a whole number", float: "a finite number"}
    kinds |= {str: "a text", tuple: "a row of whole numbers"}
    return kinds.get(type(default), "")


def _is(value: Any, default: Any) -> bool:
    if is_dataclass(default):
        return isinstance(value, type(default))
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, int):
        return _is_whole(value)
    if isinstance(default, float):
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        return is_number and abs(value) < _LARGEST and math.isfinite(value)
    if isinstance(default, tuple):
        return isinstance(value, tuple | list) and all(map(_is_whole, value))
    return isinstance(value, type(default))


def _is_whole(value: Any) -> bool:
    if not isinstance(value, Integral) or isinstance(value, bool):
        return False
    return abs(int(value)) < _LARGEST
