"""Exact conversions between floats, fractions and mpmath numbers, and their polynomials."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from mpmath import mp

__all__ = ["Real", "horner", "mantissa_and_exponent", "read_number", "to_mpf", "write_number"]

Real = Any  # a float or an mpmath number, which carries no types


def to_mpf(x: Real) -> Real:
    """A float, int, Fraction, Decimal, decimal or fraction text, or mpf as an mpf, rounded."""
    if isinstance(x, (str, Decimal)):
        x = Fraction(x)
    return mp.mpf(x.numerator) / x.denominator if isinstance(x, Fraction) else mp.mpf(x)


def mantissa_and_exponent(x: Real) -> tuple[int, int]:
    """The integers with ``x = mantissa * 2**exponent``, of a finite mpf."""
    sign, mantissa, exponent, _ = x._mpf_
    return int(-mantissa if sign else mantissa), int(exponent)


def horner(coefficients: Sequence[Real], x: Real) -> Real:
    """The polynomial with those coefficients, constant term first, at x."""
    value = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        value = value * x + c
    return value


def write_number(x: Real) -> str:
    """An mpf as ``mantissa p exponent`` in hexadecimal and decimal, exactly: ``-0x3p-1``."""
    if not mp.isfinite(x):
        return str(float(x))
    mantissa, exponent = mantissa_and_exponent(x if hasattr(x, "_mpf_") else mp.mpf(x))
    return f"{mantissa:#x}p{exponent}"


def read_number(text: str) -> Real:
    """The number that `write_number` wrote as text."""
    if "p" not in text:
        return mp.mpf(text)
    mantissa, _, exponent = text.partition("p")
    bits = max(4 * len(mantissa), 53)
    return mp.make_mpf(mp.mpf((int(mantissa, 16), int(exponent)), prec=bits)._mpf_)
