"""Every parameter of a public callable is documented, in a sentence."""

import importlib
import inspect
import re
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


def test_the_rule_notices_what_is_missing() -> None:
    arguments = "Args:\n    a: First summand.\n    b, c: Others,\n        as arrays.\n"
    text = f"Sum.\n\n{arguments}\nReturns:\n    x.\n"
    assert documented(text) == {
        "a": "First summand.", "b": "Others, as arrays.", "c": "Others, as arrays."
    }  # fmt: skip
