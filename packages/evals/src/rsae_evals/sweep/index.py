"""The result of a sweep: a row for each SAE, read from its folder, and the page of them all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rsae.errors import RsaeError
from rsae.files import make_folder, read_json, write_json, write_text
from rsae_evals.metrics.catalogue import METRICS
from rsae_evals.report import read
from rsae_evals.report.figures import Figure, canvas, drawn_text, inline, legend, series
from rsae_evals.report.page import rendered
from rsae_evals.report.tables import Cell, Table
from rsae_evals.sweep.groups import is_finished
from rsae_evals.sweep.members import Member

__all__ = ["Row", "rows_of", "write_index"]

_SHOWN = ("mse", "explained_variance", "delta_ce")
_DRAWN = ("explained_variance", "delta_ce")
State = Literal["done", "failed", "missing"]


@dataclass(frozen=True)
class Row:
    """One SAE of a sweep, before and after.

    Attributes:
        name: Its folder below the sweep's.
        source: What was given for it.
        state: "done"; "failed", with a `cause`; or "missing", not yet tried.
        cause: Why it failed, in a sentence; else empty.
        worse: A sentence where the result has a higher error than its teacher; else empty.
        family: Its activation's family, or None where it was not read.
        features: d_sae, or None.
        hook: Where it reads, or None.
        seconds: Of the upgrade, evaluation not counted; or None.
        before: The teacher's metrics by name, on held-out tokens.
        after: The result's.
    """

    name: str
    source: str
    state: State
    cause: str = ""
    worse: str = ""
    family: str | None = None
    features: int | None = None
    hook: str | None = None
    seconds: float | None = None
    before: dict[str, float | None] | None = None
    after: dict[str, float | None] | None = None


def rows_of(members: Iterable[Member], out: Path) -> tuple[Row, ...]:
    """What is there of each member."""
    return tuple(_row(member, out / member.name) for member in members)


def _row(member: Member, folder: Path) -> Row:
    try:
        if is_finished(folder):
            return _done(member, folder)
        if (folder / "failure.json").is_file():
            cause = str(read_json(folder / "failure.json")["cause"])
            return Row(member.name, member.source, "failed", cause)
    except (RsaeError, AttributeError, KeyError, TypeError, ValueError) as error:
        return Row(member.name, member.source, "failed", f"its files are damaged: {error}")
    return Row(member.name, member.source, "missing")


def _done(member: Member, folder: Path) -> Row:
    summary, comparison = read_json(folder / "summary.json"), read(folder)
    teacher, result = comparison.variants[0], comparison.variants[-1]
    return Row(
        name=member.name,
        source=member.source,
        state="done",
        worse=str(summary["worse"]),
        family=str(summary["family"]),
        features=int(summary["features"]),
        hook=str(summary["hook_name"]),
        seconds=float(sum(summary["seconds"].values())),
        before={name: teacher.metrics.get(name) for name in ("l0", *_SHOWN)},
        after={name: result.metrics.get(name) for name in ("l0", *_SHOWN)},
    )


def write_index(rows: Sequence[Row], out: Path, settings: dict[str, Any]) -> Path:
    """Write sweep.json and index.html into the sweep's folder; the page's path."""
    folder = make_folder(out)
    write_json(folder / "sweep.json", {"settings": settings, "rows": [asdict(row) for row in rows]})
    done = [row for row in rows if row.state == "done"]
    count = {state: sum(row.state == state for row in rows) for state in ("failed", "missing")}
    page = rendered(
        "sweep.html.j2",
        sentence=f"{len(done)} of {len(rows)} SAEs upgraded",
        counts=[f"{n} {state}" for state, n in count.items() if n],
        table=_table(rows),
        failures=[(row.name, row.cause) for row in rows if row.state == "failed"],
        figures=[figure for name in _DRAWN if (figure := _curves(done, name))],
        settings=sorted((name, str(value)) for name, value in settings.items()),
    )
    return write_text(folder / "index.html", page)


def _table(rows: Sequence[Row]) -> Table:
    headings = [f"{METRICS[name].label} {when}" for name in _SHOWN for when in ("before", "after")]
    return Table(
        "Every SAE, before and after, on the same held-out tokens",
        ("SAE", "result", "strict L0 before", "strict L0 after", *headings, "hook", "features"),
        tuple(_cells(row) for row in rows),
        sortable=True,
        links=tuple(f"{row.name}/report.html" if row.state == "done" else "" for row in rows),
    )


def _cells(row: Row) -> tuple[Cell, ...]:
    before, after = row.before or {}, row.after or {}
    pairs = [one.get(name) for name in ("l0", *_SHOWN) for one in (before, after)]
    state = "worse than its teacher" if row.worse else row.state
    features = None if row.features is None else float(row.features)
    return (row.name, state, *pairs, row.hook, features)


def _curves(rows: Sequence[Row], metric: str) -> Figure | None:
    """A metric against strict L0, joined where family and hook are the same."""
    meaning = METRICS[metric]
    curves: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        kind = f"{row.family}, {row.features} features, {row.hook}"
        for when, figures in (("before", row.before), ("after", row.after)):
            l0, value = (figures or {}).get("l0"), (figures or {}).get(metric)
            if l0 and value is not None:
                curves[kind, when].append((l0, value))
    if not curves:
        return None
    kinds = list(dict.fromkeys(kind for kind, _ in curves))
    with canvas(5.4, 4.2) as (axes, out):
        for (kind, when), points in curves.items():
            style, after = series(kinds.index(kind)), when == "after"
            axes.plot(
                *zip(*sorted(points), strict=True), color=style.color, marker=style.marker,
                linestyle="solid" if after else (0, (1, 1.5)), label=drawn_text(f"{kind}, {when}"),
                markerfacecolor=style.color if after else "none",
            )  # fmt: skip
        axes.set(xlabel="strict L0 (features active per token)", ylabel=meaning.heading)
        axes.margins(0.12)
        legend(axes)
    data = tuple((*name, *point) for name, points in curves.items() for point in sorted(points))
    key, title = f"sweep-{metric.replace('_', '-')}", f"{meaning.label} against sparsity"
    reading = "Each mark is one SAE: open before, filled after its upgrade."
    drawing = inline(out[0], key=key, title=title, reading=reading)
    columns = ("SAEs", "when", "strict L0", meaning.label)
    return Figure(key, title, reading, drawing, Table(title, columns, data))
