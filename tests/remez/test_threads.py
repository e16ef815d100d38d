"""Fits at different precisions in several threads do not disturb each other."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from mpmath import mp

import remez
from remez.functions.working_precision import working_digits


def relative(x):
    return mp.exp(x)


@pytest.mark.parametrize("fn", [remez.targets.exp, relative], ids=["expression", "callable"])
def test_precise_fits_in_threads_give_their_own_digits(fn):
    """exp, type (2, 2): the same digits alone and beside fits at other precisions."""
    precisions = [20, 50, 30, 40]
    alone = [remez.fit(fn, (2, 2), precision=digits).error for digits in precisions]
    before = mp.prec
    with ThreadPoolExecutor(4) as pool:
        fits = list(pool.map(lambda p: remez.fit(fn, (2, 2), precision=p), precisions))
    assert mp.prec == before
    for digits, fit, error in zip(precisions, fits, alone, strict=True):
        with working_digits(digits):
            assert abs(fit.error - error) <= abs(error) * mp.mpf(10) ** (2 - digits)


def test_an_exception_puts_the_precision_back():
    before = mp.prec
    with pytest.raises(ZeroDivisionError), working_digits(70):
        raise ZeroDivisionError
    assert mp.prec == before
