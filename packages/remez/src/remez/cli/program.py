"""The command line: ``remez fit | table | certify | verify | code | plot | targets``.

Results go to standard output, progress and one-line errors to standard error. Exit codes:
0 success, 1 not converged or not verified, 2 invalid input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

from remez.cli import commands as do
from remez.cli.parsing import Parser
from remez.errors import ConvergenceError, ExpressionError, RemezError, one_line

__all__ = ["main"]

_OPTION = re.compile(r"--[a-z][a-z-]*(=.*)?|-h|--", re.DOTALL)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The command-line arguments; those of the process by default.

    Returns:
        The exit code.
    """
    parser = _parser()
    given = sys.argv[1:] if arguments is None else arguments
    # a leading space prevents argparse from reading "-inf", "-1e-3" or "-x**2" as an option
    options = parser.parse_args([f" {a}" if _is_value(a) else a for a in given])
    try:
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (RemezError, OSError, ImportError) as error:
        if options.debug:
            raise
        return _complain(error, 1 if isinstance(error, ConvergenceError | do.Refused) else 2)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)


def _is_value(argument: str) -> bool:
    """Whether an argument begins with a minus but is a number or an expression."""
    return argument.startswith("-") and not _OPTION.fullmatch(argument)


def _complain(error: object, code: int) -> int:
    if isinstance(error, OSError) and error.strerror and error.filename:
        error = f"cannot open {error.filename}: {error.strerror}; check the path"
    print(f"remez: error: {one_line(str(error))}", file=sys.stderr)
    return code


def _parser() -> Parser:
    parser = Parser(
        prog="remez",
        description="Best (minimax) rational approximation, with a certificate.",
        example="remez fit 'exp(x)' --degree 5 4",
    )
    parser.add_program_options("remez")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, summary, configure, example in _COMMANDS:
        command = commands.add_parser(name, help=summary, description=summary, example=example)
        command.set_defaults(run=run)
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        configure(command)
    return parser


def _output(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument(
        "--out", type=_path, metavar="FILE", help="write to a file instead of standard output"
    )


def _problem(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "function", type=str.strip, help='an expression such as "exp(x)", or the name of a target'
    )
    command.add_argument(
        "--domain", nargs=2, type=_number, action="append", metavar=("A", "B"),
        help="an interval; repeat the option for a union; inf and pi are allowed "
        "(default: -1 1, or the interval of the target)",
    )  # fmt: skip
    command.add_argument(
        "--weight", type=str.strip, help='"relative", or an expression (default: 1)'
    )


def _fit_options(command: argparse.ArgumentParser) -> None:
    _problem(command)
    command.add_argument(
        "--degree", nargs=2, type=int, metavar=("M", "N"),
        help="degrees of the numerator and the denominator",
    )  # fmt: skip
    command.add_argument(
        "--tol", type=float, help="use the smallest degree that reaches this error"
    )
    command.add_argument(
        "--precision", type=int, metavar="DIGITS", help="decimal digits (default: float64)"
    )
    _output(command)


def _table_options(command: argparse.ArgumentParser) -> None:
    _problem(command)
    command.add_argument(
        "--degree", nargs=2, type=int, default=(4, 4), metavar=("M", "N"),
        help="largest degrees of the table (default: 4 4)",
    )  # fmt: skip
    _output(command)


def _code_options(command: argparse.ArgumentParser) -> None:
    _fit_options(command)
    command.add_argument(
        "--lang", default="c", help="c, python, numba or torch (default: %(default)s)"
    )
    command.add_argument(
        "--dtype", default="float64", help="float64, float32 or bfloat16 (default: %(default)s)"
    )
    command.add_argument(
        "--scheme", default="horner", help="horner or estrin (default: %(default)s)"
    )
    command.add_argument(
        "--clamp", action="store_true",
        help="outside the domain, return the value at its nearer end",
    )  # fmt: skip
    command.add_argument(
        "--name", help="name of the generated function (default: derived from the target)"
    )


def _verify_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", type=_path, help="a certificate that remez certify wrote")
    _output(command)


def _number(text: str) -> Fraction | float:
    """An end of an interval: an exact decimal, ``inf``, or a constant such as ``-pi/2``."""
    from remez.functions.expression import Number, parse

    try:
        if text.strip().lstrip("+-").lower() in ("inf", "infinity"):
            return float(text)
        expression = parse(text)
        if isinstance(expression.tree, Number):
            return expression.tree.value
        low, high = (float(expression(x)) for x in (0.25, 0.75))
    except ExpressionError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if low != high:
        raise argparse.ArgumentTypeError(f"{text.strip()!r} is not a constant")
    return low


def _path(text: str) -> Path:
    return Path(text.strip())


_Configure = Callable[[argparse.ArgumentParser], None]
_Run = Callable[[argparse.Namespace], int]
_COMMANDS: tuple[tuple[str, _Run, str, _Configure, str], ...] = (
    (
        "fit", do.run_fit, "Find the best rational approximation of a function.", _fit_options,
        "remez fit 'exp(-x)' --degree 8 8 --domain 0 inf",
    ),
    (
        "table", do.run_table, "Errors of all types up to --degree.", _table_options,
        "remez table gelu --degree 6 6",
    ),
    (
        "certify", do.run_certify, "Enclose the best error and prove that there is no pole.",
        _fit_options, "remez certify gelu --degree 8 8 --out gelu.json",
    ),
    (
        "verify", do.run_verify, "Verify a certificate without the solver.", _verify_options,
        "remez verify gelu.json",
    ),
    (
        "code", do.run_code, "Generate C, Python, numba or torch code.", _code_options,
        "remez code tanh --degree 7 6 --lang c --dtype float32 --out tanh.h",
    ),
    (
        "plot", do.run_plot, "Draw the error curve.", _fit_options,
        "remez plot 'abs(x)' --degree 8 8 --out abs.svg",
    ),
    (
        "targets", do.run_targets, "List the functions of the catalogue.", _output,
        "remez targets --json",
    ),
)  # fmt: skip
