"""The commands of ``remez``: each calls the library, then prints rows or JSON."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import math
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from remez.errors import DegreeError, RemezError
from remez.files import write_text

__all__ = [
    "Refused",
    "run_certify",
    "run_code",
    "run_fit",
    "run_plot",
    "run_table",
    "run_targets",
    "run_verify",
]


class Refused(RemezError):
    """A certificate could not be verified."""


def _target(options: argparse.Namespace) -> tuple[Any, Any]:
    """The function, and its domain if one is given."""
    from remez.functions.catalogue import as_target

    return as_target(options.function), options.domain


def _weight(options: argparse.Namespace) -> Any:
    from remez.functions.expression import parse

    plain = options.weight in (None, "relative")
    return options.weight if plain else parse(options.weight)


def _working(what: str) -> AbstractContextManager[Any]:
    """A progress spinner on standard error, shown only on a terminal."""
    from rich.console import Console
    from rich.markup import escape

    return Console(stderr=True).status(escape(what))


def _fit(options: argparse.Namespace) -> Any:
    from remez.interface import fit

    if options.degree is None and options.tol is None:
        raise DegreeError("give --degree M N, or --tol for the smallest degree that reaches it")
    fn, domain = _target(options)
    request = {"weight": _weight(options), "tol": options.tol, "precision": options.precision}
    steps = itertools.count(1)
    with _working(f"fitting {options.function}") as spinner:

        def show(*_: Any) -> None:
            spinner.update(f"fitting: exchange step {next(steps)}")

        return fn, fit(fn, options.degree, domain, callback=show, **request)


def _emit(options: argparse.Namespace, record: dict[str, Any], text: str) -> None:
    """Write the record as JSON, or the text, to standard output or a file."""
    if options.json or (options.out and options.out.suffix == ".json"):
        text = json.dumps(_strict(record), indent=2)
    if options.out:
        write_text(options.out, text.rstrip("\n") + "\n")
    else:
        sys.stdout.write(text.rstrip("\n") + "\n")


def _strict(value: Any) -> Any:
    """Replace infinities, which JSON lacks, by strings that `Domain.of` reads."""
    if isinstance(value, dict):
        return {key: _strict(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _columns(rows: Sequence[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _digits(value: Any) -> str:
    """A number with six digits, or thirty if it is an mpmath number."""
    if isinstance(value, float):
        return f"{value:.6g}"
    from mpmath import mp

    return str(mp.nstr(value, 30))


def _complex(values: Any) -> str:
    return ", ".join(f"{complex(z):.6g}".replace("+0j", "") for z in values) or "none"


def run_fit(options: argparse.Namespace) -> int:
    """``remez fit``: the error, the status and the rational."""
    fn, fit = _fit(options)
    m, n = fit.degree
    rows = [
        ("function", f"{fn.text} on {fit.domain}"),
        ("type", f"({m}, {n})" + (f", defect {fit.defect}" if fit.defect else "")),
        ("error", _digits(fit.error)),
        ("lower bound", _digits(fit.lower_bound)),
        ("alternation", f"{len(fit.reference)} points"),
        ("status", fit.status.value),
        ("found by", f"{fit.method}, {fit.iterations} steps, {fit.evaluations} evaluations"),
        ("poles", _complex(fit.poles())),
    ]
    if fit.precision is None:
        for name, polynomial in (("p", fit.numerator), ("q", fit.denominator)):
            rows.append((f"{name} (Chebyshev)", " ".join(f"{c:.17g}" for c in polynomial.coef)))
    _emit(options, {"expression": fn.text, **fit.to_dict()}, _columns(rows))
    return 0


def run_table(options: argparse.Namespace) -> int:
    """``remez table``: the errors of all types up to a degree."""
    from remez.error_tables import error_table

    fn, domain = _target(options)
    with _working(f"fitting {options.function}") as spinner:

        def show(done: int, total: int) -> None:
            spinner.update(f"fitting: {done} of {total}")

        errors = error_table(
            fn, tuple(options.degree), domain, weight=_weight(options), progress=show
        ).errors
    head = "m \\ n" + "".join(f"{n:>11}" for n in range(errors.shape[1]))
    lines = [f"{m:<5}" + "".join(f"{e:11.3e}" for e in row) for m, row in enumerate(errors)]
    plain = [[None if math.isnan(e) else float(e) for e in row] for row in errors]
    _emit(options, {"expression": fn.text, "errors": plain}, "\n".join([head, *lines]))
    return 0


def run_certify(options: argparse.Namespace) -> int:
    """``remez certify``: an enclosure of the best error, and whether r is free of poles."""
    fn, fit = _fit(options)
    with _working("certifying"):
        certificate = fit.certify()
    rows = [
        ("function", f"{fn.text} on {fit.domain}, type {fit.degree}"),
        ("lower", f"{certificate.lower:.17g}"),
        ("upper", f"{certificate.upper:.17g}"),
        ("pole free", "yes" if certificate.pole_free else "not shown"),
        ("rigorous", "yes" if certificate.rigorous else "no"),
        ("method", certificate.method),
        ("panels", str(certificate.panels)),
    ]
    options.json = options.json or options.out is not None  # `remez verify` reads JSON
    _emit(options, certificate.to_dict(), _columns(rows))
    return 0 if certificate.pole_free else 1


def run_verify(options: argparse.Namespace) -> int:
    """``remez verify``: prove the bounds of a certificate again, without the solver."""
    from remez.verification.certificate import verify

    options.file.open().close()  # a missing file is exit code 2, not 1
    with _working("verifying"):
        verdict = verify(options.file)
    if not verdict:
        raise Refused(f"{options.file} is not verified: {verdict.reason}")
    rows = [("verified", verdict.reason)]
    rows += [("lower", f"{verdict.lower:.17g}"), ("upper", f"{verdict.upper:.17g}")]
    _emit(options, dataclasses.asdict(verdict), _columns(rows))
    return 0


def run_code(options: argparse.Namespace) -> int:
    """``remez code``: source text, with its error bound in the header."""
    from remez.code.generate import generate_code

    _, fit = _fit(options)
    code = generate_code(
        fit,
        options.lang,
        dtype=options.dtype,
        scheme=options.scheme,
        name=options.name,
        clamp=options.clamp,
    )
    _emit(options, code.to_dict(), str(code))
    return 0


def run_plot(options: argparse.Namespace) -> int:
    """``remez plot``: the error curve with its alternation, as SVG, PNG or PDF."""
    if options.out is None:
        raise RemezError("no output file: give --out error.svg (or .png, .pdf)")
    try:
        import matplotlib
    except ImportError as error:
        raise RemezError("matplotlib is missing: pip install 'remez[plot]'") from error
    matplotlib.use("Agg")
    fn, fit = _fit(options)
    axes = fit.plot()
    axes.set_title(f"{fn.text}, type {fit.degree}, error {float(fit.error):.4e}")
    try:
        axes.figure.savefig(options.out)
    except ValueError as error:
        raise RemezError(f"cannot write {options.out}: {error}") from error
    return 0


def run_targets(options: argparse.Namespace) -> int:
    """``remez targets``: the functions that an expression may use."""
    from remez.functions.catalogue import CATALOGUE
    from remez.functions.primitives import ARITY, OPERATORS

    record = {
        name: {
            "summary": target.summary,
            "interval": target.interval,
            "symmetry": target.symmetry,
            "singular_points": target.singular_points,
            "parameters": dict(target.parameters),
        }
        for name, target in CATALOGUE.items()
    }
    rows = [(target.text, target.summary) for target in CATALOGUE.values()]
    rest = sorted(ARITY.keys() - OPERATORS.keys() - CATALOGUE.keys())
    rows.append((", ".join(rest), "in expressions only; constants pi, e; operators + - * / **"))
    _emit(options, record, _columns(rows))
    return 0
