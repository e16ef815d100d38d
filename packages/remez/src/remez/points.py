"""Operations on increasing points of the real line."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

__all__ = ["distinct", "sign_of_product"]


def distinct(x: np.ndarray) -> np.ndarray:
    """A mask of the increasing points that differ from their predecessor."""
    new = np.ones(x.size, bool)
    np.greater(x[1:], x[:-1], out=new[1:])
    return new


def sign_of_product(x: np.ndarray, zeros: Iterable[float]) -> np.ndarray:
    """The sign of ``prod_z (x - z)`` at every point; at a zero, the sign to its right."""
    sign = np.ones(x.size)
    for zero in zeros:
        sign[x < zero] *= -1
    return sign
