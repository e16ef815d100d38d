"""The three splits of a text's tokens: to train on, to calibrate on, held out."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from rsae.data.document import Document
from rsae.data.stream import Text
from rsae.data.text import (
    TOLERATED_SHARE,
    Tokens,
    each_document,
    held_out,
    sampled_tokens,
    shared_text,
    tokenize,
)
from rsae.errors import TextError
from rsae.language_model.host import Host, check_loaded

__all__ = ["DocumentSplits", "document_splits", "first_tokens", "refuse_repeats", "token_splits"]

_Documents = Callable[[], Iterable[Document]]

_POOL_TOKENS = 16_384  # of the held-out documents: for calibration and evaluation
_HELDOUT_EVERY = 3
_DOCUMENTS_EVERY = 10  # of a data set's first documents, so many that the pool is full


def token_splits(
    host: Host,
    text: Path | None,
    n_tokens: int,
    context_size: int,
    *,
    heldout_tokens: int | None = None,
) -> dict[str, Tokens]:
    """Tokens by split: held-out documents give "heldout" and "calibration", the others "train".

    Args:
        host: The language model whose tokenizer is used.
        text: A file or folder of text; None takes the packaged text.
        n_tokens: Number of tokens to train on, special tokens not counted.
        context_size: Tokens per sequence, BOS included.
        heldout_tokens: Least number of held-out tokens; None takes a third of the held-out
            documents' first 16,384 tokens, or of all where they have fewer.

    Raises:
        ConfigError: the model is something else.
        TextError: the text is missing, is one short document, or has fewer tokens; or more than
            2 % of the held-out text is in the documents to train on too.
    """
    check_loaded(host)
    train, rest = _divided(text)
    least = max(_POOL_TOKENS, _HELDOUT_EVERY * (heldout_tokens or 0))
    pool = sampled_tokens(host, rest, context_size, lambda total: min(least, total))
    # Every third sequence is held out: both parts then speak of the same documents, so that an
    # L0 matched on one holds on the other. Nothing but scales and one shift is fitted on either.
    held = _held(pool)
    heldout = pool.rows(held)
    if heldout_tokens is not None and heldout_tokens > heldout.n_tokens:
        raise TextError(
            f"{heldout_tokens:,} held-out tokens are wanted and the text has {heldout.n_tokens:,} "
            "(a third of a tenth of its documents); give a longer text with --text or ask for "
            "fewer with --eval-tokens"
        )
    if heldout_tokens is not None:
        heldout = heldout.sample(heldout_tokens)
    tokens = sampled_tokens(host, train, context_size, lambda _: n_tokens)
    refuse_repeats(tokens, heldout)
    return {"train": tokens, "calibration": pool.rows(~held), "heldout": heldout}


def _divided(text: Path | None) -> tuple[_Documents, _Documents]:
    """Documents to train on, and those held out; each reads the text anew, and holds one of them.

    Documents whose text an earlier one has are left out.
    """
    numbers, lengths, seen = [], [], set()
    for number, document in enumerate(each_document(text)):
        digest = hashlib.blake2b(
            document.text.encode("utf-8", "surrogatepass"), digest_size=16
        ).digest()
        if digest not in seen:
            seen.add(digest)
            numbers.append(number)
            lengths.append(len(document.text))
    held = held_out(lengths)
    rest = {number for i, number in enumerate(numbers) if i in held}
    train = set(numbers) - rest
    return partial(_numbered, text, train), partial(_numbered, text, rest)


def _numbered(text: Path | None, numbers: set[int]) -> Iterator[Document]:
    found = enumerate(each_document(text))
    return (document for number, document in found if number in numbers)


def refuse_repeats(train: Tokens, heldout: Tokens) -> None:
    """Refuse held-out text that is trained on too, which every evaluation would refuse later.

    Raises:
        TextError: More than a tolerated share of it is.
    """
    share = shared_text(train.sketch(), heldout.sketch())
    if share > TOLERATED_SHARE:
        raise TextError(
            f"about {100 * share:.0f} % of the held-out text stands in documents to train on as "
            "well; give a text whose documents do not repeat one another"
        )


@dataclass(frozen=True, eq=False)
class DocumentSplits:
    """The three splits of documents that are read one by one.

    Attributes:
        train: From a number of documents to those that follow; held-out ones are empty.
        calibration, heldout: The tokens of the others.
    """

    train: Text
    calibration: Tokens
    heldout: Tokens


def document_splits(host: Host, text: Text, context_size: int) -> DocumentSplits:
    """Hold out every tenth of the first documents, until they have about 16,384 tokens.

    No more than these are held in memory, and the text is not read to its end.

    Args:
        host: The language model whose tokenizer is used.
        text: From a number of documents to those that follow, see `rsae.data.corpus`.
        context_size: Tokens per sequence, BOS included.

    Raises:
        TextError: There are fewer than two documents, or those held out have no tokens.
    """
    check_loaded(host)
    chosen: list[Document] = []
    n_tokens = number = 0
    for number, document in enumerate(text(0)):
        if number % _DOCUMENTS_EVERY == 0 and document.text.strip():
            chosen.append(document)
            n_tokens += tokenize(host, [document], context_size).n_tokens
        if n_tokens >= _POOL_TOKENS:
            break
    last = number
    if not chosen or not (last or any(True for _ in text(1))):
        raise TextError("a text of one document leaves nothing to hold out; give a longer text")

    def train(begin: int) -> Iterator[Document]:
        for number, document in enumerate(text(begin), start=begin):
            held = number <= last and number % _DOCUMENTS_EVERY == 0
            yield Document(document.title, "") if held else document

    pool = tokenize(host, chosen, context_size)
    pool = pool.sample(min(_POOL_TOKENS, pool.n_tokens))
    held = _held(pool)
    return DocumentSplits(train, pool.rows(~held), pool.rows(held))


def first_tokens(host: Host, text: Text, n_tokens: int, context_size: int) -> Tokens:
    """The sequences of a text up to the one that reaches `n_tokens`, special tokens not counted.

    They are those of one pass of an `ActivationStream` of as many tokens; fewer where the text
    ends before.

    Raises:
        TextError: The text holds no token.
    """
    parts: list[Tokens] = []
    found = 0
    for number, document in enumerate(text(0)):
        if found >= n_tokens:
            break
        if document.text.strip():
            part = tokenize(host, [document], context_size)
            parts.append(Tokens(part.ids, part.special, part.document + number))
            found += part.n_tokens
    if not parts:
        raise TextError("the text is empty; give a longer one with --text")
    ids, special, owners = (
        torch.cat([getattr(part, name) for part in parts])
        for name in ("ids", "special", "document")
    )
    counts = (~special).sum(dim=1)
    wanted = counts.cumsum(0) - counts < n_tokens
    return Tokens(ids, special, owners).rows(wanted)


def _held(pool: Tokens) -> torch.Tensor:
    """(n_seq,) bool, the sequences of the pool that are held out, the others calibrate."""
    return torch.arange(len(pool.ids)) % _HELDOUT_EVERY == 0
