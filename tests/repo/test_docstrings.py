"""Every parameter of a public callable is documented, in a sentence."""

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator

import pytest

PACKAGES = ("remez", "rsae", "rsae_evals")
# Fields that a base class of SAELens documents; the dataclass only inherits them.
INHERITED = {
    "RSAEConfig": {
        "d_in", "d_sae", "dtype", "device", "apply_b_dec_to_input", "normalize_activations",
        "reshape_activations", "metadata",
    },
}  # fmt: skip
# First words of a line that names what is returned.
NOUNS = {"The", "A", "An", "Any", "One", "Untrained", "Boolean", "Activations", "Tokens"}
NOUNS |= {"Source", "Next-token", "Inverse", "Whether", "Plain", "How", "What"}


def public() -> Iterator[tuple[str, Callable[..., object]]]:
    """Functions and classes of every ``__all__``, and their methods of two parameters or more."""
    for package in map(importlib.import_module, PACKAGES):
        for name in package.__all__:
            one = getattr(package, name)
            if inspect.ismodule(one) or not callable(one) or is_plain(one):
                continue
            yield f"{package.__name__}.{name}", one
            for key, value in vars(one).items() if inspect.isclass(one) else ():
                function = getattr(value, "__func__", value)
                if key.startswith("_") or not inspect.isfunction(function):
                    continue
                if len(parameters(function)) > 1:
                    yield f"{package.__name__}.{name}.{key}", function


def is_plain(one: object) -> bool:
    """Exceptions, enumerations and protocols, which nobody calls with arguments."""
    bases = [base.__name__ for base in inspect.getmro(one)] if inspect.isclass(one) else []
    return bool({"BaseException", "Enum", "Protocol"} & set(bases))


def parameters(function: Callable[..., object]) -> list[str]:
    names = list(inspect.signature(function).parameters)
    return [name for name in names if name not in ("self", "cls") and not name.startswith("_")]


def documented(docstring: str) -> dict[str, str]:
    """Descriptions by name in the section ``Args:`` (of a class, ``Attributes:`` as well)."""
    found: dict[str, str] = {}
    for section in re.findall(r"^(?:Args|Attributes):\n((?:[ ]+.*\n|\n)+)", docstring + "\n", re.M):
        for item in re.split(r"\n(?=    \S)", "\n" + section):
            names, colon, text = item.partition(": ")
            if not colon:
                names, _, text = item.partition(":\n")
            for name in re.findall(r"\w+", re.sub(r"\(.*?\)", "", names)):
                found[name] = " ".join(text.split())
    return found


CALLABLES = dict(public())


def test_the_rule_covers_the_public_callables() -> None:
    assert len(CALLABLES) >= 30


@pytest.mark.parametrize("name", CALLABLES)
def test_every_parameter_is_documented_in_a_sentence(name: str) -> None:
    function = CALLABLES[name]
    descriptions = documented(inspect.getdoc(function) or "")
    wanted = set(parameters(function)) - INHERITED.get(name.split(".")[1], set())
    assert wanted - set(descriptions) == set(), "these are not documented"
    halves = {
        key: text
        for key, text in descriptions.items()
        if key in wanted and not (re.match(r"[A-Z`'\"(0-9]|\*", text) and text.endswith("."))
    }
    assert halves == {}, "a description begins with a capital letter and ends with a full stop"


def sections(function: Callable[..., object]) -> tuple[set[str], set[str]]:
    """The sections that a function needs, and those that its docstring has.

    One that raises needs ``Raises:``. One that returns something needs ``Returns:``, unless its
    first line says what that is, which then begins with an article or another of `NOUNS`.
    """
    docstring = inspect.getdoc(function) or ""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    needed = set()
    if any(isinstance(node, ast.Raise) and node.exc for node in ast.walk(tree)):
        needed.add("Raises")
    returned = ast.unparse(tree.returns) if tree.returns else "None"
    if returned != "None" and docstring.split(maxsplit=1)[0].rstrip(":,") not in NOUNS:
        needed.add("Returns")
    found = set(re.findall(r"^(Raises|Returns|Yields):", docstring, re.M))
    return needed, {"Returns" if name == "Yields" else name for name in found}


FUNCTIONS = {name: one for name, one in CALLABLES.items() if inspect.isfunction(one)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_returned_and_raised_is_documented(name: str) -> None:
    needed, there = sections(FUNCTIONS[name])
    assert needed - there == set()


def test_the_rule_of_sections_notices_what_is_missing() -> None:
    def loud(x: int) -> int:
        """Do something."""
        raise ValueError(x)

    def quiet(x: int) -> int:
        """The next number."""
        return x + 1

    assert sections(loud) == ({"Raises", "Returns"}, set())
    assert sections(quiet) == (set(), set())


def test_the_rule_notices_what_is_missing() -> None:
    arguments = "Args:\n    a: First summand.\n    b, c: Others,\n        as arrays.\n"
    text = f"Sum.\n\n{arguments}\nReturns:\n    x.\n"
    assert documented(text) == {
        "a": "First summand.", "b": "Others, as arrays.", "c": "Others, as arrays."
    }  # fmt: skip
