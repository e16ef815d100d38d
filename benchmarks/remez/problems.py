"""The problems of the comparison: target as numpy text, domain, type, best error if known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special


@dataclass(frozen=True)
class Problem:
    """``error`` is None where the right end is a typed failure."""

    name: str
    text: str
    domain: tuple[tuple[float, float], ...]
    degree: tuple[int, int]
    error: float | None

    def fn(self) -> Callable[[np.ndarray], np.ndarray]:
        """The target as a function of arrays."""
        return eval(f"lambda x: {self.text}", {"np": np, "special": special})

    def grid(self) -> np.ndarray:
        """Dense, and clustered at the ends and at zero."""
        near = np.geomspace(1e-16, 1, 2000)
        parts = []
        for a, b in self.domain:
            span = b - a
            parts += [np.linspace(a, b, 8001), a + span * near, b - span * near, near, -near]
        x = np.unique(np.concatenate(parts))
        return x[np.any([(a <= x) & (x <= b) for a, b in self.domain], axis=0)]


UNIT = ((-1.0, 1.0),)

# best errors: 60-digit computation, each with m + n + 2 alternating extrema
PROBLEMS = [
    Problem("exp", "np.exp(x)", UNIT, (5, 4), 4.29262171217858e-12),
    Problem("sin", "np.sin(x)", ((-3.14159265, 3.14159265),), (5, 4), 6.63327158186677e-06),
    Problem("gamma", "special.gamma(x)", ((1.0, 2.0),), (4, 4), 4.1481759020489e-10),
    Problem("log12", "np.log(x)", ((1.0, 2.0),), (4, 4), 6.24804485892407e-12),
    Problem("exp_runge", "np.exp(x)/(x*x+1e-4)", UNIT, (4, 4), 8.1186446392098e-07),
    Problem("abs", "np.abs(x)", UNIT, (8, 8), 0.000736563614030703),
    Problem("sqrt", "np.sqrt(x)", ((0.0, 1.0),), (6, 6), 0.000107471162294513),
    Problem("relu", "np.maximum(x, 0)", UNIT, (8, 8), 0.000482155579253717),
    Problem("gelu", "x*special.ndtr(x)", ((-6.0, 6.0),), (8, 8), 1.52675197364115e-05),
    Problem("softplus", "np.log(1+np.exp(x))", ((-10.0, 10.0),), (8, 8), 1.69356745447358e-06),
    Problem("sign98", "np.sign(x)", ((-1, -0.01), (0.01, 1)), (9, 8), 0.00241396049208207),
    Problem("abs33d", "np.abs(x)", UNIT, (3, 3), 0.0436890126920764),
    Problem("cos55d", "np.cos(x)", UNIT, (5, 5), 7.55451869617520e-10),
    Problem("const", "3.7+0*x", UNIT, (4, 4), 0.0),
    Problem("exp82", "np.exp(x)", ((-3.0, 3.0),), (8, 2), 1.13422269875668e-07),
    Problem("exp12_0", "np.exp(x)", ((-5.0, 5.0),), (12, 0), 7.66074727147829e-05),
    Problem("log1p_1e6", "np.log1p(x)", ((0.0, 1e6),), (6, 6), 0.0052882134933473),
    Problem("exp_tinyE", "np.exp(x)", ((-1e-3, 1e-3),), (1, 1), 2.08333333333335e-11),
    Problem("abs20", "np.abs(x)", UNIT, (20, 20), 4.87595751263191e-06),
    Problem("abs40", "np.abs(x)", UNIT, (40, 40), 1.56132885699487e-08),
    Problem("FAIL_step", "1.0*(x >= 0)", UNIT, (6, 6), None),
    Problem("FAIL_pole", "np.tan(x)", ((0.0, 3.0),), (5, 5), None),
]
