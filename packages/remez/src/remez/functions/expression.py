"""Functions of one variable given as strings: ``parse("exp(x) / (1 + x**2)")``.

The parser reads Python's syntax tree. It accepts numbers, the variable ``x``, ``pi`` and ``e``, the
operators ``+ - * / **`` and calls of functions of the catalogue, and rejects everything else; no
code is executed. The result can be called with NumPy arrays, mpmath numbers and balls.
"""

import ast
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from remez.errors import ExpressionError, shown
from remez.functions.definitions import DEFINITIONS
from remez.functions.primitives import ARITY, CONSTANTS

__all__ = ["Expression", "as_expression", "parse"]

MAX_LENGTH = 1000  # characters
MAX_DEPTH = 300  # nested operations; Python's recursion limit is about 1000 calls
MAX_SIZE = 2000  # nodes of the tree, which grows quickly with nested definitions
MAX_EXPONENT = 300  # of a number such as 1e300, which is stored as an exact integer
MAX_POWER = 10_000  # largest exponent that is stored as an integer

_BINARY = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow"}

# expressions u such that the function may not be smooth where u(x) = 0
_CRITICAL = ("abs", "sign", "step", "sqrt", "cbrt", "log", "xlogx")


@dataclass(frozen=True)
class Variable:
    """The variable x."""


@dataclass(frozen=True)
class Number:
    """An exact rational constant."""

    value: Fraction


@dataclass(frozen=True)
class Constant:
    """``pi`` or ``e``."""

    name: str


@dataclass(frozen=True)
class Apply:
    """A primitive function or operator applied to subtrees."""

    function: str
    arguments: tuple["Node", ...]


Node = Variable | Number | Constant | Apply
Values = Any  # a number or an array of one of the arithmetics: float64, mpmath, balls, tails


@dataclass(frozen=True)
class Expression:
    """A function of x given by a string, for several arithmetics.

    ``expression(x)`` chooses the method by the type of ``x``: `floating` for Python and NumPy
    numbers and arrays, `multiprecision` for mpmath's, `ball` for python-flint's ``arb`` and
    ``arb_series``. Numbers in the string are exact: ``0.1`` is one tenth in every arithmetic. Two
    expressions are equal if their syntax trees are equal.

    Example:
        >>> from remez.functions.expression import parse
        >>> f = parse("exp(x) - 1")
        >>> float(f(0.0))
        0.0
        >>> from mpmath import mp, mpf
        >>> with mp.workdps(30):
        ...     print(f(mpf(1)))
        1.71828182845904523536028747135
    """

    text: str = field(compare=False)
    tree: Node

    def __call__(self, x: Values) -> Values:
        """f(x) in the arithmetic of ``x``."""
        family = type(x).__module__.partition(".")[0]
        if family == "mpmath":
            return self.multiprecision(x)
        return self.ball(x) if family == "flint" else self.floating(x)

    def floating(self, x: Values) -> Values:
        """f(x) in float64, elementwise; NaN or infinity outside the function's domain."""
        x = np.asarray(x, dtype=np.float64)
        with np.errstate(all="ignore"):
            return self._compiled("float64")(x) + np.zeros_like(x)

    def multiprecision(self, x: Values) -> Values:
        """f(x) at the working precision of ``mpmath.mp``; NaN outside the function's domain."""
        from mpmath import mp

        try:
            value = mp.mpmathify(self._compiled("multiprecision")(mp.mpf(x)))
        except (ArithmeticError, ValueError, TypeError):  # a pole, or a complex comparison
            return mp.nan
        return value if isinstance(value, mp.mpf) else mp.nan

    def ball(self, x: Values) -> Values:
        """An enclosure of f over a ball (``arb``), or of its Taylor coefficients along a series."""
        from flint import arb, arb_series

        if not isinstance(x, arb_series):
            return self._compiled("arb")(arb(x))
        value = self._compiled("arb")(x)
        return value if isinstance(value, arb_series) else arb_series([value], prec=x.prec)

    def tail(self, x: Values) -> Values:
        """An enclosure of f over all large x (`remez.functions.tails`)."""
        return x.of(self._compiled("tails")(x))

    def reciprocal(self) -> "Expression":
        """1/f."""
        return Expression(f"1/({self.text})", Apply("div", (Number(Fraction(1)), self.tree)))

    def singular_points(self, low: float, high: float, samples: int = 2001) -> tuple[float, ...]:
        """Points of [low, high] at which f may not be smooth.

        These are the sign changes of the arguments of abs, sign, step, sqrt, cbrt, log and
        non-integer powers, and of the difference of the arguments of max and min.

        Args:
            low: The lower end, finite.
            high: The upper end, finite.
        """
        x = np.linspace(low, high, samples)
        found: set[float] = set()
        for node in _critical(self.tree):
            found.update(_roots(Expression("", node).floating, x))
        return tuple(sorted(found))

    def _compiled(self, arithmetic: str) -> Callable[[Values], Values]:
        if arithmetic not in self._forms:
            forms = importlib.import_module(f"remez.functions.{arithmetic}")
            self._forms[arithmetic] = _compile(self.tree, forms)
        return self._forms[arithmetic]

    @cached_property
    def _forms(self) -> dict[str, Callable[[Values], Values]]:
        return {}

    def __reduce__(self) -> tuple[Any, ...]:
        return (Expression, (self.text, self.tree))

    def __str__(self) -> str:
        return self.text


