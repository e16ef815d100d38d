"""Increasing points of the real line: which are distinct, and the signs of products over them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

__all__ = ["distinct", "sign_of_product"]


def distinct(x: np.ndarray) -> np.ndarray:
    """Which of the increasing points differ from the one before, as a mask of the same shape."""
    new = np.ones(x.size, bool)
    np.greater(x[1:], x[:-1], out=new[1:])
    return new


def sign_of_product(x: np.ndarray, zeros: Iterable[float]) -> np.ndarray:
    """The sign of ``prod_z (x - z)`` at every point; 1 from the right at a zero."""
    sign = np.ones(x.size)
    for zero in zeros:
        sign[x < zero] *= -1
    return sign
