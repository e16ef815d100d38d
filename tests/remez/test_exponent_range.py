"""Generated code keeps its bound where numbers underflow, and is refused where they overflow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

import remez
from remez import CodeError
from remez.code.coefficient_rounding import to_nearest
from remez.code.generate import generate_code

pytestmark = pytest.mark.no_cover
SCALES = {"float32": (-45, 38), "bfloat16": (-45, 38), "float64": (-300, 300)}


def measured(code, f, low, high, count=400):
    """The largest error of the program, run in its arithmetic, against 40 digits."""
    dtype = np.float64 if code.dtype == "float64" else np.float32
    x = np.linspace(low, high, count).astype(dtype)
    x = x[(x >= low) & (x <= high)]
    values = code.program(x, dtype)
    with mp.workdps(40):
        return max(
            float(abs(mpf(float(v)) - f(mpf(float(z))))) for v, z in zip(values, x, strict=True)
        )


def bound_holds(function, power, dtype, scheme, degree=(3, 3)):
    f = remez.parse(f"{function} * 1e{power}")
    try:
        code = generate_code(remez.fit(f, degree), "c", dtype=dtype, scheme=scheme)
    except CodeError:
        return False
    assert measured(code, f, -1, 1) <= code.bound
    return True


@pytest.mark.parametrize("scheme", ["horner", "estrin"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("power", [-45, -44, -42, -40, -38, -36])
def test_subnormal_constants(power, dtype, scheme):
    assert bound_holds("exp(x)", power, dtype, scheme)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_scale(data):
    dtype = data.draw(st.sampled_from(sorted(SCALES)))
    power = data.draw(st.integers(*SCALES[dtype]))
    function = data.draw(st.sampled_from(["exp(x)", "tanh(x)", "cos(x)", "sigmoid(3*x)"]))
    scheme = data.draw(st.sampled_from(["horner", "estrin"]))
    bound_holds(function, power, dtype, scheme)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_overflows_is_refused(dtype):
    fit = remez.fit(remez.parse("exp(x) * 1e39"), (3, 3))
    with pytest.raises(CodeError, match="wider type"):
        generate_code(fit, "c", dtype=dtype)


def test_an_overflowing_double_is_refused():
    fit = remez.fit(remez.parse("exp(5*x) * 1e150 * 1e125"), (5, 5))
    try:
        code = generate_code(fit, "python")
    except CodeError:
        return
    x = np.linspace(-1, 1, 1001)
    assert np.isfinite(code.program(x, np.float64)).all()


@given(st.floats(-3.5e38, 3.5e38) | st.floats(-1e-37, 1e-37))
def test_nearest_float32_is_numpys_at_every_exponent(c):
    with np.errstate(over="ignore"):
        assert float(to_nearest(np.array([c]), 24)[0]) == float(np.float32(c))


@given(st.floats(-1e-37, 1e-37))
def test_nearest_bfloat16_has_seven_fraction_bits(c):
    found = float(to_nearest(np.array([c]), 8)[0])
    assert np.float32(found) == found
    assert int(np.float32(found).view(np.uint32)) & 0xFFFF == 0
    assert abs(found - c) <= 2.0**-134 + 2.0**-8 * abs(c)
