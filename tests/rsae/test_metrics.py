"""Figures of an SAE from activations in memory and from stored parts, a chunk at a time."""

import pytest
import torch
from tests.rsae.saes import inputs, teacher

from rsae.data import Activations
from rsae.memory import memory_budget
from rsae.metrics import measure, spread
from rsae.upgrading.refining import as_rsae


@pytest.mark.parametrize("sizes", [[500], [1, 200, 299], [100] * 5])
@pytest.mark.parametrize("n", [1, 7, 499, 500, 800])
def test_stored_rows_are_spread_as_those_of_a_tensor(sizes, n):
    x = inputs(500)
    assert torch.equal(spread(Activations(x.split(sizes), ""), n), spread(x, n))


def test_stored_activations_are_measured_without_being_read_whole(monkeypatch):
    x = inputs(500)
    sae = as_rsae(teacher("jumprelu"))
    whole = measure(sae, x)
    monkeypatch.setattr(Activations, "tensor", lambda self: pytest.fail("read whole"))
    stored = Activations(x.split([300, 200]), "")
    with memory_budget(2**20):
        assert measure(sae, stored) == measure(sae, x)
    found = measure(sae, stored)
    assert found == whole
    assert spread(stored, 100).shape == (100, x.shape[1])
