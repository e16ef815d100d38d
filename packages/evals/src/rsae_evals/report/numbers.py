"""Numbers as the report writes them: enough digits to compare, none to pretend."""

from __future__ import annotations

import math

MINUS = "\N{MINUS SIGN}"
ABSENT = "\N{EN DASH}"
NARROW = "\N{NARROW NO-BREAK SPACE}"


def number(value: str | float | None, digits: int = 4) -> str:
    """`value` to `digits` significant digits; text unchanged; a dash for None and NaN.

    >>> number(57.43361), number(-0.00123456), number(30208.0), number(None)
    ('57.43', '−0.001235', '30208', '–')
    """
    if value is None:
        return ABSENT
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if math.isnan(value):
        return ABSENT
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    if float(value).is_integer() and abs(value) < 1e7:
        return f"{int(value)}".replace("-", MINUS)
    size = abs(value)
    if not 1e-4 <= size < 1e7:
        return f"{value:.{digits - 1}e}".replace("-", MINUS)
    decimals = max(digits - 1 - math.floor(math.log10(size)), 0)
    return f"{value:.{decimals}f}".replace("-", MINUS)


def signed(value: float | None, digits: int = 3) -> str:
    """Like `number`, with the sign always written."""
    if value is None or math.isnan(value):
        return ABSENT
    text = number(value, digits)
    return text if value <= 0 else f"+{text}"


def percent(fraction: float | None, digits: int = 2) -> str:
    """A share as a percentage with a sign: 0.0213 is `+2.1 %`."""
    if fraction is None or math.isnan(fraction) or math.isinf(fraction):
        return ABSENT
    return f"{signed(100 * fraction, digits)}{NARROW}%"
