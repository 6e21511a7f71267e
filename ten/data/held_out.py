"""Held-out documents as padded batches, every token of them predicted exactly once."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ten.data.fill import Fill
from ten.data.recipe import Recipe

_UNITS_AHEAD = 4
"""Units asked for beyond the one that is read: most of a large corpus's are never needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutBatch:
    """Rows of held-out text; B rows, T time."""

    tokens: Tensor
    """(B, T + 1) int64."""
    starts: Tensor
    """(B, T) bool: True where an input token is a document's first."""
    weights: Tensor
    """(B, T) float32: 1 where a target counts, 0 where it is padding."""


class HeldOut:
    """The first held-out documents in listing order, whole ones, at most `max_tokens` but for the very first.

    The documents are laid one after another behind one end-of-document id and cut into rows of `seq_len` targets, so
    that bits per byte are exact: all nats over all bytes of the documents' UTF-8 text.
    """

    def __init__(
        self, recipe: Recipe, fill: Fill, *, seq_len: int, rows: int, max_tokens: int, reset_carry: bool = True
    ) -> None:
        self._recipe, self._fill, self._max_tokens = recipe, fill, max_tokens
        self.seq_len = seq_len
        self._rows, self._reset_carry = rows, reset_carry

    @cached_property
    def _collected(self) -> "_Stream":
        """Read when first asked for: while streaming, the shards may still have to be packed."""
        return _collect(self._recipe, self._fill, self._max_tokens)

    @property
    def text_bytes(self) -> int:
        """Bytes of the documents' text; 0 where the corpus has no held-out document."""
        return self._collected.text_bytes

    @property
    def tokens(self) -> int:
        """Targets counted."""
        return len(self._collected.tokens) - 1

    def __iter__(self) -> Iterator[HeldOutBatch]:
        stream, T = self._collected, self.seq_len  # noqa: N806 - shape letter
        count = -(-self.tokens // T)
        for first in range(0, count, self._rows):
            rows = range(first, min(first + self._rows, count))
            tokens = np.zeros((len(rows), T + 1), dtype=np.int64)
            starts = np.zeros((len(rows), T), dtype=np.bool_)
            weights = np.zeros((len(rows), T), dtype=np.float32)
            for index, row in enumerate(rows):
                piece = stream.tokens[row * T : row * T + T + 1]
                tokens[index, : len(piece)] = piece
                if self._reset_carry:
                    starts[index, : len(piece) - 1] = stream.starts[row * T : row * T + len(piece) - 1]
                weights[index, : len(piece) - 1] = 1.0
            yield HeldOutBatch(
                tokens=torch.from_numpy(tokens), starts=torch.from_numpy(starts), weights=torch.from_numpy(weights)
            )


class _Stream(NamedTuple):
    tokens: NDArray[Any]
    starts: NDArray[np.bool_]
    text_bytes: int


def _collect(recipe: Recipe, fill: Fill, max_tokens: int) -> _Stream:
    pieces: list[NDArray[Any]] = [np.array([recipe.tokenizer.end_of_document], dtype=np.int64)]
    begins: list[int] = []
    tokens = text_bytes = 0
    for document, size in _documents(recipe, fill):
        if begins and tokens + len(document) > max_tokens:
            break
        begins.append(1 + tokens)
        pieces.append(document.astype(np.int64))
        tokens += len(document)
        text_bytes += size
        if tokens >= max_tokens:  # before another shard is asked for
            break
    stream = np.concatenate(pieces)
    starts = np.zeros(len(stream), dtype=np.bool_)
    starts[begins] = True
    return _Stream(stream, starts, text_bytes)


def _documents(recipe: Recipe, fill: Fill) -> Iterator[tuple[NDArray[Any], int]]:
    """Tokens of each held-out document as stored, and the bytes of its text."""
    units = range(recipe.training_units, len(recipe.units)) if recipe.split.units else range(len(recipe.units))
    for unit in units:
        fill.want(range(unit, min(unit + 1 + _UNITS_AHEAD, units.stop)))
        shard = fill.shard(unit)
        ends = shard.held_out_ends.tolist()
        for begin, end, size in zip([0, *ends], ends, shard.held_out_bytes.tolist(), strict=False):
            yield shard.held_out_tokens[begin:end], size
