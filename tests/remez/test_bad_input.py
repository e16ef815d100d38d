"""Whatever is thrown at the public functions: an answer or a `RemezError`, and nothing else.

No warning is given, and neither NumPy's error state nor mpmath's precision is changed.
"""

import contextlib
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

import remez
from remez import DegreeError, DomainError, RemezError, TargetError
from remez.error_tables import error_table
from remez.functions.expression import parse

quick = settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)


@contextlib.contextmanager
def nothing_but_remez_errors():
    """Only `RemezError` may leave the block; no warning, no change of global state."""
    state, precision = np.geterr(), mp.prec
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with contextlib.suppress(RemezError):
            yield
    assert np.geterr() == state
    assert mp.prec == precision


ODD_NUMBERS = [
    0, 1, -1, 2, 5, 10**6, 10**400, True, None, "x", "3", b"3", "", 1.5, -0.0, 1e308, 1e-320,
    5e-324, np.nan, np.inf, -np.inf, 1j, np.complex128(1 + 2j), np.float32(0.5), np.int8(3),
    Decimal("0.5"), Decimal("NaN"), Decimal("1e-999999999"), "1e999999999", "1/3", "1/0",
    Fraction(1, 3), Fraction(10) ** 400, mpf("0.5"), mpf("1e-1000000000"), mpf("nan"), np.ones(5),
    np.ma.masked, object(), [], [1, 2], {"a": 1}, float, np.exp, len, slice(3),
]  # fmt: skip
odd_numbers = st.sampled_from(ODD_NUMBERS) | st.floats() | st.integers(-3, 6)
pairs = st.tuples(odd_numbers, odd_numbers)
junk = odd_numbers | pairs | st.lists(odd_numbers, max_size=4) | st.lists(pairs, max_size=3)


def raising(kind):
    def fn(x):
        raise kind("on\nprinciple")

    return fn


class Unprintable:
    def __repr__(self):
        raise RuntimeError

    def __float__(self):
        raise RuntimeError


FUNCTIONS = [
    np.exp, np.abs, np.sign, np.tan, np.log, lambda x: x, lambda x: 3, lambda x: None,
    lambda x: "text", lambda x: 1j * x, lambda x: np.nan, lambda x: np.inf * x, lambda x: 1 / x,
    lambda x: x.astype(int), lambda x: np.float32(x), lambda x: [x], lambda x: np.ones((3, 3)),
    lambda x, y: x, lambda: 0, lambda x: x[:2], lambda x: {}, lambda x: x > 0, lambda x: Decimal(x),
    lambda x: Fraction(x), lambda x: mp.exp(x), lambda x: np.ma.masked_less(x, 0), Unprintable,
    lambda x: object(), lambda x: np.datetime64("2020-01-01"), lambda x: np.exp(1000 * x),
    lambda x: 1e300 * np.exp(x), lambda x: 1e-300 * np.exp(x), lambda x: 0 * x,
    raising(KeyError), raising(OverflowError), raising(RecursionError), raising(StopIteration),
]  # fmt: skip
functions = st.sampled_from(FUNCTIONS)


@quick
@given(functions | junk, junk, junk)
def test_fit_of_anything(fn, degree, domain):
    with nothing_but_remez_errors():
        remez.fit(fn, degree, domain, throw=False)


@quick
@given(functions, st.sampled_from([(0, 0), (1, 1), (3, 0), (0, 2)]))
def test_fit_of_any_function(fn, degree):
    with nothing_but_remez_errors():
        remez.fit(fn, degree)


@quick
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "weight": functions | junk,
            "parity": junk | st.sampled_from(["even", "odd"]),
            "interpolate": junk,
            "tol": odd_numbers,
            "start": junk,
            "max_iterations": odd_numbers,
            "callback": junk,
        },
    )
)
def test_any_option(options):
    options.pop("tol", None) if options.get("tol") in (5e-324, 1e-320) else None
    with nothing_but_remez_errors():
        remez.fit(np.exp, (2, 2), **options)


@pytest.mark.parametrize("precision", [0, -5, 1.5, "30", True, np.nan, 10**9, 1j, [30]])
def test_any_precision(precision):
    with pytest.raises(RemezError):
        remez.fit(remez.targets.exp, (1, 1), precision=precision)


vectors = st.lists(odd_numbers, max_size=8) | st.sampled_from(
    [np.linspace(0, 1, 9), np.ones((3, 3)), np.arange(9), np.exp(1j * np.arange(9.0)), "text"]
)


