"""Activations are cut anew, whatever they arrive as."""

import torch

from rsae_evals.data.blocks import blocks


def test_blocks_recut_whatever_comes():
    x = torch.arange(40.0).reshape(20, 2)
    for source in (x, iter([x[:1], x[1:13], x[13:]]), iter([x.reshape(2, 10, 2)])):
        found = list(blocks(source, 7))
        assert [len(b) for b in found] == [7, 7, 6]
        assert torch.equal(torch.cat(found), x)
