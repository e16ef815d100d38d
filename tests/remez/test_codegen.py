"""Generated code: it compiles, and its measured error keeps within the bound it states."""

import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp

import remez
from remez import targets
from remez.code.candidates import DTYPES
from remez.code.generate import SCHEMES, generate_code
from remez.code.languages import LANGUAGES
from remez.code.program import OPERATIONS, Program
from remez.code.rounding_error import evaluation_bound
from remez.domain import Domain
from remez.errors import CodeError
from remez.rational.zolotarev import composite

DEGREES = {"gelu": (8, 8), "tanh": (7, 6), "exp": (4, 4), "log": (4, 4)}
NUMPY = {"float64": np.float64, "float32": np.float32, "bfloat16": np.float32}


@pytest.fixture(scope="module")
def fits():
    return {
        name: remez.fit(targets.get(name), degree, targets.get(name).interval)
        for name, degree in DEGREES.items()
    }


def inputs(fit, dtype, count=200_001):
    """Numbers of the type, spread over the domain with its ends and denser near zero."""
    low, high = fit.domain.hull
    x = np.concatenate([np.linspace(low, high, count), np.geomspace(1e-30, 1, 999)])
    x = x[(x >= low) & (x <= high)].astype(NUMPY[dtype])
    return x[(x >= low) & (x <= high)]


def run_c(code, x, tmp_path, flags=("-O2",)):
    """Compile with gcc and evaluate ``x`` through a pipe of raw numbers."""
    kind = "float" if x.dtype == np.float32 else "double"
    main = (
        f"#include <stdio.h>\n{code}\nint main(void) {{ {kind} x, y;\n"
        f"while (fread(&x, sizeof x, 1, stdin) == 1) {{ y = {code.name}(x); "
        "fwrite(&y, sizeof y, 1, stdout); }\nreturn 0; }\n"
    )
    (tmp_path / "main.c").write_text(main)
    command = ["gcc", "-std=c99", "-Wall", "-Werror", *flags, "-o", "main", "main.c"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    done = subprocess.run([tmp_path / "main"], input=x.tobytes(), check=True, capture_output=True)
    return np.frombuffer(done.stdout, x.dtype)


def run_module(code, x):
    names = {}
    exec(str(code), names)
    if code.language == "torch":
        import torch

        return names[code.name](torch.from_numpy(x)).numpy()
    return names[code.name](x)


needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")


@pytest.mark.no_cover
@needs_gcc
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", DEGREES)
def test_compiled_c_keeps_within_the_stated_bound(fits, name, dtype, scheme, tmp_path):
    fit, target = fits[name], targets.get(name)
    code = generate_code(fit, "c", dtype=dtype, scheme=scheme)
    x = inputs(fit, dtype)
    y = run_c(code, x, tmp_path)
    error = np.abs(target(x) - y.astype(float)).max()
    assert error <= code.bound
    assert error >= 0.3 * code.error
    assert np.array_equal(y, code.program(x, NUMPY[dtype]))


@pytest.mark.no_cover
@needs_gcc
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_no_input_exceeds_the_bound(fits, dtype, tmp_path):
    # every float32 of [1, 2]: 2^23 + 1 of them
    code = fits["log"].to_code("c", dtype)
    x = np.arange(0x3F800000, 0x40000001, dtype=np.uint32).view(np.float32)
    y = run_c(code, x, tmp_path)
    error = np.abs(np.log(x.astype(float)) - y).max()
    assert 0.5 * code.error <= error <= code.bound


@needs_gcc
def test_fused_multiply_add_keeps_the_bound(fits, tmp_path):
    code = fits["gelu"].to_code("c", "float32")
    x = inputs(fits["gelu"], "float32")
    y = run_c(code, x, tmp_path, ("-O3", "-mfma", "-ffp-contract=fast"))
    assert np.abs(targets.gelu(x) - y).max() <= code.bound


@pytest.mark.no_cover
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("language", ["python", "numba", "torch"])
def test_the_other_languages_compute_the_same_numbers(fits, language, dtype):
    if language == "torch":
        pytest.importorskip("torch")
    code = fits["tanh"].to_code(language, dtype)
    x = inputs(fits["tanh"], dtype, 2001)
    y = run_module(code, x)
    assert y.dtype == NUMPY[dtype]
    np.testing.assert_array_equal(y, code.program(x, NUMPY[dtype]))


def test_python_code_takes_a_single_number(fits):
    code = fits["exp"].to_code("python")
    names = {}
    exec(str(code), names)
    assert abs(names[code.name](0.5) - np.exp(0.5)) <= code.bound


def test_torch_code_keeps_the_type_it_is_given(fits):
    torch = pytest.importorskip("torch")
    names = {}
    exec(str(fits["gelu"].to_code("torch", "bfloat16")), names)
    x = torch.linspace(-6, 6, 101, dtype=torch.bfloat16)
    y = names["gelu_approx"](x)
    assert y.dtype == torch.bfloat16
    assert (y - torch.nn.functional.gelu(x)).abs().max() < 0.02


@pytest.mark.parametrize("name", DEGREES)
def test_rounding_together_beats_rounding_one_by_one(fits, name):
    code = fits[name].to_code("c", "float32")
    assert code.error < code.naive_error
    if name in ("exp", "log"):  # where float32 is coarser than the fit
        assert code.error < code.naive_error / 20


def test_the_header_says_degree_domain_and_errors(fits):
    text = str(fits["gelu"].to_code("c", "float32"))
    for piece in ("gelu(x)", "[-6, 6]", "(8, 8)", "float32", "digits lost"):
        assert piece in text


def test_code_of_a_composite_sign_approximant(tmp_path):
    form = composite(3, 1e-3)
    code = generate_code(form, "python", name="sign3")
    x = np.geomspace(1e-3, 1, 10_001)
    names = {}
    exec(str(code), names)
    assert np.abs(names["sign3"](x) - 1).max() <= code.bound
    assert np.abs(names["sign3"](-x) + 1).max() <= code.bound
    assert code.bound < form.error * (1 + 1e-5)


def test_high_degrees_are_written_as_factors():
    """|x| of type (20, 20): in powers of x double precision keeps few digits, in factors all."""
    fit = remez.fit(np.abs, (20, 20), (-1, 1))
    code = fit.to_code("python")
    names = {}
    exec(str(code), names)
    x = np.concatenate([np.linspace(-1, 1, 5001), np.geomspace(1e-9, 1, 2001)])
    assert np.abs(names[code.name](x) - np.abs(x)).max() <= code.bound
    assert code.bound < 1.01 * fit.error


def test_relative_weight_is_the_norm_of_the_bound():
    fit = remez.fit(np.exp, (3, 3), (-1, 1), weight="relative")
    code = fit.to_code("python", "float32")
    x = np.linspace(-1, 1, 20_001).astype(np.float32)
    error = np.abs(run_module(code, x) / np.exp(x.astype(float)) - 1).max()
    assert error <= code.bound


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("fortran",), "fortran"),
        (("c", {"dtype": "float8"}), "float8"),
        (("c", {"scheme": "x"}), "'x'"),
        (("c", {"name": "1f"}), "1f"),
        (("python", {"name": "lambda"}), "lambda"),
    ],
)
def test_requests_there_is_no_code_for(fits, arguments, word):
    language, options = arguments[0], (arguments[1:] or ({},))[0]
    with pytest.raises(CodeError, match=word):
        generate_code(fits["exp"], language, **options)
    assert set(LANGUAGES) == {"c", "python", "numba", "torch"}


