"""Frozen dataclasses to plain JSON values and back, by their own annotations."""

from __future__ import annotations

import math
import types
import typing
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, TypeVar

from rsae.errors import printable, quoted

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Dataclasses, tuples and enums as dicts, lists and strings.

    JSON has no NaN or infinity: such a float becomes ``None``, that is, "undefined".
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def with_printable_texts(value: T) -> T:
    """The same with escapes for control characters in every text, as `rsae.errors.printable`."""
    found: Any = value
    if is_dataclass(value) and not isinstance(value, type):
        texts = {f.name: with_printable_texts(getattr(value, f.name)) for f in fields(value)}
        found = replace(value, **texts)
    elif isinstance(value, str) and not isinstance(value, Enum):
        found = printable(value)
    elif isinstance(value, dict):
        found = {with_printable_texts(k): with_printable_texts(v) for k, v in value.items()}
    elif isinstance(value, list | tuple):
        found = type(value)(map(with_printable_texts, value))
    return found


def from_plain(kind: Any, value: Any) -> Any:
    """The inverse of `to_plain` for a value annotated as ``kind``."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return from_plain(next(a for a in args if a is not type(None)), value)
    if origin is tuple and not isinstance(value, list | tuple):
        raise TypeError(f"{quoted(value)} is no list")
    if origin is tuple:
        kinds = args[:1] * len(value) if args[1:] == (...,) else args
        return tuple(from_plain(k, v) for k, v in zip(kinds, value, strict=True))
    if origin is dict:
        return {k: from_plain(args[1], v) for k, v in value.items()}
    if isinstance(kind, type) and is_dataclass(kind):
        return dataclass_from(kind, value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    if kind is float and value is not None:
        return _number(value)
    if kind in (str, int, bool) and type(value) is not kind:
        raise TypeError(f"{quoted(value)} is no {kind.__name__}")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise TypeError(f"{quoted(value)} is no finite number")
    return float(value)


def dataclass_from(kind: type[T], value: dict[str, Any]) -> T:
    """Rebuild the dataclass ``kind`` from `to_plain`'s dict."""
    hints = typing.get_type_hints(kind)
    return kind(**{name: from_plain(hints[name], value[name]) for name in value})
