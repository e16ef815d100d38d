from dataclasses import replace

import numpy as np
import pytest
import torch

from rsae_evals import EvaluationError, evaluation_set, feature_identity
from rsae_evals.metrics.sparsity import density_histogram, histogram


def moved(sae, teacher, data):
    return feature_identity(sae, teacher, evaluation_set(data))


def test_nothing_moved(teacher, data):
    found = moved(teacher, teacher, data)
    for name in ("decoder_cosine", "encoder_cosine", "firing_jaccard", "activation_correlation",
                 "firing_rate_ratio", "norm_ratio"):  # fmt: skip
        figure = found.figures[name]
        assert (figure.median, figure.tenth_percentile) == pytest.approx((1, 1), abs=1e-6)
        assert figure.share_above_half == 1
    assert (found.matched_by, found.n_features) == ("index", 40)
    assert found.flows == {"alive_alive": 40, "alive_dead": 0, "dead_alive": 0, "dead_dead": 0}


def test_figures_against_sets_and_numpy(teacher, data):
    threshold = teacher.threshold.clone()
    threshold[:10], threshold[10:13] = 1.2, 1e9
    other = replace(teacher, threshold=threshold)
    found = moved(other, teacher, data)
    a, b = (c.encode(data).double().numpy() for c in (other, teacher))
    ours, theirs = a != 0, b != 0
    jaccard = (ours & theirs).sum(0) / (ours | theirs).sum(0)
    figure = found.figures["firing_jaccard"]
    assert figure.median == pytest.approx(np.median(jaccard))
    assert figure.tenth_percentile == pytest.approx(np.quantile(jaccard, 0.1))
    assert figure.share_above_half == pytest.approx(np.mean(jaccard > 0.5))
    correlations = [np.corrcoef(a[:, j], b[:, j])[0, 1] for j in range(40) if a[:, j].any()]
    assert found.figures["activation_correlation"].median == pytest.approx(np.median(correlations))
    ratio = ours.sum(0) / theirs.sum(0)
    assert found.figures["firing_rate_ratio"].tenth_percentile == pytest.approx(
        np.quantile(ratio, 0.1)
    )
    assert found.flows == {"alive_alive": 37, "alive_dead": 3, "dead_alive": 0, "dead_dead": 0}
    by_feature = {change.feature: change for change in found.changed}
    assert {10, 11, 12} <= set(by_feature)
    assert by_feature[10].firing_jaccard == 0
    assert by_feature[10].density_after == 0
    assert by_feature[10].density_before == pytest.approx(theirs[:, 10].mean())


def test_features_that_hardly_fire_do_not_count(teacher, data):
    found = feature_identity(teacher, teacher, evaluation_set(data[:100]))
    fires = (teacher.encode(data[:100]) != 0).sum(0)
    assert found.n_features == int((fires >= 10).sum()) < 40


def test_a_shuffled_dictionary_is_matched_by_cosine(teacher, data):
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    shuffled = replace(teacher, W_enc=teacher.W_enc[:, order], W_dec=teacher.W_dec[order])
    found = moved(shuffled, teacher, data)
    assert (found.matched_by, found.n_matched) == ("cosine", 40)
    assert found.figures["firing_jaccard"].median == 1
    for change in found.changed:
        assert change.reference_feature == order[change.feature]


def test_an_unrelated_dictionary_does_not_match(teacher, data):
    draw = torch.Generator().manual_seed(9)
    rows = torch.nn.functional.normalize(torch.randn(40, 48, generator=draw), dim=1)
    unrelated = replace(teacher, W_enc=rows.T.contiguous(), W_dec=rows)
    found = moved(unrelated, teacher, data)
    assert found is None or found.matched_by == "cosine"


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


def test_a_wider_dictionary_is_matched_where_it_holds_the_same_rows(teacher, data):
    wide = replace(
        teacher,
        W_enc=torch.cat([teacher.W_enc, -teacher.W_enc], dim=1),
        W_dec=torch.cat([teacher.W_dec, -teacher.W_dec]),
        b_enc=torch.zeros(80),
        threshold=torch.full((80,), 0.8),
    )
    found = moved(wide, teacher, data)
    assert (found.matched_by, found.n_matched) == ("cosine", 40)


def test_another_width_is_one_sentence(teacher, data):
    with pytest.raises(EvaluationError, match="width 8"):
        moved(teacher, teacher, data[:, :8])


def test_histograms_lose_no_value():
    found = histogram(np.array([-9.0, 0.1, 0.5, 1.0, 9.0]), np.linspace(0, 1, 3))
    assert found.counts == (2, 3)
    density = density_histogram(np.array([0.0, 1e-9, 1e-3, 1.0]))
    assert sum(density.counts) == 3