@st.composite
def trees(draw, depth=3):
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        constants = st.floats(0.125, 3, width=32) | st.floats(-3, -0.125, width=32)
        return draw(st.just("x") | constants)
    left, right = draw(trees(depth=depth - 1)), draw(trees(depth=depth - 1))
    return (left, draw(st.sampled_from(sorted(OPERATIONS))), right)


@given(trees(), st.floats(0.5, 2), st.floats(0.01, 1))
@settings(max_examples=60, deadline=None)
def test_the_evaluation_bound_holds_for_any_program(tree, low, width):
    """Float32 against float64 on the same program, whenever a bound is given at all."""
    if not isinstance(tree, tuple):
        return
    program, domain = Program((("r", tree),)), Domain.of((low, low + width))
    bound = evaluation_bound(program, domain, DTYPES["float32"].arithmetic)
    if np.isinf(bound):
        return
    x = np.linspace(low, low + width, 500).astype(np.float32)
    x = x[(x >= low) & (x <= low + width)]
    single = program(x, np.float32).astype(float)
    double = program(x.astype(float), np.float64)
    with np.errstate(invalid="ignore"):
        assert np.nanmax(np.abs(single - double), initial=0) <= bound * (1 + 1e-6) + 1e-15 * np.abs(
            double
        ).max(initial=0)
    names = {}
    text = str(_as_python(program))
    exec(text, names)
    np.testing.assert_array_equal(names["r_"](x.astype(float)) + 0 * double, double)


def _as_python(program):
    from remez.code.languages import write

    return write(program, "python", "float64", "r_", ["a random program"])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_error_on_a_half_line_is_proved(dtype):
    """exp(-x) on [0, inf), whose largest error mpmath finds on a dense grid."""
    fit = remez.fit(remez.parse("exp(-x)"), (4, 4), (0, np.inf))
    code = fit.to_code("python", dtype=dtype)
    assert code.certified
    with mp.workdps(40):
        x = [mp.mpf(float(v)) for v in np.append(np.linspace(0, 40, 4001), np.geomspace(40, 1e12))]
        largest = max(abs(mp.exp(-v) - code.program.run(v, mp.mpf)) for v in x)
    assert largest <= code.error <= largest * (1 + 1e-3)
