"""A context that the model or the SAE cannot have is one line, and the same for every command."""

from types import SimpleNamespace

import pytest
import torch
from tests.rsae.tiny_model import save_tiny_model

from rsae.commands.inputs import context_of
from rsae.data.document import Document
from rsae.data.text import tokenize
from rsae.errors import HostError, TeacherError, TextError
from rsae.language_model.host import load_host
from rsae.pretrained.metadata import checked_metadata

LONGEST = 64


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return load_host(save_tiny_model(tmp_path_factory.mktemp("tiny")))


def test_the_longest_context_is_the_models(tiny):
    assert tiny.max_context_size == LONGEST
    ids = torch.full((1, LONGEST + 1), 3)
    for run in (tiny.logits, lambda x: tiny.residual(x, "blocks.0.hook_resid_post")):
        run(ids[:, :LONGEST])
        with pytest.raises(HostError, match="65 tokens are longer than the 64"):
            run(ids)


@pytest.mark.parametrize("context_size", [-3, 0, 1, LONGEST + 1, 10**12])
def test_a_text_is_not_cut_into_sequences_that_no_model_reads(tiny, context_size):
    with pytest.raises(TextError, match="between 2 and 64"):
        tokenize(tiny, [Document("a", "w1 w2 w3")], context_size)
    assert tokenize(tiny, [Document("a", "w1 w2 w3")], LONGEST).context_size == LONGEST


@pytest.mark.parametrize("context_size", [1, 4, LONGEST + 1, 2**20])
def test_an_sae_of_an_impossible_context_is_refused(tiny, context_size):
    with pytest.raises(TeacherError, match="--activations"):
        context_of({"context_size": context_size}, tiny, "sae")


@pytest.mark.parametrize("said", ["x", 0, -1, 10**12, 10**500, 12.5, True, [1], None])
def test_a_context_that_is_no_number_is_left_out_and_the_usual_one_taken(tiny, said):
    kept, _ = checked_metadata({"context_size": said})
    assert context_of(kept, tiny, "sae") == LONGEST
    assert context_of(kept, SimpleNamespace(name="any"), "sae") == 128
    assert context_of({"context_size": 12}, tiny, "sae") == 12
