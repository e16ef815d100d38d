"""The inner loops of the solver, compiled by numba on first use and cached on disk.

Import this module only inside a function: importing it is what compiles (or loads) it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from remez.compilation import announce

__all__ = [
    "fill",
    "lagrange_rows",
    "lagrange_weights",
    "measures",
    "merge",
    "newton_system",
    "residual",
    "steadiest",
]

announce()


@njit(
    "Tuple((f8[:,::1], i8[::1], f8[::1]))(f8[::1], f8[::1], i8[::1], i8[::1])",
    cache=True,
    error_model="numpy",
)
def lagrange_rows(u, slack, support, nodes):  # type: ignore[no-untyped-def]  # noqa: C901
    """``sqrt(d_i/d_k) l_k(u_i)`` times ``sqrt(slack_i)``, products taken in logarithms.

    d_i = 1/prod_j |u_i - u_j| over all points, l_k the Lagrange polynomials of the support.
    Rows whose slack is 0 are left without that factor. Returns the rows by decreasing largest
    size, those without slack last; the points that they belong to; and
    ``-log(sqrt(d_k) prod_(j in nodes, j != k) |u_k - u_j|)`` for the nodes.
    """
    # one function: a helper would be compiled and called in the innermost loops
    size, count = u.size, support.size
    chosen = np.zeros(size, np.bool_)
    for k in range(count):
        chosen[support[k]] = True
    node = np.zeros(size, np.bool_)
    for k in range(nodes.size):
        node[nodes[k]] = True
    # logarithms of the products of differences: over all points, the support, the nodes
    log_d = np.zeros(size)
    log_w = np.zeros(size)
    log_n = np.zeros(size)
    for i in range(size):
        for j in range(i):
            log = np.log(abs(u[i] - u[j]))
            log_d[i] -= log
            log_d[j] -= log
            if chosen[j]:
                log_w[i] += log
            if chosen[i]:
                log_w[j] += log
            if node[i] and node[j]:
                log_n[i] += log
                log_n[j] += log
    # the rows: a Cauchy-like matrix, signs from the number of support points above
    rows = np.zeros((size, count))
    height = np.empty(size)
    above = count
    for i in range(size):
        if chosen[i]:
            above -= 1
        root = np.sqrt(slack[i]) if slack[i] > 0 else 1.0
        largest = 0.0
        for k in range(count):
            other = support[k]
            if other == i:
                rows[i, k] = root
            elif not chosen[i]:
                size_ik = 0.5 * (log_d[i] - log_d[other]) + log_w[i] - log_w[other]
                flip = 1.0 if (above + count - 1 - k) % 2 == 0 else -1.0
                rows[i, k] = flip * root * np.exp(size_ik) / (u[i] - u[other])
            largest = max(largest, abs(rows[i, k]))
        height[i] = largest if slack[i] > 0 else -1.0
    scale = np.empty(nodes.size)
    for k in range(nodes.size):
        scale[k] = -0.5 * log_d[nodes[k]] - log_n[nodes[k]]
    # by decreasing height, which keeps the QR factorisation accurate row by row
    order = np.empty(size, np.int64)
    for i in range(size):
        place = i
        while place > 0 and height[order[place - 1]] < height[i]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = i
    sorted_rows = np.empty((size, count))
    for i in range(size):
        for k in range(count):
            sorted_rows[i, k] = rows[order[i], k]
    return sorted_rows, order, scale


@njit("f8[::1](f8[::1])", cache=True, error_model="numpy")
def lagrange_weights(u):  # type: ignore[no-untyped-def]
    """``1/prod_(j != i) |u_i - u_j|``, the largest of size 1.

    Products are kept within 2^500 of 1, the powers of it counted: logarithms would cost digits.
    """
    out = np.empty(u.size)
    power = np.zeros(u.size, np.int64)
    least = 0
    for i in range(u.size):
        product = 1.0
        for j in range(u.size):
            product *= abs(u[i] - u[j]) if j != i else 1.0
            if product < 2.0**-500:
                product *= 2.0**500
                power[i] -= 1
            elif product > 2.0**500:
                product *= 2.0**-500
                power[i] += 1
        out[i] = 1 / product
        least = min(least, power[i]) if i else power[i]
    largest = 0.0
    for i in range(u.size):
        out[i] *= 2.0 ** (-500.0 * (power[i] - least))
        largest = max(largest, out[i])
    for i in range(u.size):
        out[i] /= largest
    return out


@njit(
    "Tuple((i8, f8[::1], b1))(f8[:,::1], i8[::1], f8[::1], f8[::1], i8[::1], f8[::1])",
    cache=True,
    error_model="numpy",
)
def steadiest(columns, order, slack, side, nodes, scale):  # type: ignore[no-untyped-def]
    """The column whose signs differ least from ``side`` or its opposite, as weights of the nodes.

    Rows of ``columns`` are ``sqrt(d_i slack_i) q(u_i)`` for i in ``order``, without that slack
    which is 0. Returns which one it is, the weights, the largest of size 1, and whether all its
    signs agree.
    """
    size = order.size
    best, fewest, flip = 0, size, 1.0
    for k in range(columns.shape[1]):
        positive = 0
        for i in range(size):
            positive += columns[i, k] * side[order[i]] > 0
        rare = min(positive, size - positive)
        if rare < fewest:
            best, fewest = k, rare
            flip = 1.0 if 2 * positive > size else -1.0
    q = np.empty(size)
    for i in range(size):
        root = np.sqrt(slack[order[i]]) if slack[order[i]] > 0 else 1.0
        q[order[i]] = flip * columns[i, best] / root
    weights = np.empty(nodes.size)
    top = scale[0]
    for k in range(nodes.size):
        top = max(top, scale[k])
    largest = 0.0
    for k in range(nodes.size):
        sign = 1.0 if k % 2 == 0 else -1.0
        weights[k] = sign * q[nodes[k]] * np.exp(scale[k] - top)
        largest = max(largest, abs(weights[k]))
    for k in range(nodes.size):
        weights[k] /= largest
    return best, weights, fewest == 0


@njit(
    "Tuple((f8[:,::1], f8[::1]))(f8[::1], f8[::1], f8[::1], i8[::1], f8[::1], f8, f8, i8)",
    cache=True,
    error_model="numpy",
)
def newton_system(u, f, slope, nodes, weights, error, unit, excess):  # type: ignore[no-untyped-def]
    """The linear system of one Newton step on the relative sizes of the weights and on lambda.

    The change of lambda is in units of ``unit``.
    Residuals are formed from differences of f; the ``|excess|`` conditions that lower the
    degree are rows of Chebyshev polynomials; the last row keeps the sum of the changes 0.
    """
    count = nodes.size
    matrix = np.empty((count + 1, count + 1))
    right = np.empty(count + 1)
    first, last = u[nodes[0]], u[nodes[count - 1]]
    row = at = 0
    for i in range(u.size):
        if at < count and nodes[at] == i:
            at += 1
            continue
        matrix[row, count] = 0.0
        for k in range(count):
            j = nodes[k]
            cauchy = weights[k] / (u[i] - u[j])
            tilt = slope[i] - slope[j]
            matrix[row, k] = cauchy * ((f[j] - f[i]) + error * tilt)
            matrix[row, count] += cauchy * tilt
        row += 1
    for power in range(abs(excess)):
        matrix[row, count] = 0.0
        for k in range(count):
            j = nodes[k]
            t = (2 * u[j] - first - last) / (last - first)
            term = weights[k] * np.cos(power * np.arccos(max(-1.0, min(1.0, t))))
            matrix[row, k] = term
            if excess < 0:
                matrix[row, k] *= f[j] - error * slope[j]
                matrix[row, count] -= term * slope[j]
        row += 1
    for i in range(count):
        scale = 0.0
        total = 0.0
        for k in range(count):
            scale = max(scale, abs(matrix[i, k]))
            total += matrix[i, k]
        for k in range(count):
            matrix[i, k] /= scale
        matrix[i, count] *= unit / scale
        matrix[count, i] = 1.0
        right[i] = -total / scale
    matrix[count, count] = right[count] = 0.0
    return matrix, right


@njit(
    "Tuple((f8[::1], f8[::1], f8[::1], i8[::1]))"
    "(f8[::1], f8[::1], f8[::1], f8[::1], f8[::1], f8[::1])",
    cache=True,
)
def merge(u, f, w, u_more, f_more, w_more):  # type: ignore[no-untyped-def]
    """Two sampled functions as one, by increasing u, the first of equal points kept.

    Both are nearly sorted already. Returns the samples, and their places in both laid end to end.
    """
    size = u.size + u_more.size
    points, values, weights = np.empty(size), np.empty(size), np.empty(size)
    order = np.empty(size, np.int64)
    i = j = filled = 0
    while i + j < size:
        if j == u_more.size or (i < u.size and u[i] <= u_more[j]):
            x, y, z, origin = u[i], f[i], w[i], i
            i += 1
        else:
            x, y, z, origin = u_more[j], f_more[j], w_more[j], u.size + j
            j += 1
        place = filled
        while place > 0 and points[place - 1] > x:
            place -= 1
        if place > 0 and points[place - 1] == x:
            continue
        for k in range(filled, place, -1):
            points[k], values[k], weights[k] = points[k - 1], values[k - 1], weights[k - 1]
            order[k] = order[k - 1]
        points[place], values[place], weights[place], order[place] = x, y, z, origin
        filled += 1
    return points[:filled], values[:filled], weights[:filled], order[:filled]


@njit(
    "Tuple((f8[::1], i8))(f8[::1], f8[::1], f8[::1], f8[::1], f8[::1], f8[::1], f8[::1])",
    cache=True,
    error_model="numpy",
    fastmath={"contract", "reassoc", "arcp"},
)
def residual(u, f, w, nodes, values, weights, sign_changes):  # type: ignore[no-untyped-def]
    """Weighted error ``w (f - r)``, and the sign that q has at all points, 0 if it has none.

    It is the sign of q right of all ``sign_changes``, at each of which it is expected to change.

    The error is summed from the differences ``f - v_k``, so it is not the difference of two
    rounded numbers of the size of f.
    """
    error = np.empty(u.size)
    positive = 0
    broken = False
    for i in range(u.size):
        top = 0.0
        bottom = 0.0
        above = 0
        for k in range(nodes.size):
            term = weights[k] / (u[i] - nodes[k])
            top += term * (f[i] - values[k])
            bottom += term
            above += u[i] < nodes[k]
        for place in sign_changes:
            above += u[i] < place
        out = top / bottom
        if not abs(out) < 1e308:
            out = np.inf
            for k in range(nodes.size):
                if u[i] == nodes[k]:
                    out = f[i] - values[k]
                    bottom = weights[k]
            broken = broken or out == np.inf
        error[i] = w[i] * out if w[i] != 0.0 and out != 0.0 else 0.0
        positive += (bottom > 0) == (above % 2 == 0)
    if broken or 0 < positive < u.size:
        return error, 0
    return error, 1 if positive else -1


@njit("f8[::1](f8[::1], f8[:,::1], f8[::1], f8[::1])", cache=True, error_model="numpy")
def fill(points, components, centres, fractions):  # type: ignore[no-untyped-def]
    """Points of the components between the given ones and the ends.

    They divide each gap at ``fractions``: geometrically about the nearest centre where the
    distances of its ends from it differ much.
    """
    out = np.empty((points.size + len(components)) * fractions.size)
    filled = at = 0
    for j in range(len(components)):
        low, end = components[j, 0], components[j, 1]
        while low < end:
            while at < points.size and points[at] <= low:
                at += 1
            high = min(points[at], end) if at < points.size else end
            centre = low
            best = np.inf
            for c in centres:
                gap = min(abs(low - c), abs(high - c))
                if not (low < c < high) and 0 < gap < best:
                    best = gap
                    centre = c
            a, b = low - centre, high - centre
            geometric = best < np.inf and a * b > 0 and max(a / b, b / a) > 3
            for t in fractions:
                x = centre + a * (b / a) ** t if geometric else low + (high - low) * t
                if low < x < high:
                    out[filled] = x
                    filled += 1
            low = high
    return out[:filled]


@njit("Tuple((f8[::1], f8[::1]))(f8[::1], f8[::1], f8[:,::1])", cache=True, error_model="numpy")
def measures(u, f, components):  # type: ignore[no-untyped-def]
    """Two measures of the components up to each of the points: Chebyshev's, and of bends.

    The first is 1 in all. The second is the integral of ``|D^4 f|^(1/4)``, on each cell the mean
    of what the fourth divided differences say that the cell is part of. Rounding adds about
    ``eps^(1/4)`` for each cell, however narrow.
    """
    even, bends = np.zeros(u.size), np.zeros(u.size)
    total, count = np.zeros(u.size), np.zeros(u.size)
    part = np.empty(5)
    length = before = 0.0
    for k in range(len(components)):
        length += components[k, 1] - components[k, 0]
    for k in range(len(components)):
        low, high = components[k, 0], components[k, 1]
        share = (high - low) / length
        for i in range(u.size):
            if u[i] >= low:
                along = min(max((2 * u[i] - low - high) / (high - low), -1.0), 1.0)
                even[i] = before + share * (1 - np.arccos(along) / np.pi)
            if u[i] < low or i + 4 >= u.size or u[i + 4] > high:
                continue
            for j in range(5):
                part[j] = f[i + j]
            for order in range(1, 5):
                for j in range(5 - order):
                    part[j] = (part[j + 1] - part[j]) / (u[i + j + order] - u[i + j])
            bend = abs(part[0]) ** 0.25
            if not bend < np.inf:
                continue
            for j in range(i + 1, i + 5):
                total[j] += bend
                count[j] += 1
        before += share
    for i in range(1, u.size):
        step = total[i] / count[i] * (u[i] - u[i - 1]) if count[i] else 0.0
        bends[i] = bends[i - 1] + step
    return even, bends
