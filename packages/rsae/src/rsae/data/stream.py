"""Activations as a text is read: no disk, and memory that does not grow with the text."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from rsae.data.document import Document
from rsae.data.harvesting import activations_at, sequences_per_shard, storable
from rsae.data.order import SHUFFLE_ROWS, block_rows, permutation
from rsae.data.text import Tokens, tokenize
from rsae.errors import ConfigError, TextError
from rsae.language_model.host import Host, hook_width
from rsae.language_model.matmul import fast_products

__all__ = ["ActivationStream", "Position", "StreamedBatches"]

Text = Callable[[int], Iterable[Document]]
"""From the number of documents already read to those that follow, in the same order every time."""


@dataclass(frozen=True)
class Position:
    """Where in a stream the next batch begins; plain numbers, so that a checkpoint can keep it.

    Attributes:
        epoch: Passes over the text that are complete.
        block: Blocks that are complete, those of earlier passes included: with the seed, the state
            of the shuffling.
        document, sequence: Documents of this pass, and sequences of the next document, that lie
            before the group of sequences with which the block begins.
        tokens: Tokens of this pass, special ones not counted, that lie before that group.
        skip: Rows of that group that belong to the block before.
        batch: Batches of the block that were given.
        given: Batches that were given since the beginning of the stream.
    """

    epoch: int = 0
    block: int = 0
    document: int = 0
    sequence: int = 0
    tokens: int = 0
    skip: int = 0
    batch: int = 0
    given: int = 0

    @classmethod
    def from_dict(cls, content: Any) -> Position:
        """The position that `to_dict` describes.

        Raises:
            ConfigError: It is not one.
        """
        names = set(asdict(cls()))
        if not isinstance(content, dict) or set(content) != names:
            raise ConfigError(
                "this is no position in a stream; start the stream from its beginning"
            )
        if not all(type(value) is int and 0 <= value < 2**63 for value in content.values()):
            raise ConfigError(
                "a position in a stream holds whole numbers; start the stream from its beginning"
            )
        return cls(**content)

    def to_dict(self) -> dict[str, int]:
        """Plain numbers."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class ActivationStream:
    """The activations of a text at one hook, made while they are trained on.

    With a target hook they are what transcoders are trained on, see `rsae.data.sample.Pairs`.

    Documents are cut into sequences as `rsae.data.text.tokenize` cuts them, go through the model
    in the groups in which `rsae.data.harvest` would write them, and are shuffled in the order of
    `rsae.data.order`. So a store of the same documents gives the same batches for the same seed.
    Two blocks are held: the one that is trained on, and the next one, which a thread prepares.

    Attributes:
        host: The language model.
        text: From a number of documents to those that follow them; or sequences of tokens.
        hook_name: Where to read.
        context_size: Tokens per sequence, BOS included.
        shuffle_rows: Rows that are shuffled together.
        sequences_per_pass: Sequences per forward pass.
        n_tokens: A pass over the text ends with the sequence that reaches so many tokens, special
            ones not counted; None reads the whole text.
        target_hook: The hook that transcoders predict; None for SAEs.
        name: What tells documents from other ones, such as the name of their data set; it is part
            of `sha256`.

    Raises:
        HookError: The model has no such hook.
        ConfigError: The sequences of tokens are of another length than `context_size`.

    Example:
        >>> from itertools import islice                                       # doctest: +SKIP
        >>> text = documents("corpus/")                                        # doctest: +SKIP
        >>> stream = ActivationStream(host, lambda n: text[n:], hook)          # doctest: +SKIP
        >>> for batch in islice(stream.batches(4096, seed=0), 100): ...        # doctest: +SKIP
    """

    host: Host
    text: Text | Tokens
    hook_name: str
    context_size: int = 128
    shuffle_rows: int = SHUFFLE_ROWS
    sequences_per_pass: int = 8
    n_tokens: int | None = None
    name: str = ""
    target_hook: str | None = None

    def __post_init__(self) -> None:
        for hook in self.hooks:
            self.host.check_hook(hook)
        if isinstance(self.text, Tokens) and self.text.context_size != self.context_size:
            raise ConfigError(
                f"the sequences have {self.text.context_size} tokens, the stream is to have "
                f"{self.context_size}; give both one context size"
            )

    @property
    def hooks(self) -> tuple[str, ...]:
        """The hooks that are read."""
        return (self.hook_name, *([] if self.target_hook is None else [self.target_hook]))

    @property
    def d_in(self) -> int:
        """Width of one activation, of a pair that of both."""
        return sum(hook_width(self.host, hook) for hook in self.hooks)

    @property
    def sha256(self) -> str:
        """Checksum of what the activations and their order follow from: no activation is made."""
        text = self.text.sha256 if isinstance(self.text, Tokens) else self.name
        said = [text, self.host.fingerprint, self.hook_name, self.context_size]
        said += [self.shuffle_rows, self.n_tokens]
        said += [] if self.target_hook is None else [self.target_hook]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    def batches(
        self,
        batch_size: int,
        *,
        seed: int | None = None,
        epochs: int | None = 1,
        start: int | Position = 0,
        stop: int | None = None,
    ) -> StreamedBatches:
        """Batches of shape (batch_size, d_in) in float32; a pass's last may be smaller.

        Args:
            batch_size: Tokens per batch.
            seed: Random seed of the order within blocks; None keeps the order of the text.
            epochs: How often to pass over the text; None has no end.
            start: Where to begin: the `Position` of an interrupted iteration, whose documents are
                passed over, or a number of batches to leave out, whose text is tokenized only.
            stop: Batches since the beginning of the stream after which it ends, so that no block
                is made that nobody reads; None goes on to the end of the last pass.

        Raises:
            TextError: The text holds no tokens beside special ones (with the first batch).
        """
        return StreamedBatches(self, batch_size, seed, epochs, start, stop)

    def blocks(self, size: int, at: Position, epochs: int | None) -> Iterator[_Block]:
        """What the blocks from a position on are made of; nothing goes through the model here."""
        number = at.block
        while epochs is None or at.epoch < epochs:
            pieces: list[_Piece] = []
            rows, skip, first = 0, at.skip, number
            for place, ids, ordinary in self._groups(at):
                begin, n = skip, int(ordinary.sum())
                while begin < n:
                    stop = min(n, begin + size - rows)
                    if not pieces:
                        here = replace(place, block=number, skip=begin, batch=0)
                    pieces.append(_Piece(place, ids, ordinary, begin, stop))
                    rows, begin = rows + stop - begin, stop
                    if rows == size:
                        yield _Block(here, tuple(pieces), rows)
                        pieces, rows, number = [], 0, number + 1
                skip = 0
            if pieces:
                yield _Block(here, tuple(pieces), rows)
                number += 1
            if number == first:
                raise TextError("the text is empty; give a longer one with --text")
            at = Position(epoch=at.epoch + 1, block=number)

    def _groups(self, begin: Position) -> Iterator[tuple[Position, Tensor, Tensor]]:
        """(position, ids, ordinary) of groups as large as a shard, of one pass over the text."""
        size = sequences_per_shard(self.context_size)
        held: list[tuple[Position, Tensor, Tensor]] = []
        for sequence in self._sequences(begin):
            held.append(sequence)
            if len(held) == size:
                yield _group(held)
                held = []
        if held:
            yield _group(held)

    def _sequences(self, begin: Position) -> Iterator[tuple[Position, Tensor, Tensor]]:
        """(position, ids, ordinary) of the sequences of one pass, up to `n_tokens`."""
        tokens = begin.tokens
        for place, ids, ordinary in self._all_sequences(begin):
            if self.n_tokens is not None and tokens >= self.n_tokens:
                return
            yield replace(place, tokens=tokens), ids, ordinary
            tokens += int(ordinary.sum())

    def _all_sequences(self, begin: Position) -> Iterator[tuple[Position, Tensor, Tensor]]:
        if isinstance(self.text, Tokens):
            for number in range(begin.document, len(self.text.ids)):
                place = Position(begin.epoch, document=number)
                yield place, self.text.ids[number], ~self.text.special[number]
            return
        skip = begin.sequence
        for number, document in enumerate(self.text(begin.document), start=begin.document):
            if document.text.strip():
                tokens = tokenize(self.host, [document], self.context_size)
                for sequence in range(skip, len(tokens.ids)):
                    place = Position(begin.epoch, document=number, sequence=sequence)
                    yield place, tokens.ids[sequence], ~tokens.special[sequence]
            skip = 0


