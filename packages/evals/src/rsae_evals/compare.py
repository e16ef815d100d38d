"""Teacher, control and RSAE on the same tokens."""

from rsae_evals.comparison import Comparison

__all__ = ["Comparison"]