@quick
@given(vectors | junk, vectors | junk, pairs | junk, st.none() | vectors)
def test_samples_of_anything(x, y, degree, weight):
    with nothing_but_remez_errors():
        remez.fit_samples(x, y, degree, weight=weight)


@quick
@given(vectors, st.none() | vectors)
def test_samples_of_anything_on_good_points(y, weight):
    with nothing_but_remez_errors():
        remez.fit_samples(np.linspace(-1, 1, 9), y, (1, 1), weight=weight)


@settings(quick, max_examples=200)
@given(junk)
def test_any_domain(domain):
    with nothing_but_remez_errors():
        remez.Domain.of(domain)


@settings(quick, max_examples=200)
@given(st.text("x0123456789.()+-*/^ ,eEjpilogsq_'[]:=\n\0", max_size=40) | st.text() | junk)
def test_any_text(text):
    with nothing_but_remez_errors():
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "-" * 900 + "x",
        "(" * 400 + "x" + ")" * 400,
        "x" + "**x" * 300,
        "x" + "+x" * 400,
        "+" * 998 + "x",
    ],
)
def test_deep_expressions(text):
    with nothing_but_remez_errors():
        f = parse(text)
        f(np.linspace(0.5, 1, 5))


@pytest.mark.parametrize("maximum", [-1, 1.5, "2", None, (1,), (1, 2, 3), (1, "a"), 10**9, np.nan])
def test_any_size_of_a_table(maximum):
    with pytest.raises(RemezError):
        error_table(np.exp, maximum)


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ((np.exp, 5), DegreeError),
        ((np.exp, (10**6, 10**6)), DegreeError),
        ((np.exp, (-1, 1), (3, 3)), DegreeError),
        (((2, 2), np.exp), TargetError),
        ((np.exp, (2, 2), (-1e-200, 1e-200)), DomainError),
        ((np.exp, (2, 2), (-1e-320, 1e-320)), DomainError),
        ((np.exp, (2, 2), (-1e308, 1e308)), DomainError),
        ((np.exp, (2, 2), (0, 1j)), DomainError),
        ((np.exp, (2, 2), "nonsense"), DomainError),
    ],
)
def test_a_wrong_call_says_what_is_wrong(arguments, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(kind) as caught:
            remez.fit(*arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fn", "words"),
    [
        (lambda x: np.sin(x) / x, "limit is about 1"),
        (lambda x: np.exp(2000 * x), "overflow"),
        (lambda x: np.sqrt(x + 0j), "complex"),
        (lambda x: np.log(x), "nan"),
    ],
)
def test_a_bad_value_is_named(fn, words):
    with pytest.raises(TargetError, match=words):
        remez.fit(fn, (2, 2))


def test_a_callable_that_overflows_in_pure_python():
    import math

    with pytest.raises(TargetError, match="overflow"):
        remez.fit(lambda x: math.exp(2000 * x), (2, 2))


@pytest.mark.parametrize("weight", [np.ones(5), "relativ", 3, lambda x: np.nan * x])
def test_a_bad_weight(weight):
    with pytest.raises(TargetError, match="weight"):
        remez.fit(np.exp, (2, 2), weight=weight)


EXP = remez.fit("exp(x)", (2, 2))
PROVED = EXP.certify()
NEGATIVE = [lambda x: x, lambda x: -1 - x * x, lambda x: 0.9 - x]


@pytest.mark.parametrize("weight", NEGATIVE)
@pytest.mark.parametrize("options", [{}, {"precision": 20}, {"parity": None}, {"tol": 1e-3}])
def test_a_negative_weight_is_refused(weight, options):
    with pytest.raises(TargetError, match=r"weight is -.* at x = .*: return a number >= 0"):
        remez.fit(remez.targets.exp, (2, 2), (-1, 1), weight=weight, **options)


@given(st.floats(-0.9, 0.9), st.floats(0.05, 1), st.sampled_from([(2, 2), (3, 0), (0, 2)]))
@settings(max_examples=40, deadline=None)
def test_a_weight_that_is_negative_somewhere(place, width, degree):
    """Negative on an interval of length ``width``: the sampling of every fit meets it."""
    with pytest.raises(TargetError, match="weight is -"):
        remez.fit(np.exp, degree, weight=lambda x: np.abs(x - place) - 0.5 * width)


def test_a_weight_of_zero_is_no_negative_weight():
    assert remez.fit(np.sqrt, (4, 4), (0, 1), weight=lambda x: x).converged
    assert remez.fit(np.exp, (3, 3), weight=np.abs).converged


def test_a_negative_weight_of_monomials_and_samples_is_refused():
    with pytest.raises(TargetError, match="weight is -"):
        remez.fit_monomials("exp(x)", [0, 1, 2], weight=lambda x: x)
    x = np.linspace(-1, 1, 21)
    with pytest.raises(TargetError, match=r"weight is -1 at x = -1.*leave that sample out"):
        remez.fit_samples(x, np.exp(x), (2, 2), weight=x)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b"[1, 2]", b"{"])
