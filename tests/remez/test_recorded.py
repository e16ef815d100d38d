"""Errors recorded before a refactoring: what was solved stays solved, to the same best error.

The best error is unique, so that the figures bind any correct solver: those of double precision to
the bracket of 1e-3 that every accepted fit has, those of multiprecision to all digits.
``python -m tests.remez.test_recorded`` writes the file again.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from mpmath import mp
from tests.remez.strategies import random_case

import remez
from remez import parse

FILE = Path(__file__).parent / "data/recorded_errors.json"
SEEDS = range(40)
DIGITS = 24
INF = math.inf
CASES = {
    "abs": ("abs(x)", (40, 40), (-1, 1), {}),
    "exp": ("exp(x)", (9, 8), (-4, 4), {}),
    "sqrt": ("sqrt(x)", (8, 8), (0, 1), {}),
    "polynomial": ("exp(x)", (6, 0), (-1, 1), {}),
    "reciprocal": ("exp(x)", (0, 5), (-1, 1), {}),
    "half-line": ("exp(-x)", (6, 6), (0, INF), {}),
    "left half-line": ("exp(x)", (4, 6), (-INF, 1), {}),
    "line": ("exp(-(x - 3)**2)", (6, 6), (-INF, INF), {}),
    "even on the line": ("exp(-x**2)", (8, 8), (-INF, INF), {}),
    "relative": ("exp(x)", (3, 3), (-1, 1), {"weight": "relative"}),
    "condition": ("exp(x)", (5, 4), (-1, 1), {"interpolate": [(0, 1)]}),
    "sign": ("sign(x)", (9, 8), [(-1, -0.01), (0.01, 1)], {}),
    "union": ("sign(x) + x/3", (4, 4), [(-1, -0.2), (0.1, 1)], {}),
    "three intervals": ("abs(x)", (4, 4), [(-3, -2), (-1, 1), (2, 4)], {}),
    "gelu": ("gelu(x)", (7, 6), (-6, 6), {}),
    "kink": ("abs(x - 0.3)", (9, 9), (-1, 1), {}),
    "zero": ("sin(x)", (0, 3), (-1, 1), {}),
}
PRECISE = {
    "abs": ("abs(x)", (8, 8), (-1, 1), {}),
    "sqrt": ("sqrt(x)", (5, 5), (0, 1), {}),
    "exp": ("exp(x)", (3, 3), (-1, 1), {}),
    "half-line": ("exp(-x)", (4, 4), (0, INF), {}),
    "line": ("exp(-(x - 3)**2)", (4, 4), (-INF, INF), {}),
    "sign": ("sign(x)", (3, 4), [(-1, "-0.1"), ("0.1", 1)], {}),
    "gelu": ("gelu(x)", (3, 1), (-3, 3), {}),
    "zero": ("sin(x)", (0, 3), (-1, 1), {}),
    "relative": ("exp(x)", (2, 2), (-1, 1), {"weight": "relative"}),
    "condition": ("exp(x)", (3, 2), (-1, 1), {"interpolate": [(0, 1)]}),
}


def solved(name):
    """The fit of one case, by its name in the file."""
    kind, _, key = name.partition(" ")
    if kind == "random":
        case = random_case(int(key))
        return remez.fit(case.fn, case.degree, case.domain, throw=False)
    text, degree, domain, options = (CASES if kind == "double" else PRECISE)[key]
    precision = None if kind == "double" else DIGITS
    return remez.fit(parse(text), degree, domain, precision=precision, throw=False, **options)


def names():
    yield from (f"random {seed}" for seed in SEEDS)
    yield from (f"double {name}" for name in CASES)
    yield from (f"precise {name}" for name in PRECISE)


def recorded():
    return json.loads(FILE.read_text())


@pytest.mark.parametrize("name", names())
def test_what_was_solved_stays_solved(name):
    known = recorded().get(name)
    if known is None:
        pytest.skip("was not solved")
    fit = solved(name)
    assert fit.converged
    with mp.workdps(40):
        best = mp.mpf(known)
        close = mp.mpf(10) ** -(DIGITS - 2) if name.startswith("precise") else 2e-3
        rounding = 0 if name.startswith("precise") else 64 * np.finfo(float).eps
        size = 1 if fit.status is remez.Status.CONVERGED else 1e3
        assert abs(fit.error - best) <= close * best + rounding * size


if __name__ == "__main__":
    fits = {name: solved(name) for name in names()}
    with mp.workdps(40):
        errors = {
            name: mp.nstr(mp.mpf(fit.error), DIGITS + 2)
            for name, fit in fits.items()
            if fit.converged
        }
    FILE.write_text(json.dumps(errors, indent=1) + "\n")
