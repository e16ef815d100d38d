"""What can go wrong for a user, one class per kind of cause."""

import reprlib
import unicodedata

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

_LONGEST = 600  # characters of a message: a few lines of a terminal
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 80


_NOT_PRINTED = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # Unicode's control and format characters, line ends
_PRINTED = "\n\t\u200c\u200d"  # the last two join letters of Persian, of Hindi, and emoji


def printable(text: str) -> str:
    """The text with escapes for the characters that a terminal or a page would obey.

    These are control characters, which move the cursor or set a window's title, marks that turn
    the direction of writing, halves of surrogate pairs and line separators.

    Example:
        >>> print(printable("a" + chr(27) + "[2J" + chr(0x202E) + "b"))
        a\\x1b[2J\\u202eb
    """
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in _NOT_PRINTED and character not in _PRINTED
        else character
        for character in text
    )


class RsaeError(Exception):
    """Base of every error a user can cause; its message is one line: the cause, then what to do."""

    def __str__(self) -> str:
        # What a message quotes (a name in a damaged file, another library's error) may hold line
        # breaks, control characters, half a surrogate pair, or a hundred thousand characters. The
        # next step ends it.
        line = printable(" ".join(super().__str__().splitlines()))
        return line if len(line) <= _LONGEST else f"{line[:400]} … {line[-190:]}"


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
