"""float32 code beside naive rounding: ``python -m benchmarks.remez.code [--json FILE]``.

Both round the same best rational in the same form. "ours" is the proven error of the coefficients
that remez rounds together, "naive" the error when each is rounded to nearest; "arithmetic" bounds
what float32 arithmetic adds to either; "saved" is how much smaller the excess over the best error
is. All in the norm of the fit, on its whole interval.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import remez
from remez import targets
from remez.codegen import generate

CASES = {
    "gelu": ((4, 4), (6, 6), (8, 8)),
    "tanh": ((5, 4), (7, 6), (9, 8)),
    "exp": ((2, 2), (3, 3), (4, 4)),
    "log": ((2, 2), (3, 3), (4, 4)),
}


def row(name: str, degree: tuple[int, int]) -> dict[str, Any]:
    """One line of the table."""
    target = targets.get(name)
    code = generate(remez.fit(target, degree, target.interval), "c", dtype="float32")
    return {
        "function": name,
        "interval": target.interval,
        "type": degree,
        "best": code.best,
        "ours": code.error,
        "naive": code.naive_error,
        "arithmetic": code.evaluation_error,
        "certified": code.certified,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.remez.code")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    rows = [row(name, degree) for name, degrees in CASES.items() for degree in degrees]
    table = Table(title="float32 coefficients, rounded together (ours) and one by one (naive)")
    heads = ("function", "type", "best", "ours", "naive", "saved", "arithmetic", "certified")
    for head in heads:
        table.add_column(head, justify="left" if head == "function" else "right")
    for one in rows:
        ours, naive = one["ours"] - one["best"], one["naive"] - one["best"]
        low, high = one["interval"]
        table.add_row(
            f"{one['function']} on [{low:g}, {high:g}]",
            str(one["type"]),
            *(f"{one[key]:.4g}" for key in ("best", "ours", "naive")),
            f"{naive / ours:.3g} x" if ours > 0 else "all",
            f"{one['arithmetic']:.3g}",
            "yes" if one["certified"] else "no",
        )
    console = Console(width=110)
    console.print(table)
    console.print(
        f"python -m benchmarks.remez.code; {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}"
    )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
