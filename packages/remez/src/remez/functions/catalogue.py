"""The catalogue: common functions with their domains, symmetries and singular points.

A `Target` can be called with numbers, NumPy arrays, mpmath numbers and balls. It also has the
domain, the symmetry, the singular points and a default interval of the function:

    >>> from remez import targets
    >>> targets.gelu.text, targets.gelu.interval
    ('gelu(x)', (-6.0, 6.0))
    >>> [target.name for target in targets.CATALOGUE.values()][:3]
    ['exp', 'expm1', 'log']
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf
from typing import Any, Literal

from remez.errors import ExpressionError
from remez.functions.expression import Expression, parse

__all__ = ["CATALOGUE", "Target", "as_target", "get"]

Interval = tuple[float, float]


@dataclass(frozen=True)
class Target:
    """A function of the catalogue.

    Attributes:
        name: The name of the function in expressions.
        summary: A description in one line.
        interval: The default interval of approximation, or several intervals.
        domain: The disjoint intervals on which the function is defined and real.
        symmetry: "even", "odd", or None without symmetry.
        singular_points: The finite points at which the function is not analytic.
        parameters: Names and values of the parameters, the values as exact decimals or fractions.

    Example:
        >>> from remez import targets
        >>> leaky = targets.leaky_relu.with_parameters(slope="0.2")
        >>> float(leaky(-1.0))
        -0.2
    """

    name: str
    summary: str
    interval: Interval | tuple[Interval, ...]
    domain: tuple[Interval, ...] = ((-inf, inf),)
    symmetry: Literal["even", "odd"] | None = None
    singular_points: tuple[float, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """The call of this target in an expression, such as ``gelu(x)``."""
        return f"{self.name}({', '.join(['x', *(value for _, value in self.parameters)])})"

    @property
    def expression(self) -> Expression:
        """The target as an expression."""
        return parse(self.text)

    def __call__(self, x: Any) -> Any:
        """f(x) in the arithmetic of ``x``."""
        return self.expression(x)

    def with_parameters(self, **values: str | float) -> "Target":
        """The same target with other values of its parameters.

        Args:
            values: The new values by name; a string such as ``"0.2"`` is exact.

        Raises:
            ExpressionError: The target has no parameter of that name.
        """
        known = dict(self.parameters)
        if unknown := values.keys() - known.keys():
            raise ExpressionError(f"{self.name} has no parameter {sorted(unknown)[0]!r}")
        merged = known | {name: str(value) for name, value in values.items()}
        changed = replace(self, parameters=tuple(merged.items()))
        if "threshold" not in known:
            return changed
        theta, before = (float(Fraction(one["threshold"])) for one in (merged, known))
        signs = (-1, 1) if self.symmetry else (1,)

        def moved(x: float) -> float:
            """An end of the interval, at the same distance from the jump as before."""
            return x - (theta - before) if self.symmetry and x < 0 else x + (theta - before)

        pairs = self.interval if isinstance(self.interval[0], tuple) else (self.interval,)
        intervals = tuple((moved(low), moved(high)) for low, high in pairs)
        return replace(
            changed,
            singular_points=tuple(sorted({sign * theta for sign in signs})),
            interval=intervals if len(intervals) > 1 else intervals[0],
        )


_LINE: tuple[Interval, ...] = ((-inf, inf),)
_RIGHT: tuple[Interval, ...] = ((0.0, inf),)
_PUNCTURED: tuple[Interval, ...] = ((-inf, 0.0), (0.0, inf))
_UNIT: tuple[Interval, ...] = ((-1.0, 1.0),)

_KNOWN = (
    Target("exp", "exponential", (-1.0, 1.0)),
    Target("expm1", "exp(x) - 1 without cancellation", (-1.0, 1.0)),
    Target("log", "natural logarithm", (1.0, 2.0), _RIGHT, None, (0.0,)),
    Target("log1p", "log(1 + x)", (-0.5, 1.0), ((-1.0, inf),), None, (-1.0,)),
    Target("xlogx", "x log x, zero at zero", (0.0, 1.0), _RIGHT, None, (0.0,)),
    Target("sqrt", "square root", (0.0, 1.0), _RIGHT, None, (0.0,)),
    Target("cbrt", "real cube root", (-1.0, 1.0), symmetry="odd", singular_points=(0.0,)),
    Target("sin", "sine", (-3.14159265, 3.14159265), symmetry="odd"),
    Target("cos", "cosine", (-3.14159265, 3.14159265), symmetry="even"),
    Target("tan", "tangent", (-0.78539816, 0.78539816), ((-1.5707963, 1.5707963),), "odd"),
    Target("asin", "inverse sine", (-0.5, 0.5), _UNIT, "odd", (-1.0, 1.0)),
    Target("acos", "inverse cosine", (-0.5, 0.5), _UNIT, None, (-1.0, 1.0)),
    Target("atan", "inverse tangent", (-1.0, 1.0), symmetry="odd"),
    Target("sinh", "hyperbolic sine", (-1.0, 1.0), symmetry="odd"),
    Target("cosh", "hyperbolic cosine", (-1.0, 1.0), symmetry="even"),
    Target("tanh", "hyperbolic tangent", (-4.0, 4.0), symmetry="odd"),
    Target("asinh", "inverse hyperbolic sine", (-1.0, 1.0), symmetry="odd"),
    Target("acosh", "inverse hyperbolic cosine", (1.5, 3.0), ((1.0, inf),), None, (1.0,)),
    Target("atanh", "inverse hyperbolic tangent", (-0.5, 0.5), _UNIT, "odd", (-1.0, 1.0)),
    Target("gamma", "Gamma function", (1.0, 2.0), _RIGHT, None, (0.0,)),
    Target("lgamma", "logarithm of the Gamma function", (1.0, 2.0), _RIGHT, None, (0.0,)),
    Target("erf", "error function", (-2.0, 2.0), symmetry="odd"),
    Target("erfc", "complementary error function", (0.0, 2.0)),
    Target("j0", "Bessel function J0", (-4.0, 4.0), symmetry="even"),
    Target("j1", "Bessel function J1", (-4.0, 4.0), symmetry="odd"),
    Target("abs", "absolute value", (-1.0, 1.0), symmetry="even", singular_points=(0.0,)),
    Target(
        "abs_power",
        "|x|^a",
        (-1.0, 1.0),
        symmetry="even",
        singular_points=(0.0,),
        parameters=(("a", "1/2"),),
    ),
    Target(
        "sign", "sign, with a gap at 0", ((-1.0, -0.01), (0.01, 1.0)), _PUNCTURED, "odd", (0.0,)
    ),
    Target(
        "gate",
        "JumpReLU gate: 1 above the threshold, 0 below",
        ((-1.0, -0.01), (0.01, 1.0)),
        singular_points=(0.0,),
        parameters=(("threshold", "0"),),
    ),
    Target("relu", "max(x, 0)", (-1.0, 1.0), singular_points=(0.0,)),
    Target(
        "leaky_relu",
        "max(x, 0) + slope min(x, 0)",
        (-1.0, 1.0),
        singular_points=(0.0,),
        parameters=(("slope", "0.01"),),
    ),
    Target("gelu", "x Φ(x), Φ the normal distribution function", (-6.0, 6.0)),
    Target("gelu_tanh", "GELU's tanh form", (-6.0, 6.0)),
    Target("silu", "x / (1 + exp(-x)), also called swish", (-6.0, 6.0)),
    Target("sigmoid", "1 / (1 + exp(-x))", (-6.0, 6.0)),
    Target("softplus", "log(1 + exp(x))", (-6.0, 6.0)),
    Target("mish", "x tanh(softplus(x))", (-6.0, 6.0)),
    Target(
        "elu",
        "x for x > 0, alpha (exp(x) - 1) below",
        (-4.0, 4.0),
        singular_points=(0.0,),
        parameters=(("alpha", "1"),),
    ),
    Target("softsign", "x / (1 + |x|)", (-4.0, 4.0), symmetry="odd", singular_points=(0.0,)),
    Target("hard_sigmoid", "x/6 + 1/2 clipped to [0, 1]", (-4.0, 4.0), singular_points=(-3.0, 3.0)),
    Target("hard_swish", "x hard_sigmoid(x)", (-4.0, 4.0), singular_points=(-3.0, 3.0)),
    Target(
        "hard_tanh",
        "x clipped to [-1, 1]",
        (-2.0, 2.0),
        symmetry="odd",
        singular_points=(-1.0, 1.0),
    ),
    Target(
        "soft_shrink",
        "x moved towards 0 by the threshold",
        (-2.0, 2.0),
        symmetry="odd",
        singular_points=(-0.5, 0.5),
        parameters=(("threshold", "1/2"),),
    ),
    Target(
        "hard_shrink",
        "x where |x| exceeds the threshold, else 0",
        ((-2.0, -0.51), (-0.49, 0.49), (0.51, 2.0)),
        symmetry="odd",
        singular_points=(-0.5, 0.5),
        parameters=(("threshold", "1/2"),),
    ),
    Target(
        "jumprelu",
        "x above the threshold, else 0",
        ((-2.0, 0.99), (1.01, 4.0)),
        singular_points=(1.0,),
        parameters=(("threshold", "1"),),
    ),
)

CATALOGUE: dict[str, Target] = {target.name: target for target in _KNOWN}


def as_target(fn: Any) -> Any:
    """Convert a string to the catalogue target of that name or to an expression.

    Args:
        fn: A string, or any other object, which is returned unchanged.

    Raises:
        ExpressionError: The string is neither a name nor a valid expression.
    """
    if not isinstance(fn, str):
        return fn
    name = fn.strip()
    return CATALOGUE[name] if name in CATALOGUE else parse(name)


def get(name: str) -> Target:
    """The target of that name.

    Args:
        name: A name of the catalogue.

    Raises:
        ExpressionError: The catalogue has no such target.
    """
    if name not in CATALOGUE:
        raise ExpressionError(f"no target is called {name!r}; `remez targets` lists them")
    return CATALOGUE[name]


def __getattr__(name: str) -> Target:
    if name in CATALOGUE:
        return CATALOGUE[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *CATALOGUE])
