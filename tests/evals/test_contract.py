"""Every kind of SAE × everything that the README and the docstrings promise of it."""

from dataclasses import replace

import pytest
import torch
from sae_lens import SAE
from sae_lens.registry import SAE_CLASS_REGISTRY

from rsae import RSAE, RationalActivation
from rsae.pretrained import Teacher
from rsae_evals import (
    Comparison,
    EvaluationError,
    Probing,
    Reconstruction,
    Splicing,
    as_coder,
    compare,
    downstream,
    evaluate,
    evaluation_set,
    probe,
    reconstruction,
)
from rsae_evals.integrations.saebench import SAEBenchCoder
from rsae_evals.metrics.probing import LabelledTexts
from rsae_evals.report import html, markdown

from .conftest import D_IN, D_SAE

HOOK = "blocks.3.hook_resid_post"


def weights():
    draw = torch.Generator().manual_seed(3)
    rows = torch.nn.functional.normalize(torch.randn(D_SAE, D_IN, generator=draw), dim=1)
    return {
        "W_enc": rows.T.contiguous(),
        "b_enc": -0.2 * torch.ones(D_SAE),
        "W_dec": rows.clone(),
        "b_dec": 0.1 * torch.ones(D_IN),
    }


def a_teacher(family="relu", **more):
    if family == "jumprelu":
        more |= {"threshold": torch.full((D_SAE,), 0.5)}
    if family == "topk":
        more |= {"k": 4}
    return Teacher(family, **weights(), **more)


def an_rsae(form="magnitude", support="threshold"):
    teacher = a_teacher("topk" if support == "topk" else "jumprelu")
    rational = RationalActivation.constant((3, 2), input_scale=3.0)
    return RSAE.from_teacher(teacher, rational, form, support)


def saelens(architecture):
    """An inference SAE of SAELens' own, whatever it has registered."""
    cls, config = SAE_CLASS_REGISTRY[architecture]
    more = {"k": 4} if architecture == "topk" else {}
    sae = cls(config(d_in=D_IN, d_sae=D_SAE, **more))
    with torch.no_grad():
        for name, value in weights().items():
            if isinstance(getattr(sae, name, None), torch.nn.Parameter):
                getattr(sae, name).copy_(value)
    return sae


class Bare:
    """Tensors as attributes and nothing else."""

    def __init__(self):
        self.__dict__.update(weights())


class Sparse:
    """Encodes to a sparse tensor, shows no weights, and is too strange to be fingerprinted."""

    d_in, d_sae = D_IN, D_SAE

    def encode(self, x):
        return a_teacher().encode(x).to_sparse()

    def decode(self, z):
        return a_teacher().decode(z)


class Module(torch.nn.Module):
    """A user's own module with a cfg that has the widths."""

    def __init__(self):
        super().__init__()
        self.cfg = type("Config", (), {"d_in": D_IN, "d_sae": D_SAE})()
        self.W_dec = torch.nn.Parameter(weights()["W_dec"])

    def encode(self, x):
        return torch.relu(x @ self.W_dec.T)

    def decode(self, z):
        return z @ self.W_dec


SAELENS = ("standard", "gated", "jumprelu", "topk")
KINDS = {
    **{f"teacher {family}": lambda family=family: a_teacher(family)
       for family in ("relu", "jumprelu", "topk")},
    **{f"teacher {how}": lambda how=how: a_teacher(normalize_activations=how)
       for how in ("layer_norm", "constant_norm_rescale", "expected_average_only_in")},
    "teacher without b_dec in": lambda: a_teacher(apply_b_dec_to_input=False),
    **{f"rsae {form} {support}": lambda form=form, support=support: an_rsae(form, support)
       for form, support in (("magnitude", "threshold"), ("magnitude", "topk"),
                             ("gate", "threshold"), ("gate", "level"), ("gate", "topk"),
                             ("direct", "threshold"))},
    **{f"saelens {name}": lambda name=name: saelens(name) for name in SAELENS},
    "mapping": weights,
    "mapping with threshold": lambda: weights() | {"threshold": torch.full((D_SAE,), 0.5)},
    "mapping with k": lambda: weights() | {"k": 4},
    "object of tensors": Bare,
    "sparse codes": Sparse,
    "module": Module,
    "sae": lambda: as_coder(a_teacher()),
}  # fmt: skip
KIND = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def heldout(small_host, tokens):
    x = small_host.residual(tokens.ids, HOOK)[~tokens.special]
    return evaluation_set(x, tokens, host=small_host, hook_name=HOOK)


@pytest.fixture(scope="module")
def texts():
    words = ("good fine great", "bad poor awful")
    said = tuple(f"{words[i % 2]} thing {i} of many" for i in range(120))
    return LabelledTexts("feelings", said, {"mood": ("up", "down") * 60})


