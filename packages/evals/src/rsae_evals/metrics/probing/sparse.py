"""k-sparse probes: one concept against the rest, by k features and logistic regression.

Shapes: n_texts texts, d_sae features, k features that are chosen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression

from rsae_evals.errors import EvaluationError
from rsae_evals.metrics.probing.texts import LabelledTexts

__all__ = ["Problem", "problems", "top_features", "train_and_test"]

_TEST_SHARE, _FEWEST = 0.2, 10


@dataclass(frozen=True, eq=False)
class Problem:
    """One class of a task against the others, balanced.

    Attributes:
        name: task and class.
        train, test: indices of texts.
        train_labels, test_labels: True for the class.
    """

    name: str
    train: NDArray[np.int64]
    train_labels: NDArray[np.bool_]
    test: NDArray[np.int64]
    test_labels: NDArray[np.bool_]


def problems(texts: LabelledTexts, seed: int = 0) -> list[Problem]:
    """Every class of every task against the rest; of two classes only one, since
    the problem of the other is its mirror image.

    One fifth of the texts, drawn once, is the test set of every problem. Within train and test,
    as many negatives are drawn as there are positives, equally from the other classes.

    Raises:
        EvaluationError: a class has fewer than ten texts to train or test on.
    """
    rng = np.random.default_rng(seed)
    in_test = np.zeros(len(texts.texts), dtype=bool)
    in_test[rng.permutation(len(in_test))[: round(_TEST_SHARE * len(in_test))]] = True
    return [
        _problem(f"{task}: {positive}", np.array(labels, dtype=object), positive, in_test, rng)
        for task, labels in texts.labels.items()
        for positive in _classes(labels)
    ]


def _classes(labels: tuple[str | None, ...]) -> list[str]:
    classes = sorted({label for label in labels if label is not None})
    return classes[1:] if len(classes) == 2 else classes


def _problem(
    name: str,
    labels: NDArray,
    positive: str,
    in_test: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Problem:
    halves = [
        _balanced(labels, positive, np.flatnonzero(part), rng) for part in (~in_test, in_test)
    ]
    for chosen, truth in halves:
        if min(truth.sum(), len(chosen) - truth.sum()) < _FEWEST:
            raise EvaluationError(f"{name} has too few texts; give at least 50 of each class")
    (train, train_labels), (test, test_labels) = halves
    return Problem(name, train, train_labels, test, test_labels)


def _balanced(
    labels: NDArray, positive: str, among: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    positives = among[labels[among] == positive]
    others = [among[labels[among] == c] for c in sorted(set(labels[among]) - {None, positive})]
    share = -(-len(positives) // max(1, len(others)))
    drawn = np.concatenate([among[:0], *(rng.permutation(other)[:share] for other in others)])
    negatives = rng.permutation(drawn)[: len(positives)]
    chosen = np.concatenate([rng.permutation(positives)[: len(negatives)], negatives])
    return chosen, np.arange(len(chosen)) < len(negatives)


def top_features(codes: csr_array, labels: NDArray[np.bool_], k: int) -> NDArray[np.int64]:
    """The k features with the largest |mean over positives - mean over negatives|."""
    difference = np.abs(codes[labels].mean(axis=0) - codes[~labels].mean(axis=0))
    return np.argsort(-np.asarray(difference).ravel(), kind="stable")[:k]


def train_and_test(
    codes: csr_array, found: list[Problem], k: int
) -> Iterator[tuple[Problem, NDArray[np.bool_]]]:
    """For every problem, whether each of its test texts is classified correctly.

    Logistic regression with an L2 penalty, C = 1, on k features chosen on the training texts.
    """
    for problem in found:
        train = codes[problem.train]
        chosen = top_features(train, problem.train_labels, k)
        probe = LogisticRegression(C=1.0, max_iter=1000)
        probe.fit(train[:, chosen].toarray(), problem.train_labels)
        guess = probe.predict(codes[problem.test][:, chosen].toarray())
        yield problem, guess == problem.test_labels
