"""Rows: their number, place, document starts and hashes."""

import hashlib
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ten.data.rows import document_starts, row_count, row_digest, row_slice, rows_sha256


def naive_starts(row: int, seq_len: int, ends: Sequence[int]) -> list[bool]:
    firsts = {0, *ends[:-1]}
    return [row * seq_len + place in firsts for place in range(seq_len)]


@given(st.integers(0, 500), st.integers(1, 40))
def test_rows_hold_every_target_once_but_those_of_the_tail(tokens: int, seq_len: int) -> None:
    stream = list(range(tokens))
    targets = [t for row in range(row_count(tokens, seq_len)) for t in stream[row_slice(row, seq_len)][1:]]
    assert targets == list(range(1, 1 + len(targets)))
    assert 0 <= tokens - 1 - len(targets) < seq_len or tokens == 0


@given(st.integers(0, 500), st.integers(1, 40))
def test_every_row_is_whole(tokens: int, seq_len: int) -> None:
    lengths = {len(range(tokens)[row_slice(row, seq_len)]) for row in range(row_count(tokens, seq_len))}
    assert lengths <= {seq_len + 1}


@given(st.lists(st.integers(1, 30), min_size=1, max_size=30), st.integers(1, 20))
def test_document_starts_are_those_of_the_naive_loop(lengths: list[int], seq_len: int) -> None:
    ends = np.cumsum(lengths).astype(np.uint64)
    for row in range(row_count(int(ends[-1]), seq_len)):
        assert document_starts(row, seq_len, ends).tolist() == naive_starts(row, seq_len, ends.tolist())


def test_a_digest_is_the_sha256_of_the_stored_bytes() -> None:
    tokens = np.array([1, 2, 40_000], dtype="<u2")
    assert row_digest(tokens) == hashlib.sha256(tokens.tobytes()).digest()
    assert row_digest(tokens[::1]) != row_digest(tokens[:2])


@given(st.integers(1, 4), st.sampled_from([1, 2, 4]), st.integers(1, 3))
def test_the_hash_of_a_batch_knows_no_ranks(rows: int, ranks: int, micro_batches: int) -> None:
    in_order = [bytes([number] * 32) for number in range(rows * ranks * micro_batches)]
    by_rank = [
        [in_order[(micro * ranks + rank) * rows + row] for micro in range(micro_batches) for row in range(rows)]
        for rank in range(ranks)
    ]
    assert rows_sha256(by_rank, micro_batches) == hashlib.sha256(b"".join(in_order)).hexdigest()
