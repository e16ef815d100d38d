"""float32 code beside naive rounding: ``python -m benchmarks.remez.code [--json FILE] [--all]``.

Both round the same best rational in the same form. "ours" is the proven error of the coefficients
that remez rounds together, "naive" the error when each is rounded to nearest; "arithmetic" bounds
what float32 arithmetic adds to either; "saved" is how much smaller the excess over the best error
is. All in the norm of the fit, on its whole interval.

``--all`` also compiles the C code of the largest type of each function with gcc, runs it on *every*
float32 of the interval, up to 2^31 of them, and prints its largest error against libm's double
beside the bound that the code states.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import remez
from remez import targets
from remez.code.generate import generate_code

CASES = {
    "gelu": ((4, 4), (6, 6), (8, 8)),
    "tanh": ((5, 4), (7, 6), (9, 8)),
    "exp": ((2, 2), (3, 3), (4, 4)),
    "log": ((2, 2), (3, 3), (4, 4)),
}


def row(name: str, degree: tuple[int, int]) -> dict[str, Any]:
    """One line of the table."""
    target = targets.get(name)
    code = generate_code(remez.fit(target, degree, target.interval), "c", dtype="float32")
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


EXACT = {"gelu": "0.5*x*erfc(-x*0.70710678118654752)", "tanh": "tanh(x)"}
EXACT |= {"exp": "exp(x)", "log": "log(x)"}

# floats of one sign are ordered like their bits; both loops run outwards
EVERY = """
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
%(code)s
static double worst; static uint64_t count;
static void look(float low, float high) {
    uint32_t from, to;
    memcpy(&from, &low, 4); memcpy(&to, &high, 4);
    for (uint64_t bits = from; bits <= to; bits++) {
        uint32_t word = (uint32_t)bits; float given;
        memcpy(&given, &word, 4);
        double x = given, error = fabs(%(exact)s - (double)%(name)s(given));
        if (!(error <= worst)) worst = error;
        count++;
    }
}
int main(void) {
    %(calls)s
    printf("%%llu %%.17g", (unsigned long long)count, worst);
    return 0;
}
"""


def every(name: str, degree: tuple[int, int]) -> dict[str, Any]:
    """The largest error over all float32 of the interval, and the bound stated for it."""
    target = targets.get(name)
    code = generate_code(remez.fit(target, degree, target.interval), "c", dtype="float32")
    low, high = target.interval
    calls = f"look({max(low, 0.0)!r}f, {high!r}f);"
    calls += f" look(-0.0f, {low!r}f);" if low < 0 else ""
    fields = {"code": code.source, "exact": EXACT[name], "name": code.name, "calls": calls}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "main.c").write_text(EVERY % fields)
        command = ["gcc", "-std=c99", "-O2", "-o", "main", "main.c", "-lm"]
        subprocess.run(command, cwd=folder, check=True)
        begin = time.perf_counter()
        done = subprocess.run([Path(folder) / "main"], check=True, capture_output=True, text=True)
    count, worst = done.stdout.split()
    return {
        "function": name,
        "type": degree,
        "inputs": int(count),
        "measured": float(worst),
        "bound": code.bound,
        "seconds": time.perf_counter() - begin,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.remez.code")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--all", action="store_true", help="every float32, a minute per function")
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
    for name, degrees in CASES.items() if options.all else ():
        one = every(name, degrees[-1])
        console.print(
            f"{name} {one['type']}: {one['inputs']} float32 inputs, largest error "
            f"{one['measured']:.6g}, stated bound {one['bound']:.6g}, {one['seconds']:.0f} s"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
