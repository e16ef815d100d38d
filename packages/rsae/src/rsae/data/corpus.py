"""Documents of data sets, read one by one through Hugging Face's `datasets`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from rsae.data.document import Document
from rsae.errors import TextError, quoted
from rsae.files import exists

__all__ = ["is_data_file", "streamed_documents"]

_BUILDERS = {".parquet": "parquet", ".arrow": "arrow", ".jsonl": "json", ".jsonl.gz": "json"}


def is_data_file(path: Path) -> bool:
    """Whether a file's name says that `streamed_documents` can read it."""
    return _suffix(path) in _BUILDERS


def streamed_documents(source: str | Path) -> Callable[[int], Iterator[Document]]:
    """The documents of a data set, in their order, without holding more than a few of them.

    Args:
        source: A ``.parquet``, ``.arrow``, ``.jsonl`` or ``.jsonl.gz`` file with a column
            ``text``; a folder of files of one such kind; or ``NAME[:SPLIT]`` of a data set on the
            Hugging Face hub (split ``train`` if none is named).

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
    dataset = _opened(source)
    if dataset.column_names is not None and "text" not in dataset.column_names:
        raise TextError(
            f"{source} has columns {quoted(dataset.column_names)} and none called text; rename one"
        )
    return lambda begin: _documents(dataset, str(source), begin)


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
    files = sorted(p for p in path.rglob("*") if is_data_file(p)) if path.is_dir() else [path]
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
