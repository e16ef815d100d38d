"""The tables and the plot of docs/rsae/results.md, from the records alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.records import (
    downstream,
    downstream_figures,
    read_records,
    reconstruction,
    reconstruction_figures,
)
from rsae.files import write_text
from rsae_evals.comparison.statistics import Interval, interval_over_seeds, intervals
from rsae_evals.report.numbers import number

PAGE = Path(__file__).resolve().parents[1] / "docs" / "rsae" / "results.md"

#: What `rsae upgrade` makes without flags.
DEFAULT = {
    "relu": "threshold_only_refined",
    "jumprelu": "teacher_pursued",
    "topk": "teacher_pursued",
    "batchtopk": "teacher_pursued",
    "matryoshka": "teacher_pursued",
}
FAMILY = {
    "relu": "ReLU",
    "jumprelu": "JumpReLU",
    "topk": "TopK",
    "batchtopk": "BatchTopK",
    "matryoshka": "Matryoshka",
}
VARIANT = {
    "teacher": "teacher",
    "teacher_refined": "teacher + CG",
    "teacher_pursued": "teacher + pursuit",
    "control": "fine-tuned",
    "control_refined": "fine-tuned + CG",
    "threshold_only": "thresholds",
    "threshold_only_refined": "thresholds + CG",
    "rational": "rational",
    "rational_refined": "rational + CG",
    "paper": "paper's setting",
}
#: What one step is worth: (the question, variant, the variant without that step).
CONTRASTS = (
    ("the default against CG alone", "default", "teacher_refined"),
    ("fine-tuning, both with CG", "control_refined", "teacher_refined"),
    ("thresholds and L0 penalty, both with CG", "threshold_only_refined", "control_refined"),
    ("the rational's shape", "rational", "threshold_only"),
    ("the rational's shape, both with CG", "rational_refined", "threshold_only_refined"),
    ("CG after fine-tuning", "control_refined", "control"),
    ("the paper's setting against fine-tuning", "paper", "control"),
)
CHOICE = Path(__file__).resolve().parents[1] / "benchmarks" / "rsae" / "keep.json"
CHOICE_WORLD = "21"  # the one that settings were chosen on
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Group:
    """The records of one model, layer, family and L0, one per seed; or of all worlds' teachers."""

    name: str
    family: str
    records: Sequence[Mapping[str, Any]]

    def variant(self, name: str) -> str | None:
        """A variant's name in the records; None where there is none of it."""
        found = DEFAULT[self.family] if name == "default" else name
        if found.startswith("control") and found not in self.records[0]["variants"]:
            found = found.replace("control", "threshold_only")  # JumpReLU's own objective
        return found if found in self.records[0]["variants"] else None

    def contrasts(self) -> Iterator[tuple[str, str, str]]:
        """The contrasts of two different variants that there are."""
        for question, after, before in CONTRASTS:
            variant, baseline = self.variant(after), self.variant(before)
            if variant is not None and baseline is not None and variant != baseline:
                yield question, variant, baseline

    def figure(self, variant: str, name: str) -> float:
        """A figure's mean over seeds, or worlds; NaN where one is undefined."""
        values = [one["variants"][variant]["figures"].get(name) for one in self.records]
        return float(np.mean(self._by_world([np.nan if v is None else v for v in values])))

    def identity(self, variant: str, name: str, which: int = 0) -> float:
        """Mean over seeds of a figure of identity: 0 the median, 1 the 10th percentile.

        A record need not compare the teacher with itself.
        """
        known = [one["variants"][variant]["identity"].get(name) for one in self.records]
        return float(np.mean(self._by_world([value[which] if value else 1.0 for value in known])))

    def difference(self, variant: str, baseline: str) -> dict[str, Interval]:
        """Intervals over documents, crossed with seeds; of one seed, over documents alone."""
        found: dict[str, Interval] = {}
        for read, figures in (
            (reconstruction, reconstruction_figures),
            (downstream, downstream_figures),
        ):
            after, before = (
                [read(one["sums"] | one["variants"][n]["sums"]) for one in self.records]
                for n in (variant, baseline)
            )
            found |= intervals(after, before, figures)
        return found

    def over_seeds(
        self, variant: str, baseline: str, figure: str, scale: Callable[[float], float] = float
    ) -> Interval:
        """The interval of a difference over seeds, or worlds, alone."""
        differences = []
        for one in self.records:
            after, before = (
                scale(one["variants"][name]["figures"][figure]) for name in (variant, baseline)
            )
            differences.append(after - before)
        return interval_over_seeds(self._by_world(differences))

    def _by_world(self, values: Sequence[float]) -> list[float]:
        """Means over the teachers of each world, which are no independent worlds.

        Records of language models have no world, and stand for themselves.
        """
        found: dict[int, list[float]] = {}
        for place, (one, value) in enumerate(zip(self.records, values, strict=True)):
            found.setdefault(one.get("world", place), []).append(value)
        return [float(np.mean(of_one)) for of_one in found.values()]