def parse(text: str) -> Expression:
    """Parse a string as an expression.

    Args:
        text: An expression in x of at most 1000 characters: numbers, ``pi``, ``e``,
            ``+ - * / **`` and functions of the catalogue.

    Returns:
        The expression, which can be called and given to `remez.fit`.

    Raises:
        ExpressionError: The string is not an expression; the message names the cause.

    Example:
        >>> from remez.functions.expression import parse
        >>> str(parse("gelu(x) / 2"))
        'gelu(x) / 2'
    """
    if not isinstance(text, str):
        raise ExpressionError(f"an expression is a string such as 'exp(x)', not {shown(text)}")
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"the expression has {len(text)} characters; at most {MAX_LENGTH}")
    return _parsed(text)


@lru_cache(maxsize=256)
def _parsed(text: str) -> Expression:
    try:
        body = ast.parse(text.strip(), mode="eval").body
        tree = _convert(body, text.strip(), {"x": Variable()})
        size, depth = _size(tree, {}), _depth(tree, {})
    except ExpressionError:
        raise
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        reason = getattr(error, "msg", None) or str(error) or "nested too deeply"
        raise ExpressionError(f"cannot read {shown(text)}: {reason}") from error
    if size > MAX_SIZE:
        raise ExpressionError(f"the expression expands to {size} operations; at most {MAX_SIZE}")
    if depth > MAX_DEPTH:
        raise ExpressionError(
            f"the expression has {depth} nested operations; at most {MAX_DEPTH}: shorten it or "
            "pass a Python function"
        )
    return Expression(text.strip(), tree)


def as_expression(fn: object) -> Expression | None:
    """The expression of an `Expression` or a catalogue `Target`; None for other callables."""
    found = fn if isinstance(fn, Expression) else getattr(fn, "expression", None)
    return found if isinstance(found, Expression) else None


def _size(node: Node, known: dict[int, int]) -> int:
    """The number of nodes of the tree; a shared subtree is counted at each occurrence."""
    if not isinstance(node, Apply):
        return 1
    if id(node) not in known:
        known[id(node)] = 1 + sum(_size(argument, known) for argument in node.arguments)
    return known[id(node)]


def _depth(node: Node, known: dict[int, int]) -> int:
    """The largest number of nested operations, which is the recursion depth of an evaluation."""
    if not isinstance(node, Apply):
        return 1
    if id(node) not in known:
        known[id(node)] = 1 + max(_depth(argument, known) for argument in node.arguments)
    return known[id(node)]


def _convert(node: ast.AST, source: str, names: dict[str, Node]) -> Node:
    """Convert Python's syntax tree; ``names`` holds the variable and the parameters."""
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float()):
            return Number(_exact(ast.get_source_segment(source, node) or ""))
        case ast.Name(id=name):
            return _name(name, names)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _convert(operand, source, names)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _apply("neg", (_convert(operand, source, names),))
        case ast.BinOp(op=op, left=left, right=right) if type(op) in _BINARY:
            arguments = (_convert(left, source, names), _convert(right, source, names))
            return _apply(_BINARY[type(op)], arguments)
        case ast.BinOp(op=ast.BitXor()):
            raise ExpressionError("'^' is not the power operator; write **")
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            return _call(name, tuple(_convert(argument, source, names) for argument in args))
    piece = ast.get_source_segment(source, node) or source
    raise ExpressionError(
        f"{piece!r} is not allowed in an expression; use numbers, x, pi, e, + - * / ** and calls "
        "of the functions that `remez targets` lists"
    )


