"""A notice when numba compiles the inner loops, which takes seconds, once per installation."""

from __future__ import annotations

import functools
import logging
import sys
from typing import Any

__all__ = ["announce"]

LOGGER = logging.getLogger("remez")
NOTICE = "compiling the inner loops, once; later processes load them from the cache"


@functools.cache  # registered once
def announce() -> None:
    """From now on, tell of the first compilation of a loop of this package.

    It is logged at the level INFO by the logger "remez", and written to standard error if that is
    a terminal. Loops that are loaded from numba's cache are not compiled, and nothing is said.
    """
    from numba.core import event

    class First(event.Listener):
        """Speaks at the first compilation of a loop of this package."""

        silent = False

        def on_start(self, event: Any) -> None:
            """Say so, unless it was said before."""
            name = event.data["dispatcher"].py_func.__module__
            if self.silent or not name.startswith("remez."):
                return
            self.silent = True
            LOGGER.info(NOTICE)
            if sys.stderr is not None and sys.stderr.isatty():
                sys.stderr.write(f"remez: {NOTICE}\n")

        def on_end(self, event: Any) -> None:
            """Nothing is said at the end."""

    event.register("numba:compile", First())  # type: ignore[no-untyped-call]
