"""A comparison as one self-contained HTML page."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from rsae_evals.report import summary
from rsae_evals.report.answer import (
    Question,
    answer,
    question,
    readable,
    scope,
    variant_label,
    variant_meaning,
)
from rsae_evals.report.numbers import number, signed
from rsae_evals.report.plots import plots
from rsae_evals.report.tables import SIGNS, Cell, Change, Table, text
from rsae_evals.results import (
    Comparison,
    Context,
    FeatureChange,
    FeatureIdentity,
    Verdict,
)
from rsae_evals.serial import with_printable_texts

_FIT = 5  # variants whose columns fit beside the difference on a screen of 1280 pixels


@dataclass(frozen=True)
class Group:
    """Features that changed in one way: a tab of the page."""

    name: str
    meaning: str
    features: tuple[FeatureChange, ...]
    table: Table


def html(comparison: Comparison) -> str:
    """The whole page. Nothing in it refers to another file or server.

    Every text of the comparison is escaped; only the drawings, made here, go in as markup. The
    page's content security policy allows its one script by hash and no request at all, so that
    text that slipped through could neither run nor call home.
    """
    comparison = with_printable_texts(comparison)
    asked = question(comparison)
    subject = comparison.variant(asked.subject)
    identity = subject.identity
    return rendered(
        "report.html.j2",
        answer=answer(comparison),
        scope=scope(comparison) if asked.baseline else "",
        eyebrow=_eyebrow(comparison),
        warnings=[readable(comparison, warning) for warning in comparison.warnings],
        headline=_subject_first(_few(summary.headline(comparison, asked), comparison, asked)),
        meanings=[
            (variant_label(variant.name), variant_meaning(variant.name))
            for variant in comparison.variants
            if variant_meaning(variant.name)
        ],
        figures=plots(comparison, asked),
        areas=summary.areas(comparison),
        pairs=[
            (variant_label(variant.name), summary.pair(comparison, asked.subject, variant.name))
            for variant in sorted(comparison.variants, key=lambda one: one.name != asked.baseline)
            if variant.name != asked.subject
        ],
        recovery=summary.recovery(comparison),
        identity=summary.identity(comparison),
        groups=list(_groups(identity.changed)) if identity else [],
        movement=_movement(identity) if identity else "",
        before=f"{variant_label(identity.reference)} fires most on" if identity else "",
        after=f"{variant_label(subject.name)} fires most on",
        metrics=summary.all_metrics(comparison),
        untrained=summary.untrained(comparison),
        undefined=sorted(comparison.undefined.items()),
        details=summary.details(comparison),
        provenance=summary.provenance(comparison),
    )  # fmt: skip


def rendered(template: str, **content: object) -> str:
    """A page from a template of this folder, with the style and the one script of every page."""
    script = _asset("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _environment().get_template(template).render(
        version=version("rsae-evals"),
        css=Markup(_asset("report.css")),
        script=Markup(script),
        script_hash=Markup(f"sha256-{digest}"),
        **content,
    )  # fmt: skip


def _few(table: Table, comparison: Comparison, asked: Question) -> Table:
    """The columns of the variants that are asked about, where all of them are too many to fit."""
    variants = comparison.variants
    if len(variants) <= _FIT:
        return table
    others = [i for i, variant in enumerate(variants, start=1) if variant.name not in asked.shown]
    caption = f"{table.caption}. {len(others)} further variants: under All metrics"
    kept = [i for i in range(len(table.columns)) if i not in others]
    return replace(table.ordered(kept), caption=caption)


def _subject_first(table: Table) -> Table:
    """The columns of subject, verdict and difference first, for screens that show three."""
    if table.subject is None or len(table.columns) == table.subject + 1:
        return table
    last = len(table.columns) - 1
    first = [0, table.subject, last, last - 1]
    return table.ordered([*first, *(i for i in range(last) if i not in first)])


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("rsae_evals.report", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., object]] = {
        "text": text,
        "signed": signed,
        "brief": partial(number, digits=3),
        "pieces": _pieces,
        "heading_attributes": _heading_attributes,
        "cell_attributes": _cell_attributes,
    }
    environment.filters |= filters
    environment.tests |= {
        "verdict": lambda value: isinstance(value, Verdict),
        "change": lambda value: isinstance(value, Change),
    }
    environment.globals |= {"signs": SIGNS, "verdicts": Verdict}
    return environment


def _asset(name: str) -> str:
    return files("rsae_evals.report").joinpath("assets", name).read_text(encoding="utf-8")


def _eyebrow(comparison: Comparison) -> str:
    """The language model and the hook, as far as they are known."""
    known = [comparison.provenance.get(key) for key in ("host", "hook_name")]
    return " · ".join(["rsae evaluation", *(str(value) for value in known if value)])


def _heading_attributes(table: Table, column: int) -> Markup:
    classes = [name for name, on in _classes(table, column) if on]
    attributes = Markup(' class="{}"').format(" ".join(classes)) if classes else Markup()
    return attributes + Markup(' aria-sort="none"' if table.sortable else "")


def _cell_attributes(table: Table, column: int, value: Cell) -> Markup:
    classes = [name for name, on in _classes(table, column) if on]
    attributes = Markup(' class="{}"').format(" ".join(classes)) if classes else Markup()
    if table.sortable:
        attributes += Markup(' data-sort="{}"').format(escape(_sort_key(value)))
    return attributes


def _classes(table: Table, column: int) -> Iterable[tuple[str, bool]]:
    cells = [row[column] for row in table.rows if row[column] is not None]
    words = bool(cells) and all(isinstance(cell, str | Verdict) for cell in cells)
    long = any(isinstance(cell, str) and len(cell) > 24 for cell in cells)
    return (("subject", column == table.subject), ("text", words), ("wrap", long))


def _sort_key(value: Cell) -> str:
    if isinstance(value, Change):
        value = value.value
    if isinstance(value, Verdict):
        return value.value
    return "" if value is None else str(value)


@dataclass(frozen=True)
class Piece:
    """A stretch of a context: the white space before a token, and the token as it is shaded."""

    space: str
    token: str
    strength: str
    is_peak: bool


def _pieces(context: Context) -> Iterable[Piece]:
    """The tokens of a context, shaded by the activation as a share of the peak; line ends shown."""
    top = abs(context.values[context.peak]) or 1.0
    for index, (token, value) in enumerate(zip(context.tokens, context.values, strict=True)):
        shown = token.replace("\r", "").replace("\n", "↵")
        word = shown.lstrip()
        space = " " if index and word != shown else ""
        yield Piece(space, word, f"{min(abs(value) / top, 1.0):.2f}", index == context.peak)


def _groups(changed: tuple[FeatureChange, ...]) -> Iterable[Group]:
    kinds: tuple[tuple[str, str, Callable[[FeatureChange], bool]], ...] = (
        (
            "Alive before and after",
            "Features that fire before and after, those that changed the most first.",
            lambda f: f.density_before > 0 and f.density_after > 0,
        ),
        (
            "Now alive",
            "Features that never fired before and fire now.",
            lambda f: f.density_before == 0 and f.density_after > 0,
        ),
        (
            "Now dead",
            "Features that fired before and never fire now.",
            lambda f: f.density_after == 0,
        ),
    )
    for name, meaning, belongs in kinds:
        members = tuple(filter(belongs, changed))
        if members:
            yield Group(name, meaning, members, summary.features(members, f"{name}: features"))


def _movement(identity: FeatureIdentity) -> str:
    """The flows between alive and dead in a sentence."""
    flows = identity.flows
    return (
        f"Matched by {identity.matched_by} with {variant_label(identity.reference)}: "
        f"{number(flows.get('alive_alive', 0))} "
        f"features alive before and after, {number(flows.get('dead_alive', 0))} alive only after, "
        f"{number(flows.get('alive_dead', 0))} only before, "
        f"{number(flows.get('dead_dead', 0))} neither."
    )