@KIND
def test_it_is_evaluated(kind, heldout, texts, tmp_path):
    obj = KINDS[kind]()
    metrics = [Reconstruction(), Splicing(), Probing(texts)]
    (found,) = evaluate([obj], heldout, metrics, cache=tmp_path)
    assert set(found.measurements) == {metric.name for metric in metrics}
    alone = reconstruction(obj, heldout.activations)
    totals = found.measurements[metrics[0].name].totals()
    assert float(totals["l0"] / totals["n"]) == pytest.approx(alone["l0"])
    (again,) = evaluate([obj], heldout, metrics, cache=tmp_path)
    for name, measurement in found.measurements.items():
        for key, values in measurement.sums.items():
            assert (again.measurements[name].sums[key] == values).all()


@KIND
def test_it_is_compared_and_reported(kind, heldout, small_host, tokens):
    obj = KINDS[kind]()
    found = compare({"reference": a_teacher("jumprelu"), "it": obj}, heldout)
    assert Comparison.from_dict(found.to_dict()) == found
    assert "it" in markdown(found)
    assert "<h1" in html(found)
    assert downstream(obj, small_host, tokens, HOOK).n_tokens > 0


@KIND
def test_it_is_probed(kind, small_host, texts):
    found = probe(KINDS[kind](), small_host, HOOK, texts)
    assert 0 <= found["sae_top_1_test_accuracy"] <= 1


@KIND
def test_it_goes_to_saebench_or_says_why_not(kind):
    obj = KINDS[kind]()
    normalises = as_coder(obj).normalization in ("layer_norm", "constant_norm_rescale")
    shown = [as_coder(obj).weight(name) for name in ("W_enc", "b_enc", "W_dec", "b_dec")]
    if normalises or any(weight is None for weight in shown):
        with pytest.raises(EvaluationError, match=r"normalises|does not show"):
            SAEBenchCoder(obj, "small", HOOK)
        return
    x = torch.randn(4, D_IN)
    found = SAEBenchCoder(obj, "small", HOOK)(x)
    assert torch.allclose(found, as_coder(obj).reconstruct(x), atol=1e-4)


@KIND
def test_its_activation_is_shown_or_refused(kind):
    sae = as_coder(KINDS[kind]())
    x = torch.randn(6, D_IN, generator=torch.Generator().manual_seed(1))
    if not sae.shows_activation:
        for call in (sae.pre_activations, sae.activation):
            with pytest.raises(EvaluationError, match="does not show its activation"):
                call(x)
        return
    h = sae.pre_activations(x)
    assert h.shape == (6, D_SAE)
    assert torch.equal(sae.activation(h), sae.encode(x))


def test_a_trained_copy_of_saelens_is_the_same_sae(tmp_path, heldout):
    sae = saelens("jumprelu")
    sae.save_model(tmp_path)
    loaded = SAE.load_from_disk(tmp_path)
    first, second = (reconstruction(one, heldout.activations) for one in (sae, loaded))
    assert first["mse"] == second["mse"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (torch.rand(3, 4, 5), "shape"),
        (torch.ones(4, 5, dtype=torch.int64), "cannot be evaluated"),
        ([[1.0]], "list"),
        (torch.rand(0, 4), "no activations"),
    ],
)
def test_activations_that_are_none_are_one_sentence(given, said):
    with pytest.raises(EvaluationError, match=said) as caught:
        evaluation_set(given)
    assert "\n" not in str(caught.value)


def test_an_array_is_as_good_as_a_tensor():
    x = torch.rand(64, D_IN)
    found = compare({"it": a_teacher()}, evaluation_set(x.numpy()))
    assert (
        found.variant("it").metrics
        == compare({"it": a_teacher()}, evaluation_set(x)).variant("it").metrics
    )


@pytest.mark.parametrize("obj", [3, "demo", None, object(), {"W_enc": torch.eye(2)}])
def test_what_is_no_sae_is_one_sentence(obj, heldout):
    with pytest.raises(EvaluationError) as caught:
        evaluate([obj], heldout, [Reconstruction()])
    assert "\n" not in str(caught.value)


def test_another_width_is_one_sentence(heldout):
    narrow = {name: torch.eye(8) if "W" in name else torch.zeros(8) for name in weights()}
    with pytest.raises(EvaluationError, match="width"):
        evaluate([narrow], heldout, [Reconstruction()])


def test_a_dead_sae_has_figures(heldout):
    dead = replace(a_teacher(), b_enc=torch.full((D_SAE,), -1e6))
    found = compare({"alive": a_teacher(), "dead": dead}, heldout)
    assert found.variant("dead").metrics["l0"] == 0
    assert "<h1" in html(found)
