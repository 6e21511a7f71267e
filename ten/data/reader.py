"""Reader: the one global row sequence from a cursor on, whatever fills the cache."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ten.data.cursor import Cursor
from ten.data.fill import Fill
from ten.data.order import era_bounds, era_units, is_sequential, row_order
from ten.data.recipe import Recipe
from ten.data.rows import document_starts, row_count, row_slice
from ten.data.shards import Shard
from ten.errors import DataError

_BLOCK_ROWS = 1024


class Row(NamedTuple):
    """One row where it lies, and the place in the order just after it."""

    tokens: NDArray[Any]
    """(seq_len + 1,) as stored."""
    ends: NDArray[np.uint64]
    """Ends of the documents in its shard."""
    number: int
    """Of the row in its shard."""
    epoch: int
    era: int
    row_in_era: int

    def starts(self) -> NDArray[np.bool_]:
        """(seq_len,) True where an input token is the first of a document."""
        return document_starts(self.number, len(self.tokens) - 1, self.ends)


def read_rows(recipe: Recipe, fill: Fill, cursor: Cursor) -> Iterator[Row]:
    """All rows after the cursor, epoch after epoch, without end.

    Raises DataError when a whole epoch has no row: the corpus is shorter than one sequence.
    """
    units = recipe.training_units
    epoch, era, skip = cursor.epoch, cursor.era, cursor.row_in_era
    rows_in_epoch = skip
    while True:
        if not era_bounds(epoch, era, units):
            if not rows_in_epoch:
                raise DataError(
                    f"{recipe.corpus.dataset}: no shard has a whole row of {cursor.seq_len + 1} tokens; "
                    "choose a smaller --set data.seq_len or more text"
                )
            epoch, era, rows_in_epoch = epoch + 1, 0, 0
            continue
        for row in _era_rows(recipe, fill, cursor, epoch, era, skip):
            rows_in_epoch += 1
            yield row
        era, skip = era + 1, 0


def _era_rows(recipe: Recipe, fill: Fill, cursor: Cursor, epoch: int, era: int, skip: int) -> Iterator[Row]:
    wanted = era_units(cursor.seed, epoch, era, recipe.training_units)
    ahead = era_units(cursor.seed, epoch, era + 1, recipe.training_units) or era_units(
        cursor.seed, epoch + 1, 0, recipe.training_units
    )
    if is_sequential(epoch, era):
        fill.tokens_from(wanted[0], 0)
        fill.want(ahead)
        yield from _sequential_rows(fill, wanted[0], cursor.seq_len, skip)
        return
    fill.want(wanted + ahead)
    shards = [fill.shard(unit) for unit in wanted]
    counts = np.array([row_count(len(shard.tokens), cursor.seq_len) for shard in shards], dtype=np.int64)
    bounds = np.cumsum(counts)
    total = int(bounds[-1])
    order = row_order(cursor.seed, epoch, era, total)
    for begin in range(skip, total, _BLOCK_ROWS):
        places = order(np.arange(begin, min(begin + _BLOCK_ROWS, total), dtype=np.int64))
        owners = np.searchsorted(bounds, places, side="right")
        numbers = places - (bounds - counts)[owners]
        for offset, (owner, number) in enumerate(zip(owners.tolist(), numbers.tolist(), strict=True)):
            yield _shard_row(shards[owner], number, cursor.seq_len, epoch, era, begin + offset + 1)


def _sequential_rows(fill: Fill, unit: int, seq_len: int, skip: int) -> Iterator[Row]:
    """The very first era: one unit in document order, readable while it is still being packed."""
    number = skip
    while (part := fill.tokens_from(unit, (number + 1) * seq_len + 1)) is not None:
        tokens, ends = part
        for row in range(number, row_count(len(tokens), seq_len)):
            yield Row(tokens[row_slice(row, seq_len)], ends, row, 0, 0, row + 1)
            number = row + 1
    shard = fill.shard(unit)
    for row in range(number, row_count(len(shard.tokens), seq_len)):
        yield _shard_row(shard, row, seq_len, 0, 0, row + 1)


def _shard_row(shard: Shard, number: int, seq_len: int, epoch: int, era: int, row_in_era: int) -> Row:
    return Row(shard.tokens[row_slice(number, seq_len)], shard.document_ends, number, epoch, era, row_in_era)
