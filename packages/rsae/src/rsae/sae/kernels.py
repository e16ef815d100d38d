"""The refinement steps on the CPU, compiled by numba when first asked for and cached on disk.

Import this module only inside a function: importing it is what compiles (or loads) it. What the
loops compute, and why, is in `rsae.sae.refinement`, whose batched products are the same algorithm.

Cost per token with k active features: the k decoder rows are copied once into a buffer of column
blocks, and one application of G = D D^T reads a block twice while it is in the L1 cache, so that K
steps read the buffer K + 1 times: 4 (K + 1) k d operations.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["refine_rows"]

_BLOCK = 96  # columns: 64 rows of 96 float32 are 24 KiB, which an L1 cache of 32 KiB holds
_GROUP = 4  # rows taken together, so that the products load each element of q once for all
_SCAN = 32  # entries that are tested for a nonzero value together

# NaN and infinity keep their meaning, because the guard relies on it; only the order of sums is
# left to the compiler.
_MATH = {"reassoc", "contract", "nsz", "arcp"}


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def _active(z, columns):  # type: ignore[no-untyped-def]
    """Write the indices of the nonzero entries of z into `columns`; return how many they are."""
    count = 0
    for begin in range(0, z.size, _SCAN):
        end = min(begin + _SCAN, z.size)
        total = z.dtype.type(0)
        for j in range(begin, end):
            total += abs(z[j])
        if total == 0:
            continue
        for j in range(begin, end):  # without a branch, which would be mispredicted
            columns[count] = j
            count += int(z[j] != 0)
    return count


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def _load(decoder, columns, count, rows, norms):  # type: ignore[no-untyped-def]
    """Copy the active decoder rows, scaled to norm 1, into blocks (d / 96, k, 96)."""
    d = decoder.shape[1]
    full = d // _BLOCK
    one = decoder.dtype.type(1)
    last = count - 1
    for i in range(0, count, _GROUP):  # four rows at a time: their loads from memory overlap
        j1, j2, j3 = min(i + 1, last), min(i + 2, last), min(i + 3, last)
        w0, w1 = decoder[columns[i]], decoder[columns[j1]]
        w2, w3 = decoder[columns[j2]], decoder[columns[j3]]
        s0 = s1 = s2 = s3 = decoder.dtype.type(0)
        for c in range(d):
            s0 += w0[c] * w0[c]
            s1 += w1[c] * w1[c]
            s2 += w2[c] * w2[c]
            s3 += w3[c] * w3[c]
        norms[i], norms[j1], norms[j2], norms[j3] = s0, s1, s2, s3
    for i in range(count):
        w = decoder[columns[i]]
        norm = np.sqrt(norms[i])
        if not norm > 0:
            norm = norm + one  # a zero row: it has no direction, and its activation stays
        norms[i] = norm
        scale = one / norm
        for b in range(full):
            for c in range(_BLOCK):
                rows[b, i, c] = w[b * _BLOCK + c] * scale
        for c in range(full * _BLOCK, d):
            rows[full, i, c - full * _BLOCK] = w[c] * scale


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def _combine(block, weights, count, q):  # type: ignore[no-untyped-def]
    """q += sum_i weights[i] block[i] over `count` rows, a multiple of 4."""
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
def _gram(rows, p, count, q, product):  # type: ignore[no-untyped-def]
    """product = D D^T p."""
    product[:count] = 0
    for b in range(rows.shape[0]):
        q[:] = 0
        _combine(rows[b], p, count, q)
        _project(rows[b], q, count, product)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def _residual(rows, y, target, count, q, gradient):  # type: ignore[no-untyped-def]
    """gradient = D r for r = target - D^T y; return |r|^2."""
    gradient[:count] = 0
    error = q[0] - q[0]
    d = target.size
    for b in range(rows.shape[0]):
        q[:] = 0
        _combine(rows[b], y, count, q)
        begin = b * _BLOCK
        for j in range(_BLOCK):
            r = target[begin + j] - q[j] if begin + j < d else q[j]
            q[j] = r
            error += r * r
        _project(rows[b], q, count, gradient)
    return error


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def _dot(a, b, count):  # type: ignore[no-untyped-def]
    total = a[0] * b[0]
    for i in range(1, count):
        total += a[i] * b[i]
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def _steps(rows, y, gradient, inside, count, sizes, fixed, q, p, product, error):  # type: ignore[no-untyped-def]
    """Take the steps on the features `inside`; return |r|^2 after them."""
    eps = np.finfo(y.dtype).eps
    before = y.dtype.type(0)
    p[:count] = 0
    for size in sizes:
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
            length += p[i] * p[i]
        _gram(rows, p, count, q, product)
        curvature = _dot(p, product, count)
        if not curvature > count * eps * length:
            break  # a direction in which duplicate decoder rows cancel
        alpha = size if fixed else square / curvature
        for i in range(count):
            y[i] += alpha * p[i]
            gradient[i] -= alpha * product[i]
        error += alpha * (alpha * curvature - square - square)
    return error


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def _drop(rows, y, gradient, inside, count, q, p, product, error):  # type: ignore[no-untyped-def]
    """Set activations at or below 0 to 0 and take them out of `inside`; how many, and |r|^2."""
    dropped = 0
    for i in range(count):
        p[i] = 0
        if inside[i] > 0 and not y[i] > 0:
            p[i] = -y[i]
            y[i] = 0
            inside[i] = 0
            dropped += 1
    if dropped:
        _gram(rows, p, count, q, product)
        error += _dot(p, product, count) - 2 * _dot(p, gradient, count)
        for i in range(count):
            gradient[i] -= product[i]
    return dropped, error


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def refine_rows(z, target, decoder, out, first, last, fixed, begin, end):  # type: ignore[no-untyped-def]
    """Refine tokens begin to end of z (n, d_sae) into `out`, which holds zeros.

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
    q = np.zeros(_BLOCK, z.dtype)
    for token in range(begin, end):
        active = _active(z[token], columns)
        if active == 0:
            continue
        count = -(-active // _GROUP) * _GROUP
        if count > capacity:
            capacity = count
            store = np.zeros(blocks * count * _BLOCK, z.dtype)
            work = np.zeros((6, count), z.dtype)
        rows = store[: blocks * count * _BLOCK].reshape(blocks, count, _BLOCK)
        norms, y, gradient, inside, p, product = (
            work[0], work[1], work[2], work[3], work[4], work[5],
        )  # fmt: skip
        rows[:, active:] = 0
        if decoder.shape[1] % _BLOCK:
            rows[-1] = 0
        _load(decoder, columns, active, rows, norms)
        for i in range(count):
            y[i] = 0
            inside[i] = 0
        for i in range(active):
            y[i] = z[token, columns[i]] * norms[i]
            inside[i] = 1
        start = _residual(rows, y, target[token], count, q, gradient)
        error = _steps(rows, y, gradient, inside, count, first, fixed, q, p, product, start)
        dropped, error = _drop(rows, y, gradient, inside, count, q, p, product, error)
        if dropped:
            error = _steps(rows, y, gradient, inside, count, last, fixed, q, p, product, error)
            dropped, error = _drop(rows, y, gradient, inside, count, q, p, product, error)
        if np.isfinite(error) and error <= start:
            for i in range(active):
                out[token, columns[i]] = y[i] / norms[i]
        else:
            for i in range(active):
                out[token, columns[i]] = z[token, columns[i]]
