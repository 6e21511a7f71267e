"""Unit tokens: what packing has made of a unit so far, until it is a shard."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ten.data.recipe import Recipe
from ten.data.shards import ShardHeader, encode_shard
from ten.errors import DataError
from ten.text.engines import Ids

Ends = NDArray[np.uint64]


class Mark(NamedTuple):
    """A place in a stream of documents."""

    pieces: int = 0
    documents: int = 0


class TokenStream:
    """Documents' tokens one after another, each closed by the end-of-document id."""

    def __init__(self, recipe: Recipe) -> None:
        self.dtype: Any = np.dtype("<u2" if recipe.dtype == "U16" else "<u4")
        self._tokenizer = recipe.tokenizer
        self._pieces: list[NDArray[Any]] = []
        self.ends: list[int] = []

    @property
    def tokens(self) -> int:
        """Tokens so far, ends of documents included."""
        return self.ends[-1] if self.ends else 0

    def append(self, ids: Ids) -> None:
        """Add a document. Raises DataError for ids that the tokenizer cannot mean."""
        end = self._tokenizer.end_of_document
        if ids.size and int(ids.max()) >= self._tokenizer.vocabulary:
            raise DataError(
                f"tokenizer {self._tokenizer.name!r} gave id {int(ids.max())} outside its vocabulary of "
                f"{self._tokenizer.vocabulary}"
            )
        if (ids == end).any():
            raise DataError(
                f"tokenizer {self._tokenizer.name!r} gives its end-of-document id {end} "
                "for plain text; name a special token with --set data.end_of_document=TOKEN"
            )
        document = np.empty(len(ids) + 1, dtype=self.dtype)
        document[:-1], document[-1] = ids, end
        self.extend(document, [len(document)])

    def extend(self, tokens: NDArray[Any], lengths: Sequence[int]) -> None:
        """Add documents of these lengths that are closed already."""
        self._pieces.append(tokens)
        at = self.tokens
        for length in lengths:
            at += length
            self.ends.append(at)

    def mark(self) -> Mark:
        """Where the stream ends now."""
        return Mark(len(self._pieces), len(self.ends))

    def since(self, mark: Mark = Mark()) -> tuple[NDArray[Any], Ends]:  # noqa: B008 - it is immutable
        """The tokens and ends of the documents added since a mark."""
        pieces = self._pieces[mark.pieces :]
        tokens = np.concatenate(pieces) if pieces else np.empty(0, dtype=self.dtype)
        return tokens, np.array(self.ends[mark.documents :], dtype="<u8")

    def lengths_since(self, mark: Mark) -> Ends:
        """The lengths of the documents added since a mark."""
        begin = self.ends[mark.documents - 1] if mark.documents else 0
        return np.diff(np.array([begin, *self.ends[mark.documents :]], dtype="<u8"))


class UnitTokens:
    """A unit's training and held-out documents, and what was left out."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self.training, self.held_out = TokenStream(recipe), TokenStream(recipe)
        self._held_out_bytes: list[int] = []
        self.skipped = 0
        """Records without text."""
        self.bad = 0
        """Row groups that did not decode."""
        self._shown = Mark()
        self._kept = Mark(), Mark(), 0

    def add(self, ids: Ids, text_bytes: int, *, held_out: bool) -> None:
        """Add a document."""
        if held_out:
            self.held_out.append(ids)
            self._held_out_bytes.append(text_bytes)
        else:
            self.training.append(ids)

    @property
    def unseen(self) -> int:
        """Training tokens that `show` has not given yet."""
        return self.training.tokens - (self.training.ends[self._shown.documents - 1] if self._shown.documents else 0)

    def show(self) -> tuple[NDArray[Any], Ends]:
        """The training tokens and ends of the documents added since the last call."""
        fresh = self.training.since(self._shown)
        self._shown = self.training.mark()
        return fresh

    def segment(self) -> list[NDArray[Any]]:
        """All arrays of what was added since the last call, as `restore` takes them."""
        training, held_out, counted = self._kept
        self._kept = self.training.mark(), self.held_out.mark(), len(self._held_out_bytes)
        return [
            self.training.since(training)[0],
            self.training.lengths_since(training),
            self.held_out.since(held_out)[0],
            self.held_out.lengths_since(held_out),
            np.array(self._held_out_bytes[counted:], dtype="<u8"),
        ]

    def restore(self, content: Sequence[bytes]) -> None:
        """Add an earlier segment from the bytes of its arrays."""
        dtype = self.training.dtype
        self.training.extend(np.frombuffer(content[0], dtype), np.frombuffer(content[1], "<u8").tolist())
        self.held_out.extend(np.frombuffer(content[2], dtype), np.frombuffer(content[3], "<u8").tolist())
        self._held_out_bytes += np.frombuffer(content[4], "<u8").tolist()
        self._kept = self.training.mark(), self.held_out.mark(), len(self._held_out_bytes)

    def shard(self, unit: int) -> bytes:
        """The bytes of the shard."""
        tokens, ends = self.training.since()
        held_out_tokens, held_out_ends = self.held_out.since()
        header = ShardHeader(
            fingerprint=self._recipe.fingerprint,
            tokenizer=self._recipe.tokenizer.fingerprint,
            unit=unit,
            dtype="U16" if self._recipe.dtype == "U16" else "U32",
            tokens=len(tokens),
            documents=len(ends),
            held_out_tokens=len(held_out_tokens),
            held_out_documents=len(held_out_ends),
            skipped=self.skipped,
            bad=self.bad,
        )
        return encode_shard(
            header,
            {
                "tokens": tokens,
                "document_ends": ends,
                "held_out_tokens": held_out_tokens,
                "held_out_ends": held_out_ends,
                "held_out_bytes": np.array(self._held_out_bytes, dtype="<u8"),
            },
        )
