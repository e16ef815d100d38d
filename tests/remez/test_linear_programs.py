"""The linear programs of the starts and of the judge, against all rows at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import chebyshev
from scipy import optimize

from remez.rational.linear_programs import Iterate, improve

FUNCTIONS = [np.abs, np.exp, lambda u: np.sin(9 * u), lambda u: np.sign(u - 0.3), np.cbrt]


def least_delta(u, f, w, now, degree, bound):
    """The optimum of the same program with all its rows, in Chebyshev coefficients of p and q."""
    m, n = degree
    of_p, of_q = chebyshev.chebvander(u, m), chebyshev.chebvander(u, n)
    upper = np.hstack([-w[:, None] * of_p, (w * f - bound)[:, None] * of_q])
    lower = np.hstack([w[:, None] * of_p, (-w * f - bound)[:, None] * of_q])
    size = np.hstack([np.zeros_like(of_p), of_q])
    delta = np.repeat([bound, 0.0], [2 * u.size, u.size])[:, None] * np.tile(now.q, 3)[:, None]
    rows = np.hstack([np.vstack([upper, lower, size]), -delta])
    right = np.repeat([0.0, 2.0], [2 * u.size, u.size]) * np.tile(now.q, 3)
    cost = np.append(np.zeros(m + n + 2), 1.0)
    free = [(None, None)] * (m + n + 2) + [(-1, None)]
    return optimize.linprog(cost, A_ub=rows, b_ub=right, bounds=free, method="highs").x[-1]


@given(
    st.sampled_from(FUNCTIONS), st.integers(0, 5), st.integers(0, 5), st.integers(40, 400),
    st.floats(0.05, 1.2),
)  # fmt: skip
def test_rows_that_are_added_lead_to_the_optimum_of_all_rows(f, m, n, count, share):
    u = np.linspace(-1, 1, count)
    flat = f(u) - 0.5 * (f(u).max() + f(u).min())
    w, now = 1 + 0.5 * np.cos(3 * u), Iterate(flat, np.ones(count))
    bound = share * np.abs(w * flat).max()
    step = improve(u, f(u), w, np.ones(count), now, (m, n), bound)
    assert step.delta == pytest.approx(least_delta(u, f(u), w, now, (m, n), bound), abs=1e-6)
    error = np.abs(w * step.iterate.error).max()
    assert step.delta > -1e-9 or error < bound


def test_no_limit_is_on_the_clock(monkeypatch):
    """A limit of seconds would make the result depend on what else the machine does."""
    given, solve = [], optimize.linprog

    def recorded(*arguments, **options):
        given.append(options["options"])
        return solve(*arguments, **options)

    monkeypatch.setattr(optimize, "linprog", recorded)
    u = np.linspace(-1, 1, 200)
    improve(u, np.abs(u), np.ones(200), np.ones(200), Iterate(np.abs(u), np.ones(200)), (3, 3), 0.1)
    assert given
    assert all("time" not in name for options in given for name in options)
