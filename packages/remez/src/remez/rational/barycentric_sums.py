"""The sums of a barycentric form and of its derivative, at real and complex points."""

from __future__ import annotations

import numpy as np

__all__ = ["polynomial", "quotient", "slope_of_quotient"]


def quotient(
    u: np.ndarray, nodes: np.ndarray, values: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """``sum_k w_k v_k/(u - z_k) / sum_k w_k/(u - z_k)``, and the sign of q, 0 off the real line."""
    if np.iscomplexobj(u):
        return _complex_quotient(u, nodes, values, weights), np.zeros(u.size)
    from remez import curve_kernels

    parts = (np.ascontiguousarray(part, float) for part in (nodes, values, weights))
    r, sign = curve_kernels.quotient(u, *parts)
    return r, sign


def polynomial(
    u: np.ndarray, nodes: np.ndarray, values: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`quotient` where q is 1: beyond the nodes ``sum_k w_k/(u - z_k)``, which is lost to
    cancellation there, is ``w_k prod_(j != k) (z_k - z_j)/prod_j (u - z_j)`` for any k.
    """
    r, sign = quotient(u, nodes, values, weights)
    if np.iscomplexobj(u):
        return r, sign
    near = 1e-3 * np.ptp(nodes) / nodes.size**2  # so near an end nothing cancels
    far = ((u < nodes[0] - near) | (u > nodes[-1] + near)) & np.isfinite(u)
    if far.any():
        k = int(np.abs(weights).argmax())
        gap = u[far, None] - nodes
        ratio = gap / np.where(nodes == nodes[k], 1.0, nodes[k] - nodes)
        with np.errstate(over="ignore", invalid="ignore"):
            size = np.exp(np.log(np.abs(ratio)).sum(1)) * np.sign(ratio).prod(1)
            r[far] = size * ((weights / weights[k] * values) / gap).sum(1)
    return r, sign


def _complex_quotient(
    u: np.ndarray, nodes: np.ndarray, values: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """The quotient at complex points; its value at a support point, its limit at infinity."""
    gap = u[:, None] - nodes
    with np.errstate(all="ignore"):
        cauchy = weights / gap
        out: np.ndarray = (cauchy @ values) / cauchy.sum(1)
        out[np.isinf(u)] = (weights @ values) / weights.sum()
    row, column = np.nonzero(gap == 0)
    out[row] = values[column]
    return out


def slope_of_quotient(
    u: np.ndarray, nodes: np.ndarray, values: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """The derivative of `quotient`.

    The difference quotient of r and its value at the nearest node is formed from differences
    of the values, and both sums are multiplied by the distance from that node.
    """
    rows = np.arange(u.size)
    r, _ = quotient(u, nodes, values, weights)
    gap = u[:, None] - nodes
    near = np.abs(gap).argmin(1)
    here, weight = gap[rows, near], weights[near]
    with np.errstate(all="ignore"):
        cauchy = weights / gap
        difference = (r[:, None] - values) / gap
    cauchy[rows, near] = difference[rows, near] = 0.0
    bottom = weight + here * cauchy.sum(1)
    first = (cauchy * (values - values[near][:, None])).sum(1) / bottom
    slope: np.ndarray = (weight * first + here * (cauchy * difference).sum(1)) / bottom
    return slope
