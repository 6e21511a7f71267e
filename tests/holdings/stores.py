"""Stores as tests of packs and runs look at them."""

from collections.abc import Callable
from pathlib import Path

from ten.store.memory import MemoryStore
from ten.store.protocol import Store


def objects(store: Store, prefix: str = "") -> dict[str, bytes]:
    """All objects of a store and their bytes."""
    return {stat.key: store.read(stat.key) for stat in store.list(prefix)}


def flip(store: Store, key: str) -> None:
    """Turn one bit of an object."""
    data = bytearray(store.read(key))
    data[len(data) // 2] ^= 1
    store.write(key, bytes(data))


class SpiedStore(MemoryStore):
    """A store in memory that says in which order objects were written, and may be told to fail."""

    def __init__(self, url: str = "memory:spied/") -> None:
        super().__init__(url)
        self.changed: list[str] = []
        self.refuse: Callable[[str], bool] = lambda key: False

    def write(self, key: str, data: bytes) -> None:
        self._change(key)
        super().write(key, data)

    def write_new(self, key: str, data: bytes) -> bool:
        self._change(key)
        return super().write_new(key, data)

    def send(
        self, key: str, path: Path, *, sha256: str, about: str = "", advance: Callable[[int], object] | None = None
    ) -> None:
        self._change(key)
        super().send(key, path, sha256=sha256, about=about, advance=advance)

    def _change(self, key: str) -> None:
        if self.refuse(key):
            raise KeyboardInterrupt
        self.changed.append(key)
