"""First references."""

from __future__ import annotations

import numpy as np

from .reduction import Reduced

__all__ = ["chebyshev"]


def chebyshev(reduced: Reduced) -> np.ndarray:
    """Chebyshev extrema, shared among the components by their length."""
    lengths = np.diff(reduced.components, axis=1).ravel()
    counts = np.maximum(np.floor(reduced.size * lengths / lengths.sum()), 1).astype(int)
    while counts.sum() != reduced.size:
        share = lengths / counts if counts.sum() < reduced.size else -lengths / counts
        counts[share.argmax()] += 1 if counts.sum() < reduced.size else -1
    parts = []
    for (low, high), count in zip(reduced.components, counts, strict=True):
        t = -np.cos(np.pi * np.arange(count) / (count - 1)) if count > 1 else np.zeros(1)
        parts.append(0.5 * (low + high) + 0.5 * (high - low) * t)
    return np.concatenate(parts)
