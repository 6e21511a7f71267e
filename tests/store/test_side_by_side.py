"""Objects read at once."""

import threading
from pathlib import Path

import pytest

from ten.errors import StoreError
from ten.store.local import LocalStore
from ten.store.memory import MemoryStore
from ten.store.protocol import Store
from ten.store.side_by_side import read_side_by_side


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_each_object_or_none_in_the_order_asked(kind: str, tmp_path: Path) -> None:
    store: Store = LocalStore(tmp_path) if kind == "local" else MemoryStore()
    store.write("a", b"1")
    store.write("b", b"2")
    assert read_side_by_side(store, ["b", "c", "a"]) == [b"2", None, b"1"]
    assert read_side_by_side(store, []) == []


class MeetingStore(MemoryStore):
    """A store that answers only when three ask at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self._meeting = threading.Barrier(3, timeout=10)

    def read(self, key: str) -> bytes:
        """All bytes of an object."""
        self._meeting.wait()
        if key == "broken":
            raise StoreError("broken: cannot be read")
        return super().read(key)


def test_a_distant_store_is_asked_for_all_at_once() -> None:
    store = MeetingStore()
    store.write("a", b"1")
    assert read_side_by_side(store, ["a", "b", "c"]) == [b"1", None, None]


def test_a_failure_is_raised() -> None:
    with pytest.raises(StoreError, match="broken"):
        read_side_by_side(MeetingStore(), ["a", "broken", "c"])
