"""A store in memory: the twin of the others, for tests and for runs that keep nothing."""

from collections.abc import Iterator
from pathlib import Path

from ten.errors import MissingInput, StoreError
from ten.store.protocol import ObjectStat


class MemoryStore:
    """Objects in a dictionary."""

    def __init__(self, url: str = "memory:") -> None:
        self.url = url
        self._objects: dict[str, bytes] = {}

    def read(self, key: str) -> bytes:
        """All bytes of an object."""
        if key not in self._objects:
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
        if not key or ".." in Path(key).parts or Path(key).is_absolute():
            raise StoreError(f"{self.url}: {key!r} is no key of a store")
        self._objects[key] = bytes(data)

    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        """Objects whose keys begin with `prefix`."""
        for key in sorted(self._objects):
            if key.startswith(prefix):
                yield ObjectStat(key=key, bytes=len(self._objects[key]))

    def stat(self, key: str) -> ObjectStat | None:
        """Size of an object, or None."""
        return ObjectStat(key=key, bytes=len(self._objects[key])) if key in self._objects else None

    def delete(self, key: str) -> None:
        """Remove an object if it is there."""
        self._objects.pop(key, None)

    def local_path(self, key: str) -> Path | None:
        """None: nothing here is a file."""
        return None
