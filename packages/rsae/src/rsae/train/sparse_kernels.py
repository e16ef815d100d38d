"""Products of sparse matrices on the CPU, compiled by numba when first asked for.

Import this module only inside a function: importing it is what compiles (or loads) it. A sparse
matrix is given row by row (CSR): `starts` (n_rows + 1,), `columns` and `values` (nnz,). Each
function does the rows from `begin` to `end`, so that several threads can share the work.

Shapes: n_rows tokens, n_cols features, nnz entries, d columns of the dense factor.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["count_above", "multiply", "sample", "write_above"]

_SCAN = 32  # entries that are tested together; most groups have none above
_GROUP = 4  # rows added together, so that a row of the result is read and written once for all

# NaN and infinity keep their meaning; only the order of sums is left to the compiler.
_MATH = {"reassoc", "contract", "nsz"}


@njit(cache=True, nogil=True, error_model="numpy")
def count_above(h, cut, counts, begin, end):  # type: ignore[no-untyped-def]
    """counts[i] = how many j have h[i, j] > cut[j]."""
    for i in range(begin, end):
        row = h[i]
        total = 0
        for j in range(row.size):
            total += int(row[j] > cut[j])
        counts[i] = total


@njit(cache=True, nogil=True, error_model="numpy")
def write_above(h, cut, starts, rows, columns, values, begin, end):  # type: ignore[no-untyped-def]
    """Write row, column and value of the entries of h above `cut`, row i from starts[i] on."""
    full = h.shape[1] // _SCAN * _SCAN
    for i in range(begin, end):
        row = h[i]
        at = starts[i]
        for first in range(0, full, _SCAN):
            total = np.int32(0)
            for j in range(_SCAN):
                total += np.int32(row[first + j] > cut[first + j])
            if total == 0:
                continue
            for j in range(first, first + _SCAN):
                if row[j] > cut[j]:
                    rows[at], columns[at], values[at] = i, j, row[j]
                    at += 1
        for j in range(full, row.size):
            if row[j] > cut[j]:
                rows[at], columns[at], values[at] = i, j, row[j]
                at += 1


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def multiply(starts, columns, values, dense, out, begin, end):  # type: ignore[no-untyped-def]
    """out = S @ dense, (n_cols, k) → (n_rows, k)."""
    for i in range(begin, end):
        total = out[i]
        total[:] = 0
        full = starts[i] + (starts[i + 1] - starts[i]) // _GROUP * _GROUP
        for e in range(starts[i], full, _GROUP):
            a, b, c, d = values[e], values[e + 1], values[e + 2], values[e + 3]
            p, q = dense[columns[e]], dense[columns[e + 1]]
            r, s = dense[columns[e + 2]], dense[columns[e + 3]]
            for j in range(total.size):
                total[j] += a * p[j] + b * q[j] + c * r[j] + d * s[j]
        for e in range(full, starts[i + 1]):
            a, p = values[e], dense[columns[e]]
            for j in range(total.size):
                total[j] += a * p[j]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_MATH)
def sample(starts, columns, left, right, out, begin, end):  # type: ignore[no-untyped-def]
    """out = left @ right^T at the entries, (n_rows, k), (n_cols, k) → (nnz,)."""
    for i in range(begin, end):
        p = left[i]
        for e in range(starts[i], starts[i + 1]):
            q = right[columns[e]]
            total = p.dtype.type(0)
            for j in range(p.size):
                total += p[j] * q[j]
            out[e] = total
