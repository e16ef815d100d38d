"""The packaged trained teachers, written in every format that can hold them, are the same."""

import pytest
import torch

from rsae.pretrained import FORMATS, load_teacher

from . import formats

IMPOSSIBLE = {
    ("gemma_scope", "topk"),
    ("openai", "jumprelu"),
    ("openai", "topk"),  # its TopK standardises its input
    ("sparsify", "jumprelu"),
    ("goodfire", "jumprelu"),
    ("goodfire", "topk"),
    ("qwen_scope", "jumprelu"),
    ("llama_scope", "relu"),  # one positive threshold for all features
    ("llama_scope", "jumprelu"),
    ("llama_scope", "topk"),
}


@pytest.mark.parametrize("family", ["relu", "jumprelu", "topk"])
@pytest.mark.parametrize("format", FORMATS)
def test_a_trained_teacher_is_the_same_in_every_format(tmp_path, format, family):
    teacher = load_teacher(f"demo:{family}")
    folder = formats.convert(teacher, format, tmp_path)
    assert (folder is None) == ((format, family) in IMPOSSIBLE)
    if folder is None:
        return
    other = load_teacher(folder)
    assert other.format == format
    # Sparse sums of its own decoder rows: inputs that fire its features as real ones do.
    g = torch.Generator().manual_seed(0)
    codes = 20 * torch.rand(64, teacher.d_sae, generator=g)
    codes *= torch.rand(64, teacher.d_sae, generator=g) < 0.03
    x = codes @ teacher.W_dec + teacher.b_dec
    z = teacher.encode(x)
    assert (z != 0).any()
    for found, expected in (
        (other.encode(x), z),
        (other.reconstruct(x), teacher.reconstruct(x)),
    ):
        assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
