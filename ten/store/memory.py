"""A store in memory: the twin of the others, for tests and for runs that keep nothing."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ten.errors import MissingInput, StoreError
from ten.store.part_copy import checked_pieces, copy_into
from ten.store.protocol import ObjectStat, checked_key


class MemoryStore:
    """Objects in a dictionary."""

    def __init__(self, url: str = "memory:") -> None:
        self.url = url
        self.root: Path | None = None
        self._objects: dict[str, bytes] = {}
        self._notes: dict[str, tuple[str, str]] = {}

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
        self._notes.pop(key, None)

    def write_new(self, key: str, data: bytes) -> bool:
        """Create an object unless there is one."""
        return self._objects.setdefault(checked_key(key, self.url), data) is data

    def send(
        self, key: str, path: Path, *, sha256: str, about: str = "", advance: Callable[[int], object] | None = None
    ) -> None:
        """Keep a file's bytes and what is said of them."""
        try:
            data = b"".join(checked_pieces(path, sha256, f"{self.url}{key}"))
        except FileNotFoundError:
            raise MissingInput(f"{path}: not there to be sent as {self.url}{key}") from None
        self._objects[checked_key(key, self.url)] = data
        self._notes[key] = (sha256, about)
        if advance:
            advance(len(data))

    def fetch(
        self, key: str, path: Path, *, sha256: str | None = None, advance: Callable[[int], object] | None = None
    ) -> None:
        """Write an object's bytes into a file."""
        wanted = sha256 or self._notes.get(key, (None, ""))[0]
        copy_into(path, [self.read(key)], wanted, f"{self.url}{key}", advance, durable=False)

    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        """Objects whose keys begin with `prefix`."""
        for key in sorted(self._objects):
            if key.startswith(prefix):
                yield ObjectStat(key=key, bytes=len(self._objects[key]))

    def stat(self, key: str) -> ObjectStat | None:
        """Size of an object, or None."""
        data = self._objects.get(checked_key(key, self.url))
        sha256, about = self._notes.get(key, (None, None))
        return None if data is None else ObjectStat(key=key, bytes=len(data), sha256=sha256, about=about)

    def children(self, folder: str) -> Sequence[str]:
        """Names directly below a folder."""
        below = (key.removeprefix(f"{folder}/") for key in self._objects if key.startswith(f"{folder}/"))
        return sorted({name.partition("/")[0] for name in below})

    def delete(self, key: str) -> None:
        """Remove an object if it is there."""
        self._objects.pop(checked_key(key, self.url), None)

    def local_path(self, key: str) -> Path | None:
        """None: nothing here is a file."""
        return None
