"""The three splits of a text's tokens: to train on, to calibrate on, held out."""

from collections.abc import Sequence
from pathlib import Path

import torch

from rsae.data.document import Document
from rsae.data.text import TOLERATED_SHARE, Tokens, documents, shared_text, split, tokenize
from rsae.errors import TextError
from rsae.language_model.host import Host, check_loaded

__all__ = ["token_splits"]

_POOL_TOKENS = 16_384  # of the held-out documents: for calibration and evaluation
_HELDOUT_EVERY = 3


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
    held = torch.arange(len(pool.ids)) % _HELDOUT_EVERY == 0
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
    _refuse_repeats(tokens, heldout)
    return {"train": tokens, "calibration": _rows(pool, ~held), "heldout": heldout}


def _distinct(documents: Sequence[Document]) -> list[Document]:
    """The documents without those whose text an earlier one has."""
    distinct: dict[str, Document] = {}
    for document in documents:
        distinct.setdefault(document.text, document)
    return list(distinct.values())


def _refuse_repeats(train: Tokens, heldout: Tokens) -> None:
    """Refuse held-out text that is trained on too, which every evaluation would refuse later."""
    share = shared_text(train.sketch(), heldout.sketch())
    if share > TOLERATED_SHARE:
        raise TextError(
            f"about {100 * share:.0f} % of the held-out text stands in documents to train on as "
            "well; give a text whose documents do not repeat one another"
        )


def _rows(tokens: Tokens, chosen: torch.Tensor) -> Tokens:
    return Tokens(tokens.ids[chosen], tokens.special[chosen], tokens.document[chosen])
