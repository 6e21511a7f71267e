"""Store: named objects of bytes, kept for good; the one door to folders, object stores and memory."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from ten.errors import StoreError


class ObjectStat(msgspec.Struct, frozen=True, kw_only=True):
    """What a store knows of an object without reading it."""

    key: str
    bytes: int
    sha256: str | None = None
    """Of the content, as its writer said; None where the store keeps no such note, and in listings."""
    about: str | None = None
    """The writer's own note; None likewise."""
    modified: float | None = None
    """When it was written, Unix time."""


class Store(Protocol):
    """Keys are relative POSIX paths such as `packs/books-0123/manifest.json`.

    An object is whole or absent: no reader ever sees a part of a write. Every method raises StoreError (or DiskFull,
    CredentialsError, ServiceUnavailable) naming the object; reading one that is not there raises MissingInput. All
    methods may be called from several threads.
    """

    url: str
    """Where it is, for people and for `open_store`; never with a secret in it."""

    @property
    def root(self) -> Path | None:
        """The folder that is the store, where it is one."""

    def read(self, key: str) -> bytes:
        """All bytes of an object."""

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start`; StoreError when the object ends before."""

    def write(self, key: str, data: bytes) -> None:
        """Create or replace an object."""

    def write_new(self, key: str, data: bytes) -> bool:
        """Create an object unless there is one; whether this call did. Where two race, at least one hears True."""

    def send(
        self, key: str, path: Path, *, sha256: str, about: str = "", advance: Callable[[int], object] | None = None
    ) -> None:
        """Create or replace an object from a file, whose hash is known.

        `about` is kept as a note where the store can; `advance` hears of bytes as they go. Raises DataError when the
        file has not that hash (nothing is published then) and MissingInput when it is not there.
        """

    def fetch(
        self, key: str, path: Path, *, sha256: str | None = None, advance: Callable[[int], object] | None = None
    ) -> None:
        """Copy an object into a file, which appears whole or not at all; only a power failure may tear it later.

        What an interrupted call left is gone on with. `sha256` is what the bytes must have; without it what the
        object's writer noted is, if anything. Raises DataError, and leaves no file, when they have not.
        """

    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        """The objects whose keys begin with `prefix`, in order of their keys. May take long; for people's questions."""

    def children(self, folder: str) -> Sequence[str]:
        """Names directly below a folder, sorted: `["a", "b"]` for objects `runs/a/x` and `runs/b` below `runs`."""

    def stat(self, key: str) -> ObjectStat | None:
        """What is known of an object, or None when there is none."""

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens when there is none."""

    def local_path(self, key: str) -> Path | None:
        """The file behind an object where the store is a folder, else None."""


def checked_key(key: str, url: str) -> str:
    """`key` itself; StoreError where it is no relative path below the store at `url`."""
    if not key or key.startswith("/") or ".." in key.split("/"):
        raise StoreError(f"{url}: {key!r} is no key of a store")
    return key
