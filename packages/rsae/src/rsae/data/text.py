"""Text: documents, their split by document, and token sequences for a language model."""

import json
import os
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rsae.data.document import Document, pieces
from rsae.errors import CorruptFileError, TextError
from rsae.files import TABLES, existing_file, exists, files_below, sha256
from rsae.language_model.host import Host

__all__ = [
    "TOLERATED_SHARE", "Document", "Tokens", "documents", "each_document", "held_out",
    "sampled_tokens", "shared_text", "split", "tokenize",
]  # fmt: skip

_RUN = 12  # tokens that are hashed together: what two texts hardly share by chance
_DIGITS = 12  # hexadecimal digits kept of a hash
_SKETCH = 1024  # hashes kept of a text
_HASHED = 2**16  # runs that are hashed at once
_MISSED = 0.02  # share of used sequences that may go unnoticed


def documents(path: Path | str | None = None) -> list[Document]:
    """Read documents.

    Args:
        path: None for the packaged text (80 documents in the public domain, 0.99 MB); a ``.jsonl``
            file, one document per line in its field ``text``; a ``.jsonl.gz``, ``.parquet`` or
            ``.arrow`` file, one document per row in its column ``text``; any other file, which is
            plain text; or a folder of such files (plain text as ``.txt`` or ``.md``). A file of
            plain text is one document, but a text that stands alone is cut at paragraphs into
            pieces of about 20,000 characters, so that some can be held out.

    Raises:
        TextError: nothing there, or no text.

    Example:
        >>> documents()[0].title
        'Pride and Prejudice, chapter 1 of 61'
    """
    return list(each_document(path))


def each_document(path: Path | str | None = None) -> Iterator[Document]:
    """What `documents` reads, one after another, so that no more than one need be held.

    Raises:
        TextError: see `documents`; with the document that comes next.
    """
    if path is None:
        with resources.as_file(resources.files("rsae") / "demo" / "text") as packaged:
            yield from each_document(packaged)
        return
    source = Path(os.path.expanduser(path))
    if not exists(source):
        raise TextError(f"no text at {source}; give a .txt or .jsonl file, or a folder of them")
    files = files_below(source) if source.is_dir() else [source]
    read = chain.from_iterable(map(_read, files))
    if (first := next(read, None)) is None:
        raise TextError(f"{source} holds no text; give a .txt or .jsonl file, or a folder of them")
    if (second := next(read, None)) is None:
        yield from pieces(first.title, first.text.split("\n\n"))
        return
    begin = iter([first, second])
    del first, second  # or they would be held to the end
    yield from chain(begin, read)


def _read(file: Path) -> Iterator[Document]:
    if file.name.endswith(TABLES) and file.is_file():
        from rsae.data.corpus import streamed_documents  # its library is slow to import

        yield from streamed_documents(file)(0)
        return
    try:
        with existing_file(file).open(encoding="utf-8") as lines:
            if file.suffix != ".jsonl":
                content = lines.read()
                if content.strip():
                    yield Document(file.stem, content)
                return
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _parse(line, f"{file}, line {number}")
    except (CorruptFileError, OSError, UnicodeDecodeError) as error:
        raise TextError(f"{file} cannot be read as UTF-8 text ({error}); convert it") from error


