"""Rows: seq_len + 1 consecutive tokens of a shard; how many there are, where documents start in one, and its hash."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.uint16] | NDArray[np.uint32]


def row_count(tokens: int, seq_len: int) -> int:
    """Rows in a shard of so many tokens; rows overlap by one token so that no target is lost."""
    return max(0, (tokens - 1) // seq_len)


def row_slice(row: int, seq_len: int) -> slice:
    """Where row number `row` lies in its shard's tokens."""
    return slice(row * seq_len, row * seq_len + seq_len + 1)


def document_starts(row: int, seq_len: int, document_ends: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """(seq_len,) bool: True where an input token of the row is the first of a document.

    Documents lie one after another, so one starts at token 0 and at every end but the last one's.
    """
    begin = row * seq_len
    ends = document_ends.view(np.int64)  # as unsigned they would be compared with Python's integers by way of floats
    starts = np.zeros(seq_len, dtype=np.bool_)
    starts[ends[ends.searchsorted(begin) : ends.searchsorted(begin + seq_len)] - begin] = True
    if begin == 0:
        starts[0] = True
    return starts


def row_digest(tokens: Tokens) -> bytes:
    """sha256 of one row's seq_len + 1 tokens as stored in its shard (little-endian U16 or U32)."""
    return hashlib.sha256(np.ascontiguousarray(tokens).data).digest()


def rows_sha256(digests_by_rank: Sequence[Sequence[bytes]], micro_batches: int) -> str:
    """Hash of a global batch: sha256 over the rows' digests in global order, the same for any number of ranks.

    Rank r's digests come micro-batch by micro-batch; in the global order micro-batch m of rank 0 is followed by
    micro-batch m of rank 1, and so on.
    """
    whole = hashlib.sha256()
    for micro in range(micro_batches):
        for digests in digests_by_rank:
            rows = len(digests) // micro_batches
            whole.update(b"".join(digests[micro * rows : (micro + 1) * rows]))
    return whole.hexdigest()
