"""What can go wrong when something is evaluated; one line each, the cause and the next step."""

from rsae.errors import RsaeError

__all__ = ["ComparisonRefused", "EvaluationError"]


class EvaluationError(RsaeError):
    """The thing to evaluate, or what it is evaluated on, cannot be used."""


class ComparisonRefused(EvaluationError):
    """Variants must not be compared: other tokens, or tokens that one was trained on."""
