"""Writing files: whole or not at all."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from remez.errors import RemezError

__all__ = ["write_text"]


def write_text(path: str | Path, text: str) -> None:
    """Write text in UTF-8 to a file, which holds its former content until all is written.

    Args:
        path: The file; its folder must exist.
        text: The content.

    Raises:
        RemezError: The file cannot be written.
    """
    end = Path(path).resolve()
    special = end.exists() and not end.is_file()  # a device such as /dev/stdout, or a folder
    unique = f"{os.getpid()}.{threading.get_ident()}"
    place = end if special else end.with_name(f".{end.name[:40]}.{unique}")
    try:
        place.write_text(text, encoding="utf-8")
        if not special:
            os.replace(place, end)
    except OSError as cause:
        if not special:
            with suppress(OSError):
                place.unlink()
        raise RemezError(
            f"{path} cannot be written ({cause.strerror}): give a file in an existing folder that "
            "you may write to"
        ) from cause
