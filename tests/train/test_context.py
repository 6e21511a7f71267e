"""Buckets of context, and what a held-out loss in them comes to."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ten.train.context import ContextLoss, HeldOutLoss, bucket_edges


@given(st.integers(1, 2**20))
def test_buckets_cover_a_row_and_grow(seq_len: int) -> None:
    edges = bucket_edges(seq_len)
    assert edges[0] == 0
    assert edges[-1] == seq_len
    assert 2 <= len(edges) <= 9
    assert all(2 * low <= high for low, high in pairwise(edges))


def test_bits_are_those_of_all_predictions() -> None:
    early = ContextLoss(begin=0, end=4, tokens=10, bits_per_token=3.0)
    late = ContextLoss(begin=4, end=8, tokens=30, bits_per_token=1.0)
    loss = HeldOutLoss(by_context=(early, late), text_bytes=120)
    assert loss.bits == pytest.approx(60.0)
    assert loss.bits_per_byte == pytest.approx(0.5)
    assert str(late) == "4-7: 1.000"
