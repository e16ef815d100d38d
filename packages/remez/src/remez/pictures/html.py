"""Fits and tables as a notebook shows them: HTML with an error curve, and LaTeX."""

from __future__ import annotations

import importlib.util
import io
from html import escape
from typing import Any

import numpy as np

from remez.errors import RemezError
from remez.rational import bases
from remez.solution import Solution

__all__ = ["fit_to_html", "fit_to_latex", "table_to_html"]

DIGITS = 6  # significant digits of coefficients and errors
TERMS = 12  # of a numerator or a denominator that is written out


def fit_to_html(fit: Solution) -> str:
    """The facts of a fit as a table, and its error curve where matplotlib and fn are at hand."""
    text = getattr(fit.problem.fn, "text", None) or getattr(fit.problem.fn, "__name__", "function")
    rows = [
        ("function", f"{text} on {fit.domain}"),
        ("type", str(fit.degree)),
        ("error", f"{float(fit.error):.{DIGITS}g}"),
        ("lower bound", f"{float(fit.lower_bound):.{DIGITS}g}"),
        ("alternation", f"{len(fit.reference)} points"),
        ("status", fit.status.value),
    ]
    body = "".join(
        f'<tr><th style="text-align:left">{name}</th>'
        f'<td style="text-align:left">{escape(value)}</td></tr>'
        for name, value in rows
    )
    return f"<table>{body}</table>{_curve(fit)}"


def _curve(fit: Solution) -> str:
    """The error curve as SVG; nothing where it cannot be drawn."""
    if importlib.util.find_spec("matplotlib") is None:
        return ""
    from matplotlib.figure import Figure

    from remez.pictures.plotting import plot_error

    figure = Figure(figsize=(6, 2.6), layout="constrained")
    try:
        plot_error(fit, figure.subplots())
    except RemezError:  # a fit from a file has lost its fn
        return ""
    out = io.StringIO()
    figure.savefig(out, format="svg")
    return out.getvalue()[out.getvalue().index("<svg") :]


def fit_to_latex(fit: Solution) -> str:
    """r as a fraction of polynomials in the scaled variable t, coefficients rounded."""
    try:
        form = bases.monomial(fit)
    except RemezError:  # the whole line has no scaled variable
        return f"$r \\text{{ of type }} {fit.degree}$"
    if form.q.size == 1:
        value = _polynomial(form.p / form.q[0])
    else:
        value = rf"\frac{{{_polynomial(form.p)}}}{{{_polynomial(form.q)}}}"
    shift, scale = form.variable.shift, form.variable.scale
    y = "x" if shift == 0 else f"(x {_signed(-shift)})"
    y = y if scale == 1 else rf"{_number(scale)}\,{y}"
    t = rf"1 - \frac{{2}}{{{y} + 1}}" if form.variable.mobius else y
    return rf"$r(x) = {value}, \quad t = {t}$"


def _polynomial(c: np.ndarray) -> str:
    """Terms in increasing powers, those that vanish left out."""
    terms = [(k, float(v)) for k, v in enumerate(c) if v] or [(0, 0.0)]
    more = len(terms) > TERMS
    text = ""
    for k, v in terms[:TERMS]:
        power = "" if k == 0 else "t" if k == 1 else f"t^{{{k}}}"
        number = _signed(v) if text else _number(v)
        text += f"{' ' if text else ''}{number}{chr(92) + ',' if power else ''}{power}"
    return text + (r" + \cdots" if more else "")


def _signed(v: float) -> str:
    return f"- {_number(-v)}" if v < 0 else f"+ {_number(v)}"


def _number(v: float) -> str:
    mantissa, _, exponent = f"{v:.{DIGITS}g}".partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa


def table_to_html(errors: np.ndarray) -> str:
    """Best errors by numerator degree (rows) and denominator degree (columns)."""

    def row(cells: list[Any], tag: str) -> str:
        first, *rest = cells
        return f"<tr><th>{first}</th>{''.join(f'<{tag}>{c}</{tag}>' for c in rest)}</tr>"

    head = row(["m \\ n", *range(errors.shape[1])], "th")
    lines = [
        row([m, *("" if np.isnan(e) else f"{e:.3e}" for e in line)], "td")
        for m, line in enumerate(errors)
    ]
    return f"<table>{head}{''.join(lines)}</table>"
