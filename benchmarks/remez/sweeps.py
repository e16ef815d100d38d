"""Sweeps over families of problems: ``python -m benchmarks.remez.sweeps [NAME ...] [--json FILE]``.

Every sweep yields cases; each is fitted, and the answer is checked on a dense grid of its own,
which clusters at the ends, at the origin and at the points where the target is known to be
singular. The command prints how many cases of each sweep were

- solved: accepted, and the check agrees;
- refused: ended in a `remez.RemezError`, by type and status;
- untyped: ended in any other exception;
- wrong: accepted, but the check finds a larger error, fewer alternations, or a better known error.

A sweep is a generator function decorated with `sweep`; its arguments are the number of cases and
the first seed.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mpmath import mp
from scipy import special

import remez

EPS = float(np.finfo(float).eps)
AGREES = 1.01  # a supremum up to this factor above the stated error is no contradiction
ROUNDING = 16  # units of eps |w f| by which fn and r may differ at a point without contradiction


@dataclass(frozen=True)
class Case:
    """One problem of a sweep.

    Args:
        name: what identifies it in the output.
        fn: target, vectorised.
        degree: type (m, n).
        domain: as `remez.fit` takes it.
        options: further options of `remez.fit`.
        rough: points where the target is singular, at which the check clusters.
        best: the best error where it is known independently.
        solve: what is run in place of `remez.fit`.
        check: what is wrong with an accepted fit, in place of `contradiction`.
        group: the row of the table of counts to which it belongs, if the sweep prints one.
    """

    name: str
    fn: Callable[[np.ndarray], np.ndarray]
    degree: tuple[int, int]
    domain: Any = (-1.0, 1.0)
    options: dict[str, Any] = field(default_factory=dict)
    rough: tuple[float, ...] = ()
    best: float | None = None
    solve: Callable[[], Any] | None = None
    check: Callable[[Any], str | None] | None = None
    group: str | None = None

    def grid(self) -> np.ndarray:
        """Even points, and points clustered at the ends, at 0 and at the singular points.

        Distances go down to 1e-300 about 0, and to neighbouring float64 elsewhere.
        """
        domain = remez.Domain.of(self.domain)
        near = np.geomspace(1e-18, 1, 1500)
        tiny = np.concatenate([[0.0], np.geomspace(1e-300, 1e3, 3000)])
        parts = [tiny, -tiny]
        for a, b in domain:
            low, high = max(a, -1e3), min(b, 1e3)
            parts.append(np.linspace(low, high, 20001))
            for c in (low, high, *self.rough):
                one_ulp = [np.nextafter(c, -np.inf), c, np.nextafter(c, np.inf)]
                parts += [c + (high - low) * near, c - (high - low) * near, np.array(one_ulp)]
        x = np.unique(np.concatenate(parts))
        return x[domain.contains(x)]


SWEEPS: dict[str, Callable[[int, int], Iterator[Case]]] = {}


def sweep(name: str) -> Callable[[Any], Any]:
    """Register a generator of cases under the name that the command line takes."""

    def register(generate: Any) -> Any:
        SWEEPS[name] = generate
        return generate

    return register


def contradiction(case: Case, fit: Any) -> str | None:
    """What is wrong with an accepted fit, seen on a grid that the package did not choose."""
    x = case.grid()
    with np.errstate(all="ignore"):
        f = np.asarray(case.fn(x), float)
        weight = weight_of(case, x, f)
        error = np.where((weight == 0) | (f == fit(x)), 0.0, weight * np.abs(f - fit(x)))
        rounding = ROUNDING * EPS * np.abs(np.where(weight == 0, 0.0, weight * f))
    excess = error - (AGREES * float(fit.error) + rounding)
    if not (excess <= 0).all():
        at = int(np.argmax(np.where(np.isnan(excess), np.inf, excess)))
        return f"error {error[at]:.6g} at x = {x[at]:.17g}, stated {float(fit.error):.6g}"
    if case.best is not None and float(fit.error) > AGREES * case.best + rounding.max():
        return f"stated {float(fit.error):.6g}, best known {case.best:.6g}"
    if fit.status is remez.Status.CONVERGED and not case.options.get("interpolate"):
        return alternation(case, fit)
    return None


def alternation(case: Case, fit: Any) -> str | None:
    """Whether the error alternates on enough reference points, level to one percent.

    The reciprocal of a polynomial has one sign, so that its error is at least the smaller of the
    largest values of f and -f; no alternation is needed where it is no larger.
    """
    if case.degree[0] == 0 and not case.options and np.ndim(case.domain) == 1:
        values = np.asarray(case.fn(case.grid()), float)
        if min(values.max(), -values.min()) >= 0.99 * float(fit.error):
            return None
    x = np.asarray(fit.reference, float)
    f = np.asarray(case.fn(x), float)
    error = weight_of(case, x, f) * (f - fit(x))
    wanted = sum(case.degree) + 2 - fit.defect
    if x.size < wanted or not (np.diff(np.sign(error)) != 0).all():
        return f"{x.size} reference points, not alternating or fewer than {wanted}"
    if np.abs(error).min() < 0.98 * float(fit.error) - ROUNDING * EPS * np.abs(f).max():
        return f"reference errors from {np.abs(error).min():.6g}, stated {float(fit.error):.6g}"
    return None


def weight_of(case: Case, x: np.ndarray, f: np.ndarray) -> np.ndarray:
    weight = case.options.get("weight")
    if weight is None:
        return np.ones_like(x)
    with np.errstate(all="ignore"):
        return 1 / np.abs(f) if weight == "relative" else np.abs(weight(x))


def outcome(case: Case) -> tuple[str, str]:
    """How one case ended, and a remark on it."""
    try:
        if case.solve is not None:
            fit = case.solve()
        else:
            fit = remez.fit(case.fn, case.degree, case.domain, **case.options)
    except remez.RemezError as cause:
        kind = type(cause).__name__
        status = getattr(getattr(cause, "fit", None), "status", None)
        return f"refused {kind}{'' if status is None else ' ' + status.name}", str(cause)
    except Exception as cause:  # noqa: BLE001 - counting these is the purpose
        return f"untyped {type(cause).__name__}", str(cause)
    wrong = contradiction(case, fit) if case.check is None else case.check(fit)
    return ("solved", fit.status.name) if wrong is None else ("wrong", wrong)


def run(name: str, count: int, first: int) -> dict[str, Any]:
    """Run a sweep: the counts, and every case that was not solved."""
    counts: Counter[str] = Counter()
    groups: dict[str, Counter[str]] = {}
    unsolved, seconds = [], []
    for case in SWEEPS[name](count, first):
        begin = time.process_time()
        end, remark = outcome(case)
        seconds.append(time.process_time() - begin)
        counts[end] += 1
        if case.group is not None:
            groups.setdefault(case.group, Counter())[end.split()[0]] += 1
        if end != "solved":
            unsolved.append({"case": case.name, "end": end, "remark": remark})
    return {
        "counts": dict(counts.most_common()),
        "groups": {name: dict(one.most_common()) for name, one in groups.items()},
        "unsolved": unsolved,
        "cases": sum(counts.values()),
        "cpu_seconds": {"total": sum(seconds), "largest": max(seconds, default=0.0)},
    }


@sweep("inverse-log")
def inverse_log(count: int, first: int) -> Iterator[Case]:
    """Singularities like ``|log|x - c||^-a``, which float64 can only follow to 1e-300 about 0."""
    for seed in range(first, first + count):
        rng = np.random.default_rng(seed)
        c = 0.0 if rng.random() < 0.5 else float(rng.normal())
        power = float(rng.choice([0.5, 1.0, 1.0, 2.0, 3.0, rng.uniform(0.3, 3)]))
        scale = float(10 ** rng.uniform(0, 2))
        low, high = -float(rng.uniform(0, 0.5)), float(rng.uniform(0.05, 0.7))
        if rng.random() < 0.2:
            low = 0.0
        n = int(rng.integers(1, 10))
        m = max(n + int(rng.choice([0, 0, 1, -1, 2])), 0)

        def fn(x: np.ndarray, c: float = c, scale: float = scale, power: float = power) -> Any:
            with np.errstate(divide="ignore"):
                logarithm = np.abs(np.log(np.abs(x - c) / scale))
            return np.where(x == c, 0.0, logarithm**-power)

        # keep the zero of the logarithm at distance `scale` from c out of the domain
        reach = min(0.9 * scale, 1.0)
        domain = (c + low * reach, c + high * reach)
        yield Case(
            f"seed {seed}: |log(|x-{c:.3g}|/{scale:.3g})|^-{power:.3g} ({m},{n})",
            fn,
            (m, n),
            domain,
            rough=(c,),
        )


# fn, the same in mpmath, its zeros with their orders, domain
VANISHING: dict[str, tuple[Callable, Callable, Callable, tuple[float, float]]] = {
    "sin": (np.sin, mp.sin, lambda: [(mp.mpf(0), 1)], (0, np.pi / 4)),
    "sin, symmetric": (np.sin, mp.sin, lambda: [(mp.mpf(0), 1)], (-1.5, 1.5)),
    "sin, three zeros": (
        np.sin,
        mp.sin,
        lambda: [(mp.mpf(0), 1), (mp.pi, 1), (2 * mp.pi, 1)],
        (-1, 7),
    ),
    "sin at pi": (np.sin, mp.sin, lambda: [(mp.pi, 1)], (2.5, 4)),
    "cos": (np.cos, mp.cos, lambda: [(mp.pi / 2, 1)], (0, np.pi / 2)),
    "cos, symmetric": (np.cos, mp.cos, lambda: [(-mp.pi / 2, 1), (mp.pi / 2, 1)], (-2, 2)),
    "log": (np.log, mp.log, lambda: [(mp.mpf(1), 1)], (1, 2)),
    "log, inside": (np.log, mp.log, lambda: [(mp.mpf(1), 1)], (0.5, 3)),
    "log2": (np.log2, lambda x: mp.log(x, 2), lambda: [(mp.mpf(1), 1)], (0.7, 1.4)),
    "log1p": (np.log1p, mp.log1p, lambda: [(mp.mpf(0), 1)], (0, 1)),
    "expm1": (np.expm1, mp.expm1, lambda: [(mp.mpf(0), 1)], (-0.4, 0.4)),
    "asin": (np.arcsin, mp.asin, lambda: [(mp.mpf(0), 1)], (0, 0.5)),
    "tanh": (np.tanh, mp.tanh, lambda: [(mp.mpf(0), 1)], (0, 1)),
    "erf": (special.erf, mp.erf, lambda: [(mp.mpf(0), 1)], (-2, 2)),
    "digamma": (special.digamma, mp.digamma, lambda: [(mp.findroot(mp.digamma, 1.46), 1)], (1, 2)),
    "lgamma": (special.gammaln, mp.loggamma, lambda: [(mp.mpf(1), 1), (mp.mpf(2), 1)], (0.5, 2.5)),
    "x^2 exp x": (
        lambda x: x * x * np.exp(x),
        lambda x: x * x * mp.exp(x),
        lambda: [(mp.mpf(0), 2)],
        (-1, 1),
    ),
    "1 - cos x": (
        lambda x: 1 - np.cos(x),
        lambda x: 1 - mp.cos(x),
        lambda: [(mp.mpf(0), 2)],
        (0, 1),
    ),
    "x - sin x": (
        lambda x: x - np.sin(x),
        lambda x: x - mp.sin(x),
        lambda: [(mp.mpf(0), 3)],
        (-1, 1),
    ),
    "cos x - 1/2": (
        lambda x: np.cos(x) - 0.5,
        lambda x: mp.cos(x) - mp.mpf(0.5),
        lambda: [(mp.pi / 3, 1)],
        (0, 2),
    ),
    "cos pi x": (
        lambda x: np.cos(np.pi * x),
        lambda x: mp.cos(mp.pi * x),
        lambda: [(mp.mpf(0.5), 1)],
        (0, 1),
    ),
    "x^3 - 2": (
        lambda x: x**3 - 2,
        lambda x: x**3 - 2,
        lambda: [(mp.cbrt(2), 1)],
        (1, 2),
    ),
    "expm1 x - x": (
        lambda x: np.expm1(x) - x,
        lambda x: mp.expm1(x) - x,
        lambda: [(mp.mpf(0), 2)],
        (-1, 1),
    ),
}
SUBTRACTED = (
    "1 - cos x",
    "x - sin x",
    "cos x - 1/2",
    "lgamma",
    "cos pi x",
    "x^3 - 2",
    "expm1 x - x",
)  # rounding of fn at the zero


def relative_contradiction(name: str, fit: Any) -> str | None:
    """What mpmath says against an accepted fit of relative error.

    Where fn carries the rounding of a difference, a zero is known to some units in the last place.
    """
    _, exact, zeros, (low, high) = VANISHING[name]
    with mp.workdps(40):
        places = zeros()
        near = np.geomspace(1e-17, 0.3, 60) * (high - low)
        unknown = 4e-14 / max(float(fit.error), 1e-13) if name in SUBTRACTED else 0.0
        parts = [np.linspace(low, high, 301)]
        parts += [float(z) + side * near for z, _ in places for side in (1, -1)]
        x = np.unique(np.concatenate(parts))
        x = x[(x >= low) & (x <= high)]
        x = x[[abs(exact(mp.mpf(v))) > 0 for v in x.tolist()]]
        apart = np.min([[abs(v - float(z)) for v in x.tolist()] for z, _ in places], axis=0)
        x = x[apart >= unknown]

        def relative(points: np.ndarray) -> np.ndarray:
            pairs = zip(points.tolist(), np.atleast_1d(fit(points)).tolist(), strict=True)
            return np.array([float(1 - mp.mpf(r) / exact(mp.mpf(v))) for v, r in pairs])

        worst = np.abs(relative(x))
        if not (worst <= AGREES * fit.error + 64 * EPS).all():
            at = int(worst.argmax())
            return f"relative error {worst[at]:.6g} at x = {x[at]:.17g}, stated {fit.error:.6g}"
        if fit.status is not remez.Status.CONVERGED:
            return None
        wanted = sum(fit.degree) + 2 - fit.defect - sum(k for _, k in places)
        reference = fit.reference.copy()
        for z, _ in places:  # at a zero the float nearest to it says nothing of the error
            at_zero = np.abs(reference - float(z)) < 1e-12
            inward = 1 if float(z) < (low + high) / 2 else -1
            reference[at_zero] = float(z) + inward * 1e-6 * (high - low)
        error = relative(reference)
        if error.size < wanted or not (np.diff(np.sign(error)) != 0).all():
            return f"{error.size} reference points, not alternating or fewer than {wanted}"
        if np.abs(error).min() < 0.98 * fit.error - 64 * EPS and name not in SUBTRACTED:
            return f"reference errors from {np.abs(error).min():.6g}, stated {fit.error:.6g}"
    return None


@sweep("relative")
def relative(count: int, first: int) -> Iterator[Case]:
    """Relative error of targets with zeros, every type from a few families; ``count`` is ignored.

    Every third case says the zero by a condition.
    """
    del count, first
    types = [(d, 0) for d in range(1, 11)] + [(d, d) for d in range(1, 6)]
    types += [(d, d - 1) for d in range(2, 6)] + [(d, d + 2) for d in range(1, 4)]
    for index, name in enumerate(VANISHING):
        fn, _, zeros, domain = VANISHING[name]
        with mp.workdps(40):
            places = zeros()
        for k, degree in enumerate(types):
            if degree[0] < sum(order for _, order in places):
                continue
            options: dict[str, Any] = {"weight": "relative"}
            if (index + k) % 3 == 0:
                options["interpolate"] = [(float(z), 0.0) for z, _ in places]
            yield Case(
                f"{name} {degree}{' said' if 'interpolate' in options else ''}",
                fn,
                degree,
                domain,
                options,
                check=partial(relative_contradiction, name),
            )


# smooth targets, each with a domain
SMOOTH: dict[str, tuple[Callable[[np.ndarray], Any], tuple[float, float]]] = {
    "exp": (np.exp, (-1.0, 1.0)),
    "exp, short": (np.exp, (0.0, 0.5)),
    "sin": (np.sin, (-1.0, 1.0)),
    "cos": (np.cos, (-1.0, 1.0)),
    "tanh 3x": (lambda x: np.tanh(3 * x), (-1.0, 1.0)),
    "atan": (np.arctan, (-1.0, 1.0)),
    "Runge": (lambda x: 1 / (1 + 25 * x * x), (-1.0, 1.0)),
    "log": (lambda x: np.log(x + 1.2), (-1.0, 1.0)),
    "sqrt": (lambda x: np.sqrt(x + 1.3), (-1.0, 1.0)),
    "erf": (special.erf, (-1.0, 1.0)),
    "gamma": (special.gamma, (1.0, 2.0)),
    "exp(sin 3x)": (lambda x: np.exp(np.sin(3 * x)), (-1.0, 1.0)),
    "sigmoid 4x": (lambda x: special.expit(4 * x), (-1.0, 1.0)),
}
LARGEST = 30  # degree of the sweeps over smooth targets


def _smooth(types: Callable[[int], tuple[int, int]]) -> Iterator[Case]:
    """Every smooth target, at ``types(0)`` to ``types(LARGEST)``."""
    for name, (fn, domain) in SMOOTH.items():
        for d in range(LARGEST + 1):
            degree = types(d)
            if min(degree) >= 0:
                yield Case(f"{name} {degree}", fn, degree, domain)


@sweep("polynomials")
def polynomials(count: int, first: int) -> Iterator[Case]:
    """Type (d, 0) of smooth targets, many of them at the noise floor."""
    return _smooth(lambda d: (d, 0))


@sweep("reciprocals")
def reciprocals(count: int, first: int) -> Iterator[Case]:
    """Type (0, d) of smooth targets."""
    return _smooth(lambda d: (0, d))


@sweep("diagonal")
def diagonal(count: int, first: int) -> Iterator[Case]:
    """Type (d, d) of smooth targets."""
    return _smooth(lambda d: (d, d))


@sweep("below-diagonal")
def below_diagonal(count: int, first: int) -> Iterator[Case]:
    """Type (d, d - 1) of smooth targets."""
    return _smooth(lambda d: (d, d - 1))


SHAPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "Gaussian": lambda t: np.exp(-t * t),
    "Lorentzian": lambda t: 1 / (1 + t * t),
    "hat": lambda t: np.maximum(1 - np.abs(t), 0),
}
UNDER: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "0": np.zeros_like,
    "cos x": np.cos,
    "exp x": np.exp,
}
WIDTHS = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)


@sweep("spikes")
def spikes(count: int, first: int) -> Iterator[Case]:
    """A smooth function and a spike of width w on (-1, 1), with a table of counts by width."""
    for width in WIDTHS:
        for seed in range(first, first + max(count // len(WIDTHS), 1)):
            rng = np.random.default_rng(seed)
            shape, under = str(rng.choice(list(SHAPES))), str(rng.choice(list(UNDER)))
            centre, height = float(rng.uniform(-1, 1)), float(10 ** rng.uniform(-2, 0))
            n = int(rng.integers(0, 9))
            degree = (n + int(rng.integers(0, 3)), n)

            def fn(
                x: np.ndarray,
                width: float = width,
                centre: float = centre,
                height: float = height,
                shape: str = shape,
                under: str = under,
            ) -> np.ndarray:
                return UNDER[under](x) + height * SHAPES[shape]((x - centre) / width)

            name = f"seed {seed}: {under} + {height:.2g} {shape}((x-{centre:.3g})/{width:g})"
            yield Case(f"{name} {degree}", fn, degree, rough=(centre,), group=f"width {width:g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", help=f"default: all of {', '.join(SWEEPS)}")
    parser.add_argument("--count", type=int, default=200, help="cases of a random sweep")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--json", type=Path, help="write counts and unsolved cases here")
    parser.add_argument("--show", action="store_true", help="print every case that is not solved")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(SWEEPS)
    if unknown:
        parser.error(f"no sweep {', '.join(sorted(unknown))}: choose from {', '.join(SWEEPS)}")
    warnings.simplefilter("ignore")
    results = {}
    for name in arguments.names or SWEEPS:
        results[name] = one = run(name, arguments.count, arguments.first)
        seconds = one["cpu_seconds"]
        print(f"{name}: {one['cases']} cases, {seconds['total']:.1f} CPU s", one["counts"])
        for group, counts in one["groups"].items():
            print(f"  {group}: {counts}")
        for case in one["unsolved"]:
            if arguments.show or case["end"].startswith(("wrong", "untyped")):
                print(f"  {case['end']}: {case['case']}: {case['remark']}")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
