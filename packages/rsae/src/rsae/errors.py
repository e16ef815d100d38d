"""What can go wrong for a user, one class per kind of cause."""

__all__ = [
    "ConfigError",
    "CorruptFileError",
    "HookError",
    "HostError",
    "LockedError",
    "OutputError",
    "RsaeError",
    "StoreError",
    "TeacherError",
    "TextError",
    "TrainingError",
]


class RsaeError(Exception):
    """Base of every error a user can cause; its message is one line: the cause, then what to do."""

    def __str__(self) -> str:
        # What a message quotes (a name in a damaged file, another library's error) may hold more.
        return " ".join(super().__str__().splitlines())


class ConfigError(RsaeError):
    """A setting is outside its range or contradicts another."""


class HostError(RsaeError):
    """A language model cannot be found or loaded."""


class HookError(RsaeError):
    """A hook name that the host does not have, or that is no residual stream."""


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
