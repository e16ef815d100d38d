"""How a straight-line program is written in each language."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from remez.code.program import Program, Tree

__all__ = ["LANGUAGES", "write"]

_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2}


@dataclass(frozen=True)
class _Language:
    """Comment frame, opening of the function by type, declaration of a local, closing."""

    comment: tuple[str, str, str]
    opening: Callable[[str, str], str]
    assignment: Callable[[str, str, str], str]
    closing: Callable[[str, str], str]
    constant: Callable[[float, str], str]


def write(program: Program, language: str, dtype: str, name: str, header: list[str]) -> str:
    """The program as a function ``name`` under a comment of the ``header`` lines.

    ``dtype`` is "float64" or "float32", the type of every operation.
    """
    how = LANGUAGES[language]
    first, middle, last = how.comment
    lines = [f"{first}{header[0]}", *(f"{middle}{line}".rstrip() for line in header[1:])]
    if last:
        lines.append(last)
    lines.append(how.opening(name, dtype))
    for target, tree in program.assignments:
        lines.append(how.assignment(target, _render(tree, how, dtype), dtype))
    lines.append(how.closing(program.assignments[-1][0], dtype))
    return "\n".join(lines) + "\n"


def _render(tree: Tree, how: _Language, dtype: str) -> str:
    if isinstance(tree, str):
        return tree
    if not isinstance(tree, tuple):
        return how.constant(tree, dtype)
    left, sign, right = tree
    if sign in "+-" and isinstance(right, float) and right < 0:
        sign, right = "-" if sign == "+" else "+", -right
    return f"{_inside(left, sign, how, dtype)} {sign} {_inside(right, sign, how, dtype, last=True)}"


def _inside(tree: Tree, sign: str, how: _Language, dtype: str, *, last: bool = False) -> str:
    """An operand; in brackets where the order of evaluation would change without them."""
    text = _render(tree, how, dtype)
    if isinstance(tree, tuple):
        inner, outer = _PRECEDENCE[tree[1]], _PRECEDENCE[sign]
        return f"({text})" if inner < outer or (last and inner == outer) else text
    return f"({text})" if text.startswith("-") else text


def _shortest(value: float, dtype: str) -> str:
    """The shortest decimal that reads back as the same number of the type."""
    text = str(np.float32(value) if dtype == "float32" else np.float64(value))
    return text if any(mark in text for mark in ".en") else f"{text}.0"


def _numpy_constant(value: float, dtype: str) -> str:
    return f"f32({_shortest(value, dtype)})" if dtype == "float32" else _shortest(value, dtype)


def _c_type(dtype: str) -> str:
    return "float" if dtype == "float32" else "double"


def _python_opening(name: str, dtype: str) -> str:
    if dtype == "float64":
        return f"def {name}(x):"
    return f"from numpy import asarray, float32 as f32\n\n\ndef {name}(x):\n    x = asarray(x, f32)"


def _numba_opening(name: str, dtype: str) -> str:
    single = "from numpy import float32 as f32\n" if dtype == "float32" else ""
    return f'import numba\n{single}\n\n@numba.vectorize(["{dtype}({dtype})"])\ndef {name}(x):'


LANGUAGES: dict[str, _Language] = {
    "c": _Language(
        comment=("/* ", " * ", " */"),
        opening=lambda name, dtype: (
            f"static inline {_c_type(dtype)} {name}({_c_type(dtype)} x)\n{{"
        ),
        assignment=lambda target, text, dtype: f"    const {_c_type(dtype)} {target} = {text};",
        closing=lambda result, dtype: f"    return {result};\n}}",
        constant=lambda value, dtype: _shortest(value, dtype) + ("f" if dtype == "float32" else ""),
    ),
    "python": _Language(
        comment=("# ", "# ", ""),
        opening=_python_opening,
        assignment=lambda target, text, dtype: f"    {target} = {text}",
        closing=lambda result, dtype: f"    return {result}",
        constant=_numpy_constant,
    ),
    "numba": _Language(
        comment=("# ", "# ", ""),
        opening=_numba_opening,
        assignment=lambda target, text, dtype: f"    {target} = {text}",
        closing=lambda result, dtype: f"    return {result}",
        constant=_numpy_constant,
    ),
    "torch": _Language(
        comment=("# ", "# ", ""),
        opening=lambda name, dtype: (
            "import torch\n\n\n"
            f"def {name}(x: torch.Tensor) -> torch.Tensor:\n"
            f"    dtype, x = x.dtype, x.to(torch.{dtype})"
        ),
        assignment=lambda target, text, dtype: f"    {target} = {text}",
        closing=lambda result, dtype: f"    return {result}.to(dtype)",
        constant=_shortest,
    ),
}
