r"""Compositions of odd minimax polynomials that approximate sign, for comparison under encryption.

Homomorphic encryption evaluates polynomials only. A composition ``p_k ∘ … ∘ p_1`` reaches an error
with far fewer multiplications than one polynomial of the same degree does. Each p_i is the best odd
polynomial to sign on ``[-1, -d_i] ∪ [d_i, 1]``; with error E it takes ``[d_i, 1]`` to
``[1 - E, 1 + E]``, and divided by ``1 + E`` to ``[d_(i+1), 1]`` with ``d_(i+1) = (1-E)/(1+E)``.

References:
    E. Lee, J.-W. Lee, J.-S. No, Y.-S. Kim, Minimax approximation of sign function by composite
    polynomial for homomorphic comparison, IEEE Trans. Dependable and Secure Computing 19 (2022),
    doi:10.1109/TDSC.2021.3105111.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial import Chebyshev
from numpy.polynomial.chebyshev import chebval

from remez.domain import Domain
from remez.errors import DegreeError, DomainError, shown
from remez.functions.expression import parse
from remez.interface import fit
from remez.problem import check_degree
from remez.rational.polynomials import Variable, chebyshev_pair
from remez.verification.taylor_bounds import enclose_error

__all__ = ["CompositePolynomial", "composite_polynomial"]

OUTWARD = 1 + 1e-13  # covers the rounding of a division by 1 + E


@dataclass(frozen=True, eq=False)
class CompositePolynomial:
    """``s = p_k ∘ … ∘ p_1``, odd, close to sign on ``[-1, -delta] ∪ [delta, 1]``.

    Attributes:
        layers: Coefficients of p_1, p_2, … in the Chebyshev basis of [-1, 1], shape (d_i + 1,), the
            even ones 0; all but the last are scaled to at most 1.
        delta: Half the gap.
        deltas: Half the gap that each layer is made for, the first being delta.
        error: An upper bound on ``max |s - sign|`` there in exact arithmetic.
        certified: Whether it is proven by ball arithmetic, with these very coefficients, rather
            than sampled.
    """

    layers: tuple[np.ndarray, ...]
    delta: float
    deltas: tuple[float, ...]
    error: float
    certified: bool

    @property
    def degrees(self) -> tuple[int, ...]:
        """Of the layers."""
        return tuple(layer.size - 1 for layer in self.layers)

    @property
    def degree(self) -> int:
        """Of the composition."""
        return int(np.prod(self.degrees))

    def __call__(self, x: Any) -> Any:
        """s(x), of the shape of x."""
        for layer in self.layers:
            x = chebval(x, layer)
        return x

    def polynomials(self) -> tuple[Chebyshev, ...]:
        """The layers as `numpy.polynomial.Chebyshev`."""
        return tuple(Chebyshev(layer) for layer in self.layers)


def composite_polynomial(degrees: Sequence[int], delta: float) -> CompositePolynomial:
    """Odd minimax polynomials of the given degrees composed to approximate sign.

    Args:
        degrees: Odd degrees, the first applied first, such as ``(7, 15, 27)``.
        delta: Half the gap, in (0, 1).

    Returns:
        A `CompositePolynomial`, whose error is certified where python-flint is installed.

    Raises:
        DegreeError: a degree is not odd.
        DomainError: delta lies outside (0, 1).
        ConvergenceError: a layer was not found.

    >>> s = composite_polynomial((3, 3), 0.1)
    >>> bool(abs(s(0.5) - 1) <= s.error < 0.6)
    True
    """
    if not len(degrees):
        raise DegreeError("a composition needs at least one degree")
    for d in degrees:
        if check_degree((d, 0))[0] % 2 == 0:
            raise DegreeError(f"degree {shown(d)} is even: an odd polynomial has an odd degree")
    if not 0 < delta < 1:
        raise DomainError(f"delta = {shown(delta)} leaves no gapped set: it must lie in (0, 1)")
    layers, deltas, gap, certified = [], [], float(delta), True
    for k, d in enumerate(degrees):
        deltas.append(gap)
        layer = _best(int(d), gap)
        error, proven = _bound(layer, gap)
        if k < len(degrees) - 1:
            layer = layer / ((1 + error) * OUTWARD)
            error, proven = _bound(layer, gap)
            gap = (1 - error) / OUTWARD
        layers.append(layer)
        certified = certified and proven
    return CompositePolynomial(tuple(layers), float(delta), tuple(deltas), error, certified)


def _best(degree: int, delta: float) -> np.ndarray:
    """Chebyshev coefficients of the best odd polynomial to sign."""
    found = fit("sign", (degree, 0), [(-1, -delta), (delta, 1)], parity="odd")
    p, q = chebyshev_pair(found.rational, Variable(0.0, 1.0))
    out = np.zeros(degree + 1)
    out[: len(p)] = [float(c / q[0]) for c in p]
    out[::2] = 0.0
    return out


def _bound(layer: np.ndarray, delta: float) -> tuple[float, bool]:
    """An upper bound on ``|1 - p|`` over [delta, 1], and whether it is proven."""
    x = np.unique(np.append(np.geomspace(delta, 1, 4001), np.linspace(delta, 1, 4001)))
    seen = float(np.abs(chebval(x, layer) - 1).max())

    def run(x: Any, constant: Any) -> Any:
        """Clenshaw's recurrence in the arithmetic of x."""
        ahead = current = constant(0.0) * x
        for c in layer[:0:-1].tolist():
            ahead, current = current, constant(c) + constant(2.0) * x * current - ahead
        return constant(float(layer[0])) + x * current - ahead

    proven = enclose_error(parse("1"), run, Domain.of((delta, 1.0)), near=seen)
    return (seen * (1 + 1e-6), False) if proven is None else (proven, True)
