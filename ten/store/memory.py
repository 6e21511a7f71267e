"""A store in memory: the twin of the others, for tests and for runs that keep nothing."""

from collections.abc import Iterator
from pathlib import Path

from ten.errors import MissingInput, StoreError
from ten.store.protocol import ObjectStat, checked_key


class MemoryStore:
    """Objects in a dictionary."""

    def __init__(self, url: str = "memory:") -> None:
        self.url = url
        self.root: Path | None = None
        self._objects: dict[str, bytes] = {}

    def read(self, key: str) -> bytes:
        """All bytes of an object."""
        if checked_key(key, self.url) not in self._objects:
            raise MissingInput(f"{self.url}{key}: no such object in the store")
        return self._objects[key]

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start`; StoreError when the object ends before."""
        data = self.read(key)[start : start + length]
        if len(data) != length:
            raise StoreError(f"{self.url}{key}: {length} bytes wanted at {start}, only {len(data)} there")
        return data

    def write(self, key: str, data: bytes) -> None:
        """Create or replace an object."""
        self._objects[checked_key(key, self.url)] = bytes(data)

    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        """Objects whose keys begin with `prefix`."""
        for key in sorted(self._objects):
            if key.startswith(prefix):
                yield ObjectStat(key=key, bytes=len(self._objects[key]))

    def stat(self, key: str) -> ObjectStat | None:
        """Size of an object, or None."""
        data = self._objects.get(checked_key(key, self.url))
        return None if data is None else ObjectStat(key=key, bytes=len(data))

    def delete(self, key: str) -> None:
        """Remove an object if it is there."""
        self._objects.pop(checked_key(key, self.url), None)

    def local_path(self, key: str) -> Path | None:
        """None: nothing here is a file."""
        return None
