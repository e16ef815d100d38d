"""A solver that lies is caught by the judge, in double precision and in any other.

The levelling, the last step of every solver, is made to return something else than it found.
"""

from dataclasses import replace

import numpy as np
import pytest
from mpmath import mp

import remez
from remez.solver import driver
from remez.solver.precise import driver as precise_driver
from remez.solver.problem_reduction import Reduced

LIES = ["perturbed", "wrong reference", "pole"]


def lie_in_double(rational, lie):
    if lie == "perturbed":
        return replace(rational, values=rational.values * (1 + 1e-6))
    poles = np.where(np.arange(rational.weights.size) == 1, -1.0, 1.0)
    return replace(rational, weights=rational.weights * poles)


@pytest.mark.parametrize("lie", ["perturbed", "pole"])
def test_in_double_precision(monkeypatch, lie):
    honest = Reduced.rational
    monkeypatch.setattr(
        Reduced, "rational", lambda self, level: lie_in_double(honest(self, level), lie)
    )
    fit = remez.fit(np.exp, (3, 3), throw=False)
    assert not fit.converged


def test_a_wrong_reference_in_double_precision(monkeypatch):
    """The judge finds the extrema itself: the answer is right whatever the solver claims."""
    expected = remez.fit(np.exp, (3, 3))
    monkeypatch.setattr(Reduced, "hints", lambda self, u: np.linspace(-1, 1, 8))
    fit = remez.fit(np.exp, (3, 3), throw=False)
    assert fit.error == pytest.approx(expected.error, rel=1e-3)


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("fn", [remez.targets.exp, mp.exp], ids=["expression", "callable"])
def test_in_any_precision(monkeypatch, lie, fn):
    honest = precise_driver._rational

    def dishonest(*arguments):
        rational, slack = honest(*arguments)
        p, q = rational.numerator, rational.denominator
        if lie == "perturbed":
            with mp.workdps(60):
                p = (p[0] * (1 + mp.mpf(10) ** -30), *p[1:])
        elif lie == "pole":
            q = (-q[0], *q[1:])
        else:  # the rational of another reference, levelled there
            with mp.workdps(60):
                p = (*p[:-1], p[-1] * (1 + mp.mpf(10) ** -8))
        return replace(rational, numerator=p, denominator=q), slack

    monkeypatch.setattr(precise_driver, "_rational", dishonest)
    fit = remez.fit(fn, (3, 3), precision=30, throw=False)
    assert not fit.converged


def test_the_judges_know_no_solver():
    """Neither module of the judge imports anything of remez.solver."""
    import ast
    import inspect

    from remez.verification import error_curve, judge, narrow_features, precise_judge

    for module in (judge, precise_judge, error_curve, narrow_features):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.ImportFrom):
                assert not str(node.module).startswith("remez.solver")
    assert driver.judge is judge.judge
    assert precise_driver.judge_precise is precise_judge.judge_precise
