"""The program: its parser, those that other packages plug in, and how errors are told."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import entry_points
from typing import NoReturn

from remez.cli.parsing import Parser
from rsae_cli.parsers import (
    add_cache,
    add_doctor,
    add_export,
    add_harvest,
    add_info,
    add_refine,
    add_teacher,
    add_upgrade,
)
from rsae_cli.problems import CommandLineError, check

_PLUGINS = "rsae.commands"
_OF_EVALS = ("eval", "compare", "probe", "report")
_USER_ERROR = 2
_SIGNAL = 128  # and its number: the exit code of what a signal ends
_READER_GONE = 141


def build_parser() -> Parser:
    """The command line: `rsae`'s commands, then those of entry point group `rsae.commands`.

    Each entry point gives `register(subparsers)`, which adds a parser with a default
    `run(args) -> int`.
    """
    parser = Parser(
        prog="rsae",
        description="Upgrade trained sparse autoencoders to rational activations.",
        example="rsae upgrade demo:relu --out runs/relu",
    )
    parser.add_program_options("rsae")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands = (
        add_refine,
        add_upgrade,
        add_harvest,
        add_teacher,
        add_info,
        add_export,
        add_cache,
        add_doctor,
    )
    for add in commands:
        add(subparsers)
    for plugin in entry_points(group=_PLUGINS):
        plugin.load()(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; what a user can mend is one line on stderr and exit code 2.

    SIGTERM and SIGHUP end it as Ctrl-C does: what is in progress is left so that it can be taken up
    again, and the exit code is 128 and the signal's number.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name of a file need not be text
            stream.reconfigure(errors="backslashreplace")
    parser = build_parser()
    words = sys.argv[1:] if argv is None else argv
    if words and words[0] in _OF_EVALS and not entry_points(group=_PLUGINS):
        print(
            f"rsae: error: rsae {words[0]} comes with another package; run: pip install rsae-evals",
            file=sys.stderr,
        )
        return _USER_ERROR
    args = parser.parse_args(argv)
    try:
        with _signals_as_interrupts():
            if not getattr(args, "debug", False):  # then the library's own error is wanted
                check(args)
            code = int(args.run(args))
            sys.stdout.flush()  # a full disk is told here, not while the interpreter ends
            return code
    except BrokenPipeError:  # whoever reads us, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _READER_GONE
    except KeyboardInterrupt as stop:
        again = "with --resume " if hasattr(args, "resume") else ""
        print(f"rsae: stopped; the same command {again}goes on from here", file=sys.stderr)
        code = _SIGNAL + (stop.number if isinstance(stop, _Signal) else signal.SIGINT)
        if argv is None and isinstance(stop, _Signal):
            _end_at_once(code)
        return code
    except Exception as error:
        told = _told(error)
        if told is None or getattr(args, "debug", False):
            raise
        print(f"rsae: error: {told}", file=sys.stderr)
        return _USER_ERROR


def _told(error: Exception) -> str | None:
    """What to tell of an error that a user can mend, in one line; None for any other."""
    if isinstance(error, CommandLineError):  # told before anything slow is imported
        return str(error)
    from rsae.errors import RsaeError

    if isinstance(error, RsaeError):
        return str(error)
    if isinstance(error, MemoryError):
        return "the memory is used up; give fewer --tokens, a smaller file, or a larger machine"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        # files are written by `rsae.files`, which names them
        with suppress(OSError):  # where stdout is no file
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return "cannot write what is printed: the disk is full; free some space"
    return None


def _end_at_once(code: int) -> NoReturn:
    """End the process without the interpreter's own finalization.

    That would unload libraries while threads of torch's pools, interrupted in the midst of their
    work, may still run in them, which has ended in a segmentation fault. All files are written by
    then: locks are released and partial files removed on the way here.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # whoever reads it may have gone with the terminal
            stream.flush()
    os._exit(code)


class _Signal(KeyboardInterrupt):
    """A signal that asks the process to end, by its number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def _signals_as_interrupts() -> Iterator[None]:
    """While a command runs, SIGTERM and SIGHUP interrupt it; ignored ones (nohup) stay so."""

    def interrupt(number: int, _: object) -> None:
        raise _Signal(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in wanted}
    ours = [number for number, handler in before.items() if handler is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])
