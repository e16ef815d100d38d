"""The names of the metrics: what each means and which way is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Meaning:
    """A metric's ``label`` for tables, ``definition`` in a line, ``unit``, and what is ``better``.

    ``better = "one"`` means the nearer to 1 the better; ``"none"`` that it has no better side.
    """

    label: str
    definition: str
    better: Literal["lower", "higher", "one", "none"]
    unit: str = ""

    @property
    def heading(self) -> str:
        """The label with its unit, where it has one."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


METRICS: dict[str, Meaning] = {
    "mse": Meaning(
        "MSE",
        "mean over tokens of the squared error summed over d_in",
        "lower",
        "squared units of x",
    ),
    "explained_variance": Meaning(
        "explained variance", "1 - E‖x - x̂‖² / (E‖x‖² - ‖E x‖²), pooled over tokens", "higher"
    ),
    "fvu": Meaning("FVU", "fraction of variance unexplained, 1 - explained variance", "lower"),
    "l0": Meaning(
        "strict L0",
        "mean over tokens of the number of features with z ≠ 0",
        "lower",
        "features per token",
    ),
    "l1": Meaning("L1", "mean over tokens of the sum of |z|", "none"),
    "cossim": Meaning("cosine", "mean over tokens of the cosine of x and x̂", "higher"),
    "l2_ratio": Meaning("L2 ratio", "mean over tokens of ‖x̂‖ / ‖x‖", "one"),
    "relative_reconstruction_bias": Meaning(
        "reconstruction bias", "E‖x̂‖² / E⟨x, x̂⟩ (arXiv 2404.16014, equation 10)", "one"
    ),
    "frac_alive": Meaning(
        "alive",
        "share of features with z ≠ 0 on at least one evaluation token",
        "higher",
        "share",
    ),
    "ce_loss_without_sae": Meaning(
        "CE clean", "mean next-token cross entropy, residual stream untouched", "none", "nats"
    ),
    "ce_loss_with_sae": Meaning(
        "CE spliced",
        "mean next-token cross entropy, residual stream replaced by x̂",
        "lower",
        "nats",
    ),
    "ce_loss_with_ablation": Meaning(
        "CE ablated",
        "mean next-token cross entropy, residual stream replaced by zeros",
        "none",
        "nats",
    ),
    "delta_ce": Meaning(
        "ΔCE",
        "what next-token prediction loses with x̂ in place of x: CE spliced - CE clean",
        "lower",
        "nats per token",
    ),
    "ce_loss_score": Meaning(
        "loss recovered",
        "1 where x̂ predicts as well as x, 0 where as badly as zeros: "
        "(CE ablated - CE spliced) / (CE ablated - CE clean)",
        "higher",
    ),
    "kl_div_with_sae": Meaning(
        "KL", "mean KL(clean ‖ spliced) of next-token distributions", "lower", "nats"
    ),
    "sae_top_1_test_accuracy": Meaning("probe k = 1", "k-sparse probing accuracy", "higher"),
    "sae_top_2_test_accuracy": Meaning("probe k = 2", "k-sparse probing accuracy", "higher"),
    "sae_top_5_test_accuracy": Meaning("probe k = 5", "k-sparse probing accuracy", "higher"),
    "sae_top_16_test_accuracy": Meaning("probe k = 16", "k-sparse probing accuracy", "higher"),
    "f1": Meaning(
        "F1",
        "mean over latents of the F1 score as detectors of their nearest true feature",
        "higher",
    ),
    "mcc": Meaning(
        "MCC", "mean |cosine| of decoder rows and true features, matched one to one", "higher"
    ),
    "precision": Meaning(
        "precision",
        "mean over latents: share of firings on which the true feature fires",
        "none",
    ),
    "recall": Meaning(
        "recall",
        "mean over latents: share of the true feature's firings on which the latent fires",
        "none",
    ),
    "shrinkage": Meaning("shrinkage", "mean over samples of ‖x̂‖ / ‖x‖", "one"),
    "uniqueness": Meaning(
        "uniqueness", "share of distinct true features among the latents' nearest", "higher"
    ),
    "true_features_found": Meaning(
        "true features found",
        "number of true features with |cosine| > 0.8 to a decoder row",
        "higher",
    ),
}
