"""What makes generated code fit to ship: names, comments, symmetry, limits, constants."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp

import remez
from remez import CodeError
from remez.code.generate import generate_code
from remez.code.languages import LANGUAGES, commented

TAKEN = {
    "c": [
        "double",
        "restrict",
        "main",
        "_Bool",
        "__asm__",
        "exp",
        "sinf",
        "bool",
        "class",
        "x",
        "é",
        "a b",
        "",
        "memcpy",
        "printf",
        "strlen",
        "errno",
        "assert",
        "size_t",
        "uint8_t",
        "signal",
        "cexpf",
        "sincos",
        "index",
        "isnan",
        "M_PI",
        "linux",
        "DBL_MAX",
    ],
    "python": ["def", "None", "asarray", "f32", "match", "x", "1a"],
    "numba": ["lambda", "numba", "f32"],
    "torch": ["torch", "dtype", "is"],
}


@pytest.fixture(scope="module")
def fit():
    return remez.fit("exp", (3, 2))


@pytest.mark.parametrize(
    ("language", "name"), [(k, v) for k, names in TAKEN.items() for v in names]
)
def test_names_that_mean_something_else_are_refused(fit, language, name):
    with pytest.raises(CodeError, match="cannot name a function"):
        generate_code(fit, language, name=name)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "name", ["a\nimport os", "*/ int evil; /*", "Ж", "int", "<lambda>", "coding: latin-1", "\u2028"]
)
def test_a_name_of_fn_breaks_no_comment(language, name, tmp_path):
    def fn(x):
        return np.exp(x)

    fn.__name__ = name
    source = str(remez.fit(fn, (2, 2)).to_code(language))
    assert source.isascii()
    if language == "c":
        if shutil.which("gcc") is None:
            pytest.skip("no gcc")
        (tmp_path / "f.c").write_text(source)
        command = ["gcc", "-std=c99", "-Wall", "-Werror", "-Wno-unused-function", "-c", "f.c"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    else:
        path = tmp_path / "f.py"
        path.write_text(source)
        compile(path.read_bytes(), "f.py", "exec")


@given(st.text())
def test_a_comment_is_one_printable_line(text):
    line = commented(text)
    assert line.isascii()
    assert line.isprintable()
    assert "*/" not in line
    assert len(line.splitlines()) <= 1


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("fn", "degree"), [("sigmoid", (7, 0)), ("sigmoid", (7, 6))])
def test_a_constant_plus_an_odd_function_needs_odd_powers_only(fn, degree, dtype):
    code = remez.fit(fn, degree).to_code("python", dtype)
    names = [name for name, _ in code.program.assignments]
    assert "x2" in names
    plain = [c for c in code.program.constants() if c != 0.5]
    assert len(plain) < len(code.program.constants())  # 1/2 exactly, on every processor
    assert len(plain) <= degree[0] // 2 + 2 + degree[1] // 2
    assert code.bound < 1.1 * code.best + 1e-6 * (dtype == "float32")


def test_a_constant_plus_an_even_function_needs_even_powers_only():
    code = remez.fit(lambda x: 1 + np.cos(x), (6, 0)).to_code("python")
    assert len(code.program.constants()) == 4


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")
@pytest.mark.parametrize("clamp", [False, True])
@pytest.mark.parametrize("degree", [(0, 0), (1, 0), (0, 1), (2, 2)])
def test_c_code_compiles_without_a_warning(degree, clamp, tmp_path):
    source = str(remez.fit("exp", degree).to_code("c", clamp=clamp))
    (tmp_path / "f.c").write_text(source + "double use(double x) { return exp_approx(x); }\n")
    command = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-c", "f.c"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)


class Flushed:
    """float32 numbers of which subnormal ones, operands and results, are replaced by 0."""

    def __init__(self, value):
        value = np.asarray(value, np.float32)
        self.value = np.where(np.abs(value) < np.finfo(np.float32).tiny, np.float32(0), value)

    def __add__(self, other):
        return Flushed(self.value + other.value)

    def __sub__(self, other):
        return Flushed(self.value - other.value)

    def __mul__(self, other):
        return Flushed(self.value * other.value)

    def __truediv__(self, other):
        return Flushed(self.value / other.value)


@pytest.mark.parametrize(
    ("fn", "degree", "says"),
    [
        ("exp(x)", (3, 3), True),
        ("gelu", (6, 6), True),
        ("sin(x)", (5, 0), True),
        ("exp(x)*1e-25", (3, 3), True),
        ("exp(x)*1e-36", (3, 3), False),  # errors of the size of subnormal numbers
        ("sin(x)*1e-37", (3, 2), False),
    ],
)
def test_flushing_to_zero_is_bounded_where_the_code_says_so(fn, degree, says):
    fit = remez.fit(fn, degree)
    code = fit.to_code("c", "float32")
    assert ("also with flush to zero" in str(code)) == says
    x = fit.domain.spread(20_000).astype(np.float32)
    x = np.concatenate([x, np.float32(10.0) ** -np.arange(30, 46), [0]]).astype(np.float32)
    value = code.program.run(Flushed(x), Flushed).value
    if says:
        exact = fit.problem.target()(x.astype(float))
        assert np.abs(value.astype(float) - exact).max() <= code.bound


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_constant_is_of_the_shape_of_x(language):
    code = remez.fit(np.exp, (0, 0)).to_code(language)
    if language == "c":
        assert "return r" in str(code)
        return
    names = {}
    exec(str(code), names)
    x = np.zeros((2, 3))
    if language == "torch":
        import torch

        x = torch.from_numpy(x)
    assert tuple(names[code.name](x).shape) == (2, 3)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("language", ["python", "numba", "torch"])
def test_clamped_code_is_constant_outside(language, dtype):
    fit = remez.fit(np.tanh, (5, 4), (-0.7, 2.1))
    code = generate_code(fit, language, dtype=dtype, clamp=True)
    assert "Outside the domain: the value at its nearer end." in str(code)
    names = {}
    exec(str(code), names)
    kind = np.dtype(dtype).type
    x = np.array([-50, -0.7, -0.7 + 1e-3, 2.1, 9, np.inf, np.nan], dtype)
    if language == "torch":
        import torch

        x = torch.from_numpy(x)
    y = np.asarray(names[code.name](x))
    assert y.dtype == kind
    assert y[0] == y[1]
    assert y[3] == y[4] == y[5]
    assert np.isnan(y[6])
    assert abs(y[0] - np.tanh(-0.7)) <= code.bound + 1e-6
    assert abs(y[4] - np.tanh(2.1)) <= code.bound + 1e-6


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")
def test_clamped_c(tmp_path):
    code = remez.fit(lambda x: np.exp(-x), (4, 4), (0, np.inf)).to_code("c", clamp=True)
    main = f'#include <stdio.h>\n{code}int main(void){{printf("%.17g", {code.name}(-5.0));}}\n'
    (tmp_path / "m.c").write_text(main)
    subprocess.run(["gcc", "-std=c99", "-Wall", "-o", "m", "m.c"], cwd=tmp_path, check=True)
    out = subprocess.run([tmp_path / "m"], check=True, capture_output=True, text=True).stdout
    assert abs(float(out) - 1) <= code.bound


@pytest.mark.parametrize("basis", ["chebyshev", "monomial"])
def test_coefficients_survive_json(basis):
    fit = remez.fit("gelu", (6, 4))
    form = fit.coefficients(basis)
    read = json.loads(json.dumps(form.to_dict()))
    variable = read["variable"]
    x = np.linspace(-6, 6, 101)
    t = (x - variable["shift"]) * variable["scale"]
    value = np.polynomial.chebyshev.chebval if basis == "chebyshev" else np.polynomial.Polynomial
    p, q = (
        value(t, read[k]) if basis == "chebyshev" else np.polynomial.Polynomial(read[k])(t)
        for k in "pq"
    )
    np.testing.assert_allclose(p / q, fit(x), atol=1e-12)


def test_an_unknown_basis():
    with pytest.raises(CodeError, match="chebyshev"):
        remez.fit("exp", (2, 2)).coefficients("legendre")


@pytest.mark.parametrize("scheme", ["horner", "estrin"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("domain", [(-1, 1), (0.1, 0.3), (3, 7)])
@pytest.mark.parametrize("text", ["1", "0*x", "pi"])
def test_the_code_of_a_constant_computes_nothing_else(text, domain, dtype, scheme):
    """Other assignments would be unused variables, which C compilers warn of."""
    code = generate_code(remez.fit(text, (5, 3), domain), "c", dtype=dtype, scheme=scheme)
    assert len(code.program.assignments) == 1
    assert code.digits_lost >= 0
    value = float(code.program(np.array([domain[0]]), np.dtype(dtype).type)[0])
    with mp.workdps(30):
        assert abs(value - {"1": 1, "0*x": 0, "pi": +mp.pi}[text]) <= code.bound
