"""The learned magnitude against the best one, in worlds where the best one is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rsae import RSAE, RationalActivation
from rsae_evals import evaluation_set, reconstruction
from rsae_evals.analysis.activation_curve import activation_curve, best_rational, magnitudes
from rsae_evals.coder import as_coder


def with_rational(teacher, phi):
    return RSAE.from_teacher(teacher, phi)


def test_the_quadratic_is_the_reconstruction_error(teacher, data):
    """At m = 1, MSE(m) is what `reconstruction` measures on the same tokens."""
    x = data[:1024]
    found = magnitudes(as_coder(teacher), x)
    ones = np.ones(len(found.u))
    assert found.mse(ones) == pytest.approx(reconstruction(teacher, x)["mse"], rel=1e-5)
    assert found.learned == pytest.approx(ones, abs=1e-6)


def test_the_optimum_is_found(teacher, data):
    """Decoder rows are 0.9 of what made the data, so the best magnitude is about 1/0.9."""
    found = magnitudes(as_coder(teacher), data[:1024])
    best = found.optimum()
    assert best == pytest.approx(np.full(len(best), 1 / 0.9), abs=0.03)
    rng = np.random.default_rng(0)
    for _ in range(20):
        other = best + 0.05 * rng.standard_normal(len(best))
        assert found.mse(other) > found.mse(best)


def test_the_best_rational_lies_between_the_learned_and_the_optimum(teacher, data):
    curve = activation_curve(
        as_coder(with_rational(teacher, RationalActivation.constant((3, 2), 3.0))),
        as_coder(teacher),
        evaluation_set(data),
    )
    metrics = curve.metrics
    rounding = 1 + 1e-12  # both are sums in float64, and here they may be equal
    assert metrics["gate_mse_optimal"] <= metrics["gate_mse_best"] * rounding
    assert metrics["gate_mse_best"] < metrics["gate_mse"]
    assert metrics["gate_mse_best"] == pytest.approx(metrics["gate_mse_optimal"], rel=0.02)
    assert metrics["gate_error"] == pytest.approx(0, abs=1e-6)
    assert curve.degree == (3, 2)


def test_a_learned_magnitude_shows_in_the_curve_and_its_error(teacher, data):
    phi = RationalActivation([[0.0, 1.0]], [[0.0]], input_scale=4.0, output_scale=2.0)
    curve = activation_curve(
        as_coder(with_rational(teacher, phi)), as_coder(teacher), evaluation_set(data)
    )
    h, learned = np.array(curve.h), np.array(curve.learned)
    on = h > curve.threshold
    assert learned[on] == pytest.approx(h[on] * 2 * np.clip(h[on] / 4, -1, 1), rel=1e-5)
    assert not learned[~on].any()
    assert np.array(curve.teacher)[on] == pytest.approx(h[on])
    assert curve.metrics["gate_error"] > 0.2
    assert sum(curve.pre_activations.counts) == 1024 * teacher.d_sae


def test_a_rational_with_a_parameter_per_bin_is_not_asked_for(teacher, data):
    found = magnitudes(as_coder(teacher), data[:1024])
    assert best_rational(found, (14, 13)) is None


def test_a_dead_sae_has_no_curve(teacher, data):
    dead = replace(teacher, b_enc=teacher.b_enc - 100)
    assert activation_curve(as_coder(dead), as_coder(teacher), evaluation_set(data)) is None


def test_an_object_without_pre_activations_has_no_curve(teacher, data):
    plain = type("Plain", (), {"d_in": 48, "d_sae": 40, "encode": None, "decode": None})()
    assert activation_curve(as_coder(plain), as_coder(teacher), evaluation_set(data)) is None


@pytest.mark.parametrize("form", ["magnitude", "gate", "direct"])
def test_every_form_is_read_by_its_own_argument(teacher, data, form):
    torch.manual_seed(0)
    phi = RationalActivation([[0.1, 1.0, 0.3]], [[0.1, 0.2]], input_scale=3.0)
    sae = RSAE.from_teacher(teacher, phi, form=form)
    x = data[:1024]
    found = magnitudes(as_coder(sae), x)
    # within a bin the learned magnitude varies little, so its MSE is nearly the measured one
    assert found.mse(found.learned) == pytest.approx(reconstruction(sae, x)["mse"], rel=0.02)