def groups(folder: Path) -> list[Group]:
    """The records of a folder by group, families in the order of the page."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for name, record in read_records(folder).items():
        group = name.partition("-") if "world" in record else name.rpartition("-")
        by_name.setdefault(group[0], []).append(record)
    families = list(FAMILY)
    found = [
        Group(name, next(part for part in name.split("-") if part in FAMILY), records)
        for name, records in by_name.items()
    ]
    return sorted(found, key=lambda one: (families.index(one.family), one.name))


def variants_table(found: Iterable[Group]) -> str:
    """Every variant of every group, with its differences to the teacher."""
    rows = []
    for group in found:
        seeds = len(group.records)
        for name, label in VARIANT.items():
            if name not in group.records[0]["variants"]:
                continue
            mark = " (default)" if name == DEFAULT[group.family] else ""
            change = group.difference(name, "teacher") if name != "teacher" else None
            rows.append(
                (
                    f"{FAMILY[group.family]} ({seeds})",
                    label + mark,
                    number(group.figure(name, "mse"), 4),
                    percent(change["log_mse"]) if change else "",
                    f"{group.figure(name, 'l0'):.1f}",
                    f"{group.figure(name, 'frac_alive'):.3f}",
                    f"{group.figure(name, 'delta_ce'):.3f}",
                    signed(change["delta_ce"], 3) if change else "",
                    f"{group.figure(name, 'kl_div_with_sae'):.3f}",
                    f"{100 * group.figure(name, 'ce_loss_score'):.1f}",
                    f"{group.identity(name, 'firing_jaccard'):.2f}",
                    f"{group.identity(name, 'decoder_cosine'):.3f}",
                )
            )
    columns = (
        "family (seeds)", "variant", "MSE", "against teacher, %", "L0", "alive", "ΔCE",
        "against teacher", "KL", "loss recovered, %", "Jaccard", "decoder cosine",
    )  # fmt: skip
    return markdown(columns, rows)


def contrasts_table(found: Iterable[Group]) -> str:
    """What each step is worth, by group."""
    rows = []
    for group in found:
        for question, variant, baseline in group.contrasts():
            change = group.difference(variant, baseline)
            rows.append(
                (
                    FAMILY[group.family],
                    question,
                    percent(change["log_mse"]),
                    signed(change["delta_ce"], 3),
                    signed(change["l0"], 2),
                )
            )
    return markdown(("family", "what", "MSE, %", "ΔCE", "L0"), rows)


def probing_table(found: Iterable[Group]) -> str:
    """Accuracy of sparse probes with five features."""
    rows = []
    for group in found:
        for name, label in VARIANT.items():
            variants = group.records[0]["variants"]
            if name not in variants or "sae_top_5_test_accuracy" not in variants[name]["figures"]:
                continue
            cells = []
            for k in (1, 5):
                figure = f"sae_top_{k}_test_accuracy"
                cells.append(f"{group.figure(name, figure):.3f}")
                against = group.over_seeds(name, "teacher", figure) if name != "teacher" else None
                cells.append(signed(against, 3) if against else "")
            rows.append((FAMILY[group.family], label, *cells))
    columns = ("family", "variant", "k = 1", "against teacher", "k = 5", "against teacher")
    return markdown(columns, rows)


def worlds_table(found: Iterable[Group]) -> str:
    """Known features: every variant of every family, means over worlds."""
    rows = []
    for group in found:
        for name, label in VARIANT.items():
            if name not in group.records[0]["variants"]:
                continue
            mark = " (default)" if name == DEFAULT[group.family] else ""
            changes = [""] * 3
            if name != "teacher":
                mse = group.over_seeds(name, "teacher", "mse", np.log)
                f1, mcc = (group.over_seeds(name, "teacher", m) for m in ("f1", "mcc"))
                changes = [percent(mse), signed(f1, 3), signed(mcc, 3)]
            rows.append(
                (
                    f"{FAMILY[group.family]} ({len(group.records)})",
                    label + mark,
                    changes[0],
                    f"{group.figure(name, 'l0'):.2f}",
                    f"{group.figure(name, 'f1'):.3f}",
                    changes[1],
                    f"{group.figure(name, 'mcc'):.3f}",
                    changes[2],
                    f"{group.identity(name, 'firing_jaccard'):.2f}",
                )
            )
    columns = (
        "family (teachers)", "variant", "MSE against teacher, %", "L0", "F1", "against teacher",
        "MCC", "against teacher", "Jaccard",
    )  # fmt: skip
    return markdown(columns, rows)


def worlds_contrasts_table(found: Iterable[Group]) -> str:
    """What each step is worth on synthetic worlds, by family."""
    rows = []
    for group in found:
        for question, variant, baseline in group.contrasts():
            mse = group.over_seeds(variant, baseline, "mse", np.log)
            f1, mcc = (group.over_seeds(variant, baseline, m) for m in ("f1", "mcc"))
            cells = percent(mse), signed(f1, 3), signed(mcc, 3)
            rows.append((FAMILY[group.family], question, *cells))
    return markdown(("family", "what", "MSE, %", "F1", "MCC"), rows)


def choice_table(found: Mapping[str, Any], world: str) -> str:
    """Every setting that was tried on one world: MSE in percent and F1, against the teacher."""
    keys = [key for key in found if key.startswith(f"{world} ")]
    rows = []
    for name in found[keys[0]] if keys else ():
        row = [name]
        for key in keys:
            one, teacher = found[key][name], found[key]["teacher"]
            mse = f"{100 * (one['mse'] / teacher['mse'] - 1):+.1f}"
            f1, mcc = (f"{one[m] - teacher[m]:+.3f}" for m in ("f1", "mcc"))
            jaccard = one.get("firing_jaccard", [1.0])[0]
            row.append(f"{mse} / {f1} / {mcc} / {jaccard:.2f}".replace("-", _MINUS))
        rows.append(row)
    names = [FAMILY[key.partition(" ")[2]] for key in keys]
    return markdown(("setting", *names), rows)


def percent(interval: Interval) -> str:
    """A difference of logarithms as a change in percent, with its interval."""
    return signed(Interval(*(100 * np.expm1(v) for v in _values(interval))), 1)


def signed(interval: Interval, digits: int) -> str:
    """A difference and, where there is one, its interval."""
    value, low, high = (f"{v:+.{digits}f}".replace("-", _MINUS) for v in _values(interval))
    return f"{value} ({low} to {high})" if np.isfinite(interval.low) else value


def _values(interval: Interval) -> tuple[float, float, float]:
    return interval.estimate, interval.low, interval.high


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    rule = [":---" if i < 2 else "---:" for i in range(len(columns))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (columns, rule, *rows))


Tables = dict[str, Callable[[Iterable[Group]], str]]

LANGUAGE_TABLES: Tables = {
    "variants": variants_table,
    "steps": contrasts_table,
    "probing": probing_table,
}
LANGUAGE = ("reduced", "full")
TABLES: dict[str, Tables] = {
    **dict.fromkeys(LANGUAGE, LANGUAGE_TABLES),
    "worlds": {"variants": worlds_table, "steps": worlds_contrasts_table},
}


def write(results: Path, page: Path = PAGE) -> None:
    """Put every table in its place on the page, between its marks."""
    text = page.read_text(encoding="utf-8")
    made = {"choice": choice_table(json.loads(CHOICE.read_text(encoding="utf-8")), CHOICE_WORLD)}
    for folder in sorted(path for path in results.iterdir() if path.is_dir()):
        found = groups(folder)
        made |= {
            f"{folder.name}:{name}": table(found) for name, table in TABLES[folder.name].items()
        }
    for name, table in made.items():
        mark = f"<!-- {name} -->"
        pattern = rf"{re.escape(mark)}\n.*?<!-- end -->"
        parts = re.split(pattern, text, maxsplit=1, flags=re.S)
        if len(parts) != 2:
            raise LookupError(f"{page} has no place for a table: add {mark} and <!-- end -->")
        text = f"{parts[0]}{mark}\n{table}\n<!-- end -->{parts[1]}"
    write_text(page, text)
