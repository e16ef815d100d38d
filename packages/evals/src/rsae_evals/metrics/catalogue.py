"""The names of the metrics: what each means and which way is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Meaning:
    """A metric's ``label`` for tables, its one-line ``definition``, and which way is ``better``.

    ``better = "one"`` means the nearer to 1 the better; ``"none"`` that it has no better side.
    """

    label: str
    definition: str
    better: Literal["lower", "higher", "one", "none"]


METRICS: dict[str, Meaning] = {
    "mse": Meaning("MSE", "mean over tokens of the squared error summed over d_in", "lower"),
    "explained_variance": Meaning(
        "explained variance", "1 - E‖x - x̂‖² / (E‖x‖² - ‖E x‖²), pooled over tokens", "higher"
    ),
    "fvu": Meaning("FVU", "fraction of variance unexplained, 1 - explained variance", "lower"),
    "l0": Meaning("strict L0", "mean over tokens of the number of features with z ≠ 0", "lower"),
    "l1": Meaning("L1", "mean over tokens of the sum of |z|", "none"),
    "cossim": Meaning("cosine", "mean over tokens of the cosine of x and x̂", "higher"),
    "l2_ratio": Meaning("L2 ratio", "mean over tokens of ‖x̂‖ / ‖x‖", "one"),
    "relative_reconstruction_bias": Meaning(
        "reconstruction bias", "E‖x̂‖² / E⟨x, x̂⟩ (arXiv 2404.16014, equation 10)", "one"
    ),
    "frac_alive": Meaning(
        "alive", "share of features with z ≠ 0 on at least one evaluation token", "higher"
    ),
    "ce_loss_without_sae": Meaning(
        "CE clean", "mean next-token cross entropy, residual stream untouched", "none"
    ),
    "ce_loss_with_sae": Meaning(
        "CE spliced", "mean next-token cross entropy, residual stream replaced by x̂", "lower"
    ),
    "ce_loss_with_ablation": Meaning(
        "CE ablated", "mean next-token cross entropy, residual stream replaced by zeros", "none"
    ),
    "delta_ce": Meaning("ΔCE", "CE spliced - CE clean", "lower"),
    "ce_loss_score": Meaning(
        "loss recovered", "(CE ablated - CE spliced) / (CE ablated - CE clean)", "higher"
    ),
    "kl_div_with_sae": Meaning("KL", "mean KL(clean ‖ spliced) of next-token laws", "lower"),
    "sae_top_1_test_accuracy": Meaning("probe k = 1", "k-sparse probing accuracy", "higher"),
    "sae_top_2_test_accuracy": Meaning("probe k = 2", "k-sparse probing accuracy", "higher"),
    "sae_top_5_test_accuracy": Meaning("probe k = 5", "k-sparse probing accuracy", "higher"),
    "sae_top_16_test_accuracy": Meaning("probe k = 16", "k-sparse probing accuracy", "higher"),
}
