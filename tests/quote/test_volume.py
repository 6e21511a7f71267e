"""Bytes that come, are made and stay: bounded by the whole, and none where nothing is to be done."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ten.quote.volume import Source, Volume, volume

BASE = Source(
    mode="streaming", is_packed=False, at_hub=True, in_object_store=False, corpus_bytes=1000, raw_bytes=0,
    pack_bytes=400, cache_limit=None,
)  # fmt: skip


def _volume(tokens: int = 50, epoch: int = 200, **fields: Any) -> Volume:
    return volume(msgspec.structs.replace(BASE, **fields), tokens=tokens, epoch_tokens=epoch, checkpoint_bytes=7)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (250, 100, 107)),
        ({"at_hub": False}, (0, 100, 107)),
        ({"cache_limit": 60}, (250, 100, 67)),
        ({"mode": "full", "raw_bytes": 1000}, (1000, 400, 1407)),
        ({"mode": "full", "raw_bytes": 1000, "cache_limit": 60}, (1000, 400, 1407)),
        ({"mode": "pack"}, (1000, 400, 400)),
        ({"mode": "pretok"}, (0, 0, 407)),
        ({"mode": "pretok", "in_object_store": True}, (100, 0, 107)),
        ({"mode": "pretok", "in_object_store": True, "cache_limit": 60}, (100, 0, 67)),
        ({"is_packed": True}, (0, 0, 407)),
        ({"is_packed": True, "in_object_store": True}, (100, 0, 107)),
        ({"is_packed": True, "in_object_store": True, "mode": "pack"}, (0, 0, 400)),
    ],
)
def test_each_mode_moves_what_it_must(fields: dict[str, Any], expected: tuple[int, int, int]) -> None:
    found = _volume(**fields)
    assert (found.download, found.pack, found.keep) == expected


@given(
    mode=st.sampled_from(["streaming", "pretok", "full", "pack"]),
    is_packed=st.booleans(),
    at_hub=st.booleans(),
    in_object_store=st.booleans(),
    tokens=st.integers(1, 10**12),
    epoch=st.integers(0, 10**12),
)
def test_no_more_than_the_whole_and_no_less_than_nothing(
    mode: str, is_packed: bool, at_hub: bool, in_object_store: bool, tokens: int, epoch: int
) -> None:
    found = _volume(tokens, epoch, mode=mode, is_packed=is_packed, at_hub=at_hub, in_object_store=in_object_store)
    assert 0 <= found.download <= 1000
    assert 0 <= found.pack <= 400
    assert 0 <= found.keep <= 407
    more = _volume(tokens + 1, epoch, mode=mode, is_packed=is_packed, at_hub=at_hub, in_object_store=in_object_store)
    assert (more.download, more.pack, more.keep) >= (found.download, found.pack, found.keep)
