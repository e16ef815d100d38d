"""Compiled loops as their user meets them: a notice of the compilation, and interrupts."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["announce", "interruptible"]

LOGGER = logging.getLogger("remez")
NOTICE = "compiling the inner loops, once; later processes load them from the cache"


@functools.cache  # the listener is registered only once
def announce() -> None:
    """Report the first compilation of a numba function of this package.

    The notice is logged at level INFO by the logger "remez", and written to standard error if that
    is a terminal. Functions that are loaded from numba's cache cause no notice.
    """
    from numba.core import event

    class First(event.Listener):
        """Reports the first compilation of a function of this package."""

        silent = False

        def on_start(self, event: Any) -> None:
            """Report the compilation, unless one was reported before."""
            name = event.data["dispatcher"].py_func.__module__
            if self.silent or not name.startswith("remez."):
                return
            self.silent = True
            LOGGER.info(NOTICE)
            if sys.stderr is not None and sys.stderr.isatty():
                sys.stderr.write(f"remez: {NOTICE}\n")

        def on_end(self, event: Any) -> None:
            """The end of a compilation is not reported."""

    event.register("numba:compile", First())  # type: ignore[no-untyped-call]


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt for an interrupt inside a compiled loop.

    Python reports it as a SystemError there if numba was calling back into Python.
    """
    try:
        yield
    except SystemError as cause:
        if isinstance(cause.__cause__, KeyboardInterrupt):
            raise KeyboardInterrupt from cause
        raise
