"""What can go wrong for a user, one class per kind of cause."""

import reprlib

from remez.errors import one_line, printable

__all__ = [
    "ConfigError",
    "CorruptFileError",
    "DeviceError",
    "HookError",
    "HostError",
    "LockedError",
    "OutputError",
    "RsaeError",
    "StoreError",
    "TeacherError",
    "TextError",
    "TrainingError",
    "printable",
    "quoted",
]

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 80


class RsaeError(Exception):
    """Base of every error a user can cause; its message is one line: the cause, then what to do."""

    def __str__(self) -> str:
        return one_line(super().__str__())


def quoted(value: object) -> str:
    """A value of a foreign file as a message quotes it: its repr, at most about 80 characters.

    Example:
        >>> quoted("a" * 1000).count("a") < 80
        True
        >>> quoted(10**5000)
        'a number of more than 4300 digits'
    """
    try:
        return _REPR.repr(value)
    except ValueError:
        return "a number of more than 4300 digits"


class ConfigError(RsaeError):
    """A setting is outside its range or contradicts another."""


class DeviceError(RsaeError):
    """A device or floating type that does not exist on this machine."""


class HostError(RsaeError):
    """A language model cannot be found or loaded."""


class HookError(RsaeError):
    """A hook name that the language model does not have, or that is not supported."""


class TextError(RsaeError):
    """A text cannot be read or is too short."""


class StoreError(RsaeError):
    """Activations on disk are missing, damaged or belong to another run."""


class TeacherError(RsaeError):
    """A file or folder that is no sparse autoencoder, or one that does not fit."""


class TrainingError(RsaeError):
    """Training cannot start or cannot go on."""


class CorruptFileError(RsaeError):
    """A file is missing, truncated, damaged, or of another format than its name says."""


class OutputError(RsaeError):
    """A file or folder cannot be written."""


class LockedError(RsaeError):
    """Another run is working in the same folder."""
