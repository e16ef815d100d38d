"""What a metric measures: sums over units that can be resampled, and what else it saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rsae_evals.coder import Coder
from rsae_evals.data.evaluation_set import EvaluationSet

Array = NDArray[np.float64]
Totals = Mapping[str, Array]
Progress = Callable[[str, float], None]
"""Called as progress(what, share done) by what may take long."""


@dataclass(frozen=True, eq=False)
class Measurement:
    """One coder's raw result.

    Attributes:
        sums: name → (n_units, …) float64, additive over units (sequences, or texts). Every figure
            is a function of their totals, so a bootstrap over units resamples rows.
        extras: name → any array that is not resampled (firing counts, per-token values, …).
    """

    sums: dict[str, Array]
    extras: dict[str, NDArray] = field(default_factory=dict)

    def totals(self) -> dict[str, Array]:
        """The sums over all units."""
        return {name: np.sum(values, axis=0) for name, values in self.sums.items()}


class Metric(Protocol):
    """One family of metrics, measured for several coders in one pass over the same tokens."""

    @property
    def name(self) -> str:
        """A name that changes whenever the settings do: results are cached under it."""
        ...

    def measure(
        self, coders: Sequence[Coder], heldout: EvaluationSet, progress: Progress | None = None
    ) -> list[Measurement]:
        """One measurement per coder, in order."""
        ...

    def values(self, totals: Totals) -> dict[str, Array]:
        """Figures from totals; leading axes (resamples) broadcast; NaN is "undefined"."""
        ...

    def fixed(self, measurement: Measurement) -> dict[str, float]:
        """Figures that do not come from sums, and so have no interval over units."""
        ...

    def floors(self, d_in: int, d_sae: int, l0: float) -> dict[str, Coder]:
        """Coders that show what is reached without any training, to be measured beside."""
        ...
