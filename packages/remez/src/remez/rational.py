"""The rational function in barycentric form, and everything read off it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial import Chebyshev

__all__ = ["Rational"]


@dataclass(frozen=True, eq=False)
class Rational:
    r"""``r(x) = sum_k w_k v_k/(u - z_k) / sum_k w_k/(u - z_k)``, ``u = x - origin``.

    The support points ``origin + z_k`` are where r takes the values ``v_k``. Coordinates are
    kept relative to ``origin``, the target's strongest singularity, so that points which
    cluster there keep their relative accuracy.

    Args:
        nodes: ``z_k``, shape (N,) with N >= max(m, n) + 1, increasing.
        values: ``v_k``.
        weights: ``w_k``.
        degree: the type (m, n) of the rational that the sum stands for; N > max(m, n) + 1
            or m != n means that the weights satisfy the conditions which lower the degree.
        origin: see above.

    References:
        J.-P. Berrut, L. N. Trefethen, SIAM Review 46 (2004), doi:10.1137/S0036144502417715.

    >>> r = Rational(np.array([-1.0, 1.0]), np.array([0.5, 2.0]), np.array([1.0, 1.0]), (1, 1))
    >>> float(r(1.0))
    2.0
    """

    nodes: np.ndarray
    values: np.ndarray
    weights: np.ndarray
    degree: tuple[int, int]
    origin: float = 0.0

    def __call__(self, x: Any) -> Any:
        """Value at ``x``, of any shape; NaN at NaN, the limit at infinity."""
        x = np.asarray(x, float)
        u = np.ravel(x) - self.origin
        out = np.empty(u.size)
        for start in range(0, u.size, 4096):
            part = slice(start, start + 4096)
            out[part] = self._evaluate(u[part])
        out = out.reshape(x.shape)
        return out if out.ndim else float(out)

    def _evaluate(self, u: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            cauchy = 1 / (u[:, None] - self.nodes)
            r = (cauchy @ (self.weights * self.values)) / (cauchy @ self.weights)
            at_infinity = (self.weights @ self.values) / self.weights.sum()
        r = np.where(np.isinf(u), at_infinity, r)
        for i in np.flatnonzero(~np.isfinite(r) & np.isfinite(u)):
            hit = np.abs(u[i] - self.nodes).argmin()
            if u[i] == self.nodes[hit] or not np.isfinite(cauchy[i]).all():
                r[i] = self.values[hit]
        return r

    def derivative(self) -> Callable[[Any], Any]:
        """The function r', evaluated by divided differences (Schneider and Werner 1986).

        ``r'(x) = sum_k w_k (r(x) - v_k)/(x - z_k)^2 / sum_k w_k/(x - z_k)``.
        """

        def slope(x: Any) -> Any:
            x = np.asarray(x, float)
            u = np.ravel(x) - self.origin
            r = np.atleast_1d(self(np.ravel(x)))
            gap = u[:, None] - self.nodes
            with np.errstate(all="ignore"):
                quotient = (r[:, None] - self.values) / gap
                out = ((self.weights * quotient) / gap).sum(1) / (self.weights / gap).sum(1)
            for i, k in zip(*np.nonzero(gap == 0), strict=True):
                others = np.arange(self.nodes.size) != k
                difference = (self.values[k] - self.values[others]) / (
                    self.nodes[k] - self.nodes[others]
                )
                out[i] = -(self.weights[others] @ difference) / self.weights[k]
            out = out.reshape(x.shape)
            return out if out.ndim else float(out)

        return slope

    def poles(self) -> np.ndarray:
        """The zeros of q, complex, at most n of them, sorted by real then imaginary part."""
        return self._roots(self.weights, self.degree[1])

    def zeros(self) -> np.ndarray:
        """The zeros of p, complex, at most m of them, sorted by real then imaginary part."""
        return self._roots(self.weights * self.values, self.degree[0])

    def residues(self) -> np.ndarray:
        """The residue at each of `poles()`, in that order.

        Near a simple pole ``r ~ N/D`` with ``D' = -sum_k w_k/(x - z_k)^2``.
        """
        cauchy = 1 / ((self.poles() - self.origin)[:, None] - self.nodes)
        return (cauchy @ (self.weights * self.values)) / (-(cauchy**2) @ self.weights)

    def partial_fractions(self) -> tuple[np.ndarray, np.ndarray, Chebyshev]:
        """``(poles, residues, polynomial part)``: r is their sum when the poles are simple."""
        poles, residues = self.poles(), self.residues()
        m, n = self.degree
        low, high = self._span()
        grid = 0.5 * (low + high) + 0.5 * (high - low) * np.cos(
            np.pi * (np.arange(m + 2) + 0.5) / (m + 2)
        )
        rest = self(grid) - (residues / (grid[:, None] - poles)).sum(1).real
        return poles, residues, Chebyshev.fit(grid, rest, max(m - n, 0), domain=[low, high])

    def polynomials(self, hull: tuple[float, float] | None = None) -> tuple[Chebyshev, Chebyshev]:
        """``(p, q)`` in the Chebyshev basis of ``hull``, scaled so that max |q| = 1, q > 0.

        At high degree with clustered poles (|x| beyond type (20, 20), say) no polynomial
        basis holds r in double precision: keep the barycentric form there.
        """
        low, high = hull or self._span()
        m, n = self.degree
        size = max(m, n) + 1
        grid = 0.5 * (low + high) + 0.5 * (high - low) * np.cos(
            np.pi * (np.arange(size) + 0.5) / size
        )
        q = self._denominator_at(grid)
        values = self(grid)
        q = q / q[np.abs(q).argmax()]
        p_fit = Chebyshev.fit(grid, q * values, size - 1, domain=[low, high])
        q_fit = Chebyshev.fit(grid, q, size - 1, domain=[low, high])
        return p_fit.truncate(m + 1), q_fit.truncate(n + 1)

    def _denominator_at(self, x: np.ndarray) -> np.ndarray:
        """q up to a constant: ``prod_k (u - z_k) * sum_k w_k/(u - z_k)``, scaled to max 1."""
        gap = (x - self.origin)[:, None] - self.nodes
        hit_row, hit_col = np.nonzero(gap == 0)
        gap[hit_row, hit_col] = 1.0
        log = np.log(np.abs(gap)).sum(1)
        sign = np.sign(gap).prod(1)
        total = (self.weights / gap).sum(1)
        total[hit_row] = self.weights[hit_col]
        with np.errstate(divide="ignore"):
            log = log + np.log(np.abs(total))
        return sign * np.sign(total) * np.exp(log - log.max())

    def _span(self) -> tuple[float, float]:
        low, high = self.origin + self.nodes[0], self.origin + self.nodes[-1]
        return (low, high) if low < high else (low - 1.0, high + 1.0)

    def _roots(self, coefficients: np.ndarray, count: int) -> np.ndarray:
        """Zeros of ``sum_k c_k/(u - z_k)``: an eigenproblem in 1/(u - c), c far from a zero.

        With y = 1/(u - c), every zero is an eigenvalue of ``diag(y) - (c' / sum c') y^T``
        and there is one spurious eigenvalue 0, as is each zero at infinity.
        """
        scale = np.abs(coefficients).max() if coefficients.size else 0.0
        if count == 0 or scale == 0:
            return np.empty(0, complex)
        c = coefficients / scale
        spread = np.ptp(self.nodes) or 1.0
        trial = self.nodes[0] - spread * np.array([0.37, 0.71, 1.13])
        total = np.abs((c / (trial[:, None] - self.nodes)).sum(1))
        shift = trial[total.argmax()]
        y = 1 / (self.nodes - shift)
        moved = c * y
        matrix = np.diag(y) - np.outer(moved, y) / moved.sum()
        eigenvalues = np.linalg.eigvals(matrix)
        largest = eigenvalues[np.argsort(-np.abs(eigenvalues))][:count]
        largest = largest[np.abs(largest) > 1e-13 * np.abs(y).min()]
        roots = self.origin + shift + 1 / largest.astype(complex)
        return roots[np.lexsort((roots.imag, roots.real))]

    def to_dict(self) -> dict[str, Any]:
        """Plain types; floats survive JSON exactly."""
        return {
            "nodes": self.nodes.tolist(),
            "values": self.values.tolist(),
            "weights": self.weights.tolist(),
            "degree": list(self.degree),
            "origin": self.origin,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Rational:
        """Read what `to_dict` wrote."""
        arrays = (np.array(data[key], float) for key in ("nodes", "values", "weights"))
        return cls(*arrays, tuple(data["degree"]), float(data["origin"]))
