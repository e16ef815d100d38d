"""Every figure against an independent float64 implementation, on awkward data."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sae_lens.evals import ExplainedVarianceCalculator
from sklearn.metrics import mean_squared_error, r2_score
from sklearn.metrics.pairwise import paired_cosine_distances

from rsae.data import Activations
from rsae_evals import EvaluationError, evaluation_set, reconstruction
from rsae_evals.coder import as_coder
from rsae_evals.metrics.reconstruction import Reconstruction

SCALARS = (
    "mse", "explained_variance", "fvu", "l0", "l1", "cossim", "l2_ratio",
    "relative_reconstruction_bias", "frac_alive",
)  # fmt: skip


class Stated:
    """An SAE whose codes and reconstruction of given rows are stated, not computed."""

    def __init__(self, x, z, out):
        self.d_in, self.d_sae = x.shape[1], z.shape[1]
        self._table = {row.tobytes(): (z[i], out[i]) for i, row in enumerate(x.numpy())}

    def encode(self, x):
        return torch.stack([self._table[row.tobytes()][0] for row in x.numpy()])

    def decode(self, z):
        raise AssertionError("it reconstructs from the input")

    def reconstruct(self, x):
        return torch.stack([self._table[row.tobytes()][1] for row in x.numpy()])


def by_the_book(x, z, out):
    """The definitions in numpy float64, a token at a time where a mean over tokens is meant."""
    x, z, out = (np.asarray(a, dtype=np.float64) for a in (x, z, out))
    errors = [sum((a - b) ** 2) for a, b in zip(x, out, strict=True)]
    variance = np.sum(np.var(x, axis=0))
    norms = np.sqrt((x**2).sum(1)), np.sqrt((out**2).sum(1))
    return {
        "mse": np.mean(errors),
        "explained_variance": 1 - np.mean(errors) / variance,
        "fvu": np.mean(errors) / variance,
        "l0": np.mean([np.count_nonzero(row) for row in z]),
        "l1": np.mean(np.abs(z).sum(1)),
        "cossim": np.mean((x * out).sum(1) / (norms[0] * norms[1])),
        "l2_ratio": np.mean(norms[1] / norms[0]),
        "relative_reconstruction_bias": np.mean(norms[1] ** 2) / np.mean((x * out).sum(1)),
        "frac_alive": np.mean((z != 0).any(0)),
    }


@st.composite
def stated(draw):
    seed = draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    n, d, f = draw(st.integers(2, 90)), draw(st.integers(2, 7)), draw(st.integers(1, 12))
    scale = 10.0 ** draw(st.integers(-3, 3))
    shift = scale * 10.0 ** draw(st.integers(0, 3)) * draw(st.sampled_from([0.0, 1.0]))
    x = scale * rng.standard_normal((n, d)) + shift
    out = x + scale * draw(st.sampled_from([0.1, 3.0])) * rng.standard_normal((n, d))
    z = rng.standard_normal((n, f)) * (rng.random((n, f)) < draw(st.floats(0, 0.6)))
    return tuple(torch.tensor(a, dtype=torch.float32) for a in (x, z, out))


@settings(max_examples=60, deadline=None)
@given(stated())
def test_every_figure_is_its_definition(case):
    x, z, out = case
    found = reconstruction(Stated(x, z, out), x)
    for name, value in by_the_book(x, z, out).items():
        assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name
    density = (np.asarray(z) != 0).mean(0)
    np.testing.assert_allclose(found["feature_density"].numpy(), density, rtol=1e-12)
    assert found["n_tokens"] == len(x)


@settings(max_examples=30, deadline=None)
@given(stated())
def test_figures_of_scikit_learn(case):
    x, z, out = case
    found = reconstruction(Stated(x, z, out), x)
    x, out = x.double().numpy(), out.double().numpy()
    assert found["mse"] == pytest.approx(x.shape[1] * mean_squared_error(x, out), rel=1e-9)
    pooled = r2_score(x, out, multioutput="variance_weighted")
    assert found["explained_variance"] == pytest.approx(pooled, rel=1e-7, abs=1e-9)
    assert found["cossim"] == pytest.approx(1 - paired_cosine_distances(x, out).mean(), abs=1e-9)


def test_explained_variance_is_saelens(data, teacher):
    theirs = ExplainedVarianceCalculator()
    for block in data.split(500):
        theirs.add_batch(sae_output=teacher.reconstruct(block), hidden_acts=block)
    found = reconstruction(teacher, data)
    assert found["explained_variance"] == pytest.approx(theirs.compute(), rel=1e-6)


def test_a_far_shift_costs_no_digits(data):
    """Var = E‖x‖² - ‖E x‖² keeps no digit at a shift of 1e6 unless it is taken about the data."""
    x = (data[:500] + 1e6).float()
    out = (x - 0.25).float()
    found = reconstruction(Stated(x, torch.ones(500, 1), out), x)
    truth = by_the_book(x, torch.ones(500, 1), out)["explained_variance"]
    assert found["explained_variance"] == pytest.approx(truth, rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 700), min_size=1, max_size=12), st.integers(16, 900))
def test_chunks_and_batches_do_not_matter(data, teacher, sizes, batch_size):
    whole = reconstruction(teacher, data)

    def chunks():
        rest = data
        for size in sizes:
            yield rest[:size]
            rest = rest[size:]
        yield rest

    chunked = reconstruction(teacher, chunks())
    assert all(chunked[name] == whole[name] for name in SCALARS)
    batched = reconstruction(teacher, data, batch_size=batch_size)
    for name in SCALARS:
        assert batched[name] == pytest.approx(whole[name], rel=1e-6), name


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**16))
def test_order_does_not_matter(data, teacher, seed):
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    whole, shuffled = reconstruction(teacher, data), reconstruction(teacher, data[order])
    for name in SCALARS:
        assert shuffled[name] == pytest.approx(whole[name], rel=1e-6), name


def test_tensor_iterator_and_activations_agree(data, teacher):
    found = [reconstruction(teacher, x) for x in (data, iter(data.split(100)),
                                                  Activations.from_tensor(data))]  # fmt: skip
    assert all(one[name] == found[0][name] for one in found for name in SCALARS)


def test_sequences_add_up_to_the_whole(data, teacher):
    metric, heldout = Reconstruction(), evaluation_set(data)
    (measurement,) = metric.measure([as_coder(teacher)], heldout)
    assert measurement.sums["n"].tolist() == [128.0] * 32
    values = metric.values(measurement.totals())
    whole = reconstruction(teacher, data)
    for name in SCALARS[:-1]:
        assert float(values[name]) == pytest.approx(whole[name], rel=1e-12)
    by_sequence = metric.values(measurement.sums)["mse"]
    alone = reconstruction(teacher, data[128:256])["mse"]
    assert by_sequence[1] == pytest.approx(alone, rel=1e-6)


def test_tiny_and_negative_codes_count():
    x = torch.ones(3, 2)
    z = torch.tensor([[1e-30, 0.0], [-1.0, 0.0], [0.0, 0.0]])
    sae = type("Fixed", (), {"d_in": 2, "d_sae": 2, "encode": lambda s, x: z,
                               "decode": lambda s, z: x})()  # fmt: skip
    assert reconstruction(sae, x)["l0"] == pytest.approx(2 / 3)


def test_undefined_is_nan_and_a_zero_reconstruction_has_cosine_zero():
    x = torch.ones(8, 3)
    sae = Stated(x, torch.zeros(8, 2), torch.zeros(8, 3))
    found = reconstruction(sae, x)
    assert math.isnan(found["explained_variance"])
    assert math.isnan(found["relative_reconstruction_bias"])
    assert found["cossim"] == 0
    assert found["frac_alive"] == 0


def test_memory_never_holds_all_codes(data, teacher):
    """The SAE sees blocks whose codes have about four million entries at most."""
    seen = []
    watched = type("Watched", (), {
        "d_in": teacher.d_in, "d_sae": 1 << 16,
        "encode": lambda s, x: (seen.append(len(x)), torch.zeros(len(x), 1 << 16))[1],
        "decode": lambda s, z: torch.zeros(len(z), teacher.d_in),
    })()  # fmt: skip
    reconstruction(watched, data[:300])
    assert max(seen) * (1 << 16) <= 1 << 22


def test_bad_input_is_one_line(teacher):
    with pytest.raises(EvaluationError, match="width 5"):
        reconstruction(teacher, torch.zeros(3, 5))
    with pytest.raises(EvaluationError, match="no activations"):
        reconstruction(teacher, iter([]))
    with pytest.raises(EvaluationError, match="not finite"):
        reconstruction(teacher, torch.full((3, teacher.d_in), torch.nan))