def test_a_file_without_a_fit(tmp_path, content):
    path = tmp_path / "fit.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RemezError, match=r"Fit\.save"):
        remez.load(path)


@pytest.mark.parametrize("write", [lambda path: EXP.save(path), lambda path: PROVED.save(path)])
def test_a_file_that_cannot_be_written(tmp_path, write):
    for path in (tmp_path / "missing" / "a.json", tmp_path):
        with pytest.raises(RemezError, match=r"cannot be written .*existing folder"):
            write(path)
    (tmp_path / "a.json").write_text("old")
    write(tmp_path / "a.json")
    assert (tmp_path / "a.json").read_text().startswith("{")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("scale", [1e290, 1e306, 1e307])
@pytest.mark.parametrize("degree", [(3, 3), (5, 0), (0, 2)])
def test_values_whose_sums_overflow(scale, degree):
    with pytest.raises(TargetError, match=r"fn is as large as .* overflow: divide fn"):
        remez.fit(lambda x: scale * np.exp(x), degree)
    x = np.linspace(-1, 1, 40)
    with pytest.raises(TargetError, match="overflow"):
        remez.fit_samples(x, scale * np.exp(x), degree)
    assert remez.fit(lambda x: 1e-30 * scale * np.exp(x), degree).converged


def test_all_raise_is_not_felt():
    """With NumPy told to raise on everything, the same answer."""
    expected = remez.fit(np.abs, (8, 8)).error
    with np.errstate(all="raise"):
        assert remez.fit(np.abs, (8, 8)).error == expected
        assert remez.fit(np.sqrt, (4, 4), (0, np.inf), weight=lambda x: 1 / (1 + x)).converged


def test_complex_samples_are_refused():
    x = np.linspace(0, 1, 20)
    with pytest.raises(TargetError, match="y"):
        remez.fit_samples(x, np.exp(1j * x), (2, 2))


@settings(quick, max_examples=100)
@given(st.data())
def test_a_damaged_record(data):
    """A key is dropped, or its value replaced."""
    record = RECORD
    path = []
    target = record = __import__("copy").deepcopy(record)
    while isinstance(target, dict) and (not path or data.draw(st.booleans())):
        path.append(data.draw(st.sampled_from(sorted(target))))
        parent, target = target, target[path[-1]]
    if data.draw(st.booleans()):
        del parent[path[-1]]
    else:
        parent[path[-1]] = data.draw(junk)
    with nothing_but_remez_errors():
        fit = remez.Fit.from_dict(record)
        fit(0.5)


RECORD = remez.fit(np.exp, (2, 2)).to_dict()


@given(junk)
@quick
def test_a_record_of_anything(record):
    with nothing_but_remez_errors():
        remez.Fit.from_dict(record)


@given(st.text(), st.integers(0, 100_000))
@quick
def test_messages_are_one_line_of_modest_length(text, n):
    """Whatever they quote: line breaks, halves of surrogate pairs, 100 000 characters."""
    for kind in (RemezError, DegreeError, DomainError, TargetError):
        message = str(kind("cause " + text + "x" * n + "; next step"))
        assert len(message.splitlines()) == 1
        assert len(message) <= 600
        assert message.startswith("cause")
        assert message.endswith("next step")
        message.encode()


@pytest.mark.parametrize("name", ["error", "domain", "rational", "target"])
def test_a_damaged_fit_with_an_endless_value_ends_in_a_line(name):
    content = remez.fit(np.exp, (1, 1)).to_dict()
    for key in [name, *content]:
        with pytest.raises(RemezError) as caught:
            remez.Fit.from_dict({"y" * 100_000: 1, key: "x" * 100_000})
        assert len(str(caught.value)) <= 600
