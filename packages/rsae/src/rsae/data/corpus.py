"""Documents of data sets, read one by one through Hugging Face's `datasets`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

from rsae.data.document import Document, pieces
from rsae.errors import TextError, quoted
from rsae.files import exists, files_below

__all__ = ["identity_of", "is_data_file", "streamed_documents"]

_PLAIN = (".txt", ".md")
_BUILDERS = {".parquet": "parquet", ".arrow": "arrow", ".jsonl": "json", ".jsonl.gz": "json"}


def is_data_file(path: Path) -> bool:
    """Whether a file's name says that `streamed_documents` can read it."""
    return _suffix(path) in _BUILDERS


def identity_of(source: str | Path) -> str:
    """What tells a source from another without reading it: its name, and sizes of its files."""
    if not exists(source):
        return str(source)
    path = Path(source)
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return " ".join([path.name, *(f"{file.name}:{file.stat().st_size}" for file in files)])


def streamed_documents(source: str | Path) -> Callable[[int], Iterator[Document]]:
    """The documents of a data set, in their order, without holding more than a few of them.

    Args:
        source: A ``.parquet``, ``.arrow``, ``.jsonl`` or ``.jsonl.gz`` file with a column
            ``text``; a ``.txt`` or ``.md`` file, which is cut at paragraphs into documents of
            about 20,000 characters; a folder of files of one such kind; or ``NAME[:SPLIT]`` of a
            data set on the Hugging Face hub (split ``train`` if none is named).

    Returns:
        From a number of documents to pass over to those that follow, as
        `rsae.data.ActivationStream` wants it.

    Raises:
        TextError: There is no such data set or file, it cannot be reached or read, or has no text
            in a column ``text``; here, or as its documents are read.

    Example:
        >>> follow = streamed_documents("corpus.parquet")                     # doctest: +SKIP
        >>> next(follow(1000)).text                                           # doctest: +SKIP
    """
    if (plain := _plain_files(source)) is not None:
        files = plain
        return lambda begin: islice(chain.from_iterable(map(_plain, files)), begin, None)
    dataset = _opened(source)
    if dataset.column_names is not None and "text" not in dataset.column_names:
        raise TextError(
            f"{source} has columns {quoted(dataset.column_names)} and none called text; rename one"
        )
    return lambda begin: _documents(dataset, str(source), begin)


def _plain_files(source: str | Path) -> list[Path] | None:
    """The files of plain text that a path stands for; None where there is anything else."""
    if not exists(source):
        return None
    path = Path(source)
    found = files_below(path) if path.is_dir() else [path]
    return found if found and all(p.suffix in _PLAIN for p in found) else None


def _plain(file: Path) -> Iterator[Document]:
    try:
        with file.open(encoding="utf-8") as lines:
            yield from pieces(file.stem, _paragraphs(lines))
    except (OSError, UnicodeDecodeError) as error:
        raise TextError(f"{file} cannot be read as UTF-8 text ({error}); convert it") from error


def _paragraphs(lines: Iterable[str]) -> Iterator[str]:
    held: list[str] = []
    for line in lines:
        if line.strip():
            held.append(line)
        elif held:
            yield "".join(held).removesuffix("\n")
            held = []
    if held:
        yield "".join(held)


def _opened(source: str | Path) -> Any:
    from datasets import load_dataset  # slow to import, and of use to few commands

    settings: dict[str, Any] = {"streaming": True}
    try:
        if exists(source):
            builder, files = _files(Path(source))
            return load_dataset(builder, data_files=files, split="train", **settings)
        name, _, split = str(source).partition(":")
        return load_dataset(name, split=split or "train", **settings)
    except TextError:
        raise
    except Exception as error:  # another program's code on names and files of any kind
        raise TextError(
            f"the data set {quoted(str(source))} cannot be opened ({quoted(str(error))}); check "
            "its name and split, and that the hub can be reached"
        ) from error


def _files(path: Path) -> tuple[str, list[str]]:
    files = files_below(path, tuple(_BUILDERS)) if path.is_dir() else [path]
    kinds = {_BUILDERS.get(_suffix(file), "") for file in files}
    if len(kinds) != 1 or "" in kinds:
        raise TextError(
            f"{path} is no file or folder of one kind of {', '.join(_BUILDERS)}; give such a one"
        )
    return kinds.pop(), [str(file) for file in files]


def _suffix(path: Path) -> str:
    return "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix


def _documents(dataset: Any, source: str, begin: int) -> Iterator[Document]:
    records = iter(dataset.skip(begin))
    for number in count(begin):
        try:
            record = next(records)
        except StopIteration:
            return
        except Exception as error:  # damaged files, lost connections
            raise TextError(
                f"{source} cannot be read after {number} documents ({quoted(str(error))}); "
                "restore it, or try again"
            ) from error
        text = record.get("text")
        if not isinstance(text, str):
            raise TextError(f"{source}, document {number}: its text is no string; correct it")
        title = record.get("title")
        yield Document(title if isinstance(title, str) else f"{source}, document {number}", text)
