"""Is the upgraded sparse autoencoder better? Every metric, on the same evaluation set."""

from rsae_evals.analysis.feature_identity import feature_identity
from rsae_evals.coder import SparseCoder, as_coder
from rsae_evals.comparison.comparing import compare
from rsae_evals.comparison.known import known_features
from rsae_evals.data.evaluation_set import evaluation_set
from rsae_evals.errors import ComparisonRefused, EvaluationError
from rsae_evals.evaluation import evaluate
from rsae_evals.metrics.downstream import Splicing, downstream
from rsae_evals.metrics.probing import Probing, probe
from rsae_evals.metrics.reconstruction import Reconstruction, reconstruction
from rsae_evals.results import Comparison, Verdict

__all__ = [
    "Comparison",
    "ComparisonRefused",
    "EvaluationError",
    "Probing",
    "Reconstruction",
    "SparseCoder",
    "Splicing",
    "Verdict",
    "as_coder",
    "compare",
    "downstream",
    "evaluate",
    "evaluation_set",
    "feature_identity",
    "known_features",
    "probe",
    "reconstruction",
]
