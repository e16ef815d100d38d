"""Each solver as ``solve(problem) -> callable rational``; it raises when it gives up."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable

import numpy as np

from .problems import Problem

Rational = Callable[[np.ndarray], np.ndarray]


class OutOfScope(Exception):
    """The solver takes no problem of this kind."""


class NotInstalled(Exception):
    """The solver is not on this machine; nothing is known about what it would answer."""


def ours(problem: Problem) -> Rational:
    import remez

    return remez.fit(problem.fn(), problem.degree, problem.domain)


def brasil(problem: Problem) -> Rational:
    """baryrat 2: one interval, diagonal types."""
    try:
        import baryrat
    except ImportError as cause:
        raise NotInstalled("pip install baryrat") from cause
    if len(problem.domain) > 1 or problem.degree[0] != problem.degree[1]:
        raise OutOfScope("one interval, type (n, n)")
    return baryrat.brasil(problem.fn(), problem.domain[0], problem.degree[0])


def aaa(problem: Problem) -> Rational:
    """SciPy's AAA of the same number of support points: near-best, not minimax."""
    try:
        from scipy.interpolate import AAA
    except ImportError as cause:
        raise NotInstalled("scipy.interpolate.AAA needs SciPy 1.15 or newer") from cause
    x = problem.grid()
    return AAA(x, problem.fn()(x), max_terms=max(problem.degree) + 1, rtol=1e-15, clean_up=False)


def chebfun(problem: Problem) -> Rational:
    """Chebfun's minimax in Octave; CHEBFUN_PATH names its folder."""
    folder = os.environ.get("CHEBFUN_PATH")
    if folder is None or shutil.which("octave") is None:
        raise NotInstalled("needs octave, and CHEBFUN_PATH set to Chebfun's folder")
    if len(problem.domain) > 1:
        raise OutOfScope("one interval")
    (a, b), (m, n) = problem.domain[0], problem.degree
    text = problem.text.replace("np.", "").replace("special.", "").replace("*", ".*")
    script = (
        f"addpath('{folder}'); f = chebfun(@(x) {text.replace('/', './')}, [{a!r}, {b!r}], "
        f"'splitting', 'on'); [p, q] = minimax(f, {m}, {n}); x = linspace({a!r}, {b!r}, 20001)';"
        "printf('%.17g\\n', p(x)./q(x));"
    )
    done = subprocess.run(
        ["octave", "--quiet", "--eval", script], capture_output=True, text=True, check=True
    )
    values = np.array([float(line) for line in done.stdout.split()])
    return lambda x: np.interp(x, np.linspace(a, b, 20001), values)


SOLVERS: dict[str, Callable[[Problem], Rational]] = {
    "remez": ours,
    "brasil": brasil,
    "AAA": aaa,
    "chebfun": chebfun,
}
