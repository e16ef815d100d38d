r"""The rational that levels the error on one reference, in any precision.

On points x_0 < ... < x_N, N = m + n + 1, with weights w_i, look for p, q, E with

    p(x_i) = q(x_i) (f(x_i) - s_i E),    s_i = (-1)^i / w_i,

(s_i = 0 where the value is prescribed). Values g_i are those of a polynomial of degree m exactly
when their products with all polynomials of degree n have vanishing divided difference, so with
lambda_i = 1 / prod_{j != i} (x_i - x_j) and a basis phi_k of the polynomials of degree n

    (A - E B) y = 0,  A = Phi^T diag(lambda_i f_i) Phi,  B = Phi^T diag(lambda_i s_i) Phi,

q = sum y_k phi_k: a symmetric eigenproblem of size n + 1, definite because lambda_i alternates.
At most one eigenvector has a q without a change of sign. phi_k are the Lagrange polynomials of
every other point, divided by sqrt|lambda_k|, which keeps the problem well conditioned however the
points cluster.

Given q of a former reference, the Rayleigh quotient is E to second order, and one step of
Rayleigh quotient iteration converges cubically.

References:
    S. Filip, Y. Nakatsukasa, L. N. Trefethen, B. Beckermann, "Rational minimax approximation via
    adaptive barycentric representations", SIAM J. Sci. Comput. 40(4), 2018,
    doi:10.1137/17M1132409 (the eigenproblem); H. Werner, "Die konstruktive Ermittlung der
    Tschebyscheff-Approximierenden im Bereich der rationalen Funktionen", Arch. Rational Mech.
    Anal. 11, 1962, doi:10.1007/BF00253944 (at most one eigenvector without a pole).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from remez.rational.arithmetic import Arithmetic, Matrix, Number

__all__ = ["Levelled", "branches", "level", "sign_changes"]

STEPS = 6  # of Rayleigh quotient iteration, which triples the digits
SQUARINGS = 5  # of the matrix whose dominant eigenvector is sought: its 32nd power


@dataclass(frozen=True, eq=False)
class Levelled:
    """p/q on a reference, with its levelled error.

    Attributes:
        points: x_i, increasing, m + n + 2 of them.
        p, q: Values of the two polynomials at the points.
        error: E with its sign.
        degree: (m, n).
    """

    arithmetic: Arithmetic
    points: list[Number]
    p: list[Number]
    q: list[Number]
    error: Number
    degree: tuple[int, int]

    def evaluate(self, xs: Sequence[Number]) -> tuple[list[Number], list[Number]]:
        """Values of r and of q at any points, by barycentric interpolation of p and q."""
        m, n = self.degree
        if m == n:
            p, q = self._interpolate(n, (self.p, self.q), xs)
        else:
            (p,), (q,) = (self._interpolate(k, (v,), xs) for k, v in ((m, self.p), (n, self.q)))
        number = self.arithmetic.number
        tiny = number(10) ** -self.arithmetic.decimals  # in place of a zero, met at a pole
        ratios = (a / (b if b != 0 else tiny) for a, b in zip(p, q, strict=True))
        return [number(ratio) for ratio in ratios], q

    def _interpolate(
        self, degree: int, columns: Sequence[list[Number]], xs: Sequence[Number]
    ) -> list[list[Number]]:
        """Polynomials of one degree, given at the points, at other points."""
        number = self.arithmetic.number
        at = spread(len(self.points), degree + 1)
        nodes = [self.points[i] for i in at]
        weights = lagrange_weights(nodes)
        table = [[w * v[i] for v in columns] for i, w in zip(at, weights, strict=True)]
        gaps = [[x - z for z in nodes] for x in xs]
        hits = [next((k for k, gap in enumerate(row) if gap == 0), None) for row in gaps]
        rows = [[1 / g for g in row] for row, hit in zip(gaps, hits, strict=True) if hit is None]
        sums = iter(self.arithmetic.product(rows, table) if rows else [])
        out = []
        for row, hit in zip(gaps, hits, strict=True):
            if hit is not None:
                out.append([v[at[hit]] for v in columns])
                continue
            product = math.prod(row, start=number(1))
            out.append([number(product * a) for a in next(sums)])
        return [list(column) for column in zip(*out, strict=True)]


def level(
    arithmetic: Arithmetic,
    points: Sequence[Number],
    values: Sequence[Number],
    steps: Sequence[Number],
    degree: tuple[int, int],
    q: Sequence[Number] | None = None,
    breaks: Collection[int] = (),
) -> Levelled:
    """Level the error on a reference.

    Args:
        points: m + n + 2 points, increasing.
        values: f there.
        steps: s_i, the alternating signs over the weights; 0 where the value is prescribed.
        degree: (m, n).
        q: Values of a denominator close to the answer's (of the previous reference): one step of
            Rayleigh quotient iteration from there. None to solve the eigenproblem.
        breaks: Indices i such that q may change sign between points i and i + 1, because a
            gap of the domain lies there.
    """
    pencil = _Pencil.of(arithmetic, points, values, steps, degree[1])
    q = _least_changing(map(pencil.converged, pencil.candidates()), breaks) if q is None else q
    return pencil.levelled(points, values, steps, degree, pencil.refined(q))


def branches(
    arithmetic: Arithmetic,
    points: Sequence[Number],
    values: Sequence[Number],
    steps: Sequence[Number],
    degree: tuple[int, int],
    breaks: Collection[int],
) -> list[Levelled]:
    """All that `level` may return where q keeps its sign on every interval.

    On one interval there is at most one; with gaps there is one for each pattern of signs, at
    most. Empty when there is none.
    """
    pencil = _Pencil.of(arithmetic, points, values, steps, degree[1])
    found = map(pencil.converged, pencil.candidates())
    return [
        pencil.levelled(points, values, steps, degree, q)
        for q in found
        if not sign_changes(q, breaks)
    ]


@dataclass(frozen=True, eq=False)
class _Pencil:
    """The eigenproblem: Phi, and the diagonals of A and B in it."""

    arithmetic: Arithmetic
    phi: Matrix
    value_diagonal: list[Number]
    step_diagonal: list[Number]

    @classmethod
    def of(
        cls,
        arithmetic: Arithmetic,
        points: Sequence[Number],
        values: Sequence[Number],
        steps: Sequence[Number],
        n: int,
    ) -> _Pencil:
        number = arithmetic.number
        scale = lagrange_weights(points)
        largest = max(abs(w) for w in scale)
        scale = [number(w / largest) for w in scale]
        at = spread(len(points), n + 1)
        nodes = [points[i] for i in at]
        size = [number(1 / arithmetic.sqrt(abs(scale[i]))) for i in at]
        factors = [w * c for w, c in zip(lagrange_weights(nodes), size, strict=True)]
        phi = []
        for i, x in enumerate(points):
            if i in at:
                row = [number(0)] * (n + 1)
                row[at.index(i)] = size[at.index(i)]
            else:
                product = math.prod((x - z for z in nodes), start=number(1))
                row = [number(product * c / (x - z)) for c, z in zip(factors, nodes, strict=True)]
            phi.append(row)
        return cls(
            arithmetic,
            phi,
            [number(w * f) for w, f in zip(scale, values, strict=True)],
            [number(w * s) for w, s in zip(scale, steps, strict=True)],
        )

    def levelled(
        self,
        points: Sequence[Number],
        values: Sequence[Number],
        steps: Sequence[Number],
        degree: tuple[int, int],
        q: list[Number],
    ) -> Levelled:
        """The rational with that denominator."""
        number, error = self.arithmetic.number, self.rayleigh(q)
        p = [number(b * (f - s * error)) for b, f, s in zip(q, values, steps, strict=True)]
        return Levelled(self.arithmetic, list(points), p, q, error, degree)

    def rayleigh(self, q: Sequence[Number]) -> Number:
        """E for which A - E B annihilates q in the mean: second order in q's error."""
        top = sum(a * b * b for a, b in zip(self.value_diagonal, q, strict=True))
        bottom = sum(a * b * b for a, b in zip(self.step_diagonal, q, strict=True))
        return self.arithmetic.number(top / bottom)

    def refined(self, q: Sequence[Number]) -> list[Number]:
        """One step of Rayleigh quotient iteration."""
        arithmetic = self.arithmetic
        error = self.rayleigh(q)
        weighted = [[s * b] for s, b in zip(self.step_diagonal, q, strict=True)]
        right = arithmetic.product(list(zip(*self.phi, strict=True)), weighted)
        # where the quotient is the eigenvalue to the last digit, a shift beside it serves as well
        beside = arithmetic.number(10) ** -(3 * arithmetic.decimals // 4)
        for shift in (error, error * (1 + beside)):
            pairs = zip(self.value_diagonal, self.step_diagonal, strict=True)
            try:
                y = arithmetic.solve(self._gram([f - shift * s for f, s in pairs]), right)
            except ZeroDivisionError:
                continue
            return self._values([row[0] for row in y])
        return list(q)

    def converged(self, q: list[Number]) -> list[Number]:
        """Rayleigh quotient iteration until the quotient has half of its digits.

        A power of the matrix mixes eigenvectors of E and -E; what has not converged is no
        candidate, whatever signs its values have.
        """
        close = self.arithmetic.number(10) ** -(self.arithmetic.decimals // 2)
        error = self.rayleigh(q)
        for _ in range(STEPS):
            q = self.refined(q)
            last, error = error, self.rayleigh(q)
            if abs(error - last) <= close * abs(error):
                break
        return q

    def candidates(self) -> Iterator[list[Number]]:
        """Denominators at the points: of the least |E|, most often the right one, then of all."""
        solve, product = self.arithmetic.solve, self.arithmetic.product
        steps = self._gram(self.step_diagonal)
        try:
            inverse = solve(self._gram(self.value_diagonal), steps)
        except ZeroDivisionError:  # E = 0 to the last digit: shift the spectrum by rounding's size
            tiny = self.arithmetic.number(10) ** -self.arithmetic.decimals
            largest = max(map(abs, self.value_diagonal))
            tiny = tiny * largest if largest > 0 else tiny
            pairs = zip(self.value_diagonal, self.step_diagonal, strict=True)
            inverse = solve(self._gram([f - tiny * s for f, s in pairs]), steps)
        power = inverse
        for _ in range(SQUARINGS):
            power = _normalised(self.arithmetic, product(power, power))
        columns = list(zip(*power, strict=True))
        yield self._values(max(columns, key=lambda column: max(map(abs, column))))
        for vector in self.arithmetic.eigenvectors(inverse):
            yield self._values(vector)

    def _gram(self, diagonal: Sequence[Number]) -> Matrix:
        weighted = [[d * a for a in row] for row, d in zip(self.phi, diagonal, strict=True)]
        return self.arithmetic.product(list(zip(*self.phi, strict=True)), weighted)

    def _values(self, y: Sequence[Number]) -> list[Number]:
        largest = max(y, key=abs)
        column = [[a / largest] for a in y]
        return [row[0] for row in self.arithmetic.product(self.phi, column)]


def lagrange_weights(points: Sequence[Number]) -> list[Number]:
    """``1 / prod_{j != i} (x_i - x_j)``."""
    return [
        1 / math.prod(x - z for j, z in enumerate(points) if j != i) for i, x in enumerate(points)
    ]


def spread(count: int, size: int) -> list[int]:
    """``size`` indices spread evenly over ``range(count)``; every other one when it is half."""
    return [(2 * k + 1) * count // (2 * size) for k in range(size)]


def _normalised(arithmetic: Arithmetic, matrix: Matrix) -> Matrix:
    largest = max(abs(a) for row in matrix for a in row)
    return [[arithmetic.number(a / largest) for a in row] for row in matrix]


def sign_changes(values: Sequence[Number], breaks: Collection[int] = ()) -> int:
    """How often consecutive values differ in sign, other than from ``breaks`` to the next."""
    pairs = enumerate(itertools.pairwise(values))
    return sum((a > 0) != (b > 0) for i, (a, b) in pairs if i not in breaks)


def _least_changing(candidates: Iterable[list[Number]], breaks: Collection[int]) -> list[Number]:
    """The first candidate of one sign, else the one with the fewest changes."""
    seen: list[tuple[int, int, list[Number]]] = []
    for q in candidates:
        seen.append((sign_changes(q, breaks), len(seen), q))
        if seen[-1][0] == 0:
            break
    return min(seen)[2]
