"""The same metrics on the language model itself."""

import numpy as np
import pytest
import torch

from rsae.data.text import Tokens
from rsae_evals import downstream, probe
from rsae_evals.metrics.probing import LabelledTexts

pytestmark = pytest.mark.model
HOOK = "blocks.12.hook_resid_post"


class Scaled:
    """x̂ = factor · x."""

    d_in = d_sae = 576

    def __init__(self, factor):
        self.factor = factor

    def encode(self, x):
        return x

    def decode(self, z):
        return self.factor * z


@pytest.fixture(scope="module")
def tokens(host):
    text = (
        "It is a truth universally acknowledged, that a single man in possession of a good "
        "fortune, must be in want of a wife."
    )
    ids = torch.tensor([host.encode(text)])
    return Tokens(ids, host.is_special(ids), torch.zeros(1, dtype=torch.int64))


def test_splicing_the_residual_itself_changes_nothing(host, tokens):
    metrics = downstream(Scaled(1.0), host, tokens, HOOK).metrics()
    assert metrics["delta_ce"] == 0
    assert metrics["kl_div_with_sae"] == 0
    assert metrics["ce_loss_score"] == 1
    assert metrics["ce_loss_without_sae"] < 4 < metrics["ce_loss_with_ablation"]


def test_losses_are_those_of_the_model(host, tokens):
    logits = host.logits(tokens.ids)[0]
    truth = torch.nn.functional.cross_entropy(logits[:-1], tokens.ids[0, 1:], reduction="none")
    found = downstream(Scaled(0.5), host, tokens, HOOK)
    counted = np.isfinite(found.ce_clean[0])
    np.testing.assert_allclose(found.ce_clean[0][counted], truth.numpy()[counted], rtol=1e-4)
    assert found.metrics()["delta_ce"] > 0


def test_the_residual_stream_tells_two_languages_apart(host):
    english = ["the house is near the river and", "she walked to the market with her brother"]
    german = ["das Haus steht nahe am Fluss und", "sie ging mit ihrem Bruder auf den Markt"]
    texts = tuple(f"{t} {i}" for i in range(50) for t in (*english, *german))
    labels = ("english", "english", "german", "german") * 50
    found = probe(Scaled(1.0), host, HOOK, LabelledTexts("languages", texts, {"tongue": labels}))
    assert found["sae_top_16_test_accuracy"] > 0.95
