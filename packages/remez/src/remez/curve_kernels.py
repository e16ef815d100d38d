"""Loops over sampled curves, compiled by numba on first use and cached on disk.

They are independent of the exchange; both the solver and the judge use them. Import this module
only inside a function of a module that is loaded early: importing it is what compiles (or loads)
the loops.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from remez.compilation import announce

__all__ = ["alternating", "bends", "between_marks", "climb", "curvature", "mark_bends", "quotient"]

announce()


@njit(
    "Tuple((f8[::1], f8[::1]))(f8[::1], f8[::1], f8[::1], f8[::1])",
    cache=True,
    error_model="numpy",
    fastmath={"contract", "reassoc"},
)
def quotient(u, nodes, values, weights):  # type: ignore[no-untyped-def]
    """``sum_k w_k v_k/(u - z_k) / sum_k w_k/(u - z_k)``, and the sign of q.

    The limit at infinity, NaN at NaN; the sign is up to a common one, 0 where it is unknown.
    """
    r = np.empty(u.size)
    sign = np.empty(u.size)
    for i in range(u.size):
        top = 0.0
        bottom = 0.0
        above = 0
        for k in range(nodes.size):
            term = weights[k] / (u[i] - nodes[k])
            top += term * values[k]
            bottom += term
            above += u[i] < nodes[k]
        r[i] = top / bottom
        if not abs(r[i]) < np.inf:
            near = 0
            top = bottom = 0.0
            for k in range(nodes.size):
                top += weights[k] * values[k]
                bottom += weights[k]
                if abs(u[i] - nodes[k]) < abs(u[i] - nodes[near]):
                    near = k
            if abs(u[i]) == np.inf:
                r[i] = top / bottom
                bottom = 0.0
            elif abs(u[i]) < np.inf:
                r[i] = values[near]
                bottom = weights[near] if u[i] == nodes[near] else 0.0
        sign[i] = np.sign(bottom) * (-1.0 if above % 2 else 1.0)
    return r, sign


@njit("i8[::1](f8[::1], i8)", cache=True)
def alternating(error, count):  # type: ignore[no-untyped-def]  # noqa: C901
    """Indices of at most ``count`` extrema of alternating sign, the largest ones.

    Each run of equal sign gives its largest; while there are too many, the smallest goes,
    together with its smaller neighbour unless it is an end. ``count = 0`` keeps all. Of very many
    those below the highest level at which enough alternate go first, all at once.
    """
    # one function: its phases share the index array, which is shortened in place
    keep = np.empty(error.size, np.int64)
    n = 0
    for i in range(error.size):
        if error[i] == 0.0:
            continue
        if n and (error[i] > 0) == (error[keep[n - 1]] > 0):
            if abs(error[i]) > abs(error[keep[n - 1]]):
                keep[n - 1] = i
        else:
            keep[n] = i
            n += 1
    if count and n > 8 * count + 64:
        low, high = 0.0, 0.0
        for i in range(n):
            high = max(high, abs(error[keep[i]]))
        for _ in range(60):
            level = 0.5 * (low + high)
            runs, last = 0, 0.0
            for i in range(n):
                if abs(error[keep[i]]) >= level and error[keep[i]] * last <= 0:
                    last = error[keep[i]]
                    runs += 1
            if runs < count:
                high = level
                continue
            low = level
            total, n = n, 0
            for i in range(total):
                if abs(error[keep[i]]) >= low:
                    keep[n] = keep[i]
                    n += 1
        total, n = n, 0
        for i in range(total):
            k = keep[i]
            if n and (error[k] > 0) == (error[keep[n - 1]] > 0):
                if abs(error[k]) > abs(error[keep[n - 1]]):
                    keep[n - 1] = k
            else:
                keep[n] = k
                n += 1
    while count and n > count:
        small = 0
        for i in range(1, n):
            if abs(error[keep[i]]) < abs(error[keep[small]]):
                small = i
        gone = 1
        if n == count + 1:
            small = 0 if abs(error[keep[0]]) < abs(error[keep[n - 1]]) else n - 1
        elif 0 < small < n - 1:
            gone = 2
            if abs(error[keep[small - 1]]) < abs(error[keep[small + 1]]):
                small -= 1
        n -= gone
        for i in range(small, n):
            keep[i] = keep[i + gone]
    return keep[:n]


@njit("f8[::1](f8[::1], f8[::1], i8[::1], f8)", cache=True, error_model="numpy")
def climb(u, size, maxima, gain):  # type: ignore[no-untyped-def]
    """New points near maxima: the vertex of the parabola, and the middle of the longer side.

    Maxima whose parabola predicts an increase below ``gain`` are skipped.
    """
    out = np.empty(2 * maxima.size)
    filled = 0
    for i in maxima:
        if i == 0 or i == u.size - 1:
            continue
        left, right = u[i] - u[i - 1], u[i + 1] - u[i]
        fall_left, fall_right = size[i] - size[i - 1], size[i] - size[i + 1]
        bottom = left * fall_right + right * fall_left
        if not (fall_left >= 0 and fall_right >= 0 and bottom > 0):
            continue
        if not min(left, right) > 1e-6 * max(left, right):
            continue  # the predicted increase is rounding
        step = 0.5 * (right * right * fall_left - left * left * fall_right) / bottom
        curvature = bottom / (left * right * (left + right))
        step = max(-0.5 * left, min(0.5 * right, step))
        if step * step * curvature <= gain:
            continue
        middle = 0.5 * right if right > left else -0.5 * left
        out[filled] = u[i] + step
        filled += 1
        if abs(step - middle) > 0.1 * max(left, right):
            out[filled] = u[i] + middle
            filled += 1
    return out[:filled]


@njit("i8(f8[::1], i8, f8)", cache=True, fastmath={"contract", "reassoc"})
def bends(f, stride, limit):  # type: ignore[no-untyped-def]
    """At how many points the sixth difference of f exceeds the limit; NaN exceeds every limit.

    Each is the difference of seven values with ``stride`` points from one to the next.
    """
    count = f.size - 6 * stride
    a, b, c, d = f[:count], f[stride:], f[2 * stride :], f[3 * stride :]
    e, g, h = f[4 * stride :], f[5 * stride :], f[6 * stride :]
    found = 0
    for i in range(count):
        sixth = a[i] + h[i] - 6.0 * (b[i] + g[i]) + 15.0 * (c[i] + e[i]) - 20.0 * d[i]
        found += not abs(sixth) <= limit
    return found


@njit("(f8[::1], f8[::1], i8, f8, b1[::1])", cache=True, fastmath={"contract", "reassoc"})
def mark_bends(f, weight, stride, limit, marks):  # type: ignore[no-untyped-def]
    """Mark the middle of every sixth difference whose product with the weight exceeds the limit."""
    count = f.size - 6 * stride
    a, b, c, d = f[:count], f[stride:], f[2 * stride :], f[3 * stride :]
    e, g, h = f[4 * stride :], f[5 * stride :], f[6 * stride :]
    w, out = weight[3 * stride :], marks[3 * stride :]
    for i in range(count):
        sixth = a[i] + h[i] - 6.0 * (b[i] + g[i]) + 15.0 * (c[i] + e[i]) - 20.0 * d[i]
        out[i] |= not w[i] * abs(sixth) <= limit


@njit("f8[::1](f8[::1], f8[::1])", cache=True, error_model="numpy")
def curvature(x, e):  # type: ignore[no-untyped-def]
    """The distance of each inner value from the line through its neighbours; 0 if not finite."""
    out = np.empty(x.size - 2)
    for i in range(out.size):
        left, right = x[i + 1] - x[i], x[i + 2] - x[i + 1]
        bend = abs(e[i + 1] - (right * e[i] + left * e[i + 2]) / (left + right))
        out[i] = bend if bend < np.inf else 0.0
    return out


@njit("f8[::1](f8[::1], f8, f8[::1], f8[::1])", cache=True, error_model="numpy")
def between_marks(marks, origin, even, bent):  # type: ignore[no-untyped-def]
    """Points between increasing marks: shares ``bent`` of every gap, and geometric ones.

    The latter have the shares ``even`` of the logarithm of the distance from the origin, in every
    gap over which it grows or falls by a factor above 3.
    """
    out = np.empty((marks.size - 1) * (bent.size + even.size))
    filled = 0
    for i in range(marks.size - 1):
        low, high = marks[i] - origin, marks[i + 1] - origin
        for share in bent:
            out[filled] = marks[i] + (marks[i + 1] - marks[i]) * share
            filled += 1
        ratio = high / low
        if 3 < ratio < np.inf or 0 < ratio < 1 / 3:
            for share in even:
                out[filled] = origin + low * ratio**share
                filled += 1
    return out[:filled]
