"""Rational functions in barycentric form, their zeros, poles, residues and polynomials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import Chebyshev
from scipy.fft import dct
from scipy.linalg import lapack  # without NumPy's checks, which cost more than the algebra

from remez.functions.working_precision import working_digits
from remez.rational.barycentric_sums import polynomial, quotient, slope_of_quotient
from remez.rational.combination import Combinable
from remez.rational.protocol import Real, Record, Values

if TYPE_CHECKING:
    from remez.rational.exact_roots import Roots

__all__ = ["BarycentricRational", "Folded"]

ROOT_DIGITS = 50  # decimal digits of zeros, poles and residues before they are rounded


@dataclass(frozen=True, eq=False)
class Folded:
    """The barycentric form in ``t = (x - origin)^2`` of an even or odd rational.

    Far from the origin its evaluation is more accurate than the sum over ``± sqrt(t_k)``, which
    suffers from cancellation.

    Attributes:
        nodes, values, weights: The barycentric form in t.
        odd: Whether r is ``(x - origin)`` times this form.
    """

    nodes: np.ndarray
    values: np.ndarray
    weights: np.ndarray
    odd: bool

    def to_dict(self) -> Record:
        """The object as plain types, for JSON."""
        arrays = {key: getattr(self, key).tolist() for key in ("nodes", "values", "weights")}
        return {**arrays, "odd": self.odd}

    @classmethod
    def from_dict(cls, data: Record) -> Folded:
        """Restore the object from the dictionary that `to_dict` returned."""
        return cls(*_read_columns(data), bool(data["odd"]))


@dataclass(frozen=True, eq=False)
class BarycentricRational(Combinable):
    r"""``r(x) = sum_k w_k v_k/(u - z_k) / sum_k w_k/(u - z_k)``, ``u = x - origin``.

    The support points ``origin + z_k`` are where r takes the values ``v_k``. Coordinates are
    kept relative to ``origin``, the target's strongest singularity, so that points which
    cluster there keep their relative accuracy.

    Args:
        nodes: The support points ``z_k`` relative to the origin, shape (N,) with
            N >= max(m, n) + 1, increasing.
        values: The values ``v_k`` of r at the support points, shape (N,).
        weights: The barycentric weights ``w_k``, shape (N,).
        degree: The type (m, n) of the rational. If N > max(m, n) + 1 or m != n, the weights
            satisfy the conditions that reduce the degrees.
        origin: The point x relative to which the support points are given.
        folded: For even and odd r, the form in ``(x - origin)^2`` that is evaluated.

    References:
        J.-P. Berrut, L. N. Trefethen, SIAM Review 46 (2004), doi:10.1137/S0036144502417715.

    >>> nodes, values, weights = np.array([[-1.0, 1.0], [0.5, 2.0], [1.0, 1.0]])
    >>> r = BarycentricRational(nodes, values, weights, (1, 1))
    >>> r(1.0)
    2.0
    """

    nodes: np.ndarray
    values: np.ndarray
    weights: np.ndarray
    degree: tuple[int, int]
    origin: float = 0.0
    folded: Folded | None = None

    @property
    def parity(self) -> str | None:
        """ "even" or "odd" for a folded form."""
        return None if self.folded is None else "odd" if self.folded.odd else "even"

    @property
    def focus(self) -> float:
        """The origin of the coordinates."""
        return self.origin

    @property
    def working_digits(self) -> int:
        """Decimal digits of float64."""
        return 16

    @property
    def size(self) -> int:
        """The number of support points."""
        return self.nodes.size

    def __call__(self, x: Values) -> Values:
        """r(x), x real or complex and of any shape; NaN at NaN, the limit at infinity."""
        return _shaped(lambda flat: self.with_sign(flat)[0], x)

    def with_sign(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values at the points, shape (K,), and the sign of q there.

        The sign is up to a common one; 0 where rounding hides it, and at infinity.
        """
        u = x - self.origin
        if self.folded is not None:
            return _unfold(u, self.folded, self.degree)
        if self.degree[1] == 0:
            return polynomial(u, self.nodes, self.values, self.weights)
        excess = self.degree[0] - self.degree[1]
        return _quotient_and_far(u, self.nodes, self.values, self.weights, excess)

    def derivative(self) -> Callable[[Values], Values]:
        """The function r', ``sum_k w_k (r(x) - v_k)/(x - z_k)^2 / sum_k w_k/(x - z_k)``.

        C. Schneider, W. Werner, Math. Comp. 47 (1986), doi:10.1090/S0025-5718-1986-0842136-8.
        """

        def slope(x: np.ndarray) -> np.ndarray:
            u = x - self.origin
            if self.folded is None:
                return slope_of_quotient(u, self.nodes, self.values, self.weights)
            parts = self.folded.nodes, self.folded.values, self.folded.weights
            inner: np.ndarray = 2 * u * slope_of_quotient(u * u, *parts)
            return u * inner + quotient(u * u, *parts)[0] if self.folded.odd else inner

        return lambda x: _shaped(slope, x)

    def poles(self) -> np.ndarray:
        """The zeros of q, complex, sorted by real then imaginary part.

        Their distances from the origin have a small relative error. Leading coefficients of q that
        vanish to rounding are dropped, and poles that a zero cancels to rounding are left out.
        """
        return self.origin + self._listed[1]

    def zeros(self) -> np.ndarray:
        """The zeros of p, complex, sorted by real then imaginary part."""
        return self.origin + self._listed[0]

    def estimated_poles(self) -> np.ndarray:
        """Approximations of all zeros of q, computed in float64."""
        if self.folded is None:
            return self.origin + _roots(self.nodes, self.weights, self.degree[1])
        count = self.degree[1] // 2
        return self.origin + _unfolded(_roots(self.folded.nodes, self.folded.weights, count))

    @cached_property
    def _exact(self) -> Roots:
        """Zeros, poles and residues relative to the origin, in multiprecision."""
        from mpmath import mp

        from remez.rational.exact_roots import Roots, exact_roots

        m, n = self.degree
        if self.folded is None:
            return exact_roots(self.nodes, self.values, self.weights, (m, n))
        parts = self.folded.nodes, self.folded.values, self.folded.weights
        inner = exact_roots(*parts, (m // 2, n // 2))
        with working_digits(ROOT_DIGITS):
            zeros, poles = (
                [sign * mp.sqrt(mp.mpc(t)) for t in roots for sign in (-1, 1)]
                for roots in (inner.zeros, inner.poles)
            )
            # of R(u^2) the residue is that of R over 2 u, of u R(u^2) it is half that of R
            halves = [c / 2 for c in inner.residues for _ in range(2)]
            if self.folded.odd:
                zeros, residues = [*zeros, mp.zero], halves
            else:
                residues = [c / z for c, z in zip(halves, poles, strict=True)]
        return Roots(zeros, poles, residues, [out for out in inner.spurious for _ in range(2)])

    @cached_property
    def _listed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Zeros, poles and residues in double, relative to the origin, without spurious ones."""
        from remez.rational.exact_roots import without_spurious

        roots = without_spurious(self._exact)
        zeros, poles, residues = (
            np.array([complex(z) for z in column], complex)
            for column in (roots.zeros, roots.poles, roots.residues)
        )
        order = np.lexsort((poles.imag, poles.real))
        return _sorted(zeros), poles[order], residues[order]

    def parts_at(self, x: Real) -> tuple[Real, Real]:
        """``sum_k w_k v_k prod_(j != k) (u - z_j)`` and the same without values, by mpmath."""
        from mpmath import mp

        u = x - mp.mpf(self.origin)
        gaps = [u - mp.mpf(z) for z in self.nodes]
        weights = [mp.mpf(w) for w in self.weights]
        moments = [w * mp.mpf(v) for w, v in zip(weights, self.values, strict=True)]
        product = mp.fprod(gaps)
        if product:
            row = [product / gap for gap in gaps]
        else:  # x is a support point: all other products vanish
            row = [mp.fprod(gaps[:k] + gaps[k + 1 :]) for k in range(len(gaps))]
        return mp.fdot(row, moments), mp.fdot(row, weights)

    def exact_roots(self) -> tuple[list[Real], list[Real]]:
        """The zeros and the poles to 50 digits, spurious ones included."""
        from mpmath import mp

        with working_digits(ROOT_DIGITS):
            origin = mp.mpf(self.origin)
            return [origin + z for z in self._exact.zeros], [origin + z for z in self._exact.poles]

    def residues(self) -> np.ndarray:
        """The residue at each of `poles()`, in that order; the poles must be simple."""
        return self._listed[2].copy()

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
        basis represents r in double precision; use the barycentric form instead.
        """
        low, high = hull or self._span()
        m, n = self.degree
        size = max(m, n) + 1
        grid = 0.5 * (low + high) + 0.5 * (high - low) * np.cos(
            np.pi * (np.arange(size) + 0.5) / size
        )
        q = self._denominator_at(grid) if n > 0 else np.ones(size)
        values = self(grid)
        q = q / q[np.abs(q).argmax()]
        p_series, q_series = (dct(row, type=2) / size for row in (q * values, q))
        p_series[0], q_series[0] = 0.5 * p_series[0], 0.5 * q_series[0]
        return (
            Chebyshev(p_series[: m + 1], domain=[low, high]),
            Chebyshev(q_series[: n + 1], domain=[low, high]),
        )

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
        values: np.ndarray = sign * np.sign(total) * np.exp(log - log.max())
        return values

    def _span(self) -> tuple[float, float]:
        low, high = self.origin + self.nodes[0], self.origin + self.nodes[-1]
        return (low, high) if low < high else (low - 1.0, high + 1.0)

    def to_dict(self) -> Record:
        """The object as plain types that JSON keeps exactly."""
        return {
            "nodes": self.nodes.tolist(),
            "values": self.values.tolist(),
            "weights": self.weights.tolist(),
            "degree": list(self.degree),
            "origin": self.origin,
            "folded": None if self.folded is None else self.folded.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Record) -> BarycentricRational:
        """Restore the object from the dictionary that `to_dict` returned."""
        nodes, values, weights = _read_columns(data)
        folded = None if data.get("folded") is None else Folded.from_dict(data["folded"])
        m, n = data["degree"]
        return cls(nodes, values, weights, (int(m), int(n)), float(data["origin"]), folded)


def _read_columns(data: Record) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes, values and weights from a dictionary.

    Raises:
        ValueError: They are not vectors of the same length.
    """
    nodes, values, weights = (np.array(data[k], float) for k in ("nodes", "values", "weights"))
    if not (nodes.ndim == 1 and nodes.size > 0 and nodes.shape == values.shape == weights.shape):
        raise ValueError("nodes, values and weights must be vectors of the same length")
    return nodes, values, weights


def _shaped(fn: Callable[[np.ndarray], np.ndarray], x: Values) -> Values:
    """Apply ``fn`` to the flattened x, 4096 points at a time."""
    x = np.asarray(x)
    x = x.astype(complex if np.iscomplexobj(x) else float, copy=False)
    flat = x.ravel()
    if flat.size <= 4096:
        out = fn(flat).reshape(x.shape)
    else:
        parts = [fn(flat[i : i + 4096]) for i in range(0, flat.size, 4096)]
        out = np.concatenate(parts).reshape(x.shape)
    return out if out.ndim else out.item()


def _quotient_and_far(
    u: np.ndarray, nodes: np.ndarray, values: np.ndarray, weights: np.ndarray, excess: int
) -> tuple[np.ndarray, np.ndarray]:
    """`quotient`, accurate beyond the nodes too, where r behaves as ``u^excess``.

    As ``sum_k w_k z_k^j = 0`` for j < excess, ``sum_k w_k/(u - z_k)``, which is lost to
    cancellation there, is ``sum_k w_k g(z_k)/(u - z_k) / g(u)`` for any polynomial g of degree
    ``excess``. For m < n the same is true of ``sum_k w_k v_k/(u - z_k)`` and -excess.
    """
    r, sign = quotient(u, nodes, values, weights)
    two_sided = nodes[0] * nodes[-1] < 0
    if excess == 0 or (excess > 0 and two_sided):
        return r, sign
    far = np.abs(u) > np.abs(nodes).max()
    if not far.any():
        return r, sign
    order, size = abs(excess), np.median(np.abs(nodes))
    a = -np.sign(nodes[0] + nodes[-1]) * size

    def g(z: np.ndarray) -> np.ndarray:
        """A power of ``z - a`` beyond a half-line, and of ``z² + size²`` beyond both ends."""
        power: np.ndarray = (z - a) ** order
        if two_sided:
            power = (z * z + size * size) ** (order // 2) * z ** (order % 2)
        return power

    with np.errstate(all="ignore"):
        if excess < 0:
            r[far], sign[far] = quotient(u[far], nodes, values * g(nodes), weights)
            r[far] /= g(u[far])
        else:
            factor = g(u[far])
            r[far], sign[far] = quotient(u[far], nodes, values / g(nodes), weights * g(nodes))
            r[far] *= factor
            sign[far] *= np.sign(factor.real)
    return r, sign


def _unfold(
    u: np.ndarray, folded: Folded, degree: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """``R(t)`` or ``u R(t)`` with ``t = u²``; for large t and m < n, ``(t R(t))/u``."""
    t = u * u
    parts = folded.nodes, folded.values, folded.weights
    excess = (degree[0] - folded.odd) // 2 - degree[1] // 2
    even, sign = polynomial(t, *parts) if degree[1] == 0 else _quotient_and_far(t, *parts, excess)
    if not folded.odd:
        return even, sign
    with np.errstate(invalid="ignore"):
        out = u * even
    if excess < -1:
        out[np.isnan(out) & ~np.isnan(u)] = 0.0
    elif degree[0] < degree[1]:
        far = np.abs(t) > np.median(folded.nodes)
        product = folded.nodes * folded.values
        out[far] = quotient(t[far], folded.nodes, product, folded.weights)[0] / u[far]
    return out, sign


def _roots(nodes: np.ndarray, coefficients: np.ndarray, count: int) -> np.ndarray:
    """Zeros of ``sum_k c_k/(u - z_k)``: an eigenproblem in 1/(u - c), c far from a zero.

    With y = 1/(u - c), every zero is an eigenvalue of ``diag(y) - (c' / sum c') y^T`` and
    there is one spurious eigenvalue 0, as is each zero at infinity.
    """
    scale = np.abs(coefficients).max(initial=0.0)
    if count == 0 or scale == 0:
        return np.empty(0, complex)
    c = coefficients / scale
    spread = (nodes.max() - nodes.min()) or 1.0
    trial = nodes[0] - spread * np.array([0.37, 0.71, 1.13])
    total = np.abs((c / (trial[:, None] - nodes)).sum(1))
    shift = trial[total.argmax()]
    y = 1 / (nodes - shift)
    moved = c * y
    matrix = y[:, None] * (moved / -moved.sum())
    matrix.flat[:: y.size + 1] += y
    if not np.isfinite(matrix).all():
        raise np.linalg.LinAlgError("the barycentric sum overflows")
    real, imaginary, _, _, info = lapack.dgeev(matrix, compute_vl=0, compute_vr=0)
    if info != 0:
        raise np.linalg.LinAlgError("the zeros do not converge")
    eigenvalues = real + 1j * imaginary
    largest = eigenvalues[np.argsort(-np.abs(eigenvalues))][:count]
    largest = largest[np.abs(largest) > 1e-13 * np.abs(y).min()]
    roots: np.ndarray = shift + 1 / largest
    return roots


def _unfolded(squares: np.ndarray) -> np.ndarray:
    """Both square roots of each number."""
    root = np.sqrt(squares.astype(complex))
    return _sorted(np.concatenate([-root, root]))


def _sorted(roots: np.ndarray) -> np.ndarray:
    return roots[np.lexsort((roots.imag, roots.real))]
