"""A target, its name and the command line mean the same problem."""

import json

import numpy as np
import pytest

import remez
from remez import ExpressionError, targets
from remez.cli.program import main


@pytest.mark.parametrize("name", ["log", "gelu", "sign", "acosh"])
def test_a_target_brings_its_interval_everywhere(name, capsys):
    by_target = remez.fit(targets.get(name), (3, 2))
    by_name = remez.fit(name, (3, 2))
    assert main(["fit", name, "--degree", "3", "2", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert by_target.domain.intervals == remez.Domain.of(targets.get(name).interval).intervals
    assert by_name.domain == by_target.domain
    assert printed["error"] == by_name.error == by_target.error


def test_a_domain_that_is_said_is_used():
    assert remez.fit("log", (3, 3), (1, 4)).domain.hull == (1.0, 4.0)
    assert remez.fit(np.exp, (3, 3)).domain.hull == (-1.0, 1.0)


def test_an_expression_as_text():
    fit = remez.fit("exp(x)/(1 + x**2)", (5, 4))
    x = np.linspace(-1, 1, 101)
    assert np.abs(fit(x) - np.exp(x) / (1 + x**2)).max() <= fit.error * (1 + 1e-9)
    assert fit.certify().rigorous


def test_a_text_that_means_nothing():
    with pytest.raises(ExpressionError, match="gleu"):
        remez.fit("gleu", (3, 3))


def test_error_table_takes_a_name():
    assert remez.error_table("log", 1).fits[0][0].domain.hull == (1.0, 2.0)


def test_repr_shows_the_domain():
    assert "type (2, 2) on [-1, 1]," in repr(remez.fit(np.exp, (2, 2)))
    assert "[-1, -0.01] ∪ [0.01, 1]" in repr(remez.fit("sign", (3, 2)))
    assert "[0, inf]" in repr(remez.fit(lambda x: np.exp(-x), (2, 2), (0, np.inf)))


@pytest.mark.parametrize("name", ["gate", "jumprelu", "hard_shrink", "soft_shrink"])
def test_the_gap_follows_the_threshold(name):
    target = targets.get(name).with_parameters(threshold="0.75")
    fit = remez.fit(target, (4, 4), throw=False)
    if isinstance(target.interval[0], tuple):
        assert not fit.domain.contains(np.array([0.75])).any()
    assert fit.converged