def _parse(line: str, where: str) -> Document:
    try:
        record = json.loads(line)
        text = record["text"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise TextError(f'{where} is no JSON object with a field "text"; correct it') from error
    if not isinstance(text, str):
        raise TextError(f'{where}: the field "text" holds no string; correct it')
    text = text.encode("utf-8", "replace").decode()  # JSON may hold halves of surrogate pairs
    return Document(str(record.get("title", where)), text)


def split(
    documents: Sequence[Document], heldout: float = 0.1, *, seed: int = 0
) -> tuple[list[Document], list[Document]]:
    """Divide documents at random into (train, held-out), each a whole document.

    Args:
        documents: At least two.
        heldout: Share of all characters to hold out; at least one document is, and at least one
            is left.
        seed: Of the choice.

    Raises:
        TextError: there are fewer than two documents.
    """
    chosen = held_out([len(document.text) for document in documents], heldout, seed=seed)
    train = [document for i, document in enumerate(documents) if i not in chosen]
    return train, [documents[i] for i in sorted(chosen)]


def held_out(lengths: Sequence[int], heldout: float = 0.1, *, seed: int = 0) -> set[int]:
    """The numbers of the documents of these lengths that `split` holds out."""
    if len(lengths) < 2:
        raise TextError("a text of one document leaves nothing to hold out; give a longer text")
    order = np.random.default_rng(seed).permutation(len(lengths))
    share = heldout * sum(lengths)
    chosen: set[int] = set()
    length = 0
    for index in order[:-1]:
        if chosen and length >= share:
            break
        chosen.add(int(index))
        length += lengths[index]
    return chosen


#: Two texts of one language share some runs of words by chance, or quote the same author.
TOLERATED_SHARE = 0.02
_LARGEST_CONTEXT = 2**20  # tokens of a sequence, for a model that does not say


@dataclass(frozen=True, eq=False)
class Tokens:
    """Token sequences of one length.

    Attributes:
        ids: (n_seq, ctx) int64. Every sequence is opened by BOS and stays within one document;
            the last of a document is padded on the right.
        special: (n_seq, ctx) bool, the positions that no mean includes: BOS, EOS, padding and the
            like, and the first positions (see :meth:`rsae.language_model.host.Host.is_special`).
        document: (n_seq,) int64, the index of each sequence's document.
    """

    ids: Tensor
    special: Tensor
    document: Tensor

    @property
    def context_size(self) -> int:
        """Tokens per sequence, BOS included."""
        return self.ids.shape[1]

    @property
    def n_tokens(self) -> int:
        """Tokens that are not special."""
        return int((~self.special).sum())

    @cached_property
    def sha256(self) -> str:
        """Checksum of the ids."""
        return sha256(self.ids)

    def sketch(self) -> str:
        """Hashes that recognise text which is used again: a bottom-k sketch.

        Every run of 12 ordinary tokens is hashed and the 1024 smallest hashes are kept. They do
        not depend on where sequences begin or how long they are, and whatever lies below the
        largest of them in another text's hashes is in both texts if it is in both sketches. A
        trained SAE records it in ``training_sketches``.

        Source: Bar-Yossef et al. 2002, doi:10.1007/3-540-45726-7_1 (bottom-k sampling by hash).
        """
        smallest = torch.zeros(0, dtype=torch.int64)
        for hashes, _ in self._hashes():
            smallest = torch.cat([smallest, hashes]).unique()[:_SKETCH]
        return " ".join(f"{value:0{_DIGITS}x}" for value in smallest.tolist())

    def sequences_in(self, sketch: str) -> Tensor:
        """Which sequences share a run of tokens with the text of a sketch, (n_seq,) bool.

        All False where the sketch holds so small a sample of its text's runs that it would miss
        more than one in fifty of the sequences that are in the text.
        """
        used = torch.zeros(len(self.ids), dtype=torch.bool)
        known = set(re.findall(rf"\b[0-9a-f]{{{_DIGITS}}}\b", sketch))
        if not known:
            return used
        wanted = torch.tensor([int(word, 16) for word in known])
        runs = sequences = 0
        for hashes, owners in self._hashes():
            used[owners[torch.isin(hashes, wanted)]] = True
            runs += len(hashes)
            sequences += len(owners.unique())
        share = 1.0 if len(known) < _SKETCH else int(max(known), 16) / 16**_DIGITS
        if not sequences or (1 - share) ** (runs / sequences) > _MISSED:
            return torch.zeros_like(used)
        return used

    def _hashes(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The hash of every run of ordinary tokens, and the sequence it is in, (n_runs,) each.

        Of some sequences after others, since a hash takes several times the memory of its token.
        """
        runs = max(0, self.context_size - _RUN + 1)
        factors = torch.from_numpy(np.random.default_rng(0).integers(1, 2**62, _RUN)) * 2 + 1
        size = max(1, _HASHED // max(runs, 1))
        for first in range(0, len(self.ids) if runs else 0, size):
            ids, not_ordinary = self.ids[first : first + size], self.special[first : first + size]
            hashes = torch.zeros(len(ids), runs, dtype=torch.int64)
            special = torch.zeros(len(ids), runs, dtype=torch.bool)
            for place, factor in enumerate(factors):  # a token of all runs at a time
                hashes += ids[:, place : place + runs] * factor
                special |= not_ordinary[:, place : place + runs]
            mixed = (hashes ^ (hashes >> 29)) * 0x2545F4914F6CDD1D
            leading = (mixed >> (64 - 4 * _DIGITS)) & (16**_DIGITS - 1)
            yield leading[~special], first + torch.nonzero(~special)[:, 0]

    def sample(self, n_tokens: int, *, seed: int = 0) -> "Tokens":
        """Sequences chosen at random, in their order, until they hold ``n_tokens``.

        Raises:
            TextError: there are not that many tokens.
        """
        return self.rows(_chosen((~self.special).sum(dim=1), n_tokens, seed))

    def rows(self, index: Tensor) -> "Tokens":
        """The sequences at an index, or those of a mask."""
        return Tokens(self.ids[index], self.special[index], self.document[index])


def _chosen(counts: Tensor, n_tokens: int, seed: int) -> Tensor:
    """Indices, in order, of random sequences that hold `n_tokens`; `counts` (n_seq,) each holds."""
    if n_tokens > (total := int(counts.sum())):
        raise TextError(
            f"{n_tokens:,} tokens are wanted and the text has {total:,}; "
            "give a longer text with --text or ask for fewer with --tokens"
        )
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(counts)))
    enough = int((counts[order].cumsum(0) < n_tokens).sum()) + 1
    return order[:enough].sort().values


def shared_text(training: str, evaluation: str) -> float:
    """Estimated share of the evaluation text that is in the training text, from their sketches.

    Both hold the smallest hashes of their texts, so below the lesser of the two largest hashes
    each is complete, and the evaluation's hashes there are a random sample of all of its own.
    A single hit may be chance and counts as none.
    """
    theirs, ours = training.split(), evaluation.split()
    if not theirs or not ours:
        return 0.0
    bound = min(max(theirs), max(ours))
    sample = {word for word in ours if word <= bound}
    hits = len(sample & set(theirs))
    return hits / len(sample) if hits > 1 else 0.0


def tokenize(host: Host, documents: Iterable[Document], context_size: int = 128) -> Tokens:
    """Cut documents into sequences of ``context_size`` tokens, BOS first in each.

    Raises:
        TextError: the documents hold no token, or the context is shorter than two tokens or longer
            than the model takes.
    """
    parts = [_sequences(host, document, context_size) for document in documents]
    return _joined(host, parts, range(len(parts)))


def sampled_tokens(
    host: Host,
    documents: Callable[[], Iterable[Document]],
    context_size: int,
    wanted: Callable[[int], int],
    *,
    seed: int = 0,
) -> Tokens:
    """A sample of the sequences of a text of any length, of which one document is held at a time.

    It is that of ``tokenize(host, documents(), context_size).sample(n, seed=seed)``. The text is
    read twice: to count the tokens of every sequence, and to keep those that were chosen.

    Args:
        host: The language model whose tokenizer is used.
        documents: Reads the text from its beginning.
        context_size: Tokens per sequence, BOS included.
        wanted: From the number of tokens of the text to n, special tokens not counted.
        seed: Of the choice.

    Raises:
        TextError: see `tokenize` and `Tokens.sample`.
    """
    counts, lengths = array("I"), array("I")
    for document in documents():
        ids = _sequences(host, document, context_size)
        lengths.append(len(ids))
        counts.extend((~host.is_special(ids)).sum(dim=1).tolist())
    chosen = torch.zeros(len(counts), dtype=torch.bool)
    if counts:
        every = torch.tensor(counts, dtype=torch.int64)
        chosen[_chosen(every, wanted(int(every.sum())), seed)] = True
    parts, owners, begin = [], [], 0
    for owner, (document, length) in enumerate(zip(documents(), lengths, strict=True)):
        rows = chosen[begin : begin + length]
        begin += length
        if rows.any():
            parts.append(_sequences(host, document, context_size)[rows])
            owners.append(owner)
    return _joined(host, parts, owners)


def _sequences(host: Host, document: Document, context_size: int) -> Tensor:
    """(n_seq, ctx) ids of one document; none where it has no token."""
    longest = getattr(host, "max_context_size", None)  # stand-ins of a model need not say
    longest = _LARGEST_CONTEXT if longest is None else longest
    if not 2 <= context_size <= longest:
        raise TextError(
            f"a context of {context_size} tokens does not suit {host.name}; choose one "
            f"between 2 and {longest:,}"
        )
    ids = host.tokenizer.encode(document.text, add_special_tokens=False, verbose=False)
    body = context_size - 1
    rows = -(-len(ids) // body)
    found = torch.full((rows, context_size), host.pad_token_id)
    found[:, 0] = host.bos_token_id
    padded = [*ids, *[host.pad_token_id] * (rows * body - len(ids))]
    found[:, 1:] = torch.tensor(padded, dtype=torch.int64).reshape(rows, body)
    return found


def _joined(host: Host, parts: Sequence[Tensor], owners: Iterable[int]) -> Tokens:
    if not sum(map(len, parts)):
        raise TextError("the text is empty; give a longer one with --text")
    ids = torch.cat(list(parts))
    lengths = torch.tensor([len(part) for part in parts])
    return Tokens(ids, host.is_special(ids), torch.tensor(list(owners)).repeat_interleave(lengths))
