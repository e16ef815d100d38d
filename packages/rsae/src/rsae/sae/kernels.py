"""The refinement steps on the CPU, compiled by numba when first asked for and cached on disk.

Import this module only inside a function: importing it is what compiles (or loads) it. What the
loops compute, and why, is in `rsae.sae.refinement`, whose batched products are the same algorithm.

Cost per token with k active features: the k decoder rows are copied once into a buffer of column
blocks, and one application of G = D D^T reads a block twice while it is in the L1 cache. The last
step needs no gradient after it: K steps read the buffer K + 1 times, 4 (K + 1/2) k d operations.
Where the Gram matrix of all decoder rows is at hand, k^2 of its entries are gathered instead, and
a token costs 2 k d + 2 (K + 1) k^2 operations.

Shapes: n tokens, d = d_in, d_sae features, k active features of a token.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["refine_rows", "refine_with_gram"]

_BLOCK = 96  # columns: 64 rows of 96 float32 are 24 KiB, which an L1 cache of 32 KiB holds
_GROUP = 4  # rows taken together, so that the products load each element of q once for all
_SCAN = 32  # entries that are tested for a nonzero value together
_TOKENS = 256  # whose decoder rows are read before the Gram matrix: a cache does not hold both

# NaN and infinity keep their meaning, because the guard relies on it; only the order of sums is
# left to the compiler.
_MATH = {"reassoc", "contract", "nsz", "arcp"}


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def _active(z, columns):  # type: ignore[no-untyped-def]
    """Write the indices of the nonzero entries of z into `columns`; return how many they are."""
    count = 0
    full = z.size // _SCAN * _SCAN
    for begin in range(0, full, _SCAN):
        total = z.dtype.type(0)
        for j in range(_SCAN):
            total += abs(z[begin + j])
        if total == 0:
            continue
        for j in range(begin, begin + _SCAN):  # without a branch, which would be mispredicted
            columns[count] = j
            count += int(z[j] != 0)
    for j in range(full, z.size):
        columns[count] = j
        count += int(z[j] != 0)
    return count


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def _load(decoder, columns, active, weights, rows, inverse, q):  # type: ignore[no-untyped-def]
    """Copy the active decoder rows into blocks (d / 96, k, 96), and add them up.

    Written: `rows`; `inverse`, the reciprocals of their norms, which the vectors of activations
    are multiplied by instead of the rows; q (d / 96, 96) = sum_i weights[i] rows[i].
    """
    d = decoder.shape[1]
    full = d // _BLOCK
    one = decoder.dtype.type(1)
    q[:] = 0
    flat = q.reshape(q.size)
    last = active - 1
    for i in range(0, active, _GROUP):  # four rows at a time: their loads from memory overlap
        # A last group of fewer repeats its last row, with weight 0.
        j1, j2, j3 = min(i + 1, last), min(i + 2, last), min(i + 3, last)
        w0, w1 = decoder[columns[i]], decoder[columns[j1]]
        w2, w3 = decoder[columns[j2]], decoder[columns[j3]]
        a0, a1, a2, a3 = weights[i], weights[i + 1], weights[i + 2], weights[i + 3]
        s0 = s1 = s2 = s3 = decoder.dtype.type(0)
        for c in range(d):
            e0, e1, e2, e3 = w0[c], w1[c], w2[c], w3[c]
            s0 += e0 * e0
            s1 += e1 * e1
            s2 += e2 * e2
            s3 += e3 * e3
            flat[c] += a0 * e0 + a1 * e1 + a2 * e2 + a3 * e3
        inverse[i], inverse[i + 1], inverse[i + 2], inverse[i + 3] = s0, s1, s2, s3
    for i in range(active):
        w = decoder[columns[i]]
        for b in range(full):
            for c in range(_BLOCK):
                rows[b, i, c] = w[b * _BLOCK + c]
        for c in range(full * _BLOCK, d):
            rows[full, i, c - full * _BLOCK] = w[c]
    for i in range(active):
        norm = np.sqrt(inverse[i])
        # A zero row has no direction, and its activation stays.
        inverse[i] = one / norm if norm > 0 else one
    inverse[active:] = 0


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def _combine(block, weights, count, q):  # type: ignore[no-untyped-def]
    """q = sum_i weights[i] block[i] over `count` rows, a multiple of 4."""
    q[:] = 0
    for i in range(0, count, _GROUP):
        a, b, c, d = weights[i], weights[i + 1], weights[i + 2], weights[i + 3]
        for j in range(_BLOCK):
            q[j] += (
                a * block[i, j] + b * block[i + 1, j] + c * block[i + 2, j] + d * block[i + 3, j]
            )


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def _project(block, q, count, products):  # type: ignore[no-untyped-def]
    """products[i] += block[i] . q for `count` rows, a multiple of 4."""
    zero = q[0] - q[0]
    for i in range(0, count, _GROUP):
        a, b, c, d = zero, zero, zero, zero
        for j in range(_BLOCK):
            a += block[i, j] * q[j]
            b += block[i + 1, j] * q[j]
            c += block[i + 2, j] * q[j]
            d += block[i + 3, j] * q[j]
        products[i] += a
        products[i + 1] += b
        products[i + 2] += c
        products[i + 3] += d


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def _square(q):  # type: ignore[no-untyped-def]
    total = q[0] * q[0]
    for j in range(1, q.size):
        total += q[j] * q[j]
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def _gram(rows, weights, count, q, product, last):  # type: ignore[no-untyped-def]
    """|q|^2 for q = W^T weights, W the rows; product = W q unless nothing asks for it (`last`)."""
    total = weights[0] - weights[0]
    product[:count] = 0
    for b in range(rows.shape[0]):
        _combine(rows[b], weights, count, q[b])
        total += _square(q[b])
        if not last:
            _project(rows[b], q[b], count, product)
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def _residual(rows, target, inverse, count, q, gradient):  # type: ignore[no-untyped-def]
    """gradient = D r for r = target - q; return |r|^2."""
    gradient[:count] = 0
    error = target[0] - target[0]
    d = target.size
    for b in range(rows.shape[0]):
        begin = b * _BLOCK
        for j in range(min(_BLOCK, d - begin)):
            q[b, j] = target[begin + j] - q[b, j]
        error += _square(q[b])
        _project(rows[b], q[b], count, gradient)
    for i in range(count):
        gradient[i] *= inverse[i]
    return error


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def _steps(rows, y, inverse, gradient, inside, count, sizes, fixed, q, p, w, product, error):  # type: ignore[no-untyped-def]
    """Take the steps on the features `inside`; return |r|^2 after them.

    The gradient is kept up to date but for the last step, after which nothing asks for it.
    """
    eps = np.finfo(y.dtype).eps
    before = y.dtype.type(0)
    p[:count] = 0
    for k in range(sizes.size):
        square = y.dtype.type(0)
        for i in range(count):
            square += inside[i] * gradient[i] * gradient[i]
        if not square > count * (8 * eps) ** 2 * error:
            break  # what is left of the gradient is rounding
        beta = square / before if before > 0 and not fixed else before - before
        before = square
        length = y.dtype.type(0)
        for i in range(count):
            p[i] = inside[i] * gradient[i] + beta * p[i]
            w[i] = p[i] * inverse[i]
            length += p[i] * p[i]
        curvature = _gram(rows, w, count, q, product, k == sizes.size - 1)
        if not curvature > count * eps * length:
            break  # a direction in which duplicate decoder rows cancel
        alpha = sizes[k] if fixed else square / curvature
        for i in range(count):
            y[i] += alpha * p[i]
            gradient[i] -= alpha * product[i] * inverse[i]
        error += alpha * (alpha * curvature - square - square)
    return error


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def _drop(y, inside, count):  # type: ignore[no-untyped-def]
    """Set activations at or below 0 to 0 and take them out of `inside`; return how many."""
    dropped = 0
    for i in range(count):
        if inside[i] > 0 and not y[i] > 0:
            y[i] = 0
            inside[i] = 0
            dropped += 1
    return dropped


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def _restart(rows, y, target, inverse, count, q, w, gradient):  # type: ignore[no-untyped-def]
    """gradient = D r for r = target - D^T y; return |r|^2."""
    for i in range(count):
        w[i] = y[i] * inverse[i]
    for b in range(rows.shape[0]):
        _combine(rows[b], w, count, q[b])
    return _residual(rows, target, inverse, count, q, gradient)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def refine_rows(z, target, decoder, out, first, last, fixed, begin, end):  # type: ignore[no-untyped-def]
    """Refine tokens begin to end of z (n, d_sae) into `out`, which holds zeros or is z itself.

    Args:
        z: activations of the encoder.
        target: (n, d), what the decoder rows are to add up to.
        decoder: (d_sae, d).
        out: refined activations.
        first, last: sizes of the steps before and after activations at or below 0 are dropped;
            with conjugate gradients only how many there are matters.
        fixed: whether the sizes are used, or conjugate gradients.
        begin, end: which tokens.
    """
    blocks = -(-decoder.shape[1] // _BLOCK)
    capacity = 0
    columns = np.empty(z.shape[1] + 1, np.int64)  # one is written ahead
    q = np.zeros((blocks, _BLOCK), z.dtype)
    for token in range(begin, end):
        active = _active(z[token], columns)
        if active == 0:
            continue
        count = -(-active // _GROUP) * _GROUP
        if count > capacity:
            capacity = count
            store = np.zeros(blocks * count * _BLOCK, z.dtype)
            work = np.zeros((7, count), z.dtype)
        rows = store[: blocks * count * _BLOCK].reshape(blocks, count, _BLOCK)
        inverse, y, gradient, inside, p, w, product = (
            work[0], work[1], work[2], work[3], work[4], work[5], work[6],
        )  # fmt: skip
        rows[:, active:] = 0
        if decoder.shape[1] % _BLOCK:
            rows[-1] = 0
        w[active:count] = 0
        for i in range(active):
            w[i] = z[token, columns[i]]
        _load(decoder, columns, active, w, rows, inverse, q)
        inside[:active] = 1
        inside[active:] = 0
        y[:] = 0
        for i in range(active):
            y[i] = w[i] / inverse[i]
        start = _residual(rows, target[token], inverse, count, q, gradient)
        error = _steps(
            rows, y, inverse, gradient, inside, count, first, fixed, q, p, w, product, start
        )
        if _drop(y, inside, count):
            error = _restart(rows, y, target[token], inverse, count, q, w, gradient)
            error = _steps(
                rows, y, inverse, gradient, inside, count, last, fixed, q, p, w, product, error
            )
            if _drop(y, inside, count):
                error = _restart(rows, y, target[token], inverse, count, q, w, gradient)
        better = np.isfinite(error) and error <= start
        for i in range(active):
            j = columns[i]
            out[token, j] = y[i] * inverse[i] if better else z[token, j]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def _gather(gram, columns, active, rows, inverse):  # type: ignore[no-untyped-def]
    """Write `inverse`, the reciprocals of the active rows' norms, and G of the unit rows."""
    one = gram.dtype.type(1)
    for i in range(active):
        square = gram[columns[i], columns[i]]
        # A zero row has no direction, and its activation stays.
        inverse[i] = one / np.sqrt(square) if square > 0 else one
    for i in range(active):  # half of G; the loads are what takes time
        of_all, scale = gram[columns[i]], inverse[i]
        for j in range(i + 1):
            rows[i, j] = of_all[columns[j]] * (scale * inverse[j])
    for i in range(active):
        for j in range(i):
            rows[j, i] = rows[i, j]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def _at_target(decoder, columns, active, target, products):  # type: ignore[no-untyped-def]
    """products = W t for the active decoder rows W."""
    last = active - 1
    for i in range(0, active, _GROUP):
        j1, j2, j3 = min(i + 1, last), min(i + 2, last), min(i + 3, last)
        w0, w1 = decoder[columns[i]], decoder[columns[j1]]
        w2, w3 = decoder[columns[j2]], decoder[columns[j3]]
        a = b = c = d = decoder.dtype.type(0)
        for j in range(target.size):
            a += w0[j] * target[j]
            b += w1[j] * target[j]
            c += w2[j] * target[j]
            d += w3[j] * target[j]
        # In this order a last group of fewer, which repeats its last row, writes that row's value.
        products[i], products[j1], products[j2], products[j3] = a, b, c, d


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def _apply(rows, p, active, product):  # type: ignore[no-untyped-def]
    """product = G p; return p . G p."""
    total = p[0] - p[0]
    for i in range(active):
        row, value = rows[i], p[0] - p[0]
        for j in range(active):
            value += row[j] * p[j]
        product[i] = value
        total += value * p[i]
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def _gram_steps(rows, y, gradient, inside, active, sizes, fixed, p, product, error, scale):  # type: ignore[no-untyped-def]
    """As `_steps`, with G at hand; `scale` is |t|^2, in units of which the gradient is rounded."""
    eps = np.finfo(y.dtype).eps
    before = y.dtype.type(0)
    p[:active] = 0
    for k in range(sizes.size):
        square = y.dtype.type(0)
        for i in range(active):
            square += inside[i] * gradient[i] * gradient[i]
        if not square > active * (eps * eps) * scale:
            break  # what is left of the gradient is rounding
        beta = square / before if before > 0 and not fixed else before - before
        before = square
        length = y.dtype.type(0)
        for i in range(active):
            p[i] = inside[i] * gradient[i] + beta * p[i]
            length += p[i] * p[i]
        curvature = _apply(rows, p, active, product)
        if not curvature > active * eps * length:
            break  # a direction in which duplicate decoder rows cancel
        alpha = sizes[k] if fixed else square / curvature
        for i in range(active):
            y[i] += alpha * p[i]
            gradient[i] -= alpha * product[i]
        error += alpha * (alpha * curvature - square - square)
    return error


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def _gram_restart(rows, y, start, gradient_at_start, active, p, product, gradient):  # type: ignore[no-untyped-def]
    """gradient = D r at y; return |r|^2 less what it was at the start."""
    change = y[0] - y[0]
    for i in range(active):
        p[i] = y[i] - start[i]
        change -= 2 * p[i] * gradient_at_start[i]
    change += _apply(rows, p, active, product)
    for i in range(active):
        gradient[i] = gradient_at_start[i] - product[i]
    return change


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def _refine_one(z, scale, gram, columns, at_start, rows, work, out, first, last, fixed):  # type: ignore[no-untyped-def]
    """Refine one token whose products with the target, W t, are in `at_start`."""
    active = columns.size
    inverse, y, gradient, inside, p, product, start = (
        work[0], work[1], work[2], work[3], work[4], work[5], work[6],
    )  # fmt: skip
    _gather(gram, columns, active, rows, inverse)
    for i in range(active):
        start[i] = y[i] = z[columns[i]] / inverse[i]
        inside[i] = 1
    _apply(rows, start, active, product)
    for i in range(active):
        at_start[i] = at_start[i] * inverse[i] - product[i]
        gradient[i] = at_start[i]
    zero = scale - scale
    change = _gram_steps(rows, y, gradient, inside, active, first, fixed, p, product, zero, scale)
    if _drop(y, inside, active):
        change = _gram_restart(rows, y, start, at_start, active, p, product, gradient)
        change = _gram_steps(
            rows, y, gradient, inside, active, last, fixed, p, product, change, scale
        )
        if _drop(y, inside, active):
            change = _gram_restart(rows, y, start, at_start, active, p, product, gradient)
    better = np.isfinite(change) and change <= 0
    for i in range(active):
        out[columns[i]] = y[i] * inverse[i] if better else z[columns[i]]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def refine_with_gram(z, target, decoder, gram, out, first, last, fixed, begin, end):  # type: ignore[no-untyped-def]
    """As `refine_rows`, with `gram`, the products of all decoder rows (d_sae, d_sae)."""
    counts = np.empty(_TOKENS, np.int64)
    for chunk in range(begin, end, _TOKENS):
        stop = min(chunk + _TOKENS, end)
        total = most = 0
        for token in range(chunk, stop):
            active = int(np.count_nonzero(z[token]))
            total += active
            most = max(most, active)
        columns = np.empty(total + z.shape[1] + 1, np.int64)  # written ahead by up to a row
        at_target = np.empty(total, z.dtype)
        place = 0
        for token in range(chunk, stop):
            active = _active(z[token], columns[place:])
            own = slice(place, place + active)
            _at_target(decoder, columns[own], active, target[token], at_target[own])
            counts[token - chunk] = active
            place += active
        store, work = np.empty(most * most, z.dtype), np.empty((7, most), z.dtype)
        place = 0
        for token in range(chunk, stop):
            active = counts[token - chunk]
            own = slice(place, place + active)
            place += active
            if active:
                rows = store[: active * active].reshape(active, active)
                size = _square(target[token])
                given = (z[token], size, gram, columns[own], at_target[own])
                _refine_one(*given, rows, work, out[token], first, last, fixed)
