"""Filters of linear phase side by side with scipy.signal.remez, and polynomials of high degree.

A filter of 2n + 1 taps is a polynomial of degree n in cos(omega) on a union of intervals. The error
of both is measured on the same grid. Times are CPU seconds, the least of a few alternating runs in
this process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

ROUNDS = 5  # alternating runs
BUDGET = 20.0  # seconds after which no further run begins


@dataclass(frozen=True)
class Filter:
    """Taps, edges of the bands in units of pi, desired gains, and weights."""

    name: str
    taps: int
    edges: tuple[float, ...]
    gains: tuple[float, ...]
    weights: tuple[float, ...]

    @property
    def order(self) -> int:
        """The degree of the polynomial in cos(omega)."""
        return self.taps // 2

    def bands(self) -> list[tuple[float, float]]:
        """The bands in cos(omega), increasing."""
        pairs = zip(*[iter(self.edges)] * 2, strict=True)
        return sorted((float(np.cos(np.pi * b)), float(np.cos(np.pi * a))) for a, b in pairs)

    def steps(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Points between the bands, and the gain and the weight of every band, increasing."""
        middles = [0.5 * (low[1] + high[0]) for low, high in pairwise(self.bands())]
        gain, weight = (np.array(v, float)[::-1] for v in (self.gains, self.weights))
        return np.array(middles), gain, weight

    def ours(self) -> Callable[[np.ndarray], np.ndarray]:
        """The fit of remez as a function of cos(omega)."""
        import remez

        middles, gain, weight = self.steps()
        return remez.fit(
            lambda x: gain[np.searchsorted(middles, x)],
            (self.order, 0),
            self.bands(),
            weight=lambda x: weight[np.searchsorted(middles, x)],
        )

    def theirs(self) -> Callable[[np.ndarray], np.ndarray]:
        """The filter of SciPy as a function of cos(omega)."""
        from scipy import signal

        taps = signal.remez(
            self.taps, self.edges, self.gains, weight=self.weights, fs=2, maxiter=100
        )
        half = np.append(taps[self.order], 2 * taps[self.order + 1 :])
        return lambda x: np.polynomial.chebyshev.chebval(x, half)

    def error(self, response: Callable[[np.ndarray], np.ndarray]) -> float:
        """The largest weighted error on a grid that clusters at the edges."""
        middles, gain, weight = self.steps()
        near = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, 16 * self.taps + 1))
        x = np.concatenate([a + (b - a) * near for a, b in self.bands()])
        band = np.searchsorted(middles, x)
        return float((weight[band] * np.abs(response(x) - gain[band])).max())


def filters() -> Iterator[Filter]:
    """Low-pass, band-pass, band-stop and multiband filters of 51 to 1025 taps."""
    for taps, gap in ((51, 0.08), (101, 0.04), (201, 0.03), (401, 0.015), (1025, 0.012)):
        a, b = 0.3, 0.5
        yield Filter("low-pass", taps, (0, a, a + gap, 1), (1, 0), (1, 10))
        yield Filter("high-pass", taps, (0, a, a + gap, 1), (0, 1), (1, 1))
        edges = (0, a, a + gap, b, b + gap, 1)
        yield Filter("band-pass", taps, edges, (0, 1, 0), (1, 1, 1))
        yield Filter("band-stop", taps, edges, (1, 0, 1), (1, 5, 1))


POLYNOMIALS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "|x - 0.3|": (lambda x: np.abs(x - 0.3), 1000),
    "1/(1 + 25x^2)": (lambda x: 1 / (1 + 25 * x * x), 1000),
    "1/(1 + 10000x^2)": (lambda x: 1 / (1 + 1e4 * x * x), 1500),
    "|x|": (np.abs, 2000),
    "|sin 20x|^3": (lambda x: np.abs(np.sin(20 * x)) ** 3, 1000),
    "sqrt|x + 0.1|": (lambda x: np.sqrt(np.abs(x + 0.1)), 2000),
}


def compare(console: Console) -> dict[str, Any]:
    """Print both tables.

    Args:
        console: Where they are printed.
    """
    return {"filters": _filters(console), "polynomials": _polynomials(console)}


def _filters(console: Console) -> list[dict[str, Any]]:
    rows = []
    table = Table("filter", "taps", "error", "of SciPy", "CPU ms", "of SciPy", "ratio")
    for one in filters():
        row: dict[str, Any] = {"name": one.name, "taps": one.taps}
        for side, solve in (("ours", one.ours), ("theirs", one.theirs)):
            row[side] = {"ms": np.inf, "error": np.nan, "end": "solved"}
            try:
                row[side]["error"] = one.error(solve())
            except Exception as cause:  # noqa: BLE001 - either may refuse a filter
                row[side]["end"] = type(cause).__name__
        begin = time.perf_counter()
        for _ in range(ROUNDS):
            for side, solve in (("ours", one.ours), ("theirs", one.theirs)):
                if row[side]["end"] == "solved":
                    row[side]["ms"] = min(row[side]["ms"], _milliseconds(solve))
            if time.perf_counter() > begin + BUDGET:
                break
        row["ratio"] = row["ours"]["ms"] / row["theirs"]["ms"]
        rows.append(row)
        cells = [_cell(row[side], "error", ".4e") for side in ("ours", "theirs")]
        cells += [_cell(row[side], "ms", ".1f") for side in ("ours", "theirs")]
        table.add_row(one.name, str(one.taps), *cells, f"{row['ratio']:.2f}")
    console.print(table)
    both = [row["ratio"] for row in rows if np.isfinite(row["ratio"])]
    ours, theirs = (
        sum(row[side]["end"] == "solved" for row in rows) for side in ("ours", "theirs")
    )
    console.print(
        f"solved: {ours} by remez, {theirs} by SciPy, of {len(rows)}; times "
        f"relative to SciPy: median {np.median(both):.2f}, largest {max(both):.2f}"
    )
    return rows


def _polynomials(console: Console) -> list[dict[str, Any]]:
    import remez

    rows = []
    table = Table("target", "degree", "error", "levelled", "status", "CPU s")
    for name, (fn, degree) in POLYNOMIALS.items():
        begin = time.process_time()
        fit = remez.fit(fn, (degree, 0), throw=False)
        seconds = time.process_time() - begin
        levelled = fit.lower_bound / fit.error
        rows.append({"name": name, "degree": degree, "error": fit.error, "seconds": seconds})
        cells = f"{fit.error:.5e}", f"{levelled:.6f}", fit.status.name, f"{seconds:.2f}"
        table.add_row(name, str(degree), *cells)
    console.print(table)
    return rows


def _milliseconds(solve: Callable[[], Any]) -> float:
    begin = time.process_time_ns()
    solve()
    return 1e-6 * (time.process_time_ns() - begin)


def _cell(side: dict[str, Any], key: str, form: str) -> str:
    return f"{side[key]:{form}}" if side["end"] == "solved" else str(side["end"])
