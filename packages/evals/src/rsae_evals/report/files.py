"""The three files of a report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rsae.errors import CorruptFileError
from rsae.files import make_folder, read_json, write_json, write_text
from rsae_evals.errors import EvaluationError
from rsae_evals.report.markdown import markdown
from rsae_evals.report.page import html
from rsae_evals.results import Comparison


@contextmanager
def showing() -> Iterator[None]:
    """Turn what a comparison from a damaged file does to its presentation into one line."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise EvaluationError(
            f"this comparison cannot be shown ({error}); run `rsae compare` again"
        ) from error


def write(comparison: Comparison, out: Path | str) -> Path:
    """Write report.json, report.md and report.html into the folder `out` and return it.

    `report.json` is the comparison itself: `read` gives it back, and from it the other two can be
    made again. Every file is written whole or not at all. Raises `rsae.errors.OutputError` where
    the folder cannot be written.
    """
    with showing():
        pages = {"report.md": markdown(comparison), "report.html": html(comparison)}
    folder = make_folder(out)
    write_json(folder / "report.json", comparison.to_dict())
    for name, content in pages.items():
        write_text(folder / name, content)
    return folder


def read(path: Path | str) -> Comparison:
    """The comparison in `path`, a report.json or a folder that holds one.

    Raises `rsae.errors.CorruptFileError` where the file is no report of this version.
    """
    file = Path(path)
    if file.is_dir():
        file = file / "report.json"
    try:
        return Comparison.from_dict(read_json(file))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise CorruptFileError(
            f"{file} is no report of this version ({error}); run `rsae compare` again"
        ) from error
