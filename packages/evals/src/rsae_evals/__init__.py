"""Is the upgraded sparse autoencoder better? Every metric, on the same frozen tokens."""

from rsae_evals.compare import compare
from rsae_evals.comparison import Comparison, Verdict
from rsae_evals.errors import ComparisonRefused, EvaluationError
from rsae_evals.evaluate import evaluate
from rsae_evals.heldout import freeze
from rsae_evals.metrics.downstream import downstream
from rsae_evals.metrics.reconstruction import reconstruction
from rsae_evals.probing import probe
from rsae_evals.protocols import SparseCoder, as_coder

__all__ = [
    "Comparison",
    "ComparisonRefused",
    "EvaluationError",
    "SparseCoder",
    "Verdict",
    "as_coder",
    "compare",
    "downstream",
    "evaluate",
    "freeze",
    "probe",
    "reconstruction",
]
