"""The hash of an object, wherever it lies."""

import hashlib
from pathlib import Path

import pytest

from ten.errors import MissingInput, StoreError
from ten.store import hashing
from ten.store.hashing import sha256_of
from ten.store.local import LocalStore
from ten.store.memory import MemoryStore
from ten.store.protocol import Store


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return LocalStore(tmp_path) if request.param == "local" else MemoryStore()


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 54_321])
def test_it_is_that_of_all_bytes_in_order(store: Store, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_PIECE", 1000)
    data = bytes(number * number % 251 for number in range(size))
    store.write("a", data)
    heard: list[int] = []
    assert sha256_of(store, "a", size, heard.append) == hashlib.sha256(data).hexdigest()
    assert sum(heard) == size


def test_what_ends_before_has_no_hash(store: Store) -> None:
    store.write("a", b"short")
    with pytest.raises(StoreError, match="only 5 there"):
        sha256_of(store, "a", 6)
    with pytest.raises(MissingInput):
        sha256_of(store, "b", 6)