def _exact(literal: str) -> Fraction:
    """A numeric literal as a fraction."""
    _, _, exponent = literal.lower().partition("e")
    try:
        if exponent and abs(int(exponent)) > MAX_EXPONENT:
            raise ExpressionError(f"the number {literal} is out of range")
        return Fraction(literal)
    except ValueError as error:
        raise ExpressionError(f"the number {literal!r} is not decimal") from error


def _name(name: str, names: dict[str, Node]) -> Node:
    if name in names:
        return names[name]
    if name in CONSTANTS:
        return Constant(name)
    raise ExpressionError(f"unknown name {name!r}; the variable is x, the constants are pi and e")


def _apply(function: str, arguments: tuple[Node, ...]) -> Node:
    """Apply an operator; signs and quotients of numbers are evaluated exactly."""
    match function, arguments:
        case "neg", (Number(value=a),):
            return Number(-a)
        case "div", (Number(value=a), Number(value=b)) if b:
            return Number(a / b)
    return Apply(function, arguments)


def _call(name: str, arguments: tuple[Node, ...]) -> Node:
    if name in DEFINITIONS:
        text, defaults = DEFINITIONS[name]
        if not 1 <= len(arguments) <= 1 + len(defaults):
            raise ExpressionError(f"{name}() takes x and at most {len(defaults)} more arguments")
        values = arguments[1:] + tuple(map(_literal, list(defaults.values())[len(arguments) - 1 :]))
        names = {"x": arguments[0], **dict(zip(defaults, values, strict=True))}
        return _convert(ast.parse(text, mode="eval").body, text, names)
    if name not in ARITY or name in ("add", "sub", "mul", "div", "pow", "neg"):
        raise ExpressionError(f"unknown function {name!r}; `remez targets` lists the functions")
    if len(arguments) != ARITY[name]:
        raise ExpressionError(f"{name}() takes {ARITY[name]} arguments, not {len(arguments)}")
    return Apply(name, arguments)


def _literal(text: str) -> Node:
    return Number(Fraction(text))


def _compile(node: Node, forms: ModuleType) -> Callable[[Values], Values]:
    """The tree as nested closures over the functions of one arithmetic."""
    match node:
        case Variable():
            return lambda x: x
        case Number(value=value):
            return lambda x: forms.rational(value.numerator, value.denominator)
        case Constant(name=name):
            return lambda x: forms.constant(name)
        case Apply(function="pow", arguments=(base, Number(value=exponent))) if (
            exponent.denominator == 1 and abs(exponent) <= MAX_POWER
        ):
            inner, power = _compile(base, forms), forms.FUNCTIONS["pow"]
            return lambda x: power(inner(x), exponent.numerator)
        case Apply(function=name, arguments=(one,)):
            function, inner = forms.FUNCTIONS[name], _compile(one, forms)
            return lambda x: function(inner(x))
        case Apply(function=name, arguments=(one, two)):
            function, left, right = (
                forms.FUNCTIONS[name],
                _compile(one, forms),
                _compile(two, forms),
            )
            return lambda x: function(left(x), right(x))
    raise AssertionError(node)


def _critical(node: Node) -> list[Node]:
    """The subtrees whose zeros are candidates for singular points."""
    if not isinstance(node, Apply):
        return []
    found = [inner for argument in node.arguments for inner in _critical(argument)]
    match node:
        case Apply(function=name, arguments=(argument,)) if name in _CRITICAL:
            found.append(argument)
        case Apply(function="max" | "min", arguments=arguments):
            found.append(Apply("sub", arguments))
        case Apply(function="pow", arguments=(base, Number(value=power))) if power.denominator > 1:
            found.append(base)
    return found


def _roots(u: Callable[[Values], Values], x: np.ndarray) -> list[float]:
    """Zeros of ``u`` on a grid: exact zeros, and sign changes located by bisection."""
    value = u(x)
    roots = [float(point) for point in x[value == 0]]
    for i in np.flatnonzero(value[:-1] * value[1:] < 0):
        low, high, sign = float(x[i]), float(x[i + 1]), np.sign(value[i])
        while low < (middle := 0.5 * (low + high)) < high:
            low, high = (middle, high) if np.sign(u(middle)) == sign else (low, middle)
        roots.append(high)
    return roots
