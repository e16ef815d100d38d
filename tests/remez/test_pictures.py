"""Pictures show the whole domain, whatever it is."""

import numpy as np
import pytest

import remez

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def closed():
    yield
    matplotlib.pyplot.close("all")


def test_the_curve_reaches_both_ends():
    axes = remez.fit(np.abs, (8, 8)).plot()
    x = axes.lines[0].get_xdata()
    assert (x.min(), x.max()) == (-1, 1)
    low, high = axes.get_xlim()
    assert low <= -1
    assert high >= 1


def test_every_interval_is_drawn():
    axes = remez.fit("sign", (5, 4)).plot()
    spans = [(line.get_xdata().min(), line.get_xdata().max()) for line in axes.lines[:2]]
    assert spans == [(-1, -0.01), (0.01, 1)]


@pytest.mark.parametrize(
    ("fn", "domain", "names"),
    [
        (lambda x: np.exp(-x), (0, np.inf), {"0", "∞"}),
        (np.exp, (-np.inf, 0), {"0", "−∞"}),
        (lambda x: 1 / (1 + x * x) ** 1.5, (-np.inf, np.inf), {"−∞", "0", "∞"}),
    ],
)
def test_an_unbounded_axis_is_compactified(fn, domain, names):
    fit = remez.fit(fn, (6, 6), domain, throw=False)
    axes = fit.plot()
    axes.figure.canvas.draw()
    assert names <= {label.get_text() for label in axes.get_xticklabels()}
    y = axes.lines[0].get_ydata()
    assert np.isfinite(y).all()
    assert np.abs(y).max() <= float(fit.error) * (1 + 1e-6)
    low, high = axes.get_xlim()
    inside = (fit.reference >= low) & (fit.reference <= high)
    assert inside.sum() >= fit.reference.size - 2


def test_degrees_have_integer_ticks():
    axes = remez.error_table("exp", 1).plot()
    axes.figure.canvas.draw()
    for ticks in (axes.get_xticks(), axes.get_yticks()):
        assert (ticks == np.round(ticks)).all()
