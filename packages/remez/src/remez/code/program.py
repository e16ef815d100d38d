"""Straight-line programs for evaluating a rational, independent of the language.

A program is a list of assignments ``name = expression`` over one input ``x``. An expression is a
number, a name, or a triple ``(left, operator, right)``. The same program is printed in every
language, run in NumPy, and analysed for its rounding error.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from remez.rational.bases import Monomial, Product
from remez.rational.polynomials import Variable
from remez.rational.protocol import Record, Values
from remez.rational.zolotarev import Composite

__all__ = ["Program", "of_composite", "of_monomial", "of_product"]

Tree = float | str | tuple[Any, str, Any]

OPERATIONS: dict[str, Callable[[Values, Values], Values]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


@dataclass(frozen=True)
class Program:
    """A sequence of assignments; the value is that of the last one.

    >>> program = Program((("t", ("x", "-", 1.0)), ("r", ("t", "*", "t"))))
    >>> program(np.float32([3.0]), np.float32)
    array([4.], dtype=float32)
    """

    assignments: tuple[tuple[str, Tree], ...]

    def __call__(self, x: np.ndarray, dtype: type) -> np.ndarray:
        """Run in NumPy, every operation rounded to ``dtype``."""
        with np.errstate(all="ignore"):
            value = self.run(np.asarray(x).astype(dtype), dtype)
        return np.broadcast_to(value, np.shape(x)).copy()

    def constants(self) -> list[float]:
        """The numbers in the program, in order."""
        return [c for _, tree in self.assignments for c in _constants(tree)]

    @property
    def uses_input(self) -> bool:
        """Whether the value depends on x."""
        return any("x" in _names(tree) for _, tree in self.assignments)

    def run(self, x: Values, constant: Callable[[float], Values]) -> Values:
        """Run in the arithmetic of ``x``; ``constant`` converts numbers to this arithmetic."""
        values = {"x": x}
        for name, tree in self.assignments:
            values[name] = _run(tree, values, constant)
        return values[name]


def _constants(tree: Tree) -> list[float]:
    if isinstance(tree, tuple):
        return _constants(tree[0]) + _constants(tree[2])
    return [] if isinstance(tree, str) else [tree]


def _names(tree: Tree) -> list[str]:
    if isinstance(tree, tuple):
        return _names(tree[0]) + _names(tree[2])
    return [tree] if isinstance(tree, str) else []


def _run(tree: Tree, values: Record, constant: Callable[[float], Values]) -> Values:
    if isinstance(tree, tuple):
        left, sign, right = tree
        return OPERATIONS[sign](_run(left, values, constant), _run(right, values, constant))
    return values[tree] if isinstance(tree, str) else constant(tree)


def of_monomial(form: Monomial, scheme: str, offset: float = 0.0) -> Program:
    """``p(t)/q(t) + offset`` by Horner's rule, or by Estrin's for shorter dependency chains.

    An even or odd polynomial is evaluated in t², and a vanishing p_0 leaves a factor t, so that
    a zero at the centre keeps its relative accuracy.

    References:
        N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., SIAM 2002,
        §5.1; G. Estrin, Proc. Western Joint IRE-AIEE-ACM Computer Conference, 1960.
    """
    assignments = _variable(form.variable)
    t = assignments[-1][0] if assignments else "x"
    powers = _Powers(t, assignments)
    p = _polynomial(form.p, powers, scheme)
    if len(form.q) == 1 and form.q[0] == 1:
        return _needed([*assignments, ("r", _plus(p, offset))])
    q = _polynomial(form.q, powers, scheme)
    return _needed([*assignments, ("p", p), ("q", q), ("r", _plus(("p", "/", "q"), offset))])


def _plus(tree: Tree, offset: float) -> Tree:
    return (tree, "+", offset) if offset else tree


def of_product(form: Product) -> Program:
    """A product of factors; quotients are formed factor by factor to avoid overflow."""
    assignments = _variable(form.variable)
    t = assignments[-1][0] if assignments else "x"
    value: Tree = form.gain
    for k in range(max(len(form.zeros), len(form.poles))):
        top = _factor(t, form.zeros, k, f"n{k}", assignments)
        bottom = _factor(t, form.poles, k, f"d{k}", assignments)
        if top is None:
            value = (value, "/", bottom)
        else:
            value = (value, "*", top if bottom is None else (top, "/", bottom))
        assignments.append((f"r{k}", value))
        value = f"r{k}"
    if not assignments or isinstance(value, float):
        assignments.append(("r", value))
    return _needed(assignments)


def _needed(assignments: Sequence[tuple[str, Tree]]) -> Program:
    """The program without assignments that its value does not depend on."""
    kept: list[tuple[str, Tree]] = []
    used = {assignments[-1][0]}
    for name, tree in reversed(assignments):
        if name in used:
            kept.append((name, tree))
            used.update(_names(tree))
    return Program(tuple(reversed(kept)))


def of_composite(form: Composite) -> Program:
    """A composition of layers ``y <- scale y prod (y² + z)/(y² + w)``."""
    assignments: list[tuple[str, Tree]] = []
    y = "x"
    for k, layer in enumerate(form.layers):
        assignments.append((f"s{k}", (y, "*", y)))
        value: Tree = (float(layer.scale), "*", y)
        for zero, pole in zip(layer.zeros_squared, layer.poles_squared, strict=True):
            quotient = ((f"s{k}", "+", float(zero)), "/", (f"s{k}", "+", float(pole)))
            value = (value, "*", quotient)
        assignments.append((f"y{k}", value))
        y = f"y{k}"
    return Program(tuple(assignments))


def _variable(variable: Variable) -> list[tuple[str, Tree]]:
    """The assignments that compute t; none if t is x."""
    tree: Tree = "x"
    if variable.shift:
        tree = (tree, "-", variable.shift)
    if variable.scale != 1:
        tree = (tree, "*", variable.scale)
    if variable.mobius:
        tree = (1.0, "-", (2.0, "/", (tree, "+", 1.0)))
    return [] if tree == "x" else [("t", tree)]


class _Powers:
    """Names of t, t², t⁴, ..., which are assigned on first use."""

    def __init__(self, t: str, assignments: list[tuple[str, Tree]]) -> None:
        self.names = {1: t}
        self.assignments = assignments

    def __getitem__(self, power: int) -> str:
        if power not in self.names:
            half = self[power // 2]
            self.names[power] = f"{self.names[1]}{power}"
            self.assignments.append((self.names[power], (half, "*", half)))
        return self.names[power]


def _polynomial(coefficients: np.ndarray, powers: _Powers, scheme: str) -> Tree:
    c = np.trim_zeros(coefficients, "b").tolist() or [0.0]
    if len(c) > 1 and not any(c[1::2]):
        return _sum(c[::2], powers, 2, scheme)
    if len(c) > 1 and c[0] == 0:
        step = 1 if any(c[2::2]) else 2
        return (powers[1], "*", _sum(c[1::step], powers, step, scheme))
    return _sum(c, powers, 1, scheme)


def _sum(c: Sequence[float], powers: _Powers, power: int, scheme: str) -> Tree:
    """``c_0 + c_1 s + c_2 s² + ...`` with ``s = t^power``."""
    if scheme == "horner":
        tree: Tree = c[-1]
        for coefficient in c[-2::-1]:
            tree = ((tree, "*", powers[power]), "+", coefficient)
        return tree
    trees: list[Tree] = list(c)
    while len(trees) > 1:
        s = powers[power]
        pairs = [((b, "*", s), "+", a) for a, b in zip(trees[::2], trees[1::2], strict=False)]
        trees = pairs + trees[len(pairs) * 2 :]
        power *= 2
    return trees[0]


def _factor(
    t: str,
    factors: Sequence[tuple[float, float]],
    k: int,
    name: str,
    assignments: list[tuple[str, Tree]],
) -> Tree | None:
    if k >= len(factors):
        return None
    a, b = factors[k]
    base: Tree = (t, "-", a) if a else t
    if not b:
        return base
    if a:
        assignments.append((name, base))
        base = name
    return ((base, "*", base), "+", b * b)