@dataclass(frozen=True, eq=False)
class _Piece:
    """Rows `begin` to `stop` of a group of sequences."""

    place: Position
    ids: Tensor
    ordinary: Tensor
    begin: int
    stop: int


@dataclass(frozen=True, eq=False)
class _Block:
    """Rows that are shuffled together, and where the first of them is."""

    at: Position
    pieces: tuple[_Piece, ...]
    rows: int


def _group(
    held: list[tuple[Position, Tensor, Tensor]],
) -> tuple[Position, Tensor, Tensor]:
    places, ids, ordinary = zip(*held, strict=True)
    return places[0], torch.stack(ids), torch.stack(ordinary)


class StreamedBatches(Iterator[Tensor]):
    """One iteration over an `ActivationStream`: its next batch, where it is, how long it waited.

    A thread makes the next block while the batches of the present one are used. `close` ends it;
    so does the end of the stream, and an error, which the next batch raises.
    """

    def __init__(
        self,
        stream: ActivationStream,
        batch_size: int,
        seed: int | None,
        epochs: int | None,
        start: int | Position,
        stop: int | None,
    ) -> None:
        self._stream, self._batch_size, self._seed = stream, batch_size, seed
        self._size = block_rows(batch_size, stream.shuffle_rows)
        self._left_out = start if isinstance(start, int) else start.batch
        at = Position(given=start) if isinstance(start, int) else start
        self._stop = stop
        self._blocks = stream.blocks(self._size, at, epochs)
        self._last: tuple[Position, Tensor] | None = None
        self._stopped = threading.Event()
        self._batches = self._run()
        self._began: float | None = None
        self._waited = 0.0
        self.position = at

    def __next__(self) -> Tensor:
        return next(self._batches)

    def close(self) -> None:
        """End the thread; no batch follows."""
        self._batches.close()

    @property
    def seconds_waited(self) -> float:
        """Time that was spent on waiting for a block, the first one included."""
        return self._waited

    @property
    def waiting_share(self) -> float:
        """Share of the time since the first batch was asked for that was spent on waiting for one.

        The first block, which nothing can overlap with, counts.
        """
        if self._began is None:
            return 0.0
        return self._waited / max(time.perf_counter() - self._began, 1e-9)

    def _run(self) -> Generator[Tensor]:
        self._began = time.perf_counter()
        # The kernel of products is a setting of the process: it stays the same for both threads.
        with fast_products(), ThreadPoolExecutor(1, "activations") as pool:
            try:
                coming = pool.submit(self._next_block)
                while (made := self._wait_for(coming)) is not None:
                    at, first, rows = made
                    batches = rows.split(self._batch_size)[first:]
                    left = len(batches)
                    if self._stop is not None:
                        left = min(left, self._stop - self.position.given)
                    more = left == len(batches) and self.position.given + left != self._stop
                    if more:
                        coming = pool.submit(self._next_block)
                    for number, batch in enumerate(batches[:left], start=first + 1):
                        given = self.position.given + 1
                        self.position = replace(at, batch=number, given=given)
                        yield batch.float()
                    if not more:
                        return
            finally:
                self._stopped.set()

    def _wait_for(
        self, coming: Future[tuple[Position, int, Tensor] | None]
    ) -> tuple[Position, int, Tensor] | None:
        begin = time.perf_counter()
        made = coming.result()
        self._waited += time.perf_counter() - begin
        return made

    def _next_block(self) -> tuple[Position, int, Tensor] | None:
        """The next block with a batch to give: where it is, its first such batch, its rows."""
        for block in self._blocks:
            batches = -(-block.rows // self._batch_size)
            if self._left_out < batches:
                first, self._left_out = self._left_out, 0
                return block.at, first, self._rows(block)
            self._left_out -= batches
        return None

    def _rows(self, block: _Block) -> Tensor:
        """The rows of a block in their order, written to their places as they come."""
        place = torch.empty(block.rows, dtype=torch.int64, device="cpu")
        place[permutation(block.rows, self._seed, block.at.block)] = torch.arange(
            block.rows, device="cpu"
        )
        found = torch.empty(block.rows, self._stream.d_in, dtype=torch.float16, device="cpu")
        done = 0
        for piece in block.pieces:
            if self._stopped.is_set():
                break
            rows = self._activations(piece)[piece.begin : piece.stop]
            found = found.to(torch.promote_types(found.dtype, rows.dtype))
            found[place[done : done + len(rows)]] = rows.to(found.dtype)
            done += len(rows)
        return found

    def _activations(self, piece: _Piece) -> Tensor:
        """Those of a whole group, the last of which is kept for the block that begins in it."""
        key = replace(piece.place, block=0)
        if self._last is None or self._last[0] != key:
            stream, hooks = self._stream, self._stream.hooks
            found = activations_at(
                stream.host, piece.ids, piece.ordinary, hooks, stream.sequences_per_pass
            )
            rows = [storable(found[hook], hook) for hook in hooks]
            self._last = key, torch.cat(rows, dim=1)
        return self._last[1]
