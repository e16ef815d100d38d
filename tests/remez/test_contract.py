"""Every kind of result has every public method: each answers rightly, or refuses in one line."""

import functools
import itertools
import json
import math
import pickle
import warnings

import numpy as np
import pytest
from mpmath import mp

import remez
from remez import Status, targets
from remez.rational import bases

INF = math.inf


def _again(fit, **callables):
    """The fit as a file gives it back."""
    return remez.Fit.from_dict(json.loads(json.dumps(_strict(fit.to_dict()))), **callables)


def _strict(value):
    """JSON has no infinity: the command line writes it as text."""
    if isinstance(value, dict):
        return {key: _strict(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_strict(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _half(x):
    return 1 + x / 2


KINDS = {
    "double": lambda: remez.fit(np.exp, (3, 2)),
    "expression": lambda: remez.fit(targets.exp, (3, 2)),
    "scalar callable": lambda: remez.fit(math.exp, (2, 2)),
    "polynomial": lambda: remez.fit(targets.exp, (4, 0)),
    "reciprocal": lambda: remez.fit(targets.exp, (0, 3)),
    "constant": lambda: remez.fit(targets.exp, (0, 0)),
    "zero": lambda: remez.fit(targets.sin, (0, 3), (-1, 1)),
    "odd": lambda: remez.fit(targets.tanh, (5, 4), (-2, 2)),
    "even": lambda: remez.fit(remez.parse("abs(x)"), (6, 6)),
    "even off centre": lambda: remez.fit(remez.parse("abs(x - 3)"), (4, 4), (2, 4)),
    "weight": lambda: remez.fit(targets.exp, (3, 2), weight=_half),
    "relative": lambda: remez.fit(targets.exp, (3, 2), weight="relative"),
    "interpolated": lambda: remez.fit(targets.exp, (3, 2), interpolate=[(0, 1)]),
    "noise floor": lambda: remez.fit(targets.exp, (9, 9)),
    "exact": lambda: remez.fit(remez.parse("(x + 2)/(x**2 + 3)"), (4, 4)),
    "not converged": lambda: remez.fit(
        remez.parse("abs(x - 0.3)"), (5, 5), max_iterations=1, throw=False
    ),
    "union": lambda: remez.fit(targets.sign, (3, 4), [(-1, -0.1), (0.1, 1)]),
    "pole in a gap": lambda: remez.fit(remez.parse("1/x + x/9"), (1, 1), [(-2, -1), (1, 3)]),
    "half-line": lambda: remez.fit(remez.parse("exp(-x)"), (3, 3), (0, INF)),
    "left half-line": lambda: remez.fit(remez.parse("exp(x)"), (2, 3), (-INF, 0)),
    "growing half-line": lambda: remez.fit(
        remez.parse("sqrt(1 + x)"), (3, 2), (0, INF), weight=lambda x: 1 / (1 + x)
    ),
    "line": lambda: remez.fit(remez.parse("exp(-x**2)"), (4, 4), (-INF, INF)),
    "line, no symmetry": lambda: remez.fit(remez.parse("exp(-(x - 3)**2)"), (4, 4), (-INF, INF)),
    "samples": lambda: remez.fit_samples(GRID, np.exp(GRID), (3, 2)),
    "weighted samples": lambda: remez.fit_samples(GRID, np.exp(GRID), (3, 2), weight=2 + GRID),
    "warm": lambda: remez.fit(targets.exp, (3, 2), start=fit_of("double")),
    "warm from precise": lambda: remez.fit(targets.exp, (3, 2), start=fit_of("precise")),
    "tol": lambda: remez.fit(targets.exp, tol=1e-4),
    "file": lambda: _again(fit_of("expression")),
    "file with fn": lambda: _again(fit_of("expression"), fn=targets.exp),
    "file of weighted": lambda: _again(fit_of("weight"), fn=targets.exp),
    "file of relative": lambda: _again(fit_of("relative")),
    "file of samples": lambda: _again(fit_of("samples")),
    "file of half-line": lambda: _again(fit_of("half-line")),
    "file of precise": lambda: _again(fit_of("precise")),
    "pickled": lambda: pickle.loads(pickle.dumps(fit_of("weight"))),
    "pickled precise": lambda: pickle.loads(pickle.dumps(fit_of("precise"))),
    "refined": lambda: fit_of("expression").refined(20),
    "precise": lambda: remez.fit(targets.exp, (3, 2), precision=30),
    "precise callable": lambda: remez.fit(mp.exp, (2, 2), precision=20),
    "precise polynomial": lambda: remez.fit(targets.exp, (4, 0), precision=20),
    "precise zero": lambda: remez.fit(targets.sin, (0, 3), precision=20),
    "precise odd": lambda: remez.fit(targets.tanh, (5, 4), (-2, 2), precision=20),
    "precise even": lambda: remez.fit(remez.parse("abs(x)"), (6, 6), precision=20),
    "precise even off centre": lambda: remez.fit(
        remez.parse("abs(x - 3)"), (4, 4), (2, 4), precision=20
    ),
    "precise weight": lambda: remez.fit(targets.exp, (3, 2), weight=_half, precision=20),
    "precise relative": lambda: remez.fit(targets.exp, (3, 2), weight="relative", precision=20),
    "precise interpolated": lambda: remez.fit(
        targets.exp, (3, 2), interpolate=[(0, 1)], precision=20
    ),
    "precise exact": lambda: remez.fit(remez.parse("(x + 2)/(x**2 + 3)"), (4, 4), precision=20),
    "relative at zeros": lambda: remez.fit(targets.sin, (5, 4), (-4, 4), weight="relative"),
    "precise relative at zeros": lambda: remez.fit(
        targets.sin, (5, 4), (-4, 4), weight="relative", precision=20
    ),
    "precise beyond double": lambda: remez.fit(targets.exp, (9, 9), precision=20),
    "precise union": lambda: remez.fit(
        targets.sign, (3, 4), [(-1, "-0.1"), ("0.1", 1)], precision=20
    ),
    "precise half-line": lambda: remez.fit(remez.parse("exp(-x)"), (3, 3), (0, INF), precision=20),
    "precise left half-line": lambda: remez.fit(
        remez.parse("exp(x)"), (2, 3), (-INF, 0), precision=20
    ),
    "precise line": lambda: remez.fit(remez.parse("exp(-x**2)"), (4, 4), (-INF, INF), precision=20),
    "precise warm": lambda: remez.fit(targets.exp, (3, 2), start=fit_of("double"), precision=20),
    "precise tol": lambda: remez.fit(targets.exp, tol=1e-4, precision=20),
}
GRID = np.linspace(-1, 1, 201)
LOST = "file", "file of relative", "file of samples", "file of half-line", "file of precise"


@functools.cache
def fit_of(kind):
    return KINDS[kind]()


@pytest.fixture(params=KINDS)
def fit(request):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield fit_of(request.param)


@pytest.fixture
def kind(request):
    return request.node.callspec.params["fit"]


def places(fit):
    """Some points of the domain, where it is bounded or not."""
    parts = []
    for low, high in fit.domain.intervals:
        a, b = max(low, min(high, 0) - 3), min(high, max(low, 0) + 3)
        parts.append(np.linspace(a, b, 23))
    return np.concatenate(parts)


def floats(values):
    return np.array([complex(v) for v in np.ravel(values)])


def scale(fit):
    return max(np.abs(floats(fit(places(fit)))).max(), 1e-3)


def refusal(call):
    """The error in one line that a call has to end with."""
    with pytest.raises(remez.RemezError) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert 10 < len(str(caught.value)) < 400


def refuses(kind, call, *kinds):
    """Whether the kind is one of those that the call has to refuse, which is checked."""
    if kind in kinds:
        refusal(call)
        return True
    return False


def test_values(fit):
    x = places(fit)
    flat = floats(fit(x))
    assert np.isfinite(flat).all()
    assert np.shape(fit(x.reshape(1, -1))) == (1, x.size)
    assert np.shape(fit(float(x[0]))) == ()
    assert complex(fit(float(x[0]))) == pytest.approx(flat[0], rel=1e-13)
    assert complex(fit(math.ceil(x[0]))) == complex(fit(float(math.ceil(x[0]))))
    assert np.size(fit(np.empty(0))) == 0
    assert np.isnan(float(fit(math.nan)))
    assert type(fit(float(x[0]))) is (float if fit.precision is None else mp.mpf)


def test_complex_values(fit):
    x = places(fit)
    tiny = 1e-9 * scale(fit)
    assert np.abs(floats(fit(x + 0j)) - floats(fit(x))).max() <= 1e-12 * scale(fit)
    z = x + 0.01j  # Schwarz reflection
    assert np.abs(floats(fit(z.conj())) - floats(fit(z)).conj()).max() <= tiny
    poles, residues, rest = fit.partial_fractions()
    gaps = np.abs(np.subtract.outer(floats(poles), floats(poles))) + np.eye(len(poles)) * 9
    if gaps.min(initial=9) > 1e-3 and fit.status is not Status.NOISE_FLOOR:  # poles of rounding
        terms = floats(residues) / (z[:, None] - floats(poles))
        total, size = rest(z) + terms.sum(1), np.abs(rest(z)) + np.abs(terms).sum(1)
        assert (np.abs(total - floats(fit(z))) <= 1e-7 * size + tiny).all()


def test_the_slope(fit):
    x = places(fit)
    h = 1e-6
    slopes = np.real(floats(fit.derivative()(x)))
    differences = floats(fit(x + 1j * h)).imag / h  # r(x + ih) = r(x) + ih r'(x) + O(h²)
    assert np.abs(slopes - differences).max() <= 1e-6 * max(1, np.abs(slopes).max())
    assert np.shape(fit.derivative()(x.reshape(1, -1))) == (1, x.size)
    assert complex(fit.derivative()(float(x[0]))) == pytest.approx(slopes[0], rel=1e-9, abs=1e-12)


def test_roots(fit):
    m, n = fit.rational.degree
    assert len(fit.poles()) == len(fit.residues()) <= n
    assert len(fit.zeros()) <= max(m, n)
    for zero in floats(fit.zeros()):
        if abs(zero) < 10:
            assert abs(complex(fit(zero))) <= 1e-6 * scale(fit)
    for pole in floats(fit.poles()):
        if abs(pole) < 10:
            assert abs(complex(fit(pole + 1e-9 * (1 + abs(pole))))) >= 10 * scale(fit)


def test_the_degree(fit):
    assert fit.degree == fit.problem.degree
    assert all(a <= b for a, b in zip(fit.rational.degree, fit.degree, strict=True))


def test_numerator_and_denominator(fit):
    x = places(fit)
    p, q = fit.numerator, fit.denominator
    assert p.degree() <= fit.degree[0]
    assert q.degree() <= fit.degree[1]
    assert np.abs(p(x) / q(x) - floats(fit(x))).max() <= 1e-9 * scale(fit)


FORMS = ("chebyshev", "monomial", "continued_fraction", "product", "safe_pade")


@pytest.mark.no_cover
@pytest.mark.parametrize("name", FORMS)
def test_bases(fit, kind, name):
    convert = functools.partial(getattr(bases, name), fit)
    if refuses(kind, convert, *UNBOUNDED_BOTH):
        return
    if name == "safe_pade" and refuses(kind, convert, *HALF_LINES, "pole in a gap"):
        return
    form = convert()
    x = places(fit)
    assert np.abs(form(x) - np.real(floats(fit(x)))).max() <= form.loss + 1e-14 * scale(fit)
    if name != "continued_fraction" and kind != "growing half-line":  # which may lose digits
        assert form.loss <= 1e-9 * scale(fit)


UNBOUNDED_BOTH = "line", "line, no symmetry", "precise line"
HALF_LINES = (
    "half-line",
    "left half-line",
    "growing half-line",
    "file of half-line",
    "precise half-line",
    "precise left half-line",
)


@pytest.mark.no_cover
def test_safe_pade_is_a_method(fit, kind):
    if refuses(kind, fit.safe_pade, *UNBOUNDED_BOTH, *HALF_LINES, "pole in a gap"):
        return
    form = fit.safe_pade()
    again = bases.SafePade.from_dict(json.loads(json.dumps(form.to_dict())))
    assert again.loss == form.loss


LANGUAGES = ("c", "python", "numba", "torch")
# kinds that differ in how coefficients are rounded; the arithmetic is the same in every language
SOME = (
    "expression",
    "zero",
    "constant",
    "weight",
    "relative",
    "interpolated",
    "union",
    "left half-line",
    "weighted samples",
    "file of relative",
    "file of weighted",
    "precise",
    "precise zero",
    "precise relative",
    "precise half-line",
)


@pytest.mark.no_cover
def test_code(fit, kind):
    check_code(fit, kind, "float64")


@pytest.mark.no_cover
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("fit", SOME, indirect=True)
def test_code_of_fewer_bits(fit, kind, dtype):
    check_code(fit, kind, dtype)


def check_code(fit, kind, dtype):
    write = functools.partial(fit.to_code, "python", dtype)
    if refuses(kind, write, *UNBOUNDED_BOTH, *LOST_WEIGHT):
        return
    if refuses((kind, dtype), write, ("growing half-line", "float64")):
        return
    code = write()
    names = {}
    exec(str(code), names)
    x = places(fit).astype("float64" if dtype == "float64" else "float32")
    values = names[code.name](x)
    gap = np.abs(values - np.real(floats(fit(x))))
    if fit.problem.weight is None and fit.problem.samples is None:
        assert gap.max() <= code.bound + float(fit.error) + 1e-12
    if fit.problem.fn is not None and fit.problem.samples is None:
        f = fit.problem.target()(x.astype(float))
        with np.errstate(all="ignore"):
            errors = np.abs(fit.problem.weight_of(x.astype(float), f) * (f - values))
        assert errors[np.isfinite(errors)].max() <= code.bound * (1 + 1e-6) + 1e-15
    assert json.dumps(code.to_dict())


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("fit", SOME, indirect=True)
def test_code_in_every_language(fit, kind, language):
    write = functools.partial(remez.generate_code, fit, language, scheme="estrin", name="r")
    if refuses(kind, write, *UNBOUNDED_BOTH, *LOST_WEIGHT):
        return
    assert "r" in str(write())


def test_plot(fit, kind):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    if refuses(kind, fit.plot, *set(LOST) - {"file of samples"}, *LOST_WEIGHT, "pickled precise"):
        return
    axes = fit.plot()
    assert len(axes.lines) >= 4
    heights = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.lines])
    assert np.isfinite(heights).all()
    if fit.problem.samples is None:
        assert np.abs(heights).max() <= 1.01 * float(fit.error) + 1e-13
    matplotlib.pyplot.close("all")


LOST_WEIGHT = "file of weighted", "pickled"


@pytest.mark.no_cover
def test_certificate(fit):
    certificate = remez.certify(fit)
    assert certificate.lower <= certificate.upper * (1 + 1e-12)
    assert certificate.to_dict() == fit.certify().to_dict()
    if certificate.rigorous:
        assert remez.verify(json.loads(json.dumps(certificate.to_dict())))
    assert "\n" not in certificate.method


@pytest.mark.no_cover
def test_refined(fit, kind):
    if kind in LOST or kind in LOST_WEIGHT or "samples" in kind or kind == "pickled precise":
        refusal(lambda: fit.refined(20))
        return
    if kind in ("double", "scalar callable"):  # fn takes no mpmath numbers
        refusal(lambda: fit.refined(20))
        return
    fine = fit.refined(20)
    assert fine.precision == 20
    if fit.status is Status.CONVERGED and fine.converged:
        assert float(fine.error) <= float(fit.error) * (1 + 1e-6)
        assert float(fine.error) >= float(fit.lower_bound) * (1 - 1e-6)


def test_files(fit):
    data = fit.to_dict()
    again = _again(fit)
    assert type(again) is remez.Fit
    assert again.to_dict() == data
    assert pickle.loads(pickle.dumps(fit)).to_dict() == data
    x = places(fit)
    assert (floats(again(x)) == floats(fit(x))).all()
    assert type(again.rational).from_dict(again.rational.to_dict()).to_dict() == data["rational"]


def test_representation(fit):
    assert repr(fit).startswith("Fit(type (")
    assert "\n" not in repr(fit)


@pytest.mark.no_cover
@pytest.mark.parametrize("precision", [None, 20])
def test_a_start(fit, precision):
    warm = remez.fit(targets.exp, (2, 2), start=fit, precision=precision)
    assert warm.converged
    assert float(warm.error) == pytest.approx(8.689991075505519e-5, rel=2e-3)  # Meinardus' table


def test_history(fit, kind):
    read = kind.startswith("file")
    assert read == (fit.history == ())
    for record in fit.history:
        assert type(record) is remez.IterationRecord
        assert record.iteration >= 1
        assert all(a <= max(fit.degree) + 1 for a in record.degree)
        assert len(record.reference) >= 2
        assert all(a < b for a, b in itertools.pairwise(map(float, record.reference)))
        assert record.levelled_error >= 0
        assert record.gap <= 1


def test_fits_are_frozen(fit):
    with pytest.raises(AttributeError):
        fit.error = 0


@pytest.mark.parametrize("options", [{}, {"precision": 20}, {"tol": 1e-3}], ids=str)
def test_callbacks_get_the_history(options):
    seen = []
    degree = None if "tol" in options else (2, 2)
    fit = remez.fit(targets.exp, degree, callback=seen.append, **options)
    assert seen
    assert tuple(seen) == fit.history
    last = seen[-1]
    assert last.degree == fit.degree
    assert float(last.levelled_error) == pytest.approx(float(fit.error), rel=1e-3)
    assert last.sound


@pytest.mark.parametrize("precision", [None, 20])
def test_a_tolerance_out_of_reach(precision, monkeypatch):
    monkeypatch.setattr("remez.solver.tolerance.MAX_DEGREE", 3)
    call = functools.partial(remez.fit, remez.parse("abs(x - 0.3)"), tol=1e-3, precision=precision)
    refusal(call)
    assert call(throw=False).error > 1e-3


@pytest.mark.parametrize("options", [{}, {"precision": 20}, {"weight": "relative"}], ids=str)
def test_tables(options):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    table = remez.error_table(targets.exp, (2, 1), **options)
    assert table.errors.dtype == float
    assert table.errors.shape == (3, 2)
    assert (np.diff(table.errors, axis=0) < 0).all()
    assert table.plot().images
    matplotlib.pyplot.close("all")


COMMANDS = {
    "fit": [],
    "certify": [],
    "code": ["--lang", "python"],
    "plot": ["--out", "error.svg"],
}


@pytest.mark.no_cover
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "options",
    [
        ["exp(x)", "--degree", "2", "2"],
        ["exp(x)", "--degree", "2", "2", "--precision", "20"],
        ["exp(x)", "--degree", "2", "2", "--weight", "relative", "--precision", "20"],
        ["exp(-x)", "--degree", "2", "2", "--domain", "0", "inf"],
        ["exp(-x)", "--degree", "2", "2", "--domain", "0", "inf", "--precision", "20"],
        ["exp(-x**2)", "--degree", "2", "2", "--domain", "-inf", "inf"],
        ["sign(x)", "--degree", "3", "2", "--domain", "-1", "-.1", "--domain", ".1", "1"],
        ["exp(x)", "--tol", "1e-3"],
        ["exp(x)", "--tol", "1e-3", "--precision", "20"],
        ["abs(x)", "--tol", "1e-30"],
    ],
    ids=" ".join,
)
def test_the_command_line(command, options, capsys, tmp_path, monkeypatch):
    from remez.cli.program import main

    monkeypatch.setattr("remez.solver.tolerance.MAX_DEGREE", 3)
    monkeypatch.chdir(tmp_path)
    code = main([command, *options, *COMMANDS[command]])
    out, err = capsys.readouterr()
    assert len(err.strip().splitlines()) <= 1
    refused = "1e-30" in options or (command == "code" and "-inf" in options)
    assert (code != 0) == refused
    assert bool(out or (tmp_path / "error.svg").exists()) == (not refused)
