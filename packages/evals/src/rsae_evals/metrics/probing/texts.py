"""Labelled texts to probe with: an excerpt that is packaged, a whole corpus, the user's own."""

from __future__ import annotations

import csv
import io
import json
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from rsae_evals.errors import EvaluationError

__all__ = ["LabelledTexts", "packaged", "read", "vader_corpus"]

_ARCHIVE = "additional_resources/hutto_ICWSM_2014.tar.gz"
_DOMAINS = {
    "amazonReviewSnippets_GroundTruth.txt": "product review",
    "movieReviewSnippets_GroundTruth.txt": "movie review",
    "nytEditorialSnippets_GroundTruth.txt": "newspaper",
    "tweets_GroundTruth.txt": "tweet",
}
_LARGEST_MEMBER = 64 * 2**20  # bytes: ten times the corpus
_CLEAR = 1.0  # mean rating, -4 to 4, from which a text counts as positive or negative


@dataclass(frozen=True)
class LabelledTexts:
    """Texts and their labels.

    Attributes:
        name: names results that were measured with it.
        texts: one string each.
        labels: task → one label per text; None where the text does not belong to the task.

    Raises:
        EvaluationError: a task without labels for every text, or with fewer than two classes.
    """

    name: str
    texts: tuple[str, ...]
    labels: dict[str, tuple[str | None, ...]]

    def __post_init__(self) -> None:
        if not self.labels:
            raise EvaluationError(f"{self.name} has no label column beside its texts; add one")
        for task, labels in self.labels.items():
            classes = set(labels) - {None}
            if len(labels) != len(self.texts) or len(classes) < 2:
                raise EvaluationError(
                    f"task {task!r} of {self.name} has {len(classes)} classes; give at least two"
                )


def packaged() -> LabelledTexts:
    """The packaged excerpt: 2 400 snippets of four domains, by domain and by sentiment.

    From the corpora of C.J. Hutto and E. Gilbert, VADER, ICWSM 2014, as distributed in the source
    archive of vaderSentiment 3.3.2 under the MIT licence; see ``data/ORIGIN.md``.
    """
    with resources.as_file(
        resources.files("rsae_evals.metrics.probing") / "data" / "vader.csv"
    ) as path:
        return read(path)


def read(path: Path | str) -> LabelledTexts:
    """Labelled texts from a file.

    Args:
        path: ``.csv`` with a header, ``.jsonl`` or ``.json`` (a list of objects): a column
            ``text``, every other column a task, empty where a text has no label. Or the source
            archive ``vaderSentiment-3.3.2.tar.gz``, for the whole corpus.

    Raises:
        EvaluationError: no such file, another format, or no column ``text``.
    """
    source = Path(path)
    if not source.is_file():
        raise EvaluationError(f"no file {source}; give labelled texts as .csv, .jsonl or .json")
    if source.name.endswith(".tar.gz"):
        return vader_corpus(source)
    try:
        records = _records(source)
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise EvaluationError(f"{source} cannot be read ({error}); correct it") from error
    if not records or not all(isinstance(r, Mapping) and r.get("text") for r in records):
        raise EvaluationError(f"{source} has a row without the column 'text'; add it")
    tasks = [key for key in records[0] if key != "text"]
    return LabelledTexts(
        source.stem,
        tuple(str(record["text"]) for record in records),
        {task: tuple(_label(record.get(task)) for record in records) for task in tasks},
    )


def vader_corpus(sdist: Path | str) -> LabelledTexts:
    """All 23 703 rated snippets of vaderSentiment's source archive, by domain and by sentiment.

    ``pip download --no-binary :all: --no-deps vaderSentiment==3.3.2`` fetches it. Sentiment is
    positive from a mean rating of 1, negative from -1 (of -4 … 4); what lies between has none.

    Raises:
        EvaluationError: the file is not that archive.
    """
    try:
        with tarfile.open(sdist) as outer:
            inside = next(name for name in outer.getnames() if name.endswith(_ARCHIVE))
            with tarfile.open(fileobj=io.BytesIO(_member(outer, inside))) as inner:
                rows = list(_rated(inner))
    except (
        tarfile.TarError, StopIteration, KeyError, EOFError, OSError, ValueError, zlib.error
    ) as error:  # fmt: skip
        raise EvaluationError(
            f"{sdist} is not the source archive of vaderSentiment 3.3.2; download that"
        ) from error
    texts, domains, ratings = zip(*rows, strict=True)
    return LabelledTexts(
        "vader-corpus",
        texts,
        {"domain": domains, "sentiment": tuple(_sentiment(rating) for rating in ratings)},
    )


def _records(source: Path) -> list[dict[str, Any]]:
    content = source.read_text(encoding="utf-8")
    if source.suffix == ".csv":
        return list(csv.DictReader(io.StringIO(content)))
    if source.suffix == ".jsonl":
        return [json.loads(line) for line in content.splitlines() if line.strip()]
    found = json.loads(content)
    return found if isinstance(found, list) else []


def _label(value: Any) -> str | None:
    return None if value in (None, "") else str(value)


def _rated(archive: tarfile.TarFile) -> Iterable[tuple[str, str, float]]:
    names = {Path(name).name: name for name in archive.getnames()}
    for file, domain in _DOMAINS.items():
        for line in _member(archive, names[file]).decode("utf-8", "replace").splitlines():
            parts = line.split("\t", 2)
            if len(parts) == 3 and parts[2].strip():
                yield parts[2].strip(), domain, float(parts[1])


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None or archive.getmember(name).size > _LARGEST_MEMBER:
        raise KeyError(name)
    return file.read()


def _sentiment(rating: float) -> str | None:
    if abs(rating) < _CLEAR:
        return None
    return "positive" if rating > 0 else "negative"
