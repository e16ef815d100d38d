import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck

from rsae.train import sparse_codes
from rsae.train.sparse_codes import Entries, decode, gather_pre_acts


def world(seed: int, n: int = 5, d_in: int = 4, d_sae: int = 7):
    g = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    return rand(n, d_in), rand(d_in, d_sae), rand(d_sae), rand(d_sae, d_in), rand(n, d_sae) > 0.3


@given(st.integers(0, 1000))
def test_sparse_products_are_the_dense_ones(seed):
    x, _, _, W_dec, mask = world(seed)
    entries = Entries.of(mask)
    values = torch.arange(1.0, len(entries.rows) + 1, dtype=torch.float64)
    dense = torch.zeros(mask.shape, dtype=torch.float64)
    dense[mask] = values
    torch.testing.assert_close(entries.gather(dense), values)
    torch.testing.assert_close(entries.times(values, W_dec), dense @ W_dec)
    torch.testing.assert_close(entries.transposed_times(values, x), dense.T @ x)
    torch.testing.assert_close(entries.sampled(x, W_dec.T), (x @ W_dec.T)[mask])
    torch.testing.assert_close(entries.sum_by_column(values), dense.sum(dim=0))


@given(st.integers(0, 1000), st.integers(0, 70), st.integers(1, 70))
def test_entries_above_a_cut_are_the_masks(seed, n, d_sae):
    g = torch.Generator().manual_seed(seed)
    h, cut = torch.randn(n, d_sae, generator=g), torch.rand(d_sae, generator=g)
    h[torch.rand(h.shape, generator=g) < 0.1] = torch.nan
    entries, values = Entries.above(h, cut)
    expected = Entries.of(h > cut)
    for name in ("rows", "cols", "row_starts"):
        assert torch.equal(getattr(entries, name), getattr(expected, name))
    assert torch.equal(values, h[h > cut])


def test_pytorchs_sparse_products_agree(monkeypatch):
    x, _, _, W_dec, mask = world(1)
    entries = Entries.of(mask)
    values = torch.ones(len(entries.rows), dtype=torch.float64)
    fast = entries.times(values, W_dec), entries.sampled(x, W_dec.T)
    monkeypatch.setattr(sparse_codes, "_compiled", lambda like: False)
    slow = entries.times(values, W_dec), entries.sampled(x, W_dec.T)
    torch.testing.assert_close(fast, slow)


def test_gradients_are_those_of_finite_differences():
    x, W_enc, b_enc, W_dec, mask = world(2)
    entries = Entries.of(mask)
    for tensor in (x, W_enc, b_enc, W_dec):
        tensor.requires_grad_(True)

    def encode(x, W_enc, b_enc):
        values = entries.gather((x @ W_enc + b_enc).detach())
        return gather_pre_acts(x, W_enc, b_enc, values, entries)

    def numeric(x, W_enc, b_enc):
        return entries.gather(x @ W_enc + b_enc)

    weights = torch.linspace(-1, 1, len(entries.rows), dtype=torch.float64)
    mine = torch.autograd.grad((encode(x, W_enc, b_enc) * weights).sum(), (x, W_enc, b_enc))
    theirs = torch.autograd.grad((numeric(x, W_enc, b_enc) * weights).sum(), (x, W_enc, b_enc))
    torch.testing.assert_close(mine, theirs)
    values = weights.clone().requires_grad_(True)
    assert gradcheck(lambda v, W: decode(v, W, entries), (values, W_dec))
