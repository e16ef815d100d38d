"""The metrics: one file each, and what their names mean."""

from rsae_evals.metrics.catalogue import METRICS, Meaning

__all__ = ["METRICS", "Meaning"]
