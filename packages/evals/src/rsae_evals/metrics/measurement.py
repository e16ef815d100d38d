"""What a metric measures: sums over units that can be resampled, and further arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rsae_evals.coder import Coder
from rsae_evals.data.evaluation_set import EvaluationSet

Array = NDArray[np.float64]
Totals = Mapping[str, Array]
Progress = Callable[[str, float], None]
"""Called as progress(what, share done) by operations that may take long."""


@dataclass(frozen=True, eq=False)
class Measurement:
    """The raw result of one SAE.

    Attributes:
        sums: Name → (n_units, …) float64, additive over units (sequences, or texts). Every figure
            is a function of their totals.
        extras: Name → any array that is not resampled (firing counts, per-token values, …).
        document: The (n_units,) document of each unit, or None where it is not known. Units of
            one document are correlated, so a bootstrap resamples whole documents.
    """

    sums: dict[str, Array]
    extras: dict[str, NDArray] = field(default_factory=dict)
    document: NDArray | None = None

    def totals(self) -> dict[str, Array]:
        """The sums over all units."""
        return {name: np.sum(values, axis=0) for name, values in self.sums.items()}

    @cached_property
    def clusters(self) -> dict[str, Array]:
        """The sums over what is resampled: documents, or units where no document is known."""
        if self.document is None:
            return self.sums
        names, index = np.unique(self.document, return_inverse=True)
        found = {}
        for name, values in self.sums.items():
            found[name] = np.zeros((len(names), *values.shape[1:]))
            np.add.at(found[name], index, values)
        return found

    @property
    def effective_clusters(self) -> float:
        """(Σ n_g)² / Σ n_g², n_g the number of units of cluster g (Kish's effective size)."""
        if self.document is None:
            return float(self.n_clusters)
        sizes = np.unique(self.document, return_counts=True)[1].astype(np.float64)
        return float(sizes.sum() ** 2 / np.sum(sizes**2))

    @property
    def n_clusters(self) -> int:
        """Number of documents, or of units where no document is known."""
        return len(next(iter(self.clusters.values())))


class Metric(Protocol):
    """One family of metrics, measured for several SAEs in one pass over the same tokens."""

    @property
    def name(self) -> str:
        """A name that changes whenever the settings do: results are cached under it."""
        ...

    def measure(
        self, saes: Sequence[Coder], heldout: EvaluationSet, progress: Progress | None = None
    ) -> list[Measurement]:
        """One measurement per SAE, in order."""
        ...

    def values(self, totals: Totals) -> dict[str, Array]:
        """Figures from totals; leading axes (resamples) broadcast; NaN is "undefined"."""
        ...

    def fixed(self, measurement: Measurement) -> dict[str, float]:
        """Figures that do not come from sums, and so have no interval over units."""
        ...

    def untrained(self, d_in: int, d_sae: int, l0: float) -> dict[str, Coder]:
        """Untrained baselines, by name, to be measured beside the SAEs."""
        ...
