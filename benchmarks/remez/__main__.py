"""Peers side by side: ``python -m benchmarks.remez [MODE] [--json FILE]``.

Modes: problems, random N, abs, speed, warm-start N and filters (times relative to SciPy).

Every solver runs in this one process, warmed up, on one thread (set OMP_NUM_THREADS=1); a time
is the least of several runs. Solved means: the supremum of the error on a grid clustered at ends
and singularities is within 1 % of the best error.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from .filters import compare
from .problems import PROBLEMS, Problem
from .solvers import SOLVERS, NotInstalled, OutOfScope

console = Console()
EPS = float(np.finfo(float).eps)


def machine() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), "")
    return (
        f"{model or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )


def timed(solve: Any, problem: Problem) -> tuple[Any, float, str]:
    """The answer, the least time of a few runs in seconds, and how it ended."""
    best, answer, budget = np.inf, None, time.perf_counter() + 1.0
    for run in range(40):
        begin = time.perf_counter()
        try:
            answer = solve(problem)
        except NotInstalled as cause:
            return None, np.nan, f"not installed: {cause}"
        except OutOfScope as cause:
            return None, np.nan, f"n/a: {cause}"
        except Exception as cause:  # noqa: BLE001 - peers raise whatever they like
            return None, time.perf_counter() - begin, type(cause).__name__
        best = min(best, time.perf_counter() - begin)
        if run >= 2 and time.perf_counter() > budget:
            break
    return answer, best, "answered"


def assess(problem: Problem, answer: Any, end: str) -> tuple[str, float]:
    """Solved, wrong, failed, n/a or not installed, and the supremum of the error."""
    if answer is None:
        if end.startswith(("n/a", "not installed")):
            return end.partition(":")[0], np.nan
        good = problem.error is None and end.endswith("Error")
        return ("solved" if good else "failed"), np.nan
    x = problem.grid()
    f = problem.fn()(x)
    with np.errstate(all="ignore"):
        error = float(np.abs(f - answer(x)).max())
    if problem.error is None:
        return "wrong", error
    limit = 1.01 * problem.error + 64 * EPS * np.abs(f).max()
    return ("solved" if error <= limit else "wrong"), error


def problems() -> dict[str, Any]:
    """The table of the reference problems."""
    rows = []
    for problem in track(PROBLEMS, description="problems", console=console, transient=True):
        row: dict[str, Any] = {"problem": problem.name, "best": problem.error}
        for name, solve in SOLVERS.items():
            answer, seconds, end = timed(solve, problem)
            verdict, error = assess(problem, answer, end)
            row[name] = {"verdict": verdict, "error": error, "ms": 1e3 * seconds, "end": end}
        rows.append(row)
    table = Table("problem", "best error", *SOLVERS)
    for row in rows:
        cells = [cell(row[name]) for name in SOLVERS]
        table.add_row(row["problem"], "-" if row["best"] is None else f"{row['best']:.4g}", *cells)
    console.print(table)
    summary = {name: summarise(name, rows) for name in SOLVERS}
    for name, line in summary.items():
        console.print(f"{name}: {line}")
    return {"rows": rows, "summary": summary}


def cell(one: dict[str, Any]) -> str:
    """The verdict, and the time where the solver ran."""
    return one["verdict"] + ("" if np.isnan(one["ms"]) else f" {one['ms']:.2f} ms")


def summarise(name: str, rows: list[dict[str, Any]]) -> dict[str, Any] | str:
    """Counts and times of one solver, or that it is not installed."""
    mine = [row[name] for row in rows]
    if all(one["verdict"] == "not installed" for one in mine):
        return str(mine[0]["end"])
    solved = [row for row in rows if row[name]["verdict"] == "solved" and row["best"] is not None]
    both = [row for row in solved if row["remez"]["verdict"] == "solved"]
    ratios = [row[name]["ms"] / row["remez"]["ms"] for row in both]
    return {
        "solved": sum(one["verdict"] == "solved" for one in mine),
        "wrong": sum(one["verdict"] == "wrong" for one in mine),
        "of": len(rows),
        "median_ms_of_solved": float(np.median([row[name]["ms"] for row in solved] or [np.nan])),
        "median_times_ours": float(np.median(ratios or [np.nan])),
    }


def random_problems(count: int, first: int) -> dict[str, Any]:
    """Random problems; each claim is checked on a grid that the solver did not see."""
    from tests.remez.strategies import random_case

    import remez

    ends: dict[str, int] = {}
    unsolved, times = [], []
    seeds = range(first, first + count)
    for seed in track(seeds, description="random", console=console, transient=True):
        case = random_case(seed)
        begin = time.perf_counter()
        try:
            fit = remez.fit(case.fn, case.degree, case.domain, throw=False)
            end = "solved" if fit.converged else fit.status.name
        except remez.RemezError as cause:
            fit, end = None, type(cause).__name__
        times.append(time.perf_counter() - begin)
        if fit is not None and fit.converged:
            x = case.grid()
            f = case.fn(x)
            rounding = 200 * EPS * np.abs(f).max()
            at = np.abs(case.fn(fit.reference) - fit(fit.reference))
            largest = np.abs(f - fit(x)).max()
            levelled = (
                fit.status is remez.Status.NOISE_FLOOR or at.min() >= 0.99 * largest - rounding
            )
            if largest > 1.01 * fit.error + rounding or not levelled:
                end = "claimed but wrong"
        if end != "solved":
            unsolved.append({"seed": seed, "name": case.name, "degree": case.degree, "end": end})
        ends[end] = ends.get(end, 0) + 1
    console.print(f"random problems, seeds {first} … {first + count - 1}: {ends}")
    for one in unsolved:
        console.print(one)
    console.print(f"median {1e3 * np.median(times):.2f} ms, largest {1e3 * max(times):.0f} ms")
    return {"ends": ends, "unsolved": unsolved, "median_ms": 1e3 * float(np.median(times))}


def high_degrees() -> dict[str, Any]:
    """|x| at high degree: how level, how fast."""
    import remez

    rows = []
    table = Table("type", "error", "levelled", "status", "ms")
    for n in (40, 60, 80, 100):
        seconds = np.inf
        for _ in range(5):
            begin = time.perf_counter()
            fit = remez.fit(np.abs, (n, n), throw=False)
            seconds = min(seconds, time.perf_counter() - begin)
        level = fit.lower_bound / fit.error
        rows.append({"n": n, "error": fit.error, "levelled": level, "ms": 1e3 * seconds})
        status = fit.status.name
        table.add_row(
            f"({n}, {n})", f"{fit.error:.5e}", f"{level:.6f}", status, f"{1e3 * seconds:.1f}"
        )
    console.print(table)
    return {"rows": rows}


SMOOTH = {
    "sin 3x": lambda x: np.sin(3 * x),
    "tanh 3x": lambda x: np.tanh(3 * x),
    "cos 5x + x^3": lambda x: np.cos(5 * x) + x**3,
    "exp(-4x^2) + x": lambda x: np.exp(-4 * x * x) + x,
    "sin(6x + 1)/(2 + x)": lambda x: np.sin(6 * x + 1) / (2 + x),
    "exp(sin 3x)": lambda x: np.exp(np.sin(3 * x)),
    "atan 4x": lambda x: np.arctan(4 * x),
    "exp 8x": lambda x: np.exp(8 * x),
    "sin 9x + 1": lambda x: np.sin(9 * x) + 1,
    "x/(1 + exp -4x)": lambda x: x / (1 + np.exp(-4 * x)),
    "exp": np.exp,
    "log(x + 1.01)": lambda x: np.log(x + 1.01),
    "log(x + 1.2)": lambda x: np.log(x + 1.2),
    "sqrt(1.3 + x)": lambda x: np.sqrt(1.3 + x),
}


def speed() -> dict[str, Any]:
    """Type (9, 8) of smooth targets: CPU milliseconds, the least of many runs."""
    import remez

    rows = []
    table = Table("target, type (9, 8)", "error", "status", "method", "CPU ms")
    for name, fn in SMOOTH.items():
        seconds = np.inf
        for _ in range(60):
            begin = time.process_time_ns()
            fit = remez.fit(fn, (9, 8), throw=False)
            seconds = min(seconds, 1e-9 * (time.process_time_ns() - begin))
        rows.append({"name": name, "error": fit.error, "ms": 1e3 * seconds})
        table.add_row(name, f"{fit.error:.3e}", fit.status.name, fit.method, f"{1e3 * seconds:.2f}")
    console.print(table)
    median = float(np.median([row["ms"] for row in rows]))
    console.print(f"median {median:.2f} ms")
    return {"rows": rows, "median_ms": median}


NEIGHBOUR = 0.02  # of the ends, by which a neighbour's domain differs
DOMAINS = {
    "interval": [(-1.0, 1.0)],
    "union": [(-1.0, -0.3), (0.2, 1.0)],
}
KINDS = ("function", "ends")  # what the neighbour differs in: fn of a multiple of x, the domain


def _of_multiple(fn: Callable[[Any], Any], factor: float) -> Callable[[Any], Any]:
    return lambda x: fn(factor * x)


def warm_starts(count: int, first: int) -> dict[str, Any]:
    """How many steps a fit takes that starts from one of a slightly different problem."""
    import remez

    steps: dict[str, list[float]] = {f"{name}, {kind}": [] for name in DOMAINS for kind in KINDS}
    names = list(SMOOTH)
    for seed in track(range(first, first + count), description="warm starts", console=console):
        rng = np.random.default_rng(seed)
        fn = SMOOTH[names[rng.integers(len(names))]]
        m = int(rng.integers(2, 9))
        degree = (m, int(rng.integers(max(m - 2, 0), m + 1)))
        factor = 1 - NEIGHBOUR * rng.random()
        shrunk = 1 - NEIGHBOUR * rng.random(4)
        for name, domain in DOMAINS.items():
            start = remez.fit(fn, degree, domain, throw=False)
            ends = np.ravel(domain)
            inner = (ends * shrunk[: ends.size]).reshape(-1, 2).tolist()
            new = {"function": (_of_multiple(fn, factor), domain), "ends": (fn, inner)}
            for kind, (near, place) in new.items() if start.converged else ():
                fit = remez.fit(near, degree, place, start=start, throw=False)
                warm = fit.converged and fit.method == "warm start"
                steps[f"{name}, {kind}"].append(fit.iterations if warm else np.inf)
                if not (warm and fit.iterations <= 3):
                    ended = f"{fit.method}, {fit.iterations} steps, {fit.status.name}"
                    console.print(f"seed {seed}, {name}, {kind}: {degree}, {ended}")
    rows = {}
    for name, taken in steps.items():
        rows[name] = float(np.mean(np.array(taken) <= 3))
        console.print(f"{name}: {100 * rows[name]:.1f} % of {len(taken)} in at most 3 iterations")
    return {"within_three": rows}


MODES: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "problems": lambda count, first: problems(),
    "random": random_problems,
    "abs": lambda count, first: high_degrees(),
    "speed": lambda count, first: speed(),
    "warm-start": warm_starts,
    "filters": lambda count, first: compare(console),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", nargs="?", default="problems", choices=[*MODES])
    parser.add_argument("count", nargs="?", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="first seed of the random ones")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    console.print(machine())
    result = MODES[arguments.mode](arguments.count, arguments.first)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), **result}, indent=1) + "\n")


if __name__ == "__main__":
    main()
