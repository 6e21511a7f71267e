"""Packing: a unit's documents → its shard; a pure function of recipe and unit."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ten.data.documents import BATCH_ROWS, read_documents
from ten.data.engines import Encoder, Ids
from ten.data.recipe import Recipe
from ten.data.shards import ShardHeader, encode_shard
from ten.data.split import is_held_out
from ten.data.units import Part, Unit
from ten.errors import DataError

GROWTH_TOKENS = 2**16
"""After so many new tokens a growing shard is shown to its reader."""

Growth = Callable[[Ids, NDArray[np.uint64]], None]
"""Called with the tokens of whole training documents and the positions in the shard where these end."""


def pack_unit(
    recipe: Recipe,
    unit: Unit,
    encoder: Encoder,
    grow: Growth | None = None,
    *,
    batch_rows: int = BATCH_ROWS,
    pulse: Callable[[], None] = lambda: None,
) -> bytes:
    """The bytes of a unit's shard. `grow` sees the training tokens while they are made.

    `pulse` is called with every record: to say that work goes on, or to end it by an exception. Memory holds the
    unit's tokens, never the corpus. Raises what reading its documents raises.
    """
    training, held_out = _Stream(recipe), _Stream(recipe)
    held_out_bytes: list[int] = []
    set_apart = unit.index >= recipe.training_units
    skipped = shown = 0
    for text in _texts(recipe, unit, batch_rows):
        pulse()
        if not text:
            skipped += 1
            continue
        raw = text.encode("utf-8", errors="surrogatepass")
        ids = encoder.encode(text)
        if set_apart or is_held_out(raw, recipe.split):
            held_out.append(ids)
            held_out_bytes.append(len(raw))
            continue
        training.append(ids)
        if grow is not None and training.tokens - shown >= GROWTH_TOKENS:
            grow(*training.fresh())
            shown = training.tokens
    if grow is not None:
        grow(*training.fresh())
    header = ShardHeader(
        fingerprint=recipe.fingerprint,
        tokenizer=recipe.tokenizer.fingerprint,
        unit=unit.index,
        dtype="U16" if recipe.dtype == "U16" else "U32",
        tokens=training.tokens,
        documents=len(training.ends),
        held_out_tokens=held_out.tokens,
        held_out_documents=len(held_out.ends),
        skipped=skipped,
    )
    return encode_shard(
        header,
        {
            "tokens": training.array(),
            "document_ends": np.array(training.ends, dtype="<u8"),
            "held_out_tokens": held_out.array(),
            "held_out_ends": np.array(held_out.ends, dtype="<u8"),
            "held_out_bytes": np.array(held_out_bytes, dtype="<u8"),
        },
    )


class _Stream:
    """Documents' tokens one after another, each closed by the end-of-document id."""

    def __init__(self, recipe: Recipe) -> None:
        self._dtype: Any = np.dtype("<u2" if recipe.dtype == "U16" else "<u4")
        self._tokenizer = recipe.tokenizer
        self._end = np.array([recipe.tokenizer.end_of_document], dtype=self._dtype)
        self._pieces: list[NDArray[Any]] = []
        self.tokens = 0
        self.ends: list[int] = []
        self._shown = 0

    def append(self, ids: Ids) -> None:
        if ids.size and int(ids.max()) >= self._tokenizer.vocabulary:
            raise DataError(
                f"tokenizer {self._tokenizer.name!r} gave id {int(ids.max())} outside its vocabulary of "
                f"{self._tokenizer.vocabulary}"
            )
        if (ids == self._tokenizer.end_of_document).any():
            raise DataError(
                f"tokenizer {self._tokenizer.name!r} gives its end-of-document id {self._tokenizer.end_of_document} "
                "for plain text; name a special token with --set data.end_of_document=TOKEN"
            )
        self._pieces += (ids.astype(self._dtype), self._end)
        self.tokens += len(ids) + 1
        self.ends.append(self.tokens)

    def fresh(self) -> tuple[NDArray[Any], NDArray[np.uint64]]:
        """The tokens and ends of the documents appended since the last call."""
        pieces, ends = self._pieces[2 * self._shown :], self.ends[self._shown :]
        self._shown = len(self.ends)
        return _joined(pieces, self._dtype), np.array(ends, dtype="<u8")

    def array(self) -> NDArray[Any]:
        return _joined(self._pieces, self._dtype)


def _joined(pieces: list[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    return np.concatenate(pieces) if pieces else np.empty(0, dtype=dtype)


def _texts(recipe: Recipe, unit: Unit, batch_rows: int) -> Iterator[str | None]:
    for part in unit.parts:
        yield from _part_texts(recipe, part, batch_rows)


def _part_texts(recipe: Recipe, part: Part, batch_rows: int) -> Iterator[str | None]:
    file = recipe.corpus.files[part.file]
    column, invalid = recipe.corpus.text_column, recipe.invalid_text
    return islice(read_documents(file, part.part, part.parts, column, invalid, batch_rows), part.records)
