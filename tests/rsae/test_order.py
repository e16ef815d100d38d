"""The order of batches: whole passes, block by block, taken up anywhere."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rsae.data import Activations
from rsae.data.order import block_rows


def rows(n, parts=3):
    x = torch.arange(float(n))[:, None]
    return Activations(tuple(x.tensor_split(parts)), "0" * 64)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 90), st.integers(1, 12), st.integers(1, 40), st.integers(0, 5), st.data())
def test_every_pass_has_each_row_once_and_stays_within_blocks(n, size, shuffle, seed, data):
    sample, block = rows(n), block_rows(size, shuffle)
    batches = list(sample.batches(size, seed=seed, epochs=2, shuffle_rows=shuffle))
    per_pass = -(-n // size)
    assert len(batches) == 2 * per_pass
    for one in (batches[:per_pass], batches[per_pass:]):
        order = torch.cat(one)[:, 0]
        assert torch.equal(order.sort().values, torch.arange(float(n)))
        assert torch.equal(order // block, torch.arange(n) // block)
    start = data.draw(st.integers(0, len(batches)))
    rest = list(sample.batches(size, seed=seed, epochs=2, start=start, shuffle_rows=shuffle))
    assert len(rest) == len(batches) - start
    assert all(map(torch.equal, rest, batches[start:]))


@pytest.mark.parametrize("n", [10, 100])
def test_a_sample_of_one_block_is_shuffled_anew_in_every_pass(n):
    first, second = rows(n).batches(n, seed=0, epochs=2)
    assert not torch.equal(first, second)
    assert torch.equal(next(rows(n).batches(n)), torch.arange(float(n))[:, None])
