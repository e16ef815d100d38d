"""Best errors to many digits: ``python -m benchmarks.remez.precise FILE.json [--high]``.

FILE.json holds reference errors by family and type.

Prints each problem, its error, the digits that agree with the reference, and the seconds it took
(one run, start included). ``--high`` adds sqrt (20, 20) at 100 digits, exp(-x) type (48, 48) and
|x| up to (200, 200), for which no 40-digit reference is at hand. ``--arithmetic`` compares
python-flint with mpmath in the pieces that the inner loops are made of.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mpmath import mp
from rich.console import Console

import remez
from remez.functions.expression import parse
from remez.problem import Problem
from remez.rational.arithmetic import FlintArithmetic, MpmathArithmetic
from remez.solver.precise.driver import fit_precise

console = Console()
Case = tuple[str, str, tuple[int, int], Any, int, str]


def references(path: Path) -> Iterator[Case]:
    """Every value of the file as (name, expression, type, domain, digits, error)."""
    known = json.loads(path.read_text("utf-8"))
    families = {
        "abs on [-1,1], type (n,n)": ("abs(x)", (-1, 1)),
        "sqrt on [0,1], type (n,n)": ("sqrt(x)", (0, 1)),
        "exp(-x) on [0,inf), type (n,n)": ("exp(-x)", (0, math.inf)),
    }
    for family, (text, domain) in families.items():
        for n, error in known[family].items():
            yield family, text, (int(n), int(n)), domain, 35, error
    for degree, error in known["exp on [-1,1]"].items():
        yield "exp on [-1,1]", "exp(x)", _pair(degree), (-1, 1), 35, error
    gap = [(-1, "-0.01"), ("0.01", 1)]
    family = "sign on [-1,-delta] u [delta,1] (Zolotarev closed form)"
    for name, error in known[family].items():
        yield "sign, gap 0.01", "sign(x)", _pair(name.partition("type ")[2]), gap, 35, error
    for power, errors in known["x^alpha on [0,1], type (n,n)"].items():
        for n, error in errors.items():
            yield f"x^{power} on [0,1]", f"x**{power}", (int(n), int(n)), (0, 1), 35, error


def high() -> Iterator[Case]:
    """Large types; their errors are printed, not judged."""
    yield "sqrt on [0,1], 100 digits", "sqrt(x)", (20, 20), (0, 1), 100, ""
    yield "exp(-x) on [0,inf)", "exp(-x)", (48, 48), (0, math.inf), 15, ""
    for n in (60, 100, 200):
        yield "abs on [-1,1]", "abs(x)", (n, n), (-1, 1), 30, ""


def arithmetics() -> None:
    """Median seconds of a product, a linear solve and a whole fit in both arithmetics."""
    problem = Problem.of(parse("sqrt(x)"), (10, 10), (0, 1))
    for arithmetic in (FlintArithmetic(), MpmathArithmetic()):
        with arithmetic.digits(60):
            a, b = arithmetic.sqrt(arithmetic.number(2)), arithmetic.sqrt(arithmetic.number(3))
            matrix = [[1 / (a * i + b * j + 1) for j in range(50)] for i in range(50)]
            matrix = [[arithmetic.number(v) for v in row] for row in matrix]
            times = {
                "product of two numbers": _median(lambda a=a, b=b: a * b, 10_000),
                "solve 50 x 50": _median(
                    lambda m=matrix, of=arithmetic: of.solve(m, [[row[0]] for row in m]), 1
                ),
            }
        times["sqrt (10, 10), 50 digits"] = _median(
            lambda of=arithmetic: fit_precise(problem, 50, arithmetic=of), 1
        )
        for what, seconds in times.items():
            console.print(f"{arithmetic.name}, 60 digits: {what}: {seconds:.2e} s")


def _median(run: Callable[[], Any], loops: int, repeats: int = 5) -> float:
    found = []
    for _ in range(repeats):
        begin = time.perf_counter()
        for _ in range(loops):
            run()
        found.append((time.perf_counter() - begin) / loops)
    return sorted(found)[repeats // 2]


def _pair(text: str) -> tuple[int, int]:
    m, n = text.strip("()").split(",")
    return int(m), int(n)


def agreed(error: Any, reference: str) -> int:
    """Decimal digits in common, by relative difference."""
    with mp.workdps(50):
        gap = abs(mp.mpf(error) / mp.mpf(reference) - 1)
        return 50 if gap == 0 else int(mp.floor(-mp.log10(gap)))


def main() -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("references", type=Path)
    parser.add_argument("--high", action="store_true")
    parser.add_argument("--arithmetic", action="store_true")
    options = parser.parse_args()
    if options.arithmetic:
        arithmetics()
    for name, text, degree, domain, digits, reference in (
        *references(options.references),
        *(high() if options.high else ()),
    ):
        begin = time.perf_counter()
        try:
            fit = remez.fit(parse(text), degree, domain, precision=digits)
        except remez.RemezError as cause:
            console.print(f"{name} {degree}: {type(cause).__name__}: {cause}")
            continue
        seconds = time.perf_counter() - begin
        judged = f"{agreed(fit.error, reference)} digits agree" if reference else "no reference"
        value = mp.nstr(fit.error, digits)
        console.print(f"{name} {degree}: {value}, {judged}, {seconds:.2f} s", soft_wrap=True)


if __name__ == "__main__":
    main()
