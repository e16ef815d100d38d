"""Conversions: what each basis keeps, and that it says so."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf
from numpy.polynomial import chebyshev as chebyshev_series
from numpy.polynomial import polynomial as power_series

import remez
from remez import targets
from remez.rational import bases
from remez.rational.polynomials import chebyshev_pair, monomial, variable_of

FORMS = (bases.chebyshev, bases.monomial, bases.continued_fraction, bases.product, bases.safe_pade)


@pytest.fixture(scope="module")
def fits():
    names = {"exp": (4, 4), "gelu": (8, 8), "tanh": (7, 6), "log": (3, 4), "sigmoid": (5, 4)}
    return {
        name: remez.fit(targets.get(name), degree, targets.get(name).interval)
        for name, degree in names.items()
    }


@pytest.mark.parametrize("convert", FORMS, ids=lambda form: form.__name__)
@pytest.mark.parametrize("name", ["exp", "gelu", "tanh", "log", "sigmoid"])
def test_every_basis_keeps_a_smooth_fit_to_rounding(fits, name, convert):
    fit = fits[name]
    form = convert(fit)
    x = np.linspace(*fit.domain.hull, 777)
    size = np.abs(fit(x)).max()
    assert form.loss < 1e-13 * size
    np.testing.assert_allclose(form(x), fit(x), atol=2 * form.loss + 1e-15 * size, rtol=0)


@given(st.integers(1, 12), st.floats(-3, 3), st.floats(0.1, 5))
@settings(max_examples=20, deadline=None)
def test_p_over_q_is_the_rational_whatever_its_domain(size, low, width):
    """A barycentric rational with arbitrary data, against its own sums in multiprecision."""
    rng = np.random.default_rng(size)
    nodes = np.sort(low + width * rng.random(size))
    r = remez.BarycentricRational(
        nodes, rng.normal(size=size), rng.normal(size=size), (size - 1, size - 1)
    )
    variable = variable_of(remez.Domain.of((low, low + width)))
    with mp.workdps(60):
        p, q = chebyshev_pair(r, variable)
        x = mpf(low) + mpf(width) / 3
        cauchy = [1 / (x - mpf(z)) for z in nodes]
        moments = [mpf(w) * mpf(v) for w, v in zip(r.weights, r.values, strict=True)]
        exact = mp.fdot(moments, cauchy) / mp.fdot(map(mpf, r.weights), cauchy)
        t = variable(x)
        ratio = _clenshaw(p, t) / _clenshaw(q, t)
        assert abs(ratio - exact) <= mpf(10) ** -30 * (1 + abs(exact))


def _clenshaw(c, t):
    return sum((a * mp.chebyt(k, t) for k, a in enumerate(c)), mp.zero)


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_chebyshev_to_monomial_is_numpys(c):
    expected = chebyshev_series.cheb2poly(c)
    got = np.array([float(value) for value in monomial(c)])
    np.testing.assert_allclose(got[: expected.size], expected, atol=1e-9)


def test_product_form_keeps_what_powers_lose():
    """Newman-like clustering: |x| of type (40, 40) has poles down to 1e-7 around 0."""
    fit = remez.fit(np.abs, (40, 40), (-1, 1))
    form = bases.product(fit)
    assert form.loss < 1e-12
    assert len(form.poles) == 20


def test_safe_pade_is_lossless_and_cannot_have_a_pole(fits):
    for fit in fits.values():
        pade = fit.safe_pade()
        t = np.linspace(-1, 1, 4001)
        assert power_series.polyval(t, pade.q).min() > -1e-12
        assert pade.q.size == fit.degree[1] + 1
        assert pade.p.size == fit.degree[0] + 1
        everywhere = np.linspace(-50, 50, 1001)
        assert np.isfinite(pade(everywhere)).all()


def test_safe_pade_of_a_gate_on_a_gapped_set():
    """Nothing is claimed in the gap; a pole there, which sign gains from, is refused."""
    gapped = [(-1, -0.05), (0.05, 1)]
    with pytest.raises(remez.CodeError, match="gap"):
        remez.fit(np.sign, (2, 3), gapped).safe_pade()
    fit = remez.fit(targets.get("gate"), (9, 8), gapped)
    pade = fit.safe_pade()
    x = bases.sample(fit.domain, variable_of(fit.domain))
    assert np.abs(pade(x) - (x > 0)).max() <= fit.error * (1 + 1e-6) + 1e-12


def test_safe_pade_round_trips_through_json(fits):
    pade = fits["gelu"].safe_pade()
    again = bases.SafePade.from_dict(json.loads(json.dumps(pade.to_dict())))
    assert np.array_equal(again.p, pade.p)
    assert np.array_equal(again.q, pade.q)
    assert (again.domain, again.loss) == (pade.domain, pade.loss)


def test_a_half_line_has_no_safe_pade_but_has_powers():
    fit = remez.fit(lambda x: np.exp(-x), (4, 4), (0, np.inf))
    with pytest.raises(remez.DomainError, match="bounded"):
        fit.safe_pade()
    form = bases.monomial(fit)
    x = np.array([0.0, 0.5, 3.0, 40.0, 1e4, 1e9])
    assert np.abs(form(x) - np.exp(-x)).max() <= fit.error * 1.0001
    with pytest.raises(remez.DomainError, match="whole line"):
        variable_of(remez.Domain.of((-np.inf, np.inf)))


def test_continued_fraction_takes_one_division_per_degree(fits):
    """Type (n, n) in general position: a constant and n linear quotients."""
    quotients = bases.continued_fraction(fits["exp"]).quotients
    assert [quotient.size for quotient in quotients] == [1, 2, 2, 2, 2]
