"""The three splits of a text's tokens: to train on, to calibrate on, held out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from rsae.data.document import Document
from rsae.data.stream import Text
from rsae.data.text import TOLERATED_SHARE, Tokens, documents, shared_text, split, tokenize
from rsae.errors import TextError
from rsae.language_model.host import Host, check_loaded

__all__ = ["DocumentSplits", "document_splits", "first_tokens", "refuse_repeats", "token_splits"]

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
    train, rest = split(_distinct(documents(text)), heldout=0.1, seed=0)
    pool = tokenize(host, rest, context_size)
    wanted = _HELDOUT_EVERY * (heldout_tokens or 0)
    pool = pool.sample(min(max(_POOL_TOKENS, wanted), pool.n_tokens))
    # Every third sequence is held out: both parts then speak of the same documents, so that an
    # L0 matched on one holds on the other. Nothing but scales and one shift is fitted on either.
    held = _held(pool)
    heldout = _rows(pool, held)
    if heldout_tokens is not None and heldout_tokens > heldout.n_tokens:
        raise TextError(
            f"{heldout_tokens:,} held-out tokens are wanted and the text has {heldout.n_tokens:,} "
            "(a third of a tenth of its documents); give a longer text with --text or ask for "
            "fewer with --eval-tokens"
        )
    if heldout_tokens is not None:
        heldout = heldout.sample(heldout_tokens)
    tokens = tokenize(host, train, context_size).sample(n_tokens)
    refuse_repeats(tokens, heldout)
    return {"train": tokens, "calibration": _rows(pool, ~held), "heldout": heldout}


def _distinct(documents: Sequence[Document]) -> list[Document]:
    """The documents without those whose text an earlier one has."""
    distinct: dict[str, Document] = {}
    for document in documents:
        distinct.setdefault(document.text, document)
    return list(distinct.values())


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
    return DocumentSplits(train, _rows(pool, ~held), _rows(pool, held))


def first_tokens(host: Host, text: Text, n_tokens: int, context_size: int) -> Tokens:
    """The sequences of a text up to the one that reaches `n_tokens`, special tokens not counted.

    They are those of one pass of an `ActivationStream` of as many tokens; fewer where the text
    ends before.

    Raises:
        TextError: The text holds no token.
    """
    parts: list[Tokens] = []
    for number, document in enumerate(text(0)):
        if sum(part.n_tokens for part in parts) >= n_tokens:
            break
        if document.text.strip():
            part = tokenize(host, [document], context_size)
            parts.append(Tokens(part.ids, part.special, part.document + number))
    if not parts:
        raise TextError("the text is empty; give a longer one with --text")
    ids, special, owners = (
        torch.cat([getattr(part, name) for part in parts])
        for name in ("ids", "special", "document")
    )
    counts = (~special).sum(dim=1)
    wanted = counts.cumsum(0) - counts < n_tokens
    return _rows(Tokens(ids, special, owners), wanted)


def _held(pool: Tokens) -> torch.Tensor:
    """(n_seq,) bool, the sequences of the pool that are held out, the others calibrate."""
    return torch.arange(len(pool.ids)) % _HELDOUT_EVERY == 0


def _rows(tokens: Tokens, chosen: torch.Tensor) -> Tokens:
    return Tokens(tokens.ids[chosen], tokens.special[chosen], tokens.document[chosen])
