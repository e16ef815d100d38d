r"""Closed-form best approximation of sign on ``[-1, -delta] ∪ [delta, 1]``, and gates from it.

With ``l' = sqrt(1 - delta^2)``, ``K' = K(l')`` and N = 2r + 1 for type (2r+1, 2r), N = 2r for
type (2r-1, 2r)::

    c_i  = delta^2 sn^2(i K'/N; l') / cn^2(i K'/N; l')
    g(x) = x prod_j (x^2 + c_2j) / prod_j (x^2 + c_2j-1)
    E    = (g_max - g_min) / (g_max + g_min)       over [delta, 1]
    s(x) = 2 g(x) / (g_max + g_min)

Composing such approximants gives one of the product type with the error of the best of that
type (type (3, 2) twice is the best (9, 8)), in a form that stays accurate in single precision.

References:
    E. I. Zolotarev (1877); N. I. Akhiezer, Elements of the Theory of Elliptic Functions,
    ch. 9; Y. Nakatsukasa, R. W. Freund, SIAM Review 58 (2016), doi:10.1137/140990334.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import polynomial

from remez.errors import DegreeError, DomainError
from remez.functions.working_precision import working_digits
from remez.rational.protocol import Real, Values

__all__ = ["Composite", "SignApproximant", "alternation", "best_sign", "composite"]

_DIGITS = 40  # working digits: 1 - l'^2 = delta^2 must survive for delta down to 1e-12


@dataclass(frozen=True, eq=False)
class SignApproximant:
    """``s(x) = scale * x * prod(x^2 + zeros_squared) / prod(x^2 + poles_squared)``.

    Attributes:
        delta: Half the gap.
        degree: (2r+1, 2r) or (2r-1, 2r).
        scale: The constant in front.
        zeros_squared: ``c_2j``; the zeros of s are 0 and ``± i sqrt(c_2j)``.
        poles_squared: ``c_2j-1``; the poles are ``± i sqrt(c_2j-1)``.
        error: ``max |s - sign|`` on the gapped set, exact to double precision.
    """

    delta: float
    degree: tuple[int, int]
    scale: float
    zeros_squared: np.ndarray
    poles_squared: np.ndarray
    error: float

    def __call__(self, x: Values) -> Values:
        """s(x), of the shape of x."""
        x = np.asarray(x, float)
        square = x * x
        out = self.scale * x
        both = min(self.zeros_squared.size, self.poles_squared.size)
        for zero, pole in zip(self.zeros_squared[:both], self.poles_squared[:both], strict=True):
            out = out * ((square + zero) / (square + pole))
        for pole in self.poles_squared[both:]:
            out = out / (square + pole)
        return out if out.ndim else float(out)

    @property
    def gate_error(self) -> float:
        """Error of the gate ``(s + 1)/2`` against the unit step on the gapped set."""
        return self.error / 2

    def gate(self, x: Values) -> Values:
        """``(s(x) + 1)/2``."""
        return (self(x) + 1) / 2

    def zeros(self) -> np.ndarray:
        """The zeros of s, complex, 2r+1 or 2r-1 of them."""
        imaginary = 1j * np.sqrt(self.zeros_squared)
        return np.concatenate([-imaginary[::-1], [0], imaginary])

    def poles(self) -> np.ndarray:
        """The 2r poles of s, complex."""
        imaginary = 1j * np.sqrt(self.poles_squared)
        return np.concatenate([-imaginary[::-1], imaginary])

    def coefficients(self, gate: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """``(p, q)`` in increasing powers of x, q with leading coefficient 1.

        With ``gate=True`` those of ``(s + 1)/2 = (p + q)/(2 q)``.
        """
        p = self.scale * _expand(self.zeros_squared, odd=True)
        q = _expand(self.poles_squared, odd=False)
        return (polynomial.polyadd(p, q) / 2, q) if gate else (p, q)


@dataclass(frozen=True, eq=False)
class Composite:
    """``s = s_k ∘ … ∘ s_1``: every layer a scaled `SignApproximant`.

    All layers but the last are divided by ``1 + their error``, so that each maps
    ``[delta, 1]`` into ``[next delta, 1]``.

    Attributes:
        layers: The layers, first applied first, the scaling included.
        error: ``max |s - sign|`` on the gapped set, that of the best of type `degree`.
    """

    layers: tuple[SignApproximant, ...]
    error: float

    @property
    def delta(self) -> float:
        """Half the gap."""
        return self.layers[0].delta

    @property
    def degree(self) -> tuple[int, int]:
        """The type of the expanded fraction."""
        top = int(np.prod([layer.degree[0] for layer in self.layers]))
        return top, top - 1

    @property
    def gate_error(self) -> float:
        """Error of the gate ``(s + 1)/2`` against the unit step on the gapped set."""
        return self.error / 2

    def __call__(self, x: Values) -> Values:
        """s(x), of the shape of x."""
        for layer in self.layers:
            x = layer(x)
        return x

    def gate(self, x: Values) -> Values:
        """``(s(x) + 1)/2``."""
        return (self(x) + 1) / 2

    def coefficients(self, gate: bool = False) -> list[tuple[np.ndarray, np.ndarray]]:
        """``(p, q)`` of every layer in increasing powers; the last as a gate if asked."""
        last = len(self.layers) - 1
        return [layer.coefficients(gate and i == last) for i, layer in enumerate(self.layers)]


def best_sign(degree: tuple[int, int], delta: float) -> SignApproximant:
    """The best approximant of sign of type (2r+1, 2r) or (2r-1, 2r).

    Args:
        degree: (1, 0), (3, 2), (5, 4), … or (1, 2), (3, 4), ….
        delta: Half the gap, in (0, 1).

    Raises:
        DegreeError, DomainError: Another type, or delta outside (0, 1).

    >>> s = best_sign((9, 8), 0.01)
    >>> print(f"{s.error:.8f}")
    0.00241396
    """
    return _sign(degree, delta)[0]


def alternation(count: int, delta: float) -> np.ndarray:
    r"""Where on ``[delta, 1]`` the best approximant of sign has its extreme errors, with N = count.

    ``x_i = delta / dn(i K'/N; l')`` for i = 0 … N, increasing from delta to 1; ``x_i x_(N-i) =
    delta``.

    Raises:
        DegreeError, DomainError: ``count < 1``, or delta outside (0, 1).

    >>> print(alternation(2, 0.25))
    [0.25 0.5  1.  ]
    """
    from mpmath import mp

    if count < 1:
        raise DegreeError(f"there is no approximant of order {count}: the first is 1")
    with working_digits(_DIGITS):
        width = _check_delta(delta)
        parameter = 1 - width**2
        step = mp.ellipk(parameter) / count
        half = [
            float(width / mp.ellipfun("dn", i * step, m=parameter)) for i in range(count // 2 + 1)
        ]
    lower = np.array(half[: (count + 1) // 2])
    return np.concatenate([half, delta / lower[::-1]])


def composite(layers: int, delta: float) -> Composite:
    """``layers`` approximants of type (3, 2) composed: type (3^k, 3^k - 1), error optimal.

    Raises:
        DegreeError, DomainError: ``layers < 1``, or delta outside (0, 1).

    >>> print(f"{composite(2, 0.01).gate_error:.4e}")
    1.2070e-03
    """

    if layers < 1:
        raise DegreeError(f"a composite needs at least one layer, not {layers}")
    out = []
    with working_digits(_DIGITS):
        width = _check_delta(delta)
        for index in range(layers):
            layer, error = _sign((3, 2), width)
            if index < layers - 1:
                layer = SignApproximant(
                    layer.delta,
                    layer.degree,
                    float(layer.scale / (1 + error)),
                    layer.zeros_squared,
                    layer.poles_squared,
                    layer.error,
                )
                width = (1 - error) / (1 + error)
            out.append(layer)
    return Composite(tuple(out), float(error))


def _check_delta(delta: Real) -> Real:
    if not 0 < delta < 1:
        raise DomainError(f"delta = {delta} leaves no gapped set: it must lie in (0, 1)")
    from mpmath import mpf

    return mpf(delta)


def _sign(degree: tuple[int, int], delta: Real) -> tuple[SignApproximant, Real]:
    """The approximant, and its error to 40 digits."""
    from mpmath import mp

    m, n = degree
    if n < 0 or n % 2 or abs(m - n) != 1 or m < 1:
        raise DegreeError(f"type {degree} has no closed form here: use (2r+1, 2r) or (2r-1, 2r)")
    with working_digits(_DIGITS):
        width = _check_delta(delta)
        c = _elliptic_constants(max(m, n), width)
        zeros, poles = c[1::2], c[0::2]

        def g(x: Real) -> Real:
            top = mp.fprod(x * x + zero for zero in zeros)
            return x * top / mp.fprod(x * x + pole for pole in poles)

        # on [delta, 1] the extrema of g are delta / dn(i K'/N); the first two alternate
        second = width * mp.sqrt(1 + c[0] / width**2) / mp.sqrt(1 + c[0]) if c else mp.one
        ends = sorted([g(width), g(second)])
        error = (ends[1] - ends[0]) / (ends[1] + ends[0])
        approximant = SignApproximant(
            float(width),
            (m, n),
            float(2 / (ends[0] + ends[1])),
            np.array([float(value) for value in zeros]),
            np.array([float(value) for value in poles]),
            float(error),
        )
    return approximant, error


def _elliptic_constants(count: int, delta: Real) -> list[Real]:
    """``c_1 … c_(count-1)`` of the module's docstring, N = count."""
    from mpmath import mp

    parameter = 1 - delta**2
    quarter = mp.ellipk(parameter)
    out = []
    for i in range(1, count):
        u = i * quarter / count
        tangent = mp.ellipfun("sn", u, m=parameter) / mp.ellipfun("cn", u, m=parameter)
        out.append((delta * tangent) ** 2)
    return out


def _expand(squares: np.ndarray, odd: bool) -> np.ndarray:
    """``prod (x^2 + c)`` (times x if odd) in increasing powers."""
    out = np.array([0.0, 1.0]) if odd else np.array([1.0])
    for square in squares:
        out = polynomial.polymul(out, [square, 0.0, 1.0])
    return out
