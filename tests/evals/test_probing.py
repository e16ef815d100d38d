import json

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score

from rsae_evals import EvaluationError, compare, evaluation_set, probe
from rsae_evals.coder import as_coder
from rsae_evals.metrics.probing import LabelledTexts, Probing, packaged, read
from rsae_evals.metrics.probing.pooling import pooled_codes
from rsae_evals.metrics.probing.sparse import problems, top_features
from rsae_evals.metrics.reconstruction import Reconstruction


@pytest.fixture(scope="module")
def planted():
    """300 texts of three classes; feature 3 tells class a, features 5 and 7 together class b."""
    rng = np.random.default_rng(0)
    labels = rng.choice(["a", "b", "c"], size=300)
    codes = 0.1 * rng.random((300, 12))
    codes[labels == "a", 3] += 1
    codes[labels == "b", 5] += 0.7
    codes[labels == "b", 7] += 0.8
    texts = LabelledTexts("planted", tuple(map(str, range(300))), {"kind": tuple(labels)})
    return texts, csr_array(codes)


def test_planted_features_are_found(planted):
    texts, codes = planted
    metric = Probing(texts)
    values = metric.values(metric.score(codes).totals())
    assert values["sae_top_5_test_accuracy"] == pytest.approx(1.0, abs=0.02)
    assert values["sae_top_1_test_accuracy"] > 0.8
    labels = np.array(texts.labels["kind"]) == "a"
    assert top_features(codes, labels, 1) == [3]
    assert set(top_features(codes, np.array(texts.labels["kind"]) == "b", 2)) == {5, 7}


def test_noise_is_chance(planted):
    texts, codes = planted
    noise = csr_array(np.random.default_rng(1).random(codes.shape))
    metric = Probing(texts)
    values = metric.values(metric.score(noise).totals())
    assert all(abs(value - 0.5) < 0.15 for value in values.values())


def test_the_protocol_against_a_plain_one(planted):
    """Feature choice by mean difference and scikit-learn, written out for every problem."""
    texts, codes = planted
    metric = Probing(texts)
    dense = codes.toarray()
    accuracies = []
    for problem in metric.problems:
        x, y = dense[problem.train], problem.train_labels
        gap = np.abs(x[y].mean(0) - x[~y].mean(0))
        best = sorted(range(len(gap)), key=lambda j: -gap[j])[:2]
        fitted = LogisticRegression(C=1.0, max_iter=1000).fit(x[:, best], y)
        guess = fitted.predict(dense[problem.test][:, best])
        accuracies.append(accuracy_score(problem.test_labels, guess))
    values = metric.values(metric.score(codes).totals())
    assert values["sae_top_2_test_accuracy"] == pytest.approx(np.mean(accuracies))


def test_problems_are_balanced_and_do_not_leak():
    found = problems(packaged())
    assert [p.name for p in found] == [
        "domain: movie review", "domain: newspaper", "domain: product review", "domain: tweet",
        "sentiment: positive",
    ]  # fmt: skip
    for problem in found:
        assert not set(problem.train) & set(problem.test)
        assert problem.train_labels.mean() == pytest.approx(0.5, abs=0.01)
        assert problem.test_labels.mean() == pytest.approx(0.5, abs=0.02)
    again = problems(packaged())
    assert all(np.array_equal(a.test, b.test) for a, b in zip(found, again, strict=True))


def test_the_packaged_texts():
    texts = packaged()
    assert len(texts.texts) == len(set(texts.texts)) == 2400
    assert texts.labels["sentiment"].count("positive") == 960


class Embedded:
    d_in = d_sae = 48

    def encode(self, x):
        return x

    def decode(self, z):
        return z


def test_pooled_codes_are_means_over_ordinary_tokens(small_host):
    texts = ["one two three", "four", "a b c d e f g", "one two three"]
    (found,) = pooled_codes([as_coder(Embedded())], small_host, "hook", texts)
    for text, row in zip(texts, found.toarray(), strict=True):
        ids = torch.tensor(small_host.encode(text)[1:])
        assert row == pytest.approx(small_host.embedding[ids].mean(0).numpy(), abs=1e-6)


def test_probing_is_a_metric_of_a_comparison_with_untrained_baselines(small_host, teacher, data):
    rng = np.random.default_rng(0)
    words = {"x": "red blue green", "y": "cat dog cow"}
    labels = rng.choice(list(words), size=400)
    texts = tuple(" ".join(rng.choice(words[label].split(), size=4)) for label in labels)
    metric = Probing(LabelledTexts("colours", texts, {"kind": tuple(labels)}))
    heldout = evaluation_set(data, host=small_host, hook_name="hook")
    variants = {"teacher": teacher, "dead": {**vars(teacher), "b_enc": teacher.b_enc - 99}}
    variants["dead"] = {
        k: variants["dead"][k] for k in ("W_enc", "b_enc", "W_dec", "b_dec", "threshold")
    }
    found = compare(variants, heldout, metrics=[Reconstruction(), metric])
    channels, random = (found.untrained[n] for n in ("residual channels", "random dictionary"))
    assert channels["sae_top_16_test_accuracy"] > 0.95
    assert random.keys() == channels.keys()
    assert found.variant("dead").metrics["sae_top_5_test_accuracy"] == pytest.approx(0.5, abs=0.02)
    assert found.difference("sae_top_5_test_accuracy", "dead", "teacher").high < 0
    alone = probe(teacher, small_host, "hook", metric.texts)
    assert alone["sae_top_5_test_accuracy"] == pytest.approx(
        found.variant("teacher").metrics["sae_top_5_test_accuracy"]
    )


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json"])
def test_the_users_own_texts(tmp_path, suffix):
    rows = [{"text": f"t,{i}", "tone": "ab"[i % 2], "length": "" if i else "short"} for i in (0, 1)]
    rows.append({"text": "t3", "tone": "a", "length": "long"})
    path = tmp_path / f"mine{suffix}"
    if suffix == ".csv":
        path.write_text("text,tone,length\n" + "\n".join(
            f'"{r["text"]}",{r["tone"]},{r["length"]}' for r in rows))  # fmt: skip
    else:
        lines = [json.dumps(row) for row in rows]
        path.write_text("\n".join(lines) if suffix == ".jsonl" else f"[{','.join(lines)}]")
    found = read(path)
    assert found.texts == ("t,0", "t,1", "t3")
    assert found.labels == {"tone": ("a", "b", "a"), "length": ("short", None, "long")}


@pytest.mark.parametrize(
    ("content", "message"),
    [("text\na\n", "no label"), ("label,x\n1,2\n", "'text'"), ("text,y\na,1\nb,1\n", "classes")],
)
def test_unusable_texts_are_one_line(tmp_path, content, message):
    path = tmp_path / "mine.csv"
    path.write_text(content)
    with pytest.raises(EvaluationError, match=message):
        read(path)
    with pytest.raises(EvaluationError, match="no file"):
        read(tmp_path / "none.csv")


@pytest.mark.parametrize("pairs", [1, 2, 10])
def test_too_few_texts_are_refused(pairs):
    few = LabelledTexts("few", ("a",) * 2 * pairs, {"kind": ("x", "y") * pairs})
    with pytest.raises(EvaluationError, match="too few"):
        problems(few)
