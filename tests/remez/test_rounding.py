"""Rounding coefficients together: representable, never worse than one by one, often far better."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from remez.code.coefficient_rounding import reduce_lattice, round_pair, to_nearest


def pade_exp(t, order=3):
    """The diagonal Padé approximant of exp, from its closed form."""
    from math import comb, factorial

    c = [comb(order, k) * factorial(2 * order - k) / factorial(2 * order) for k in range(order + 1)]
    p, q = np.array(c), np.array([(-1) ** k * a for k, a in enumerate(c)])
    return p, q, np.polyval(p[::-1], t) / np.polyval(q[::-1], t)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_nearest_float32_is_numpys(values):
    c = np.array(values)
    c = c[np.abs(c) > 1e-30]
    assert np.array_equal(to_nearest(c, 24), c.astype(np.float32).astype(float))


@given(st.integers(6, 24), st.integers(2, 4), st.floats(0.2, 2.0))
@settings(max_examples=25, deadline=None)
def test_rounded_pairs_are_of_the_type_and_no_worse_than_naive(bits, order, reach):
    t = reach * np.cos(np.linspace(0, np.pi, 801))
    p, q, r = pade_exp(t, order)
    pair = round_pair(p, q, bits, t, np.ones_like(t), np.exp(t) - r)
    for c in (pair.p, pair.q):
        assert np.array_equal(to_nearest(c, bits), c)
    actual = np.abs(np.exp(t) - np.polyval(pair.p[::-1], t) / np.polyval(pair.q[::-1], t)).max()
    assert pair.error <= pair.naive
    assert abs(actual - pair.error) <= 1e-14


def test_at_ten_bits_the_search_gains_two_orders_of_magnitude():
    """Fixed regression: Padé (3, 3) of exp on [-1, 1] in 10 bits, 200 × better than naive."""
    t = np.cos(np.linspace(0, np.pi, 801))
    p, q, r = pade_exp(t)
    pair = round_pair(p, q, 10, t, np.ones_like(t), np.exp(t) - r)
    assert pair.error < pair.naive / 50


def test_a_polynomial_keeps_its_denominator_one():
    t = np.linspace(-1, 1, 400)
    p = np.array([1.0, 1.0, 0.5, 1 / 6])
    error = np.exp(t) - np.polyval(p[::-1], t)
    pair = round_pair(p, np.ones(1), 8, t, np.ones_like(t), error)
    assert pair.q.tolist() == [1.0]


def test_zero_coefficients_stay_zero():
    t = np.linspace(-1, 1, 400)
    p, q = np.array([0.0, 1.0, 0.0, -1 / 15]), np.array([1.0, 0.0, 0.4])
    error = np.arctan(t) - np.polyval(p[::-1], t) / np.polyval(q[::-1], t)
    pair = round_pair(p, q, 12, t, np.ones_like(t), error)
    assert pair.p[[0, 2]].tolist() == [0.0, 0.0]
    assert pair.q[1] == 0.0


@given(st.integers(2, 8), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_lattice_reduction_is_unimodular_and_shortens(size, seed):
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(size, size)) * 10.0 ** rng.integers(-4, 4, size)
    u = reduce_lattice(columns)
    assert np.array_equal(u, np.rint(u))
    assert abs(abs(np.linalg.det(u)) - 1) < 1e-6
    before, after = np.linalg.norm(columns, axis=0), np.linalg.norm(columns @ u, axis=0)
    assert after.min() <= before.min() * (1 + 1e-9)
    assert np.prod(after) <= np.prod(before) * (1 + 1e-9)
