"""Random approximation problems, for hypothesis and for the benchmark alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st


@dataclass(frozen=True)
class Case:
    """A target, a type and a domain; ``rough`` are its singular points."""

    name: str
    fn: Callable[[np.ndarray], np.ndarray]
    degree: tuple[int, int]
    domain: tuple[tuple[float, float], ...]
    rough: tuple[float, ...] = ()

    def grid(self) -> np.ndarray:
        """Points dense everywhere and clustered at ends and singular points."""
        near = np.geomspace(1e-14, 1, 700)
        parts = []
        for a, b in self.domain:
            parts.append(np.linspace(a, b, 3001))
            parts += [a + (b - a) * near, b - (b - a) * near]
            for c in self.rough:
                parts += [c + (b - a) * near, c - (b - a) * near, [c]]
        x = np.unique(np.concatenate(parts))
        return x[np.any([(a <= x) & (x <= b) for a, b in self.domain], axis=0)]


def random_case(seed: int) -> Case:
    """One of five kinds: smooth, kinked, singular at an end, even or odd, two intervals."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(["smooth", "smooth", "kink", "end", "parity", "union"])
    return globals()[f"_{kind}"](rng)


def cases() -> st.SearchStrategy[Case]:
    return st.integers(0, 2**32 - 1).map(random_case)


def smooth_cases() -> st.SearchStrategy[Case]:
    return st.integers(0, 2**32 - 1).map(lambda seed: _smooth(np.random.default_rng(seed)))


def _interval(rng: np.random.Generator) -> tuple[float, float]:
    length = 10.0 ** rng.uniform(-2, 2)
    a = rng.normal() * length
    return a, a + length


def _wave(rng: np.random.Generator, a: float, b: float) -> tuple[str, Callable]:
    """A smooth function of x on [a, b], with structure of its own scale."""
    c = rng.uniform(a, b)
    s = (b - a) * 10.0 ** rng.uniform(-1.0, 0.5)
    far = s * rng.uniform(0.1, 2)
    forms: dict[str, Callable] = {
        "exp": lambda x: np.exp((x - c) / s),
        "sin": lambda x: np.sin((x - c) / s),
        "tanh": lambda x: np.tanh((x - c) / s),
        "runge": lambda x: 1 / (1 + ((x - c) / s) ** 2),
        "log": lambda x: np.log((x - a + far) / s),
        "gauss": lambda x: np.exp(-(((x - c) / s) ** 2)),
        "atan": lambda x: np.arctan((x - c) / s),
        "root": lambda x: np.sqrt((x - a + far) / s),
    }
    name = str(rng.choice(list(forms)))
    return f"{name}((x-{c:.3g})/{s:.3g})", forms[name]


def _degree(rng: np.random.Generator, most: int = 8) -> tuple[int, int]:
    n = int(rng.integers(1, most + 1))
    excess = int(rng.choice([0, 0, 0, 1, -1, 2, -2, 4]))
    return max(n + excess, 0), n


def _smooth(rng: np.random.Generator) -> Case:
    a, b = _interval(rng)
    (one, f), (two, g) = _wave(rng, a, b), _wave(rng, a, b)
    scale = 10.0 ** rng.uniform(-3, 3)
    mix = rng.uniform(0.1, 1)
    return Case(
        f"{scale:.2g}*({one} + {mix:.2g} {two})",
        lambda x: scale * (f(x) + mix * g(x)),
        _degree(rng, 6),
        ((a, b),),
    )


def _kink(rng: np.random.Generator) -> Case:
    a, b = _interval(rng)
    c = rng.uniform(a + 0.1 * (b - a), b - 0.1 * (b - a))
    name, f = _wave(rng, a, b)
    height = rng.uniform(0.2, 2)
    power = float(rng.choice([1, 1, 1.5, 3]))
    return Case(
        f"{height:.2g}|x-{c:.3g}|^{power} + {name}",
        lambda x: height * np.abs((x - c) / (b - a)) ** power + f(x),
        _degree(rng, 9),
        ((a, b),),
        (c,),
    )


def _end(rng: np.random.Generator) -> Case:
    a, b = _interval(rng) if rng.random() < 0.5 else (0.0, float(10.0 ** rng.uniform(-2, 3)))
    name, f = _wave(rng, a, b)
    power = rng.uniform(0.2, 0.9)
    mix = rng.uniform(0, 0.5)
    return Case(
        f"((x-{a:.3g}))^{power:.2g} + {mix:.2g} {name}",
        lambda x: ((x - a) / (b - a)) ** power + mix * f(x),
        _degree(rng, 8),
        ((a, b),),
        (a,),
    )


def _parity(rng: np.random.Generator) -> Case:
    half = 10.0 ** rng.uniform(-1, 1)
    s = half * 10.0 ** rng.uniform(-1, 0.5)
    forms: dict[str, Callable] = {
        "|x|": np.abs,
        "cos": lambda x: np.cos(x / s),
        "atan": lambda x: np.arctan(x / s),
        "x|x|": lambda x: x * np.abs(x),
        "cbrt": np.cbrt,
        "sqrt|x|": lambda x: np.sqrt(np.abs(x)),
        "hyperbola": lambda x: np.sqrt(x * x + s * s / 100),
    }
    name = str(rng.choice(list(forms)))
    return Case(f"{name} /{s:.2g}", forms[name], _degree(rng, 14), ((-half, half),), (0.0,))


def _union(rng: np.random.Generator) -> Case:
    a, b = _interval(rng)
    low, high = np.sort(rng.uniform(a + 0.2 * (b - a), b - 0.2 * (b - a), 2))
    if high - low < 0.02 * (b - a):
        high = low + 0.02 * (b - a)
    name, f = _wave(rng, a, b)
    jump = float(rng.choice([0, 1, 1]))
    cut = 0.5 * (low + high)
    return Case(
        f"{jump:.0f} sign(x-{cut:.3g}) + {name}",
        lambda x: jump * np.sign(x - cut) + f(x),
        _degree(rng, 6),
        ((a, float(low)), (float(high), b)),
    )
