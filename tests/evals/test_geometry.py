from dataclasses import replace

import numpy as np
import pytest
import torch

from rsae_evals import evaluation_set
from rsae_evals.analysis.geometry import geometry
from rsae_evals.coder import as_coder
from rsae_evals.metrics.sparsity import density_histogram, histogram


def moved(coder, teacher, data):
    return geometry(as_coder(coder), as_coder(teacher), "teacher", evaluation_set(data))


def test_nothing_moved(teacher, data):
    found = moved(teacher, teacher, data)
    assert found.medians == pytest.approx(
        {"decoder_cosine": 1, "firing_overlap": 1, "norm_ratio": 1}
    )
    assert found.flows == {"alive_alive": 40, "alive_dead": 0, "dead_alive": 0, "dead_dead": 0}


def test_overlap_and_flows_against_sets(teacher, data):
    threshold = teacher.threshold.clone()
    threshold[:10], threshold[10:13] = 1.2, 1e9
    other = replace(teacher, threshold=threshold)
    found = moved(other, teacher, data)
    ours, theirs = (c.encode(data).numpy() != 0 for c in (other, teacher))
    jaccard = (ours & theirs).sum(0) / (ours | theirs).sum(0)
    assert found.medians["firing_overlap"] == pytest.approx(np.median(jaccard))
    assert found.flows == {"alive_alive": 37, "alive_dead": 3, "dead_alive": 0, "dead_dead": 0}
    by_feature = {change.feature: change for change in found.changed}
    assert {10, 11, 12} <= set(by_feature)
    assert by_feature[10].firing_overlap == 0
    assert by_feature[10].density_after == 0
    assert by_feature[10].density_before == pytest.approx(theirs[:, 10].mean())


def test_rotation_and_norm_are_measured(teacher, data):
    angle = torch.pi / 3
    rows = teacher.W_dec.clone()
    a, b = rows[0].clone(), rows[1].clone()
    rows[0] = 2 * (torch.cos(torch.tensor(angle)) * a + torch.sin(torch.tensor(angle)) * b)
    found = moved(replace(teacher, W_dec=rows), teacher, data)
    first = found.changed[0]
    assert first.feature == 0
    assert first.decoder_cosine == pytest.approx(0.5, abs=1e-6)
    assert first.norm_ratio == pytest.approx(2, abs=1e-6)


def test_other_dictionaries_do_not_match(teacher, data):
    narrow = {"W_enc": torch.eye(48), "b_enc": torch.zeros(48),
              "W_dec": torch.eye(48), "b_dec": torch.zeros(48)}  # fmt: skip
    assert moved(narrow, teacher, data) is None


def test_histograms_lose_no_value():
    found = histogram(np.array([-9.0, 0.1, 0.5, 1.0, 9.0]), np.linspace(0, 1, 3))
    assert found.counts == (2, 3)
    density = density_histogram(np.array([0.0, 1e-9, 1e-3, 1.0]))
    assert sum(density.counts) == 3
